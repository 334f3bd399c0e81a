import numpy as np
import pytest

from mien import schema
from mien.errors import OptionError


def test_emotions_come_in_the_order_of_the_vocabulary():
    assert schema.sort_emotions(["surprise", "neutral"]) == ("neutral", "surprise")


def test_an_unknown_emotion_is_refused():
    with pytest.raises(ValueError, match="boredom"):
        schema.sort_emotions(["boredom"])


def test_columns_of_a_timeline():
    columns = schema.timeline_columns(
        ["anger", "mood:calm"], ["arousal"], ["audio", "physiology"], faces=True
    )
    assert columns[:6] == ("file", "person", "start", "end", "audio", "physiology")
    assert columns[6:11] == ("emotion", "confidence", "p_anger", "p_mood:calm", "arousal")
    assert columns[11:] == schema.FACE_COLUMNS


def test_a_timeline_of_dimensions_names_no_emotion():
    columns = schema.timeline_columns((), ["stress"], ["audio"])
    assert columns == ("file", "person", "start", "end", "audio", "stress")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({"dimensions": ["start"]}, "the dimension 'start' is called like the column 'start'"),
        ({"dimensions": ["Confidence"]}, "is called like the column 'confidence'"),
        ({"modalities": ["person"]}, "the modality 'person' is called like the column 'person'"),
        ({"labels": ["calm", "Calm"]}, "the label 'Calm' is called like the label 'calm'"),
        ({"labels": ["ﬁt", "fit"]}, "the label 'fit' is called like the label 'ﬁt'"),
        ({"dimensions": ["x", "x"]}, "the dimension 'x' is called like the dimension 'x'"),
        ({"dimensions": ["audio"], "modalities": ["audio"]}, "the modality 'audio' is called like"),
        ({"dimensions": ["audio_seconds"], "modalities": ["audio"]}, "'audio_seconds' is called"),
        ({"labels": ["a"], "dimensions": ["p_b"]}, "the dimension 'p_b' looks like a probability"),
        ({"labels": ["a"], "modalities": ["p_a"]}, "is called like the column of the label 'a'"),
        ({"labels": [""]}, "'' is no name of a label"),
        ({"labels": [" calm"]}, "' calm' is no name of a label"),
        ({"labels": ["calm\n"]}, "is no name of a label"),
        ({"dimensions": ["a\tb"]}, "is no name of a dimension"),
        ({"modalities": ["\udcff"]}, "is no name of a modality"),
    ],
)
def test_names_that_cannot_stand_beside_each_other_are_refused(names, text):
    with pytest.raises(OptionError) as raised:
        schema.check_names(**names)
    assert text in str(raised.value)
    assert raised.value.advice


def test_names_that_only_look_alike_are_allowed():
    schema.check_names(["start", "emotion", "p_x", "mood:calm", "très content", "平静"])
    schema.check_names(["arousal"], ["arousal"], ["audio"])
    schema.check_names(dimensions=["p_x"])


def test_derived_dimensions_of_pure_categories_are_the_table():
    got = schema.derive_dimensions({"happiness": np.array([1.0]), "sadness": np.array([0.0])})
    assert (got["arousal"][0], got["valence"][0]) == (0.51, 0.81)


def test_derived_dimensions_mix_by_probability():
    got = schema.derive_dimensions({"happiness": np.array([0.5]), "neutral": np.array([0.5])})
    assert got["valence"][0] == pytest.approx(0.405)


def test_contempt_is_left_out_of_the_derived_dimensions():
    mixed = {"contempt": np.array([0.5, 1.0]), "anger": np.array([0.5, 0.0])}
    got = schema.derive_dimensions(mixed)
    assert got["valence"][0] == pytest.approx(-0.51)
    assert np.isnan(got["valence"][1])


def test_nothing_observed_derives_nothing():
    got = schema.derive_dimensions({"anger": np.array([np.nan]), "fear": np.array([np.nan])})
    assert np.isnan(got["arousal"][0])


def test_labels_outside_of_the_vocabulary_derive_nothing():
    assert schema.derive_dimensions({"anger": np.ones(2), "boredom": np.zeros(2)}) == {}
    assert schema.derive_dimensions({"contempt": np.ones(2)}) == {}
    assert schema.derive_dimensions({}) == {}
    assert not schema.can_derive(["contempt"])
