"""Which figures an experiment gets, and what is in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mien.datasets import Places
from mien.errors import FormatError, OptionError
from mien.experiments import pictures
from mien.experiments.loading import load_experiment, load_shipped
from mien.experiments.runs import RunSpec

YAML = """\
title: Two models that are asked differently
paper: none
data: {name: ulm_tsst, length: 20, stride: 10}
metrics: [ccc, rmse]
training: {select: ccc}
protocols:
  - {name: masked_frames, fractions: [0.0, 0.5], of: [audio]}
models:
  - {label: first, model: mmte_fc, data: {dimension: arousal}}
  - {label: second, model: mmte_fc, data: {dimension: valence}}
figures: [traces]
"""
NONE = pd.DataFrame(columns=["model", "treatment", "protocol", "condition", "metric", "level"])


@pytest.fixture
def saved(monkeypatch):
    """Figures by name instead of files."""
    found = {}
    monkeypatch.setattr(
        pictures.figures, "save", lambda figure, path: found.update({path.stem: figure})
    )
    return found


def experiment_of(folder, text=YAML):
    path = folder / "mine.yaml"
    path.write_text(text)
    return load_experiment(path)


def answered(experiment, folder, label, names, clips, fold=0):
    """A run that answered clips of four steps, one above the truth."""
    model = next(model for model in experiment.models if model.name == label)
    places = Places(folder, folder)
    run = RunSpec(experiment, model, experiment.treatments[0], fold, 0, places, folder)
    rows = [
        {"clip": clip, "step": step}
        | {f"target_{name}": number + step / 10 for name in names}
        | {f"score_{name}": number + step / 10 + 1 for name in names}
        for number, clip in enumerate(clips)
        for step in range(4)
    ]
    run.folder.path.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(run.folder.predictions)
    return run


def lines(figure):
    return {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}


def test_each_model_is_traced_for_what_it_was_asked(tmp_path, saved):
    experiment = experiment_of(tmp_path)
    runs = [
        answered(experiment, tmp_path, "first", ["arousal"], ["a", "b"]),
        answered(experiment, tmp_path, "second", ["valence"], ["a", "b"]),
    ]
    pictures.draw(experiment, NONE, runs, tmp_path)
    assert set(saved) == {"mine_traces_arousal_none", "mine_traces_valence_none"}
    arousal = lines(saved["mine_traces_arousal_none"])
    valence = lines(saved["mine_traces_valence_none"])
    assert set(arousal) == {"annotation", "first"}
    assert set(valence) == {"annotation", "second"}
    np.testing.assert_allclose(valence["annotation"], [0, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(valence["second"], [1, 1.1, 1.2, 1.3])


def test_the_clips_that_are_named_are_traced(tmp_path, saved):
    experiment = experiment_of(tmp_path, YAML + "traced: [b, c]\n")
    runs = [
        answered(experiment, tmp_path, "first", ["arousal", "valence"], ["a", "b"]),
        answered(experiment, tmp_path, "first", ["arousal", "valence"], ["c", "b"], fold=1),
    ]
    pictures.draw(experiment, NONE, runs, tmp_path)
    assert set(saved) == {
        f"mine_traces_{clip}_{name}_none" for clip in "bc" for name in ("arousal", "valence")
    }
    # Of a clip that two folds test, the first one's answers; of one in a later fold, that one's.
    assert lines(saved["mine_traces_b_valence_none"])["annotation"][0] == 1
    assert lines(saved["mine_traces_c_valence_none"])["annotation"][0] == 0


def test_a_clip_that_was_not_measured_is_named(tmp_path, saved):
    experiment = experiment_of(tmp_path, YAML + "traced: [z]\n")
    runs = [answered(experiment, tmp_path, "first", ["arousal"], ["a", "b"])]
    with pytest.raises(OptionError, match=r"no clip z .* choose from a, b"):
        pictures.draw(experiment, NONE, runs, tmp_path)
    with pytest.raises(FormatError, match="line 12, traced: clips are traced, but"):
        experiment_of(tmp_path, YAML.replace("figures: [traces]", "figures: []") + "traced: [a]\n")


def results(dimensions):
    metrics = ["ccc", *(f"ccc/{name}" for name in dimensions), "rmse"]
    return pd.DataFrame(
        [
            ("first", "none", 0, 0, "masked_frames", "audio masked", level, metric, place - level)
            for place, metric in enumerate(metrics)
            for level in (0.0, 0.5)
        ],
        columns=[
            "model", "treatment", "fold", "seed", "protocol", "condition", "level", "metric",
            "value",
        ],
    )  # fmt: skip


def test_curves_are_drawn_for_each_dimension(tmp_path, saved):
    experiment = experiment_of(tmp_path, YAML.replace("figures: [traces]\n", ""))
    pictures.draw(experiment, results(["arousal", "valence"]), [], tmp_path)
    name = "mine_masked_frames_audio_masked_none"
    assert set(saved) == {name, f"{name}_arousal", f"{name}_valence"}
    assert saved[name].axes[0].get_ylabel() == "concordance"
    assert saved[f"{name}_valence"].axes[0].get_ylabel() == "concordance of valence"
    np.testing.assert_allclose(lines(saved[f"{name}_valence"])["first"], [2, 1.5])


def test_many_dimensions_are_drawn_as_their_mean_only(tmp_path, saved):
    experiment = experiment_of(tmp_path, YAML.replace("figures: [traces]\n", ""))
    pictures.draw(experiment, results([f"rating{n}" for n in range(5)]), [], tmp_path)
    assert set(saved) == {"mine_masked_frames_audio_masked_none"}


def test_figures_of_the_papers_show_what_their_captions_say():
    assert load_shipped("vavl_figure2").metrics[0] == "f1_micro"
    assert load_shipped("ca_figure2").traced == ("recola/dev_1", "recola/dev_3")
    asked = [model.data["dimension"] for model in load_shipped("mmte_figure3").models]
    assert asked == ["arousal", "valence"]
