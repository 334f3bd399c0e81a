"""One's own table of recordings: cross-validated, fitted on everybody, saved, measured again."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import mien
from experiments.conftest import MOODS, read_rows, write_rows, write_study
from mien.cli import app
from mien.datasets.manifest import ManifestDataSet
from mien.errors import DamagedError, FormatError, InputError, OptionError
from mien.experiments import execution, runner
from mien.experiments.final import fit_temperature
from mien.experiments.runs import RunFolder
from mien.models import Task

FAST = {"epochs": 4, "workers": 1}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


SAME = {"label": "mood", "model": "mater", "option": {"width": 8}, "folds": 3, **FAST}


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MIEN_DATA", raising=False)
        study = write_study(folder)
        report = mien.train(study, out="mine.safetensors", licence="CC BY 4.0", **SAME)
    return folder, study, report


@pytest.fixture
def trained(once, monkeypatch):
    """A study that was trained on; nothing that its tests do may change it."""
    folder, study, report = once
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MIEN_DATA", raising=False)
    return folder, study, report


def test_a_table_becomes_a_model_a_page_and_figures(trained):
    folder, _, report = trained
    assert report.complete
    names = {path.name for path in report.files}
    assert {"mine.safetensors", "mine.md", "mine.csv"} <= names
    assert all((folder / path).exists() for path in report.files)
    assert {path.parent.name for path in report.files if path.suffix == ".md"} == {"mine"}
    assert "mine_confusion_mater_none.svg" in names
    everything = report.table[report.table["condition"] == "everything"].set_index("metric")
    assert set(everything.index) == {"accuracy", "uar", "f1_macro"}
    assert everything.loc["accuracy", "runs"] == 3
    assert everything.loc["accuracy", "mean"] > 0.9


def test_the_file_says_what_it_is(trained):
    model = mien.load_model("mine.safetensors")
    assert model.task.names == MOODS
    assert model.options == {"width": 8}
    assert {name: spec["name"] for name, spec in model.extractors.items()} == {
        "audio": "file",
        "video": "file",
    }
    card = model.card
    assert (card.people, card.licence) == (6, "CC BY 4.0")
    assert "mood" in card.labels_source
    assert card.fingerprint
    accuracy = next(
        m for m in card.metrics if (m.condition, m.metric) == ("everything", "accuracy")
    )
    assert accuracy.count == 3
    shown = invoke("models", "mine.safetensors")
    assert shown.exit_code == 0, shown.output
    for words in ("cheerful, tense per clip", "CC BY 4.0", "modalities, audio: uar", "mater"):
        assert words in shown.output


def test_the_epochs_of_everybody_are_the_mean_of_the_best_ones(trained):
    folder = trained[0] / "runs/mine/mater/none"
    notes = {p.name: RunFolder(p).read_note() for p in folder.iterdir()}
    everybody = notes.pop("everybody-seed0")
    assert everybody.training["epochs"] == round(np.mean([note.epoch for note in notes.values()]))
    assert everybody.fold is None


def test_a_model_is_measured_on_another_table(trained, tmp_path):
    other = write_study(tmp_path, "other", people=("gil", "hana", "ida"), seed=5)
    found = mien.evaluate("mine.safetensors", data=other, label="mood")
    assert list(found.table.columns) == ["protocol", "condition", "level", "metric", "value"]
    assert set(found.table["condition"]) == {"everything", "audio", "video", "mean"}
    said = invoke("evaluate", "mine.safetensors", "--data", other, "--label", "mood",
                  "--protocol", "masked_frames", "--out", tmp_path / "numbers.csv")  # fmt: skip
    assert said.exit_code == 0, said.output
    assert set(pd.read_csv(tmp_path / "numbers.csv")["protocol"]) == {"masked_frames"}
    with pytest.raises(OptionError, match="did you mean masked_frames"):
        mien.evaluate("mine.safetensors", data=other, protocol="masked_frame")


def test_a_table_with_other_labels_is_refused(trained, tmp_path):
    path = write_study(tmp_path, "other")
    first, *others = read_rows(path)
    write_rows(path, [first | {"mood": "bored"}, *others])
    with pytest.raises(FormatError, match="row 2, column mood: 'bored' is not among the labels"):
        mien.evaluate("mine.safetensors", data=path, label="mood")
    with pytest.raises(OptionError, match="--data"):
        mien.evaluate("mine.safetensors")


def test_a_run_s_model_gives_the_run_s_scores(trained):
    """Of its test clips, given as a table of their own."""
    base, study, _ = trained
    folder = next((base / "runs/mine/mater/none").glob("fold0-*"))
    people = {clip.person for clip in pd.read_parquet(folder / "predictions.parquet").itertuples()}
    rows = [row for row in read_rows(study) if f"study/{row['person']}" in people]
    write_rows(base / "tested.csv", rows)
    found = mien.evaluate(folder / "model.safetensors", data="tested.csv", label="mood").table
    kept = pd.read_csv(folder / "results.csv")
    pd.testing.assert_frame_equal(found, kept, check_exact=True, check_dtype=False)
    again = mien.evaluate(folder).table
    pd.testing.assert_frame_equal(again, kept, check_exact=True, check_dtype=False)


def test_changed_labels_train_again_and_say_so(study, tmp_path):
    arguments = ("train", study, "--label", "mood", "--folds", 2, "--epochs", 2, "--workers", 1)
    told = invoke(*arguments)
    assert told.exit_code == 0, told.output
    first = mien.evaluate("runs/study/linear_probe/none/fold0-seed0").table
    told = invoke(*arguments)
    assert "trained again" not in told.output
    rows = read_rows(study)
    moods = [row["mood"] for row in rows]
    write_rows(study, [row | {"mood": m} for row, m in zip(rows, moods[1:] + moods, strict=False)])
    with pytest.raises(InputError, match=r"labels changed since this run was trained.*--force"):
        mien.evaluate("runs/study/linear_probe/none/fold0-seed0")
    assert len(mien.evaluate("runs/study/linear_probe/none/fold0-seed0", force=True).table)
    # A training that was stopped before the labels changed is not gone on with either.
    (tmp_path / "runs/study/linear_probe/none/fold1-seed0/checkpoint.pt").write_bytes(b"old")
    told = invoke(*arguments)
    assert told.exit_code == 0, told.output
    assert "2 runs: labels changed since they were trained; trained again" in told.output
    assert not mien.evaluate("runs/study/linear_probe/none/fold0-seed0").table.equals(first)


def test_what_a_run_skips_is_told_when_it_is_measured_too(study, monkeypatch):
    read = ManifestDataSet._read_clip

    def read_all_but_one(self, clip, source):
        if clip.person == "study/anna" and clip.label == "tense":
            raise DamagedError("is broken", path=clip.main_file, advice="mend it")
        return read(self, clip, source)

    monkeypatch.setattr(ManifestDataSet, "_read_clip", read_all_but_one)
    arguments = ("train", study, "--label", "mood", "--folds", 2, "--epochs", 1, "--workers", 1)
    assert invoke(*arguments).exit_code == 1
    run = "runs/study/linear_probe/none/fold0-seed0"
    told = invoke("evaluate", run)
    assert told.exit_code == 1
    assert "is broken; mend it" in told.output
    told = invoke("evaluate", run, "--strict")
    assert isinstance(told.exception, DamagedError)


def test_a_run_that_is_not_done_is_never_passed_over(study, monkeypatch):
    """As where data changes while another process trains on it."""
    monkeypatch.setattr(runner, "attempt", lambda *_: None)
    told = invoke("train", study, "--label", "mood", "--folds", 2, "--workers", 1)
    assert told.exit_code == 1
    assert "ended without results" in told.output
    assert "2 runs came to nothing" in told.output


def test_force_trains_again(trained, monkeypatch):
    _, study, _ = trained
    count = []
    real = execution.train
    monkeypatch.setattr(execution, "train", lambda *a: count.append(1) or real(*a))
    mien.train(study, out="mine.safetensors", **SAME)
    assert count == []
    mien.train(study, out="mine.safetensors", force=True, licence="CC BY 4.0", **SAME)
    assert len(count) == 4  # three folds and everybody


def test_dimensions_have_their_own_metrics(study):
    report = mien.train(study, label="energy", model="linear_probe", folds=3, **FAST)
    assert {"ccc", "pearson", "rmse"} <= set(report.table["metric"])


def test_ratings_per_frame_train_a_model_per_frame(study, tmp_path):
    rows = read_rows(study)
    for number, row in enumerate(rows):
        ratings = [{"time": step / 2, "arousal": np.sin(step + number)} for step in range(12)]
        write_rows(tmp_path / f"ratings_{number}.csv", ratings)
        row["ratings"] = f"ratings_{number}.csv"
        del row["mood"], row["energy"]
    write_rows(study, rows)
    small = {"width": 8, "hidden": 8, "tcn_layers": 1, "layers": 1, "positions": 12}
    report = mien.train(
        study, model="mmte_fc", option=small, folds=2, out="frames.safetensors", **FAST
    )
    assert report.complete
    assert any("traces" in path.name for path in report.files)
    model = mien.load_model("frames.safetensors")
    assert (model.task.names, model.task.per, model.window) == (("arousal",), "frame", None)
    folder = tmp_path / "runs/frames/mmte_fc/none/fold0-seed0"
    people = {*pd.read_parquet(folder / "predictions.parquet")["person"]}
    write_rows(tmp_path / "tested.csv", [r for r in rows if f"study/{r['person']}" in people])
    found = mien.evaluate(folder / "model.safetensors", data="tested.csv").table
    kept = pd.read_csv(folder / "results.csv")
    pd.testing.assert_frame_equal(found, kept, check_exact=True, check_dtype=False)


PLUGIN = """
from pathlib import Path
import torch, mien
from mien.datasets import DataSet, Example, Examples, Shape, Unreadable, cross_validate
from mien.datasets.published import create_published_extractors
from mien.errors import DamagedError

@mien.register_model("twin", paper="nobody", missing="zeros")
class Twin(mien.Model):
    def __init__(self, task, modalities):
        super().__init__(task, modalities)
        self.heads = torch.nn.ModuleDict(
            {name: torch.nn.Linear(size, len(task.names)) for name, size in modalities.items()}
        )
    def forward(self, signals):
        self.require_anything(signals)
        return mien.Prediction(sum(
            self.heads[name]((s.values * s.valid.unsqueeze(-1)).mean(dim=1))
            for name, s in signals.items() if name in self.heads))

@mien.register_dataset("lab_of_mine")
class LabOfMine(DataSet):
    @property
    def note(self):
        return "Synthetic."
    def shape(self):
        task = mien.Task("categories", ("calm", "tense"))
        return Shape(task, {"audio": (4,), "video": (3,)}, {"audio": 0.5, "video": 0.5},
                     {"audio": 6, "video": 6})
    def extractors(self):
        return create_published_extractors("lab_of_mine", self.shape())
    def examples(self, places, progress=None, *, strict=False):
        error = DamagedError("is broken", path="broken.mp4", advice="mend it")
        if strict:
            raise error
        return Examples(list(self.generate()), [Unreadable(Path("broken.mp4"), error)])
    def generate(self):
        chance = torch.Generator().manual_seed(0)
        for number in range(12):
            signals = {name: mien.Sequence(torch.randn(1, 6, *size, generator=chance) + number % 2,
                                           torch.ones(1, 6, dtype=bool), 0.5)
                       for name, size in self.shape().modalities.items()}
            yield Example(f"{number}", f"person {number // 2}", mien.Signals(signals),
                          torch.tensor(number % 2))
    def split(self, examples):
        return cross_validate({e.person for e in examples}, 2)
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A model and a data set of one's own, in one file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PLUGIN)
    text = "data: lab_of_mine\nmodels: [twin]\ntraining: {epochs: 2}\nseeds: [0]\n"
    (tmp_path / "lab.yaml").write_text(text)
    return tmp_path / "mine.py"


def run_mien(folder, *arguments):
    """In a process of its own, whose registries no other test has filled."""
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_plugin_s_model_and_data_are_trained_in_several_processes(plugin, tmp_path):
    common = ("train", "lab.yaml", "--data", ".", "--workers", "2", "--out", "twin.safetensors")
    done = run_mien(tmp_path, *common, "--plugin", plugin)
    # What cannot be read is listed and skipped, and the exit code says so.
    assert done.returncode == 1, done.stderr
    assert "broken.mp4: is broken" in done.stderr
    assert "1 recordings were skipped" in done.stderr
    assert (tmp_path / "twin.safetensors").exists()
    strict = run_mien(tmp_path, *common, "--plugin", plugin, "--strict")
    assert strict.returncode == 2
    without = run_mien(tmp_path, "models", "twin.safetensors")
    assert "mine.py" in without.stdout, without.stderr
    lost = run_mien(tmp_path, *common)
    assert lost.returncode == 2
    assert "lab_of_mine" in lost.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "matter"}, "^model: no model is called 'matter'; did you mean mater"),
        ({"model": "mater", "option": {"widht": 8}}, "^option widht: .* did you mean width"),
        ({"treatment": "modality_dropuot"}, "^treatment: .* did you mean modality_dropout"),
        ({"feature": {"audio": "mfc"}}, "^feature audio: .* did you mean mfcc"),
        ({"epochs": 0}, "^epochs: Input should be greater"),
        ({"workers": 0}, "workers: 0; give a number of processes from 1"),
    ],
)
def test_options_are_checked_before_anything_is_computed(study, options, words):
    with pytest.raises(OptionError, match=words):
        mien.train(study, label="mood", **options)


def test_options_that_do_not_exist_are_named(study):
    with pytest.raises(OptionError, match="train has no option 'epoch'; did you mean epochs"):
        mien.train(study, label="mood", epoch=3)
    with pytest.raises(OptionError, match="evaluate has no option 'metric'; did you mean metrics"):
        mien.evaluate("mine.safetensors", data=study, metric="uar")


def test_options_of_a_table_do_not_go_with_an_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("data: simulator\nmodels: [linear_probe]\n")
    with pytest.raises(OptionError, match="label cannot be given beside an experiment"):
        mien.train(tmp_path / "mine.yaml", label="mood")
    (tmp_path / "simulator").mkdir()  # as a folder of tables may be called
    report = mien.train("simulator", data=tmp_path, quick=True, so_far=True)
    assert report.files == []
    with pytest.raises(InputError, match="neither a file nor an experiment"):
        mien.train("nothing")


def test_an_experiment_of_one_model_may_be_saved(study, tmp_path):
    text = (
        "data: {name: manifest, path: study.csv, label: mood, count: 3}\nmodels: [linear_probe]\n"
    )
    text += "training: {epochs: 2}\nseeds: [0]\ntreatments: [modality_dropout]\n"
    (tmp_path / "mine.yaml").write_text(text)
    report = mien.train("mine.yaml", out="probe.safetensors", workers=1)
    assert report.complete
    assert mien.load_model("probe.safetensors").task.names == MOODS
    (tmp_path / "two.yaml").write_text(text.replace("[linear_probe]", "[linear_probe, mater]"))
    with pytest.raises(OptionError, match="one model and one treatment"):
        mien.train("two.yaml", out="two.safetensors", workers=1)


def test_the_temperature_makes_up_for_overconfidence():
    chance = np.random.default_rng(0)
    gold = chance.integers(0, 2, 4000)
    logit = np.where(gold == 1, 1.0, -1.0) * np.where(chance.random(4000) < 0.7, 1, -1) * 5.0
    predictions = pd.DataFrame(
        {"score_a": -logit / 2, "score_b": logit / 2, "target": np.where(gold == 1, "b", "a")}
    )
    found = fit_temperature(Task("categories", ("a", "b")), predictions)
    # 70 % are right, so the logit of the right one should be log(0.7 / 0.3).
    assert found == pytest.approx(5.0 / np.log(0.7 / 0.3), rel=0.1)
    assert fit_temperature(Task("dimensions", ("a",)), predictions) == 1.0
