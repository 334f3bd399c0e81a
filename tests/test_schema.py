import numpy as np
import pytest

from mien import schema


def test_emotions_come_in_the_order_of_the_vocabulary():
    assert schema.ordered(["surprise", "neutral"]) == ("neutral", "surprise")


def test_an_unknown_emotion_is_refused():
    with pytest.raises(ValueError, match="boredom"):
        schema.ordered(["boredom"])


def test_columns_of_a_timeline():
    columns = schema.timeline_columns(["anger", "neutral"])
    assert columns[8:12] == ("p_neutral", "p_anger", "arousal", "valence")
    assert columns[0] == "file"
    assert columns[-1] == "face_quality"


def test_derived_dimensions_of_pure_categories_are_the_table():
    got = schema.derived_dimensions({"happiness": np.array([1.0]), "sadness": np.array([0.0])})
    assert (got["arousal"][0], got["valence"][0]) == (0.51, 0.81)


def test_derived_dimensions_mix_by_probability():
    got = schema.derived_dimensions({"happiness": np.array([0.5]), "neutral": np.array([0.5])})
    assert got["valence"][0] == pytest.approx(0.405)


def test_contempt_is_left_out_of_the_derived_dimensions():
    mixed = {"contempt": np.array([0.5, 1.0]), "anger": np.array([0.5, 0.0])}
    got = schema.derived_dimensions(mixed)
    assert got["valence"][0] == pytest.approx(-0.51)
    assert np.isnan(got["valence"][1])


def test_nothing_observed_derives_nothing():
    got = schema.derived_dimensions({"anger": np.array([np.nan]), "fear": np.array([np.nan])})
    assert np.isnan(got["arousal"][0])
