"""Plugins: what they register is theirs, and what goes wrong in them is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mien
from mien.errors import InputError, PluginError

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
