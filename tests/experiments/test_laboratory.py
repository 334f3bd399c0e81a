"""The doors of the laboratory on a small simulator: train, evaluate, compare, command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import InputError, OptionError
from mien.experiments import execution, laboratory
from mien.experiments.comparisons import compare
from mien.experiments.evaluating import evaluate

pytestmark = pytest.mark.slow

YAML = """\
title: Two models on a small simulator
paper: Somebody 2020, Table 1
data: {name: simulator, people: 6, steps: 60, features: 4, length: 30, stride: 15}
metrics: [ccc, rmse]
seeds: [0, 1]
protocols:
  - {name: without_each}
  - {name: masked_frames, fractions: [0.0, 0.5], of: [audio]}
training: {epochs: 2, batch_size: 8, optimizer: {rate: 0.01}, select: ccc}
models:
  - {label: probe, model: linear_probe}
  - label: FC
    model: mmte_fc
    options: {width: 8, hidden: 8, tcn_layers: 1, layers: 1, positions: 30}
treatments:
  - {label: standard}
  - {label: hidden, hide_important: {after: standard, above: 0}}
reported:
  - {model: probe, treatment: standard, condition: everything, metric: ccc, value: 0.123}
comparisons:
  - {by: model, against: probe, metric: ccc, protocol: without_each}
  - {by: treatment, against: standard, metric: ccc, protocol: without_each}
figures: [traces]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    (folder / "small.yaml").write_text(YAML)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        report = laboratory.train("small.yaml", data=folder, out="out", workers=1)
    return folder, report


def test_a_page_a_table_and_figures_are_written(ran):
    folder, report = ran
    assert report.failures == []
    page = (folder / "out/small.md").read_text()
    assert "Somebody 2020, Table 1" in page
    assert "[0.123]" in page
    assert "`mien train small.yaml`" in page
    assert "Holm-Bonferroni" in page
    assert {path.suffix for path in report.files} == {".md", ".csv", ".svg"}
    assert all((folder / path).stat().st_size > 100 for path in report.files)
    table = pd.read_csv(folder / "out/small.csv")
    assert list(table.columns[:6]) == [
        "model", "treatment", "protocol", "condition", "level", "metric",
    ]  # fmt: skip
    everything = table[(table["condition"] == "everything") & (table["metric"] == "ccc")]
    assert (everything["runs"] == 2).all()
    quoted = table[table["paper"].notna()]
    assert quoted[["model", "treatment", "condition"]].drop_duplicates().values.tolist() == [
        ["probe", "standard", "everything"]
    ]


def test_dimensions_are_measured_one_by_one_too(ran):
    metrics = set(ran[1].table["metric"])
    assert {"ccc", "ccc/arousal", "ccc/valence", "rmse"} <= metrics


def test_what_was_run_is_not_run_again(ran, monkeypatch):
    folder, report = ran
    monkeypatch.chdir(folder)
    monkeypatch.setattr(execution, "train", lambda *_: pytest.fail("trained again"))
    again = laboratory.train("small.yaml", data=folder, out="out", workers=1)
    pd.testing.assert_frame_equal(again.table, report.table)


def test_other_protocols_need_no_new_training(ran, monkeypatch):
    folder, _ = ran
    monkeypatch.chdir(folder)
    monkeypatch.setattr(execution, "train", lambda *_: pytest.fail("trained again"))
    changed = YAML.replace("fractions: [0.0, 0.5]", "fractions: [0.9]")
    (folder / "small.yaml").write_text(changed)
    report = laboratory.train("small.yaml", data=folder, out="other", workers=1)
    levels = report.table.query("protocol == 'masked_frames'")["level"]
    assert set(levels) == {0.9}
    (folder / "small.yaml").write_text(YAML)
    laboratory.train("small.yaml", data=folder, out="out", workers=1)


def test_evaluate_gives_what_the_run_gave(ran, monkeypatch):
    folder, _ = ran
    monkeypatch.chdir(folder)
    run = next(folder.glob("runs/small/FC/standard/fold0-seed1"))
    table = evaluate(run, protocol="without_each", data=folder).table
    kept = pd.read_csv(run / "results.csv")
    kept = kept[kept["protocol"] == "without_each"].reset_index(drop=True)
    pd.testing.assert_frame_equal(table, kept, check_dtype=False)
    bursts = evaluate(run, protocol="{name: bursts, seconds: [1.0]}", data=folder).table
    assert set(bursts["condition"]) == {"burst in audio", "burst in video"}
    with pytest.raises(OptionError, match="masked_frames"):
        evaluate(run, protocol="nothing", data=folder)
    with pytest.raises(InputError, match="no finished run"):
        evaluate(folder, protocol="modalities", data=folder)


def test_attention_may_be_shown_a_window_at_once(ran, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = "  - {label: CA, model: cross_attention, modalities: [audio, video], window: 20}\n"
    text = YAML.replace("  - {label: probe, model: linear_probe}\n", asked)
    text = text.replace("model: probe", "model: CA").replace("against: probe", "against: CA")
    (tmp_path / "window.yaml").write_text(text.replace("seeds: [0, 1]", "seeds: [0]"))
    report = laboratory.train("window.yaml", data=tmp_path, workers=1)
    assert report.failures == []
    whole = (tmp_path / "window.yaml").read_text().replace(", window: 20", "")
    (tmp_path / "whole.yaml").write_text(whole)
    other = laboratory.train("whole.yaml", data=tmp_path, workers=1)
    rows = report.table[report.table["model"] == "CA"]["mean"].to_numpy()
    assert (rows != other.table[other.table["model"] == "CA"]["mean"].to_numpy()).any()


def test_compare_puts_models_beside_each_other(ran):
    folder, _ = ran
    table = compare([folder / "runs/small"], metric="ccc")
    assert len(table) == 6
    assert {"probe, standard", "FC, hidden"} <= {*table["model"], *table["against"]}
    row = table.iloc[0]
    assert row["difference"] == pytest.approx(row["mean"] - row["mean_against"])
    with pytest.raises(OptionError, match="two models"):
        compare([folder / "runs/small/FC/standard"])


def test_compare_takes_one_level_and_tells_experiments_apart(ran, tmp_path):
    folder, _ = ran
    again = tmp_path / "again"
    shutil.copytree(folder / "runs/small", again)
    for note in again.rglob("run.json"):
        said = json.loads(note.read_text())
        note.write_text(json.dumps(said | {"experiment": "again"}))
    both = compare([folder / "runs/small", again], metric="ccc")
    assert "again, FC, standard" in {*both["model"], *both["against"]}
    assert "small, FC, standard" in {*both["model"], *both["against"]}
    for table in again.rglob("results.csv"):
        rows = pd.read_csv(table)
        pd.concat([rows, rows.assign(level=0.5)]).to_csv(table, index=False)
    with pytest.raises(OptionError, match=r"level \[nan, 0.5\]"):
        compare([again], metric="ccc")
    assert len(compare([again], metric="ccc", level=0.5)) == 6
    with pytest.raises(OptionError, match="two models"):
        compare([again], metric="ccc", protocol="modalities")


def test_a_hiding_run_hides_what_the_first_one_needed(ran):
    folder, _ = ran
    note = json.loads((folder / "runs/small/FC/hidden/fold0-seed0/run.json").read_text())
    assert note["treatment"]["hide_important"]["after"] == "standard"


def test_a_run_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = YAML.replace("width: 8", "width: 7")  # does not divide into heads
    (tmp_path / "wrong.yaml").write_text(wrong)
    arguments = ["train", "wrong.yaml", "--data", str(tmp_path), "--workers", "1", "--out", "o"]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 1
    assert "4 runs came to nothing" in said.output
    assert pd.read_csv("o/wrong.csv")["model"].unique().tolist() == ["probe"]


@pytest.mark.slow
def test_two_processes_may_share_a_run(tmp_path):
    """Fabric starts them anew, so they are started from a program of its own."""
    (tmp_path / "small.yaml").write_text(YAML.replace("seeds: [0, 1]", "seeds: [0]"))
    command = [sys.executable, "-m", "mien", "train", "small.yaml", "--data", ".", "--out", "out"]
    said = subprocess.run(
        [*command, "--devices", "2"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert len(list(tmp_path.glob("runs/small/*/*/*/results.csv"))) == 4


def test_the_command_line_says_the_same(ran, monkeypatch):
    folder, _ = ran
    monkeypatch.chdir(folder)
    run = "runs/small/probe/standard/fold0-seed0"
    said = CliRunner().invoke(app, ["evaluate", run, "--protocol", "modalities", "--data", "."])
    assert said.exit_code == 0
    assert "physiology" in said.output
    said = CliRunner().invoke(app, ["compare", "runs/small", "--metric", "rmse"])
    assert said.exit_code == 0
    assert "p_holm" in said.output
    said = CliRunner().invoke(app, ["experiments"])
    assert "sfav_table2_ravdess" in said.output


def test_without_data_it_says_what_to_give(monkeypatch, tmp_path):
    monkeypatch.delenv("MIEN_DATA", raising=False)
    with pytest.raises(InputError, match="--data"):
        laboratory.reproduce("sfav_table2_ravdess")
    with pytest.raises(InputError, match="no folder"):
        laboratory.reproduce("sfav_table2_ravdess", data=tmp_path / "none")
