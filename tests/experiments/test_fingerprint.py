"""What a run was made of: every part that matters changes it, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch
from tests.synthetic import generate_examples

from mien import plugins, registry
from mien.datasets import Places
from mien.datasets.simulator import Simulator
from mien.experiments import fingerprint
from mien.experiments.experiment import Experiment
from mien.experiments.fingerprint import (
    fingerprint_examples,
    fingerprint_measuring_code,
    fingerprint_training_code,
    list_changes,
    strip_prose,
)
from mien.experiments.runs import RunFolder, RunNote, RunSpec, measure_overlap
from mien.signals import Sequence, Signals

SHAPE = Simulator(people=5, steps=50).shape()
FEATURES = tuple(f"features of {modality}" for modality in SHAPE.sizes)


def changes(change):
    """Parts that differ after the first of some examples was changed."""
    first, *others = generate_examples(SHAPE)
    before = fingerprint_examples([first, *others])
    return list_changes(before, fingerprint_examples([change(first), *others]))


def hide_a_step(example):
    audio = example.signals["audio"]
    valid = audio.valid.clone()
    valid[0, 0] = False
    signals = {**example.signals, "audio": Sequence(audio.values, valid, audio.hop)}
    return replace(example, signals=Signals(signals))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda e: replace(e, target=e.target + 1), ("labels",)),
        (lambda e: replace(e, target=e.target.double()), ("labels",)),
        (lambda e: replace(e, person="somebody"), ("people",)),
        (lambda e: replace(e, part="test"), ("parts",)),
        (
            lambda e: replace(e, clip="another"),
            ("clips", *(f"features of {n}" for n in SHAPE.sizes)),
        ),
        (hide_a_step, ("features of audio",)),
        (lambda e: e, ()),
    ],
)
def test_a_change_of_data_is_found_and_named(change, parts):
    assert set(changes(change)) == set(parts)


def test_missing_labels_are_the_same_labels():
    assert changes(lambda e: replace(e, target=e.target * torch.ones(()))) == ()


def test_prose_changes_nothing_and_code_does():
    one = '"""Head."""\ndef f(x):\n    """Add."""\n    return x + 1  # one\n'
    assert strip_prose(one) == strip_prose("def f(x):\n    return (x +\n        1)\n")
    assert strip_prose(one) != strip_prose(one.replace("1  #", "2  #"))


def test_only_code_that_a_model_can_reach_counts():
    reached = fingerprint._reach(("mien.models.mater",))
    assert "mien.models.mater" in reached
    assert "mien.models.vavl" not in reached
    assert any(module.startswith("mien.layers.") for module in reached)
    mater, vavl = (fingerprint_training_code(name) for name in ("mater", "vavl"))
    assert "code of models" in list_changes(mater, vavl)
    assert "code of training" not in list_changes(mater, vavl)


def test_plugins_count(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_LOADED", {})
    before = fingerprint_training_code("mater")
    (tmp_path / "mine.py").write_text("x = 1\n")
    plugins.load_plugin(tmp_path / "mine.py")
    assert list_changes(before, fingerprint_training_code("mater")) == ("plugin mine.py",)
    assert fingerprint_measuring_code()["plugin mine.py"]


@pytest.mark.parametrize(
    ("group", "digest"),
    [
        ("mien.models", lambda: fingerprint_training_code("mater")),
        ("mien.criteria", lambda: fingerprint_training_code("mater")),
        ("mien.metrics", fingerprint_measuring_code),
    ],
)
def test_installed_distributions_count_by_their_version(monkeypatch, group, digest):
    before = digest()
    point = SimpleNamespace(dist=SimpleNamespace(name="numpy"))
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == asked else [])
    asked = group
    assert list_changes(before, digest()) == ("plugin numpy",)
    assert digest()["plugin numpy"] == version("numpy")


def spec(tmp_path, **changed):
    given = {
        "name": "small",
        "data": {"name": "simulator", "people": 6, "steps": 60},
        "models": ["linear_probe"],
        "training": {"select": "ccc", "epochs": 2},
    }
    places = Places(tmp_path, tmp_path)
    experiment = Experiment.model_validate(given | changed).resolve(places)
    return RunSpec(
        experiment, experiment.models[0], experiment.treatments[0], 0, 0, places, tmp_path
    )


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"training": {"select": "ccc", "epochs": 3}}, {"training settings"}),
        ({"models": [{"model": "linear_probe", "options": {"experts": True}}]}, {"model settings"}),
        ({"models": [{"model": "linear_probe", "label": "probe"}]}, set()),
        ({"treatments": ["modality_dropout"]}, {"treatment settings"}),
        ({"name": "other", "metrics": ["rmse"], "note": "Nothing."}, set()),
    ],
)
def test_a_change_of_settings_is_found_and_named(tmp_path, changed, parts):
    before, now = spec(tmp_path).fingerprint(), spec(tmp_path, **changed).fingerprint()
    assert set(list_changes(before, now)) == parts


def note(run, people):
    made = run.note().model_copy(update={"fold": run.fold, "trained_clips": 8, "tested_clips": 2})
    return made.model_copy(update={"tested_people": people})


def test_the_overlap_of_folds_is_that_of_their_test_people(tmp_path):
    folders = []
    for fold, people in enumerate((("a", "b"), ("c",), ("d", "e"))):
        run = replace(spec(tmp_path), fold=0)
        folder = RunFolder(tmp_path / str(fold))
        folder.path.mkdir()
        folder.write_note(note(run, people).model_copy(update={"fold": fold}))
        folders.append(folder)
    assert measure_overlap(folders) is None
    last = folders[-1].read_note()
    assert isinstance(last, RunNote)
    folders[-1].write_note(last.model_copy(update={"tested_people": ("a", "e")}))
    assert measure_overlap(folders) == 0.25
