"""The charts of one person, one above the other on one axis of time."""

from __future__ import annotations

import base64
import json

import numpy as np

from mien import schema
from mien.report import charts, words
from mien.report.elements import Element, element, raw
from mien.report.series import ChartSeries, Floats, gather
from mien.report.tones import LINES, choose_label_tones, choose_line_tones
from mien.report.words import Row
from mien.timeline import Dimension, Metadata, Thumbnail, Timeline

_PICTURE = 0.08  # of the axis; the style draws them no wider


def draw_figure(row: Row, timeline: Timeline, limit: int) -> Element:
    """Draw the charts of one person in one recording.

    Args:
        row: the person's row of `mien.timeline.Timeline.summary`.
        timeline: where it is from.
        limit: the most points that a chart may have.
    """
    frame = timeline.frame
    rows = frame[(frame["file"] == row["file"]) & (frame["person"] == row["person"])]
    metadata = timeline.metadata
    recording = metadata.recordings[row["file"]]
    series = gather(rows, metadata, duration=recording.duration, limit=limit)
    pictures = timeline.thumbnails.get((row["file"], row["person"]), ())
    who = words.name_person(row["person"])
    return element(
        "figure",
        _thumbnails(pictures, series, who),
        *(_label_row(row, series, metadata, who) if metadata.labels else ()),
        *(
            part
            for names, dimension in words.group_dimensions(metadata.dimensions)
            for first in range(0, len(names), LINES)
            for part in _dimension_row(row, series, dimension, names[first : first + LINES], who)
        ),
        *(_presence_row(modality, row, series, metadata) for modality in metadata.modalities),
        _axis(series),
        _merged_note(series),
        raw("script", _data(series, metadata), type="application/json"),
        class_="chart" if series.merged == 1 else "chart merged",
    )


def _thumbnails(pictures: tuple[Thumbnail, ...], series: ChartSeries, who: str) -> Element | None:
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
            alt=f"{who} at {charts.format_clock(picture.time)}",
            style=f"--at:{100 * picture.time / series.duration:.2f}%",
        )
        for picture in chosen
    ]
    return element("div", *images, class_="plot pictures")


def _label_row(row: Row, series: ChartSeries, metadata: Metadata, who: str) -> list[Element]:
    label = f"Probabilities of {who} over time. {words.write_lead(row, metadata)}"
    tones = choose_label_tones(metadata.labels)
    columns = {name: schema.probability_column(name) for name in metadata.labels}
    entries = [
        _entry(name, columns[name], words.format_number(row[columns[name]]), tones[name])
        for name in reversed(metadata.labels)
    ]
    return [
        element("h3", "Probabilities"),
        _scale("1", "0.5", "0"),
        element(
            "div",
            charts.draw_area(series, list(tones.values()), label=label),
            *charts.place_names(series, tones),
            class_="plot stack",
        ),
        _legend(entries),
    ]


def _dimension_row(
    row: Row, series: ChartSeries, dimension: Dimension, names: list[str], who: str
) -> list[Element]:
    low, high = scale = _scale_of(dimension, [series.dimensions[name] for name in names])
    title = words.capitalize(words.join_names(names))
    values = ", ".join(f"{name} {words.format_number(row[name], dimension)}" for name in names)
    ends = [_tick(value, dimension) for value in (high, (low + high) / 2, low)]
    label = f"{title} of {who} over time, from {ends[-1]} to {ends[0]}. On average: {values}."
    tones = choose_line_tones(names)
    entries = [
        _entry(name, name, words.format_number(row[name], dimension), tones[name]) for name in names
    ]
    # The source in full stands once, under "How to read this page".
    origin = words.describe_origin(dimension)
    if not dimension.scale:
        origin = f"{origin}; no scale is known, drawn from the lowest to the highest value"
    elif _beyond(series, names, scale):
        origin = f"{origin}; values beyond the scale are drawn on its edge"
    return [
        element("h3", f"{title} ", element("small", origin)),
        _scale(*ends),
        element("div", charts.draw_lines(series, tones, scale, label=label), class_="plot lines"),
        _legend(entries),
    ]


def _scale_of(dimension: Dimension, drawn: list[Floats]) -> tuple[float, float]:
    if dimension.low is not None and dimension.high is not None:
        return dimension.low, dimension.high
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if not len(values):
        return -1.0, 1.0
    low, high = float(values.min()), float(values.max())
    return (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)


def _beyond(series: ChartSeries, names: list[str], scale: tuple[float, float]) -> bool:
    values = np.concatenate([series.dimensions[name] for name in names])
    values = values[np.isfinite(values)]
    return bool((values < scale[0] - 1e-6).any() or (values > scale[1] + 1e-6).any())


def _tick(value: float, dimension: Dimension) -> str:
    text = f"{value:+.3g}" if words.is_signed(dimension) and value else f"{value:.3g}"
    return text.replace("-", "−")


def _scale(*labels: str) -> Element:
    return element("div", *(element("span", label) for label in labels), class_="scale")


def _legend(entries: list[Element]) -> Element:
    return element(
        "div",
        element("p", "Mean", class_="moment"),
        element("ul", *entries),
        class_="legend",
    )


def _entry(name: str, column: str, value: str, tone: str) -> Element:
    return element(
        "li",
        element("i", class_=f"swatch {tone}"),
        element("span", element("bdi", name), class_="name"),
        element("span", value, class_="value", data_series=column),
    )


def _presence_row(modality: str, row: Row, series: ChartSeries, metadata: Metadata) -> Element:
    title = words.capitalize(metadata.evidence(modality))
    absent = words.explain_absence(modality, metadata, metadata.recordings[row["file"]])
    total = absent or words.format_seconds(row[schema.seconds_column(modality)])
    label = f"When the {metadata.evidence(modality)} was there: {total}"
    bar = charts.draw_presence(series, series.present[modality], label=label)
    return element(
        "div",
        element("span", title, class_="track-name"),
        element("div", bar, class_="plot track"),
        element("span", total, class_="value", data_series=None if absent else modality),
        class_="presence",
    )


def _axis(series: ChartSeries) -> Element:
    ticks = charts.choose_ticks(series.duration)
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


def _merged_note(series: ChartSeries) -> Element | None:
    if series.merged == 1:
        return None
    length = words.format_seconds(float(np.median(series.end - series.start)))
    text = (
        f"Each point is the mean of {series.merged} steps ({length}); the bars are as high as the "
        "fraction of that time."
    )
    return element("figcaption", text)


def _data(series: ChartSeries, metadata: Metadata) -> str:
    """List the charts' numbers in thousandths by column, for the cursor."""
    columns = map(schema.probability_column, metadata.labels)
    values = dict(zip(columns, series.probabilities.T, strict=True))
    values |= series.dimensions | series.present
    text = json.dumps(
        {
            "duration": series.duration,
            "start": _thousandths(series.start),
            "end": _thousandths(series.end),
            "values": {name: _thousandths(value) for name, value in values.items()},
            "dimensions": {name: words.is_signed(d) for name, d in metadata.dimensions.items()},
            "modalities": list(metadata.modalities),
        },
        separators=(",", ":"),
    )
    # A name must not end the script that holds it.
    return text.replace("<", "\\u003c")


def _thousandths(values: Floats) -> list[int | None]:
    return [None if np.isnan(value) else round(1000 * value) for value in values.tolist()]
