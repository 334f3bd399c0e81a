"""Every command and example of the README does what it says."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import mien
from mien.cli import app
from mien.datasets import DATASETS
from mien.evaluation import METRICS
from mien.evaluation.protocols import PROTOCOLS
from mien.features.extractor import EXTRACTORS
from mien.formats import FORMATS
from mien.layers.losses import CRITERIA
from mien.missing import OPERATIONS
from mien.models import MODELS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
HEAD, *REST = README.split("\n## ")
SECTIONS = {"mien": HEAD, **dict(part.split("\n", 1) for part in REST)}
TODO = pytest.mark.xfail("TODO-FIGURES" in README, reason="figures are to come", strict=True)


def blocks(language: str, text: str = README) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def commands(*sections: str) -> list[str]:
    lines = [
        line.split("#")[0].strip()
        for section in sections
        for block in blocks("", SECTIONS[section])
        for line in block.splitlines()
    ]
    return [line for line in lines if line.startswith("mien ")]


MINE = commands("Train on your own recordings", "Your own model, in one file")
LABORATORY = commands("The laboratory")
FRONT = commands("mien")
INLINE = [line for line in re.findall(r"`(mien [^`]+)`", README) if len(line.split()) > 2]
TABLE = blocks("csv")[0]
PYTHON = blocks("python")
PLUGIN = next(block for block in PYTHON if block.startswith("# my_model.py"))
SIMULATED = """
title: Two models on simulated sessions
paper: none
data: {name: simulator, people: 6, steps: 60, length: 30, stride: 15}
metrics: [ccc]
seeds: [0, 1]
protocols: [{name: without_each}]
training: {epochs: 1, select: ccc}
models: [{model: linear_probe}, {model: mmte_fc, options: {width: 8, hidden: 8, positions: 30}}]
"""
GROUPS = {
    registry.group
    for registry in (
        MODELS, EXTRACTORS, DATASETS, PROTOCOLS, OPERATIONS, METRICS, FORMATS, CRITERIA
    )
}  # fmt: skip
TINY = {
    "--model mater": " --option layers=1 --option heads=2",
    "mien train ": " --epochs 1 --workers 1",
}


def need_shipped(words: str) -> None:
    """Skip where the trained models that words name do not come with this copy of mien."""
    named = re.search(r"--model (\w+)(?!\S)", words)
    name = named[1] if named else "default_baseline" if "--baseline" in words else "default"
    if name not in mien.list_trained():
        pytest.skip(f"the trained model {name} is not in this copy of mien yet")


def invoke(words: str) -> str:
    done = CliRunner().invoke(app, shlex.split(words)[1:])
    assert done.exit_code == 0, done.output
    return done.output


def test_there_are_commands():
    assert len(FRONT) >= 8
    assert len(MINE) >= 8
    assert len(LABORATORY) >= 5
    assert {*FRONT, *MINE, *LABORATORY} == {
        line for name in SECTIONS for line in commands(name) if line.startswith("mien ")
    }


@pytest.mark.parametrize("command", dict.fromkeys([*FRONT, *MINE, *LABORATORY, *INLINE]))
def test_a_command_parses(command):
    words = shlex.split(command)[1:]
    verb = typer.main.get_command(app).commands[words[0]]
    verb.make_context(words[0], words[1:])


def make_tiny(command: str) -> str:
    if not command.startswith("mien train study.csv"):
        return command
    extra = [option for word, option in TINY.items() if word in f"{command} "]
    narrow = " --option width=8" if "mater" in command and "width" not in command else ""
    return "".join([command, narrow, *extra])


def run_as_process(words: str) -> str:
    """What a plugin registers stays in the process."""
    done = subprocess.run(
        [sys.executable, "-m", "mien", *shlex.split(words)[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def study(tmp_path_factory, data_folder, encoders):
    """The folder in which the README's table lies, with real clips under the names in it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.csv").write_text(TABLE)
    (folder / "my_model.py").write_text(PLUGIN)
    table = pd.read_csv(folder / "study.csv")
    actors = dict(zip(table["person"].unique(), ("01", "02", "03"), strict=True))
    emotions = dict(zip(table["mood"].unique(), ("03", "06"), strict=True))
    clips = data_folder / "java_sed"
    for row in table.itertuples():
        target = folder / row.path
        target.parent.mkdir(exist_ok=True)
        shutil.copy(clips / f"{actors[row.person]}-01-{emotions[row.mood]}_01.mp4", target)
    shutil.copy(clips / "04-01-03_01.mp4", folder / "new.mp4")
    other = [f"{clips}/04-02-{code}_01.mp4,dora,{word}" for word, code in emotions.items()]
    (folder / "other.csv").write_text("\n".join(["path,person,mood", *other]) + "\n")
    return folder


@pytest.fixture(scope="module")
def answers(study):
    """What each command on one's own recordings printed, run one after the other as they stand."""
    printed = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study)
        for command in MINE:
            run = run_as_process if "--plugin" in command else invoke
            printed[command] = run(make_tiny(command))
            if command.startswith("mien analyze"):
                printed[command] = (study / "new.csv").read_text()
                for path in study.glob("new.*[!4]"):
                    path.unlink()
    return printed


def test_the_commands_on_one_s_own_recordings_run_as_they_stand(answers):
    assert list(answers) == MINE


@pytest.mark.parametrize("command", [c for c in MINE if c.startswith("mien analyze")])
def test_a_model_of_one_s_own_answers_in_its_own_words(command, answers):
    columns = answers[command].splitlines()[0].split(",")
    assert {"p_cheerful", "p_tense", "audio", "video"} <= {*columns}
    assert "arousal" not in columns


def test_the_python_example_on_one_s_own_recordings_runs(study, answers, monkeypatch):
    (text,) = [block for block in PYTHON if "load_model" in block]
    monkeypatch.chdir(study)
    invoke(make_tiny(MINE[0]))  # the last file of this name was of another model
    names: dict = {}
    exec(compile(text, "README.md", "exec"), names)
    assert names["prediction"].probabilities().shape == (1, 2)
    assert "p_tense" in names["timeline"].frame


def test_the_python_example_of_the_first_screen_runs(java_clip, tmp_path, monkeypatch, encoders):
    need_shipped("default")
    shutil.copy(java_clip, tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(PYTHON[0], "README.md", "exec"), names)
    assert not names["timeline"].frame["audio"].any()
    assert (tmp_path / "clip.parquet").is_file()


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    (folder / "mine.yaml").write_text(SIMULATED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        invoke("mien train mine.yaml --data . --workers 1")
    return folder


@pytest.mark.parametrize("command", LABORATORY)
def test_a_command_of_the_laboratory_runs(command, laboratory, data_folder, monkeypatch):
    monkeypatch.chdir(laboratory)
    run = next(laboratory.glob("runs/mine/*/*/*/run.json")).parent
    words = command.replace("RUN", str(run)).replace("DIR", str(data_folder))
    words += " --workers 1" if command.startswith(("mien train", "mien reproduce")) else ""
    invoke(words)


@pytest.mark.usefixtures("encoders")
@pytest.mark.parametrize("command", FRONT)
def test_a_command_of_the_first_screen_runs(command, crema_clips, tmp_path, monkeypatch):
    if command.startswith("mien analyze"):
        need_shipped(command)
    names = {w for w in shlex.split(command) if re.fullmatch(r"[a-z]+\.(mp4|wav)", w)}
    for name, clip in zip(sorted(names or {"clip.mp4"}), crema_clips.values(), strict=False):
        shutil.copy(clip, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    invoke(command.replace("*.mp4", " ".join(sorted(p.name for p in tmp_path.glob("*.mp4")))))


def test_make_knows_the_targets_that_the_readme_names():
    lines = [line for block in blocks("") for line in block.splitlines()]
    targets = [line.split()[1] for line in lines if line.startswith("make ")]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(f"\n{target}:" in makefile for target in targets)


def test_what_the_readme_links_to_is_there():
    links = re.findall(
        r"\[[^][]+\]\((?!http)([^)#]+)\)", re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S)
    )
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def find_name(dotted: str) -> object:
    """What a dotted name stands for, modules imported on the way."""
    found: object = mien
    for number, part in enumerate(dotted.split(".")[1:], 2):
        if not hasattr(found, part):
            importlib.import_module(".".join(dotted.split(".")[:number]))
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_is_named_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    names = {*re.findall(r"(?<![\w./\"-])mien(?:\.[A-Za-z_]\w*)+", text)}
    assert len(names) > 5
    for name in names - GROUPS:
        assert find_name(name) is not None
    if page == "CONTRIBUTING.md":
        assert {*re.findall(r"`(mien\.\w+)` \|", text)} == GROUPS
        files = re.findall(r"`([\w/]+\.(?:py|yaml))`", text)
        roots = (ROOT, ROOT / "src" / "mien")
        assert [f for f in files if not any((root / f).exists() for root in roots)] == []


FIGURES = {
    "accuracy": ("everything", "audio", "video"),
    "ccc": ("everything", "without video", "without audio"),
}


@TODO
@pytest.mark.parametrize(
    "name",
    ["default", "default_baseline", "sfav", "vavl", "mater", "mmte_ammtd", "cross_attention"],
)
def test_the_figures_of_a_trained_model_are_those_of_its_table(name):
    table = pd.read_csv(ROOT / "docs" / "results" / f"{name}.csv")
    metric = "ccc" if "ccc" in {*table["metric"]} else "accuracy"
    rows = table[table["metric"] == metric].set_index("condition")
    cells = [
        f"{rows.loc[condition, 'mean']:.3f} ± {rows.loc[condition, 'deviation']:.3f}"
        for condition in FIGURES[metric]
    ]
    assert f"| `{name}` | {' | '.join(cells)} |" in README


def test_the_face_encoder_s_figure_is_that_of_its_log():
    last = pd.read_csv(ROOT / "docs" / "results" / "face_encoder.csv")["accuracy"].iloc[-1]
    assert f"{100 * last:.1f} %" in README


def test_the_figures_of_voices_in_long_recordings_are_those_of_the_table():
    table = pd.read_csv(ROOT / "docs" / "results" / "voice_drift.csv")
    means = table.groupby("encoder")[["clips_alone", "inside_a_long_recording"]].mean()
    alone, inside = means.loc["drift taken off"]
    for figure in (alone, inside, means.loc["as it is", "inside_a_long_recording"]):
        assert f"{figure:.3f}" in README
