from __future__ import annotations

import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mien import schema
from mien.errors import OptionError
from mien.timeline import Dimension, RecordingInfo, Segment, Thumbnail, Timeline, readable_name
from timelines import (
    EMOTIONS,
    JPEG,
    WORDS,
    dimension_timeline,
    frame,
    metadata,
    timeline,
    wordy_timeline,
)


def changed(**columns):
    return Timeline(frame().assign(**columns), metadata())


def one(row, value, column="start"):
    values = frame()[column].copy()
    values[row] = value
    return values


def test_the_frame_has_the_columns_of_the_schema_and_text_types():
    made = Timeline(frame(), metadata())
    assert tuple(made.frame.columns) == schema.timeline_columns(
        EMOTIONS, schema.DIMENSIONS, schema.MODALITIES, faces=True
    )
    assert all(made.frame[name].dtype == "string" for name in ("file", "person", "emotion"))
    assert made.frame["emotion"].isna().tolist() == [4 <= step < 7 for step in range(12)]


def test_the_frame_is_a_copy():
    given_frame = frame()
    made = Timeline(given_frame, metadata())
    given_frame.loc[0, "start"] = 99.0
    assert made.frame["start"][0] == 0.0


def test_no_rows_at_all_is_a_timeline():
    made = Timeline(frame().iloc[:0], metadata())
    assert made.summary().empty
    assert made.segments() == []
    assert "0 people, 0 steps" in repr(made)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"p_anger": lambda rows: rows["p_anger"].astype("float32")}, "p_anger must have type"),
        ({"audio": 1}, "audio must have type bool"),
        ({"person": 7}, "person must hold text, got integer"),
        ({"person": ""}, "person must not be empty; broken in row 0"),
        (
            {"file": pd.Series(["\udcff.mp4"] * 12, dtype=object)},
            "no valid Unicode; mien.timeline.readable_name",
        ),
        ({"file": "other.mp4"}, "file must be among the recordings"),
        ({"emotion": "joy"}, "emotion must be one of the labels"),
        ({"start": one(3, -1.0)}, "start must be 0 s or later; broken in row 3"),
        ({"start": one(3, math.nan)}, "start must be 0 s or later; broken in row 3"),
        ({"end": one(3, 1.5, "end")}, "end must follow start; broken in row 3"),
        ({"start": one(3, 1.2)}, "start must not lie before the end of the person's last row"),
        ({"p_anger": one(2, 1.5, "p_anger")}, "p_anger must go from 0 to 1; broken in row 2"),
        ({"p_anger": one(2, math.nan, "p_anger")}, "p_anger must be there where, and only where"),
        ({"p_anger": one(5, 0.5, "p_anger")}, "p_anger must be there where, and only where"),
        ({"p_anger": lambda rows: rows["p_anger"] / 2}, "p_… must sum to 1 where observed"),
        ({"emotion": "anger"}, "emotion must be there where, and only where"),
        ({"arousal": one(5, 0.0, "arousal")}, "arousal must be missing where nothing"),
        ({"valence": one(0, -1.5, "valence")}, "valence must go from -1 to 1; broken in row 0"),
        ({"valence": one(0, math.inf, "valence")}, "valence must be finite or missing"),
        ({"face_x": one(0, 2.0, "face_x")}, "face_x must go from 0 to 1"),
        ({"face_quality": one(0, -0.1, "face_quality")}, "face_quality must go from 0 to 1"),
    ],
)
def test_a_frame_that_breaks_a_promise_is_refused(columns, text):
    with pytest.raises(ValueError, match=r"must|Unicode") as raised:
        changed(**columns)
    assert text in str(raised.value)


def test_missing_unexpected_and_misplaced_columns_are_refused():
    with pytest.raises(ValueError, match=r"missing: \['valence'\], unexpected: \['mood'\]"):
        Timeline(frame().rename(columns={"valence": "mood"}), metadata())
    with pytest.raises(ValueError, match="in the order"):
        Timeline(frame()[list(reversed(frame().columns))], metadata())


def test_the_same_time_of_two_people_is_no_overlap():
    rows = pd.concat([frame(person="1"), frame(person="2")])
    assert len(Timeline(rows, metadata()).frame) == 24


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": (), "dimensions": {}},
        {"dimensions": {"arousal": "predicted"}},
        {"dimensions": {"arousal": {"source": ""}}},
        {"dimensions": {"arousal": {"low": 2.0}}},
        {"dimensions": {"arousal": {"low": None}}},
        {"dimensions": {"arousal": {"high": math.inf}}},
        {"modalities": ()},
        {"modalities": ("audio",)},
        {"per": "word"},
        {"hop": 0.0},
        {"mood": "good"},
    ],
)
def test_metadata_is_checked(changes):
    with pytest.raises(ValidationError):
        metadata(**changes)


def test_names_in_metadata_are_checked():
    with pytest.raises(OptionError, match="the dimension 'end' is called like the column 'end'"):
        metadata(dimensions={"end": Dimension()})
    with pytest.raises(OptionError, match="the label 'ANGER' is called like the label 'anger'"):
        metadata(labels=("anger", "ANGER"))


def test_metadata_cannot_be_changed_and_knows_what_is_derived():
    assert Dimension(source="derived from x").derived
    assert not Dimension(source="learned from acted categories").derived
    with pytest.raises(ValidationError, match="frozen"):
        metadata().model = "other"


@pytest.mark.parametrize(
    ("modality", "faces", "word"),
    [
        ("audio", True, "voice"),
        ("video", True, "face"),
        ("video", False, "picture"),
        ("eeg", 0, "eeg"),
    ],
)
def test_what_is_observed_in_a_modality_has_a_word(modality, faces, word):
    made = metadata(modalities=("audio", "video", "eeg"), faces=faces)
    assert made.evidence(modality) == word


def test_thumbnails_are_jpeg_pictures_of_people_in_the_frame():
    with pytest.raises(ValueError, match="not a JPEG"):
        Thumbnail(1.0, b"<svg/>")
    with pytest.raises(ValueError, match="not in the frame"):
        Timeline(frame(), metadata(), {("talk.mp4", "9"): (Thumbnail(1.0, JPEG),)})


def test_the_summary_holds_means_over_what_was_observed():
    rows = frame()
    first = Timeline(rows, metadata()).summary().iloc[0]
    seen = rows[rows["video"]]
    means = {emotion: seen[f"p_{emotion}"].mean() for emotion in EMOTIONS}
    best = max(means, key=means.get)
    assert first["emotion"] == best
    assert first["confidence"] == pytest.approx(means[best])
    assert [first[f"p_{emotion}"] for emotion in EMOTIONS] == pytest.approx(list(means.values()))
    assert first["arousal"] == pytest.approx(seen["arousal"].mean())
    assert (first["start"], first["end"]) == (0.0, 6.0)
    # 12 steps of half a second, 3 of them unobserved, a voice in every even one: 0, 2, 8, 10.
    assert (first["video_seconds"], first["audio_seconds"], first["seconds"]) == (4.5, 2.0, 4.5)


def test_the_summary_of_somebody_never_observed_is_empty():
    row = Timeline(frame(gap=range(12)), metadata()).summary().iloc[0]
    assert row["emotion"] is pd.NA
    assert math.isnan(row["confidence"])
    assert math.isnan(row["p_anger"])
    assert row["seconds"] == 0.0


def test_equal_means_go_to_the_first_label():
    even = {f"p_{emotion}": np.where(frame()["video"], 0.25, np.nan) for emotion in EMOTIONS}
    assert changed(**even).summary()["emotion"][0] == "neutral"


def test_segments_join_equal_neighbours_and_stop_at_gaps():
    emotions = ["anger", "anger", "sadness", "anger", None, None, None, *["neutral"] * 5]
    confidence = [0.4, 0.6, 0.5, 0.5, *[math.nan] * 3, *[0.7] * 5]
    made = changed(emotion=emotions, confidence=confidence)
    assert made.segments() == [
        Segment("talk.mp4", "1", 0.0, 1.0, "anger", pytest.approx(0.5)),
        Segment("talk.mp4", "1", 1.0, 1.5, "sadness", pytest.approx(0.5)),
        Segment("talk.mp4", "1", 1.5, 2.0, "anger", pytest.approx(0.5)),
        Segment("talk.mp4", "1", 3.5, 6.0, "neutral", pytest.approx(0.7)),
    ]


def test_segments_stop_where_rows_are_left_out():
    rows = frame(gap=range(0)).drop(index=[5]).assign(emotion="anger")
    assert [(one.start, one.end) for one in Timeline(rows, metadata()).segments()] == [
        (0.0, 2.5),
        (3.0, 6.0),
    ]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.sets(st.integers(0, 29)), st.integers(0, 100))
def test_segments_cover_exactly_what_was_observed(steps, gap, seed):
    made = Timeline(frame(steps=steps, gap=gap, seed=seed), metadata())
    length = sum(one.end - one.start for one in made.segments())
    assert length == pytest.approx(made.summary()["seconds"][0])


def test_concat_keeps_rows_recordings_and_pictures():
    both = Timeline.concat([timeline("a.mp4"), timeline("b.mp4")])
    assert list(both.metadata.recordings) == ["a.mp4", "b.mp4"]
    assert len(both.frame) == 48
    assert set(both.thumbnails) == {("a.mp4", "1"), ("b.mp4", "1")}
    pd.testing.assert_frame_equal(
        both.summary().iloc[:2].reset_index(drop=True), timeline("a.mp4").summary()
    )


def test_concat_refuses_nothing_the_same_file_and_other_settings():
    with pytest.raises(ValueError, match="no timeline"):
        Timeline.concat([])
    with pytest.raises(ValueError, match=r"talk\.mp4 is in two"):
        Timeline.concat([timeline(), timeline()])
    other = Timeline(frame("b.mp4"), metadata("b.mp4", model="other"))
    with pytest.raises(ValueError, match="differ in model"):
        Timeline.concat([timeline("a.mp4"), other])


def test_it_says_what_it_is():
    text = "Timeline(1 recording, 2 people, 24 steps of 0.5 s, 19 observed, model linear_probe)"
    assert repr(timeline()) == text
    page = timeline("<b>.mp4")._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;.mp4" in page


def test_it_survives_pickling():
    again = pickle.loads(pickle.dumps(timeline()))
    pd.testing.assert_frame_equal(again.frame, timeline().frame)


def test_readable_name_makes_any_file_name_text():
    assert readable_name("Gespräch.mp4") == "Gespräch.mp4"
    assert readable_name("\udcff.mp4") == "\\xff.mp4"


def test_recordings_know_their_length():
    with pytest.raises(ValidationError):
        RecordingInfo(duration=-1.0, modalities=())


# --- labels, dimensions and modalities of any names -----------------------------------------------


def test_labels_of_any_words_make_columns_and_a_summary():
    made = wordy_timeline()
    assert tuple(made.frame.columns) == (
        *("file", "person", "start", "end", "audio", "physiology", "emotion", "confidence"),
        *("p_mood:calm", "p_wide awake", "p_très content", "p_<b>&", "p_p_x", "stress level"),
    )
    row = made.summary().iloc[0]
    assert row["emotion"] == WORDS[int(np.argmax([row[f"p_{word}"] for word in WORDS]))]
    assert row["stress level"] == pytest.approx(made.frame["stress level"].mean())
    assert (row["audio_seconds"], row["physiology_seconds"], row["seconds"]) == (3.5, 1.5, 3.5)
    assert "face_quality" not in row
    assert {one.emotion for one in made.segments()} <= set(WORDS)
    assert "8 steps of 0.5 s, 7 observed" in repr(made)


def test_a_model_of_dimensions_has_no_emotion():
    made = dimension_timeline()
    assert tuple(made.frame.columns[4:]) == ("video", "valence", "arousal", "dominance")
    summary = made.summary()
    assert list(summary.columns[4:]) == [
        *("valence", "arousal", "dominance", "video_seconds", "seconds"),
    ]
    assert summary["dominance"][0] == pytest.approx(made.frame["dominance"].mean())
    assert made.segments() == []
    assert "20 steps of 0.2 s, 18 observed" in repr(made)
    assert "dominance" in made._repr_html_()


def test_predicted_values_beyond_their_scale_are_kept():
    made = dimension_timeline()
    again = Timeline(made.frame.assign(dominance=made.frame["dominance"] + 9), made.metadata)
    assert again.frame["dominance"].max() > 7


@pytest.mark.parametrize(
    ("row", "value", "text"),
    [
        (3, math.nan, "dominance must be there where, and only where, observed; broken in row 3"),
        (7, 2.0, "dominance must be there where, and only where, observed; broken in row 7"),
        (0, -math.inf, "dominance must be finite or missing; broken in row 0"),
    ],
)
def test_the_only_answer_of_a_model_must_be_there(row, value, text):
    made = dimension_timeline()
    rows = made.frame.copy()
    rows.loc[row, "dominance"] = value
    with pytest.raises(ValueError, match="dominance") as raised:
        Timeline(rows, made.metadata)
    assert text in str(raised.value)


def test_any_modality_counts_as_observed():
    made = wordy_timeline()
    assert made.observed.tolist() == made.frame["audio"].tolist()
    with pytest.raises(ValueError, match="physiology must have type bool, got int64"):
        Timeline(made.frame.assign(physiology=1), made.metadata)
