import io

import pytest
from rich.console import Console

from mien.errors import OptionError
from mien.recognition.batch import Batch, summary_lines
from mien.timeline import Timeline
from timelines import dimension_timeline, timeline, wordy_timeline


def test_a_line_says_label_dimensions_and_what_was_observed():
    row = timeline().summary().iloc[0]
    assert summary_lines(timeline())[0] == (
        f"talk.mp4 · person 1 · {row['emotion']} {row['confidence']:.2f} · "
        f"arousal {row['arousal']:+.2f} (derived), valence {row['valence']:+.2f} (derived) · "
        "voice 2.0 s, face 4.5 s"
    )


def test_a_line_of_any_words_and_of_dimensions_alone():
    (words,) = summary_lines(wordy_timeline())
    assert words == (
        "talk.mp4 · person Ada · <b>& 0.33 · stress level 6.12 · voice 3.5 s, physiology 1.5 s"
    )
    (dimensions,) = summary_lines(dimension_timeline())
    assert dimensions == (
        "talk.mp4 · person 1 · valence +0.28, arousal +0.10, dominance 3.90 · picture 3.6 s"
    )


def test_a_line_says_that_nothing_was_observed():
    made = dimension_timeline()
    scores = dict.fromkeys(made.metadata.dimensions, float("nan"))
    hidden = Timeline(made.frame.assign(video=False, **scores), made.metadata)
    assert summary_lines(hidden) == ["talk.mp4 · person 1 · nothing observed (picture 0.0 s)"]


@pytest.mark.parametrize(
    ("formats", "text"),
    [(["csw"], "no format is called 'csw'; did you mean csv"), ([], "no format is given")],
)
def test_formats_are_checked_before_anything_is_read(formats, text, tmp_path):
    console = Console(file=io.StringIO())
    with pytest.raises(OptionError, match=text):
        Batch(formats, tmp_path, console, console)
