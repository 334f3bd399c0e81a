"""Every command that the README names does what it says."""

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mien.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("mien ")]
LABORATORY = ("mien reproduce ", "mien train ", "mien evaluate ", "mien compare ")
MINE = """
title: Two models on simulated sessions
paper: none
data: {name: simulator, people: 6, steps: 60, length: 30, stride: 15}
metrics: [ccc]
seeds: [0, 1]
protocols: [{name: without_each}]
training: {epochs: 1, select: ccc}
models: [{model: linear_probe}, {model: mmte_fc, options: {width: 8, hidden: 8, positions: 30}}]
"""


def test_there_are_commands():
    assert len(COMMANDS) >= 7


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    (folder / "mine.yaml").write_text(MINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = ["train", "mine.yaml", "--data", ".", "--workers", "1"]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    return folder


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(LABORATORY)])
def test_a_command_of_the_laboratory_runs(command, laboratory, data_folder, monkeypatch):
    monkeypatch.chdir(laboratory)
    run = next(laboratory.glob("runs/mine/*/*/*/run.json")).parent
    words = command.replace("RUN", str(run)).replace("DIR", str(data_folder))
    words += " --workers 1" if command.startswith(("mien train", "mien reproduce")) else ""
    done = CliRunner().invoke(app, shlex.split(words)[1:])
    assert done.exit_code == 0, done.output


@pytest.mark.usefixtures("encoders")
@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith(LABORATORY)])
def test_a_command_of_the_readme_runs(command, crema_clips, tmp_path, monkeypatch):
    words = shlex.split(command)[1:]
    clips = list(crema_clips.values())
    names = {w for w in words if re.fullmatch(r"[a-z]+\.(mp4|wav)", w)}
    for name, clip in zip(sorted(names or {"clip.mp4"}), clips, strict=False):
        shutil.copy(clip, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    if "*.mp4" in words:
        at = words.index("*.mp4")
        words[at : at + 1] = sorted(path.name for path in tmp_path.glob("*.mp4"))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def test_make_knows_the_targets_that_the_readme_names():
    targets = [line.split()[1] for line in LINES if line.startswith("make ")]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(f"\n{target}:" in makefile for target in targets)


def test_the_figures_of_the_readme_are_those_of_the_tables():
    table = pd.read_csv(ROOT / "docs" / "results" / "java_sed.csv")
    rows = {"face and voice": "audio + video", "voice": "audio", "face": "video"}
    for words, condition in rows.items():
        part = table[table["condition"] == condition].groupby("baseline")["accuracy"]
        cells = [
            f"{mean:.3f} ± {deviation:.3f}"
            for mean, deviation in zip(part.mean(), part.std(ddof=0), strict=True)
        ]
        assert f"| {words} | {cells[0]} | {cells[1]} |" in README


def test_the_face_encoder_s_figure_is_that_of_its_log():
    last = pd.read_csv(ROOT / "docs" / "results" / "face_encoder.csv")["accuracy"].iloc[-1]
    assert f"{100 * last:.1f} %" in README


def test_the_figures_of_voices_in_long_recordings_are_those_of_the_table():
    table = pd.read_csv(ROOT / "docs" / "results" / "voice_drift.csv")
    means = table.groupby("encoder")[["clips_alone", "inside_a_long_recording"]].mean()
    alone, inside = means.loc["drift taken off"]
    for figure in (alone, inside, means.loc["as it is", "inside_a_long_recording"]):
        assert f"{figure:.3f}" in README
