from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from mien import report, schema
from mien.report import charts, words
from mien.report.elements import document, element, raw
from mien.report.series import gather
from mien.report.tones import choose_label_tones
from mien.timeline import Dimension, RecordingInfo, Thumbnail, Timeline
from timelines import (
    EMOTIONS,
    JPEG,
    LEARNED,
    WORDS,
    dimension_timeline,
    frame,
    long_timeline,
    metadata,
    timeline,
    wordy_timeline,
)


class Page(HTMLParser):
    """The page as a parser sees it: tags with attributes, texts, contents of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.scripts, self._inside = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data):
        (self.scripts if self._inside == "script" else self.texts).append(data)

    def handle_endtag(self, tag):
        self._inside = None

    def all(self, tag, **wanted):
        return [a for t, a in self.tags if t == tag and wanted.items() <= a.items()]

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


def page_of(*arguments, **options):
    return Page(report.render(*arguments, **options))


def test_the_page_is_the_same_each_time():
    assert report.render(timeline()) == report.render(timeline())


def test_the_page_says_who_what_and_how_surely():
    page = page_of(timeline())
    assert "talk.mp4" in page.text
    assert "Person 1" in page.text
    assert "linear_probe" in page.text
    assert "3 s, every 0.5 s" in page.text
    assert "the file ends early" in page.text
    first = timeline().summary().to_dict("records")[0]
    assert words.write_lead(first, timeline().metadata) in page.text
    assert "derived from the categories" in page.text
    assert "Article 5(1)(f)" in page.text
    assert "do not tell what a person feels" in page.text


def test_the_page_loads_nothing():
    page = page_of(timeline())
    for _tag, attributes in page.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            target = attributes.get(name, "#")
            assert target.startswith(("data:image/jpeg;base64,", "#"))
    style = resources.files("mien.report").joinpath("page.css").read_text("utf-8")
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_the_script_of_the_page_and_no_other():
    page = page_of(timeline())
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in page.scripts
    ]
    assert allowed == [digests[-1]]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'unsafe-inline'" not in policy
    executable = [attributes for tag, attributes in page.tags if tag == "script"]
    assert [script.get("type") for script in executable] == [*["application/json"] * 2, None]


HOSTILE = "<script>alert(1)</script>\"'&\x1b</style>.mp4"


def test_names_cannot_become_markup():
    recording = RecordingInfo(duration=6, modalities=("audio", "video"), warnings=(HOSTILE,))
    made = Timeline(
        frame(HOSTILE, HOSTILE),
        metadata(recordings={HOSTILE: recording}, model=HOSTILE),
        {(HOSTILE, HOSTILE): (Thumbnail(1.0, JPEG),)},
    )
    for title in (None, HOSTILE):
        text = report.render(made, title=title)
        page = Page(text)
        assert len(page.all("script")) == 2
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert "<script>alert(1)</script>\"'&\ufffd</style>.mp4" in page.text


def test_a_title_stands_above_the_name():
    page = page_of(timeline(), title="Interview, May")
    assert page.text.count("Interview, May") == 2
    assert "talk.mp4" in page.text


def test_gaps_are_gaps():
    text = report.render(Timeline(frame(gap=range(4, 7)), metadata()))
    areas = re.findall(r'class="area ([\w-]+)" d="([^"]*)"', text)
    assert [tone for tone, _ in areas] == list(reversed(choose_label_tones(EMOTIONS).values()))
    assert all(path.count("M") == path.count("Z") == 2 for _, path in areas)
    lines = re.findall(r'class="line ([\w-]+)" d="([^"]*)"', text)
    assert [tone for tone, _ in lines] == ["line-0", "line-1"]
    assert all(path.count("M") == 2 for _, path in lines)


def test_the_cursor_reads_the_numbers_of_the_frame():
    rows = frame()
    data = json.loads(page_of(Timeline(rows, metadata())).scripts[0])
    assert data["duration"] == 6.0
    assert data["start"] == [500 * step for step in range(12)]
    assert data["values"]["p_anger"][4] is None
    assert data["values"]["p_anger"][0] == round(1000 * rows["p_anger"][0])
    assert data["values"]["video"] == [0 if 4 <= step < 7 else 1000 for step in range(12)]


def test_withheld_and_missing_modalities_are_named():
    page = page_of(Timeline(frame(), metadata(withheld=("audio",))))
    assert "The sound was withheld on purpose: nothing here rests on the voice." in page.text
    assert "withheld" in page.texts
    silent = RecordingInfo(duration=6, modalities=("video",))
    page = page_of(Timeline(frame(), metadata(recordings={"talk.mp4": silent}, baseline=True)))
    assert "The recording has no sound: everything rests on the face." in page.text
    assert "no sound" in page.texts
    assert "standardised" in page.text


def test_nothing_observed_is_said_and_not_drawn():
    page = page_of(Timeline(frame(gap=range(12)), metadata()))
    assert "Nothing was observed, so there is no estimate." in page.text
    assert not page.all("svg")
    assert "nan" not in page.text.lower()
    empty = page_of(Timeline(frame().iloc[:0], metadata()))
    assert "Nobody was found in this recording." in empty.text


def test_predicted_dimensions_are_not_called_derived():
    predicted = dict.fromkeys(schema.DIMENSIONS, Dimension(source="predicted"))
    page = page_of(Timeline(frame(), metadata(dimensions=predicted)))
    assert "derived" not in page.text
    assert "predicted" in page.text


def test_pictures_stand_at_their_time_without_overlap():
    pictures = tuple(Thumbnail(time, JPEG) for time in np.linspace(0, 6, 61))
    made = Timeline(frame(), metadata(), {("talk.mp4", "1"): pictures})
    images = page_of(made).all("img")
    places = [float(re.search(r"--at:([\d.]+)%", image["style"])[1]) for image in images]
    assert 8 <= len(places) <= 12
    assert all(later - earlier >= 7.9 for earlier, later in itertools.pairwise(places[1:-1]))
    assert images[0]["alt"] == "Person 1 at 0:00"
    assert "This page holds pictures" in page_of(made).text
    assert "This page holds pictures" not in page_of(Timeline(frame(), metadata())).text


def test_charts_have_text_alternatives():
    pictures = page_of(timeline()).all("svg")
    assert len(pictures) == 8
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)


def test_an_hour_stays_small_and_says_that_it_was_averaged():
    text = report.render(long_timeline(60, 4))
    assert len(text) < 1_000_000
    data = json.loads(Page(text).scripts[0])
    assert len(data["start"]) == 360
    assert "Each point is the mean of 20 steps (10.0\xa0s)" in text


def test_a_crowd_is_cut_to_those_seen_longest():
    rows = [frame(person=f"p{number}", gap=range(number % 12)) for number in range(30)]
    text = report.render(Timeline(pd.concat(rows), metadata()))
    assert text.count('class="person"') == 24
    assert "6 more are in the table" in text
    assert 'scope="col">p11<' in text
    assert "<h2><bdi>p11<" not in text


def test_several_recordings_make_several_parts():
    page = page_of(Timeline.concat([timeline("a.mp4"), timeline("b.mp4")]))
    assert len(page.all("article")) == 2
    assert "2 recordings · mien" in page.text


# --- labels, dimensions and modalities of any names -----------------------------------------------


def test_any_labels_are_shown_as_they_are():
    page = page_of(wordy_timeline())
    for word in WORDS:
        assert word in page.text
    assert "Emotion from voice and physiology" in page.text
    assert "what a voice and physiology express" in page.text
    assert "Physiology observed" in page.text
    assert "The recording has no physiology: everything rests on the voice." in page.text
    assert "Face" not in page.text
    assert "rousal" not in page.text
    assert "Trained on twelve people in one room." in page.text
    assert "0123456789ab" in page.text
    data = json.loads(page.scripts[0])
    assert set(data["values"]) == {*(f"p_{word}" for word in WORDS), "stress level"} | {
        "audio",
        "physiology",
    }
    assert {entry["data-series"] for entry in page.all("span") if "data-series" in entry} == {
        *(f"p_{word}" for word in WORDS),
        "stress level",
        "audio",
    }


def test_a_label_cannot_become_markup():
    hostile = "</script><script>alert(1)</script>"
    made = wordy_timeline()
    labels = (hostile, *WORDS[1:])
    rows = made.frame.rename(columns={f"p_{WORDS[0]}": f"p_{hostile}"})
    rows["emotion"] = rows["emotion"].replace(WORDS[0], hostile)
    changed = Timeline(rows, made.metadata.model_copy(update={"labels": labels}))
    text = report.render(changed)
    assert "<script>alert" not in text
    assert f"p_{hostile}" in json.loads(Page(text).scripts[0])["values"]


def test_dimensions_alone_have_charts_of_their_scales_and_say_their_source():
    made = dimension_timeline()
    page = page_of(made)
    assert "the whole recording, every 0.2 s" in page.text
    assert "Valence and arousal" in page.text
    assert page.text.count(LEARNED.capitalize()) == 1
    assert f"On average, valence +0.28 and arousal +0.10 ({LEARNED}); dominance 3.90" in page.text
    assert "On a scale from 1 to 7." in page.text
    assert "Predicted by the model." in page.text
    assert "robabilit" not in page.text
    assert len([a for a in page.all("div") if a.get("class") == "plot lines"]) == 2
    assert not [a for a in page.all("div") if a.get("class") == "plot stack"]
    scales = re.findall(
        r'class="scale"><span>(.*?)</span><span>(.*?)</span><span>(.*?)<', report.render(made)
    )
    assert scales == [("+1", "0", "−1"), ("7", "4", "1")]


def test_a_chart_stays_inside_its_scale_and_says_so():
    made = dimension_timeline()
    rows = made.frame.assign(dominance=made.frame["dominance"] * 2)
    text = report.render(Timeline(rows, made.metadata))
    assert "values beyond the scale are drawn on its edge" in text
    assert "beyond the scale" not in report.render(made)


def test_dimensions_without_a_scale_are_drawn_from_lowest_to_highest():
    made = dimension_timeline()
    unknown = dict.fromkeys(
        made.metadata.dimensions, Dimension(source="unknown", low=None, high=None)
    )
    text = report.render(
        Timeline(made.frame, made.metadata.model_copy(update={"dimensions": unknown}))
    )
    assert "no scale is known" in text
    lowest = made.frame[list(unknown)].min().min()
    assert f"<span>{lowest:+.3g}".replace("-", "−") in text


def test_nothing_observed_of_dimensions_is_said():
    made = dimension_timeline()
    rows = made.frame.assign(video=False, valence=np.nan, arousal=np.nan, dominance=np.nan)
    page = page_of(Timeline(rows, made.metadata))
    assert "Nothing was observed, so there is no estimate." in page.text
    assert not re.search(r"\bnan\b", page.text.lower())


def test_more_dimensions_than_lines_make_more_charts():
    made = dimension_timeline()
    names = [f"rating {number}" for number in range(8)]
    rows = made.frame[["file", "person", "start", "end", "video"]].copy()
    for name in names:
        rows[name] = made.frame["valence"]
    dimensions = dict.fromkeys(names, Dimension())
    page = page_of(Timeline(rows, made.metadata.model_copy(update={"dimensions": dimensions})))
    assert len([a for a in page.all("div") if a.get("class") == "plot lines"]) == 2


# --- parts ----------------------------------------------------------------------------------------


def test_gather_averages_over_what_was_observed():
    rows = frame(steps=8, gap=range(2, 3))
    series = gather(rows, metadata(), duration=4.0, limit=4)
    assert series.merged == 2
    assert series.start.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert series.end.tolist() == [1.0, 2.0, 3.0, 4.0]
    anger = series.probabilities[:, EMOTIONS.index("anger")]
    assert anger[0] == pytest.approx(rows["p_anger"][:2].mean())
    assert anger[1] == pytest.approx(rows["p_anger"][3])
    assert series.present["video"].tolist() == [1.0, 0.5, 1.0, 1.0]
    assert series.present["audio"].tolist() == [0.5, 0.0, 0.5, 0.5]


def test_gather_keeps_times_without_rows_empty():
    rows = frame(steps=8, gap=range(0)).iloc[4:]
    series = gather(rows, metadata(), duration=6.0, limit=100)
    assert len(series.start) == 12
    stretches = list(series.stretches(series.probabilities))
    assert stretches == [slice(4, 8)]


@pytest.mark.parametrize("duration", [0.1, 0.4, 1.2, 6.0, 61.0, 599.9, 3600.0, 90000.0])
def test_ticks_are_few_and_inside(duration):
    ticks = charts.choose_ticks(duration)
    assert 1 <= len(ticks) <= 10
    assert ticks[0] == (0.0, "0:00")
    assert all(0 <= time <= duration for time, _ in ticks)


@pytest.mark.parametrize(
    ("time", "text"), [(0, "0:00"), (59.96, "1:00"), (61.5, "1:01.5"), (3723, "1:02:03")]
)
def test_clock(time, text):
    assert charts.format_clock(time) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [(0, "0.0 s"), (59.9, "59.9 s"), (59.96, "1 min 0 s"), (90, "1 min 30 s"), (7500, "2 h 5 min")],
)
def test_lengths_of_time(time, text):
    assert words.format_seconds(time).replace("\xa0", " ") == text


@pytest.mark.parametrize(
    ("person", "label"),
    [("1", "Person 1"), ("B", "Person B"), ("Ada", "Ada"), ("voice", "Voice without a known face")],
)
def test_people_have_names(person, label):
    assert words.name_person(person) == label


def test_close_means_are_not_ranked():
    row = {"seconds": 3.0, "p_neutral": 0.33, "p_anger": 0.3, "p_sadness": 0.2, "p_happiness": 0.17}
    assert words.write_lead(row, metadata()) == "Between neutral (0.33) and anger (0.30)."
    row |= {"p_neutral": 0.41, "p_anger": 0.22}
    assert words.write_lead(row, metadata()) == "Mostly neutral (0.41), then anger (0.22)."


def test_elements_escape_texts_and_refuse_early_ends():
    text = document(element("p", "a<b", element("b", "&"), "c>d", title='"<'))
    assert '<p title="&quot;<">a&lt;b<b>&amp;</b>c&gt;d</p>' in text
    with pytest.raises(ValueError, match="must hold neither"):
        raw("script", "x</script>")
