"""The charts of one person, one above the other on one axis of time."""

from __future__ import annotations

import base64
import json

import numpy as np

from mien import schema
from mien._report import charts, words
from mien._report.elements import Element, element, raw
from mien._report.series import Floats, Series, gather
from mien._report.words import Row
from mien.timeline import Metadata, Thumbnail, Timeline

_PICTURE = 0.08  # of the axis; the style draws them no wider


def figure(row: Row, timeline: Timeline, limit: int) -> Element:
    """The charts of one person in one recording.

    Args:
        row: the person's row of `mien.timeline.Timeline.summary`.
        timeline: where it is from.
        limit: the most points that a chart may have.
    """
    frame = timeline.frame
    rows = frame[(frame["file"] == row["file"]) & (frame["person"] == row["person"])]
    metadata = timeline.metadata
    recording = metadata.recordings[row["file"]]
    series = gather(rows, metadata.emotions, duration=recording.duration, limit=limit)
    pictures = timeline.thumbnails.get((row["file"], row["person"]), ())
    who = words.person_label(row["person"])
    return element(
        "figure",
        _thumbnails(pictures, series, who),
        *_emotion_row(row, series, metadata, who),
        *_dimension_row(row, series, metadata, who),
        _presence_row("Face", schema.VIDEO, row, series, metadata),
        _presence_row("Voice", schema.AUDIO, row, series, metadata),
        _axis(series),
        _merged_note(series),
        raw("script", _data(series, metadata), type="application/json"),
        class_="chart" if series.merged == 1 else "chart merged",
    )


def _thumbnails(pictures: tuple[Thumbnail, ...], series: Series, who: str) -> Element | None:
    chosen: list[Thumbnail] = []
    reached = 0.0
    for picture in sorted(pictures, key=lambda picture: picture.time):
        # The page keeps pictures inside the axis, so those near its ends are moved inwards.
        middle = min(max(picture.time / series.duration, _PICTURE / 2), 1 - _PICTURE / 2)
        if middle - _PICTURE / 2 >= reached:
            chosen.append(picture)
            reached = middle + _PICTURE / 2
    if not chosen:
        return None
    images = [
        element(
            "img",
            src=f"data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}",
            alt=f"{who} at {charts.clock(picture.time)}",
            style=f"--at:{100 * picture.time / series.duration:.2f}%",
        )
        for picture in chosen
    ]
    return element("div", *images, class_="plot pictures")


def _emotion_row(row: Row, series: Series, metadata: Metadata, who: str) -> list[Element]:
    emotions = metadata.emotions
    label = f"Emotion probabilities of {who} over time. {words.lead(row, emotions)}"
    entries = [
        _entry(emotion, f"{row[schema.probability_column(emotion)]:.2f}", f"swatch {emotion}")
        for emotion in reversed(emotions)
    ]
    return [
        element("h3", "Emotion probabilities"),
        _scale("1", "0.5", "0"),
        element(
            "div",
            charts.stacked_area(series, emotions, label=label),
            *charts.band_names(series, emotions),
            class_="plot stack",
        ),
        _legend(entries),
    ]


def _dimension_row(row: Row, series: Series, metadata: Metadata, who: str) -> list[Element]:
    origins = {name: metadata.dimensions[name] for name in schema.DIMENSIONS}
    sentence = words.dimensions_sentence(row, metadata) or "There is no estimate."
    label = f"Arousal and valence of {who} over time, from −1 to 1. {sentence}"
    entries = [_entry(name, words.signed(row[name]), f"swatch {name}") for name in origins]
    # The source in full stands once, under "How to read this page".
    origin = "; ".join(sorted({text.partition(":")[0] for text in origins.values()}))
    return [
        element("h3", "Arousal and valence ", element("small", origin)),
        _scale("+1", "0", "−1"),
        element("div", charts.dimension_lines(series, label=label), class_="plot lines"),
        _legend(entries),
    ]


def _scale(*labels: str) -> Element:
    return element("div", *(element("span", label) for label in labels), class_="scale")


def _legend(entries: list[Element]) -> Element:
    return element(
        "div",
        element("p", "Mean", class_="moment"),
        element("ul", *entries),
        class_="legend",
    )


def _entry(name: str, value: str, swatch: str) -> Element:
    return element(
        "li",
        element("i", class_=swatch),
        element("span", name),
        element("span", value, class_="value", data_series=name),
    )


def _presence_row(
    title: str, modality: str, row: Row, series: Series, metadata: Metadata
) -> Element:
    recording = metadata.recordings[row["file"]]
    absent = words.absence(modality, metadata, recording)
    share = series.face if modality == schema.VIDEO else series.voice
    total = words.seconds(row["face_seconds" if modality == schema.VIDEO else "voice_seconds"])
    label = f"When the {title.lower()} was there: {absent or total}"
    return element(
        "div",
        element("span", title, class_="track-name"),
        element(
            "div", charts.presence_bar(series, share, label=label), class_=f"plot track {modality}"
        ),
        element("span", absent or total, class_="value", data_series=None if absent else modality),
        class_="presence",
    )


def _axis(series: Series) -> Element:
    ticks = charts.time_ticks(series.duration)
    return element(
        "div",
        *(
            element(
                "span",
                label,
                style=f"left:{100 * time / series.duration:.2f}%",
                class_="last" if time > 0.95 * series.duration else None,
            )
            for time, label in ticks
        ),
        class_="axis",
        aria_hidden="true",
    )


def _merged_note(series: Series) -> Element | None:
    if series.merged == 1:
        return None
    length = words.seconds(float(np.median(series.end - series.start)))
    text = (
        f"Each point is the mean of {series.merged} steps ({length}); the bars are as high as the "
        "share of that time."
    )
    return element("figcaption", text)


def _data(series: Series, metadata: Metadata) -> str:
    """The charts' numbers in thousandths, for the cursor."""
    values = dict(zip(metadata.emotions, series.probabilities.T, strict=True))
    values |= series.dimensions
    values |= {schema.VIDEO: series.face, schema.AUDIO: series.voice}
    return json.dumps(
        {
            "duration": series.duration,
            "start": _thousandths(series.start),
            "end": _thousandths(series.end),
            "values": {name: _thousandths(value) for name, value in values.items()},
        },
        separators=(",", ":"),
    )


def _thousandths(values: Floats) -> list[int | None]:
    return [None if np.isnan(value) else round(1000 * value) for value in values.tolist()]
