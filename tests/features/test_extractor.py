"""Extractors by name: settings, versions, specs, and the spectral ones on known sound."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mien.errors import ModelFileError, OptionError
from mien.features.extractor import (
    EXTRACTORS,
    SoundExtractor,
    create_extractor,
    load_extractor,
    register_extractor,
)
from mien.features.mel import mfcc, resample, vggish_log_mel, whisper_log_mel
from mien.features.reader import DEFAULT_EXTRACTORS

SOUND = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
SHAPES = {
    "whisper_tiny_en": (768,),
    "log_mel": (80,),
    "mfcc": (10,),
    "spectrogram": (513,),
    "face_ferplus": (264,),
    "face_crops": (1, 48, 48),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_extractor_makes_a_round_trip_through_json(name):
    extractor = create_extractor(name)
    assert extractor.shape == SHAPES[name]
    spec = json.loads(json.dumps(extractor.spec()))
    assert set(spec) == {"name", "settings", "version", "hop", "shape"}
    assert load_extractor(spec) == extractor
    assert "\n" not in extractor.version


def test_names_and_defaults():
    assert set(SHAPES) | {"file"} <= set(EXTRACTORS)
    assert {name: e.name for name, e in DEFAULT_EXTRACTORS.items()} == {
        "audio": "whisper_tiny_en",
        "video": "face_ferplus",
    }
    assert {e.hop for e in DEFAULT_EXTRACTORS.values()} == {0.2}


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("whisper_tiny", {}, "did you mean whisper_tiny_en"),
        ("mfcc", {"cuont": 3}, "no option 'cuont'; did you mean count"),
        ("mfcc", {"count": "3"}, "takes no count '3'; input should be a valid integer"),
        ("mfcc", {"count": 0}, "count is 0; give a number from 1 to 128"),
        ("mfcc", {"hop": 0.01}, "hop is 0.01"),
        ("mfcc", {"hop": float("nan")}, "hop is nan"),
        ("mfcc", {"hop": object()}, "as JSON has it"),
        ("log_mel", {"kind": "bark"}, "takes no kind 'bark'"),
        ("whisper_tiny_en", {"blocks": []}, "no blocks"),
        ("whisper_tiny_en", {"voiced_only": 1}, "takes no voiced_only 1"),
        ("face_crops", {"size_px": 4}, "size_px is 4"),
        ("face_ferplus", {"hop": 0.001}, "hop is 0.001"),
        ("face_ferplus", {"hop": 61}, "hop is 61"),
    ],
)
def test_settings_that_make_no_sense_are_named(name, settings, problem):
    with pytest.raises(OptionError, match=problem):
        create_extractor(name, **settings)


def test_a_whole_number_is_a_float_and_a_list_a_tuple():
    assert create_extractor("face_ferplus", hop=1).hop == 1.0
    extractor = create_extractor("whisper_tiny_en", blocks=[3])
    assert extractor.blocks == (3,)
    assert extractor.shape == (384,)
    assert extractor.settings["blocks"] == [3]


def test_the_version_names_the_weights_that_numbers_depend_on():
    assert "silero_vad" in create_extractor("whisper_tiny_en").version
    assert "silero_vad" not in create_extractor("whisper_tiny_en", voiced_only=False).version
    assert "yunet" in create_extractor("face_crops").version
    assert create_extractor("mfcc").version == create_extractor("mfcc", count=20).version


def test_an_edition_changes_the_version(monkeypatch):
    spec = create_extractor("mfcc").spec()
    monkeypatch.setattr(EXTRACTORS["mfcc"], "edition", 2)
    with pytest.raises(ModelFileError, match="another version of the extractor mfcc"):
        load_extractor(spec)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "prosody"}, "needs the extractor 'prosody'; load the plugin that registers it"),
        ({"name": "prosody", "plugin": "mine.py"}, "load the plugin mine.py"),
        ({"settings": {"count": 10, "width": 3}}, "no option 'width'"),
        ({"settings": None}, "settings of the extractor mfcc"),
        ({"hop": 0.1}, "another hop"),
        ({"shape": [11]}, "another shape"),
        ({"version": "0"}, "another version"),
    ],
)
def test_a_model_file_that_asks_for_something_else_is_refused(change, problem):
    with pytest.raises(ModelFileError, match=problem):
        load_extractor({**create_extractor("mfcc").spec(), **change})


def test_a_class_becomes_a_frozen_dataclass_and_names_are_taken_once():
    @register_extractor("test_plain")
    class Plain(SoundExtractor):
        hop: float = 0.5
        bands: int = 3

        @property
        def shape(self):
            return (self.bands,)

    extractor = create_extractor("test_plain", bands=4)
    assert extractor.settings == {"voiced_only": False, "hop": 0.5, "bands": 4}
    with pytest.raises(AttributeError):
        extractor.bands = 5
    with pytest.raises(OptionError, match="two entries"):
        register_extractor("test_plain")(Plain)


def test_spectral_extractors_are_the_functions_of_their_names():
    np.testing.assert_array_equal(
        create_extractor("mfcc", count=13).extract(SOUND),
        mfcc(resample(SOUND, 16_000, 22_050), 22_050, count=13),
    )
    np.testing.assert_array_equal(
        create_extractor("log_mel").extract(SOUND), whisper_log_mel(SOUND)
    )
    vggish = create_extractor("log_mel", kind="vggish")
    np.testing.assert_array_equal(vggish.extract(SOUND), vggish_log_mel(SOUND))
    assert vggish.extract(SOUND).shape[1:] == vggish.shape
    assert create_extractor("spectrogram").extract(SOUND).shape == (25, 513)
