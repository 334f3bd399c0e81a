"""The commands of the laboratory that train nothing."""

from __future__ import annotations

import pytest
import yaml
from typer.testing import CliRunner

from mien._console import parse_choice, parse_options, split_pairs
from mien.cli import app
from mien.errors import OptionError
from mien.experiments.loading import load_experiment


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_a_recipe_is_shown_as_it_is_written():
    shown = invoke("experiments", "simulator", "--show")
    assert shown.exit_code == 0
    assert yaml.safe_load(shown.output)["data"] == {"name": "simulator"}
    parts = invoke("experiments", "mmte_table1", "--show").output
    assert len(list(yaml.safe_load_all(parts))) == 2
    assert invoke("experiments", "simulator").output.startswith("simulator ")
    wrong = invoke("experiments", "simulater", "--show")
    assert isinstance(wrong.exception, OptionError)
    assert "did you mean simulator" in str(wrong.exception)


def test_the_template_is_an_experiment(tmp_path):
    shown = invoke("train", "--template", "manifest")
    assert shown.exit_code == 0
    (tmp_path / "mine.yaml").write_text(shown.output)
    experiment = load_experiment(tmp_path / "mine.yaml")
    assert experiment.data.name == "manifest"
    assert isinstance(invoke("train", "--template", "other").exception, OptionError)
    assert isinstance(invoke("train").exception, OptionError)


def test_an_experiment_needs_only_data_and_models(tmp_path):
    (tmp_path / "my_first.yaml").write_text("data: simulator\nmodels: [mmte_fc, late_lstm]\n")
    experiment = load_experiment(tmp_path / "my_first.yaml")
    assert (experiment.title, experiment.paper) == ("my first", "none")
    assert [protocol.name for protocol in experiment.protocols] == ["modalities"]
    assert [model.name for model in experiment.models] == ["mmte_fc", "late_lstm"]
    resolved = experiment.resolve(None)
    assert resolved.metrics == ("ccc", "pearson", "rmse")
    assert resolved.training.select == "ccc"


def test_models_are_listed():
    listed = invoke("models")
    assert listed.exit_code == 0
    for name in ("mater", "vavl", "Trained, for"):
        assert name in listed.output
    assert isinstance(invoke("models", "no_such_model").exception, OptionError)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("mfcc", "mfcc"),
        ("mfcc:count=13", {"name": "mfcc", "count": 13}),
        ("x:a=[1, two],b=true", {"name": "x", "a": [1, "two"], "b": True}),
    ],
)
def test_a_choice_has_a_name_and_options(text, parsed):
    assert parse_choice(text) == parsed


def test_options_are_values_of_yaml():
    assert parse_options(["width=8", "widths={audio: 2}"]) == {"width": 8, "widths": {"audio": 2}}
    for wrong in ("width", "=8", "width=", "width=[1"):
        with pytest.raises(OptionError):
            parse_options([wrong])
    with pytest.raises(OptionError, match="as audio=mfcc"):
        split_pairs(["mfcc"], "audio=mfcc")
    with pytest.raises(OptionError):
        parse_choice("mfcc:13")
