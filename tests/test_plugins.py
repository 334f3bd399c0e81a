"""Plugins: what they register is theirs, and what goes wrong in them is named."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import mien
from experiments.conftest import write_study
from mien.cli import app
from mien.datasets.dataset import DATASETS
from mien.errors import InputError, PluginError
from mien.models import MODELS

# A process of its own, in which nothing of mien was imported before the plugin.
ORIGINS = """
import sys, mien
mien.load_plugin("mine.py")
from mien.features.extractor import EXTRACTORS
from mien.models import MODELS
print([EXTRACTORS.origin(name) for name in ("mine", "face_crops", "mfcc")])
print([MODELS.origin(name) for name in ("bigger", "mater", "sfav")])
"""
PLUGIN = """
import mien
from mien.features.face_crops import FaceCrops
from mien.models.mater import Mater

@mien.register_extractor("mine")
class Mine(FaceCrops):
    pass

@mien.register_model("bigger", missing="as MATER")
class Bigger(Mater):
    pass
"""


def test_what_a_plugin_imports_of_mien_is_not_the_plugin_s(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    done = subprocess.run(
        [sys.executable, "-c", ORIGINS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['mine.py', '', '']"] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import mien\n1 / 0\n", "line 2 raised ZeroDivisionError"),
        ("import mien\ndef f(:\n", "line 2 raised SyntaxError"),
        ("import nowhere_at_all\n", "line 1 raised ModuleNotFoundError"),
        (
            "import mien\n@mien.register_model('mater', missing='')\nclass A(mien.Model): ...\n",
            "two entries are called 'mater' among the models",
        ),
    ],
)
def test_a_plugin_that_raises_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(PluginError, match=message) as caught:
        mien.load_plugin(path)
    assert str(path) in str(caught.value)


def test_a_plugin_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        mien.load_plugin(tmp_path / "none.py")


MODEL = """
import mien, torch

@mien.register_model("{name}", missing="")
class One(mien.Model):
    def __init__(self, task, modalities):
        super().__init__(task, modalities)
        self.layer = torch.nn.Linear(1, len(task.names))

    def forward(self, signals):
        {body}
"""


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A folder to work in; what is registered is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    for registry in (MODELS, DATASETS):
        assert len(registry)  # loads what is built in
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        (
            "raising",
            "raise ValueError('never')",
            r"mine\.py: line 11 raised ValueError",
        ),
        ("tensors", "return self.layer(torch.ones(1, 1))", "the model tensors raised "),
    ],
)
def test_a_model_that_raises_in_training_fails_its_run_and_no_more(alone, name, body, message):
    study = write_study(alone)
    (alone / "mine.py").write_text(MODEL.format(name=name, body=body))
    arguments = ["train", str(study), "--label", "mood", "--model", name, "--folds", "2"]
    told = CliRunner().invoke(app, [*arguments, "--plugin", "mine.py", "--workers", "1"])
    assert told.exit_code == 1
    assert len(re.findall(message, " ".join(told.output.split()))) == 2
    assert "2 runs came to nothing" in told.output


def test_data_of_a_plugin_that_raises_is_named_with_its_line(alone):
    text = "import mien\nfrom mien.datasets import DataSet\n\n@mien.register_dataset('broken')\n"
    text += "class Broken(DataSet):\n    def shape(self):\n        return {}['nothing']\n"
    (alone / "mine.py").write_text(text)
    (alone / "lab.yaml").write_text("data: broken\nmodels: [mater]\n")
    with pytest.raises(PluginError, match=r"mine\.py: line 7 raised KeyError: 'nothing'"):
        mien.train("lab.yaml", plugin=["mine.py"], workers=1)
