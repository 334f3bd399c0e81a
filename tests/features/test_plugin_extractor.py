"""An extractor of a user's own: one file, and nothing else is touched."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import mien
from media.make import tone, wave
from mien.errors import ModelFileError, OptionError, PluginError
from mien.features.extractor import create_extractor, load_extractor
from mien.plugins import load_plugin

pytestmark = pytest.mark.slow

PLUGIN = """
import mien
from mien.features.extractor import SoundExtractor

@mien.register_extractor("zero_crossings")
class ZeroCrossings(SoundExtractor):
    hop: float = 0.04
    frames: int = 1
    shape = (2,)

    def extract(self, samples):
        if self.frames > 1:
            raise RuntimeError("too many frames")
        whole = samples[: len(samples) // 640 * 640].reshape(-1, 640)
        signs = (whole[:, 1:] >= 0) != (whole[:, :-1] >= 0)
        import numpy
        return numpy.stack([signs.mean(axis=1), whole.std(axis=1)], axis=1)
"""

LATER = """
import json, sys
from mien.features.extractor import load_extractor
from mien.plugins import load_plugin
spec = json.loads(sys.argv[1])
for plugin in sys.argv[2:]:
    load_plugin(plugin)
print(load_extractor(spec).spec() == spec)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "crossings.py"
    path.write_text(PLUGIN)
    load_plugin(path)
    return path


def later(spec, *plugins):
    """Load a spec in a new process."""
    command = [sys.executable, "-c", LATER, json.dumps(spec), *map(str, plugins)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("encoders")
def test_a_plugin_extracts_by_name(plugin, tmp_path):
    sound = wave(tmp_path / "a.wav", tone(2.0, 16_000, onset=1.0, pitch_hz=1000), 16_000)
    extractors = {"audio": create_extractor("zero_crossings")}
    values = mien.extract(sound, extractors)["audio"].values[0].numpy()
    assert values.shape == (50, 2)
    np.testing.assert_allclose(values[26:, 0], 2 * 1000 / 16_000, atol=0.01)
    assert values[:24, 1].max() < 0.01 < values[26:, 1].min()
    slow = mien.extract(sound, {"audio": create_extractor("zero_crossings", hop=0.08)})
    assert slow["audio"].values.shape == (1, 25, 2)
    named = mien.extract(sound, {"audio": {"name": "zero_crossings", "hop": 0.08}})
    assert torch.equal(named["audio"].values, slow["audio"].values)
    named = mien.extract(sound, {"audio": "zero_crossings"})["audio"].values[0].numpy()
    np.testing.assert_array_equal(named, values)
    with pytest.raises(OptionError, match="did you mean zero_crossings"):
        mien.extract(sound, {"audio": "zero_crosings"})


def test_its_version_and_spec_tell_the_file(plugin, tmp_path):
    extractor = create_extractor("zero_crossings")
    spec = extractor.spec()
    assert spec["plugin"] == "crossings.py"
    assert spec["settings"] == {"voiced_only": False, "hop": 0.04, "frames": 1}
    assert load_extractor(spec) == extractor
    assert later(spec, plugin).stdout == "True\n"
    missing = later(spec)
    assert missing.returncode
    assert "load the plugin crossings.py" in missing.stderr
    changed = tmp_path / "crossings.py"
    changed.write_text(PLUGIN + "\n# another\n")
    assert "another version of the extractor zero_crossings" in later(spec, changed).stderr


def test_the_working_folder_may_change(tmp_path, monkeypatch):
    text = PLUGIN.replace("zero_crossings", "other_crossings")
    (tmp_path / "other.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    load_plugin("other.py")
    version = create_extractor("other_crossings").version
    monkeypatch.chdir("/")
    assert create_extractor("other_crossings").version == version
    assert "unknown" not in version


def test_a_model_file_of_another_edition_of_the_plugin_is_refused(plugin):
    spec = create_extractor("zero_crossings").spec()
    with pytest.raises(ModelFileError, match="another version"):
        load_extractor({**spec, "version": "1.1 crossings.py=000000000000"})


@pytest.mark.usefixtures("encoders")
def test_what_it_raises_is_told_with_its_name(plugin, tmp_path):
    sound = wave(tmp_path / "a.wav", tone(0.5, 16_000), 16_000)
    with pytest.raises(PluginError, match="zero_crossings raised RuntimeError: too many frames"):
        mien.extract(sound, {"audio": create_extractor("zero_crossings", frames=2)})
