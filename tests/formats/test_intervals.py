import pandas as pd
import pytest

from mien import errors
from mien.timeline import Timeline
from timelines import dimension_timeline, frame, metadata, timeline


def test_vtt_tells_segments_in_order_of_time(tmp_path):
    rows = frame(person="A <b> & co", gap=range(2, 12)).assign(
        emotion=lambda rows: rows["emotion"].where(rows["emotion"].isna(), "anger"),
        confidence=lambda rows: rows["confidence"].where(rows["confidence"].isna(), 0.615),
    )
    late = frame(person="2", gap=range(1, 12)).assign(start=lambda rows: rows["start"] + 3600.25)
    late["end"] = late["start"] + 0.5
    late.loc[0, ["emotion", "confidence"]] = ["sadness", 0.5]
    both = Timeline(pd.concat([late, rows]), metadata())
    both.save(tmp_path / "talk.vtt")
    assert (tmp_path / "talk.vtt").read_text("utf-8") == (
        "WEBVTT\n\nNOTE talk.mp4, read by mien, model linear_probe\n\n"
        "00:00:00.000 --> 00:00:01.000\n<v A &lt;b&gt; &amp; co>anger 0.61\n\n"
        "01:00:00.250 --> 01:00:00.750\n<v 2>sadness 0.50\n"
    )


def test_vtt_cannot_be_broken_by_a_name(tmp_path):
    name = "a --> b\n\n00:00:00.000 --> 00:00:09.000\nx.mp4"
    Timeline(frame(name), metadata(name)).save(tmp_path / "talk.vtt")
    text = (tmp_path / "talk.vtt").read_text("utf-8")
    segments = Timeline(frame(name), metadata(name)).segments()
    assert text.count(" --> ") == len(segments)


def test_textgrid_covers_the_recording_without_holes(tmp_path):
    both = Timeline(frame(person='"1"'), metadata(duration=7.25))
    both.save(tmp_path / "talk.TextGrid")
    lines = [line.strip() for line in (tmp_path / "talk.TextGrid").read_text("utf-8").splitlines()]
    assert lines[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']
    assert [line for line in lines if line.startswith("name")] == [
        'name = """1"" emotion"',
        'name = """1"" voice"',
        'name = """1"" face"',
    ]
    face = lines[lines.index('name = """1"" face"') :]
    edges = [line.split(" = ")[1] for line in face if line.startswith(("xmin", "xmax"))][2:]
    assert edges == ["0.000", "2.000", "2.000", "3.500", "3.500", "6.000", "6.000", "7.250"]
    texts = [line for line in face if line.startswith("text")]
    assert texts == ['text = "face"', 'text = ""', 'text = "face"', 'text = ""']


@pytest.mark.parametrize("name", ["vtt", "textgrid"])
def test_captions_and_tiers_are_of_one_recording(name, tmp_path):
    both = Timeline.concat([timeline("a.mp4"), timeline("b.mp4")])
    with pytest.raises(errors.OptionError, match="one recording, the timeline holds 2"):
        both.save(tmp_path / "both", format=name)
    assert list(tmp_path.iterdir()) == []


def test_vtt_of_dimensions_averages_about_a_second(tmp_path):
    made = dimension_timeline()
    made.save(tmp_path / "talk.vtt")
    text = (tmp_path / "talk.vtt").read_text("utf-8")
    spans = [line for line in text.splitlines() if " --> " in line]
    assert spans == [
        "00:00:00.000 --> 00:00:01.000",
        "00:00:01.000 --> 00:00:01.400",
        "00:00:01.800 --> 00:00:02.000",
        "00:00:02.000 --> 00:00:03.000",
        "00:00:03.000 --> 00:00:04.000",
    ]
    means = made.frame[["valence", "arousal", "dominance"]][:5].mean()
    first = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
    assert f"<v 1>{first}\n" in text


def test_textgrid_of_dimensions_has_a_tier_for_each(tmp_path):
    dimension_timeline().save(tmp_path / "talk.TextGrid")
    text = (tmp_path / "talk.TextGrid").read_text("utf-8")
    for title in ("valence", "arousal", "dominance", "picture"):
        assert f'name = "1 {title}"' in text
    assert "size = 4" in text
