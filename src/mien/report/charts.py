"""Charts as SVG that stretches with the page; words and numbers beside them stay HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mien.report.elements import Element, element
from mien.report.series import ChartSeries, Floats

_WIDTH = 3000
_HEIGHT = 1000
_TICK_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)


def draw_area(series: ChartSeries, tones: Sequence[str], *, label: str) -> Element:
    """Draw probabilities over time, the first label at the bottom; gaps stay empty.

    Args:
        series: what to draw.
        tones: the class of each label's colour, in the labels' order.
        label: what the picture shows, for those who do not see it.
    """
    tops = np.cumsum(series.probabilities, axis=1)
    paths = []
    # From the top band down: each is drawn to the floor and covered by the next.
    for index in reversed(range(len(tones))):
        lines = [
            f"{_line(series, stretch, 1 - tops[:, index])}V{_HEIGHT}H{_x(series, stretch)[0]}Z"
            for stretch in series.stretches(series.probabilities)
        ]
        paths.append(element("path", class_=f"area {tones[index]}", d="".join(lines)))
    return _picture(paths, label)


def draw_lines(
    series: ChartSeries, tones: Mapping[str, str], scale: tuple[float, float], *, label: str
) -> Element:
    """Draw dimensions over time; gaps stay empty, values beyond the scale lie on its edge.

    Args:
        series: what to draw.
        tones: the class of each dimension's line, by name.
        scale: the value at the bottom and the one at the top.
        label: what the picture shows, for those who do not see it.
    """
    low, high = scale
    seen = "".join(
        f"M{_x(series, stretch)[0]} 0H{_x(series, stretch)[-1]}V{_HEIGHT}H{_x(series, stretch)[0]}Z"
        for stretch in series.stretches(np.where(series.seen > 0, 1.0, np.nan))
    )
    paths = [
        element("path", class_="seen", d=seen),
        element("path", class_="middle", d=f"M0 {_HEIGHT // 2}H{_WIDTH}"),
    ]
    for name, tone in tones.items():
        depth = np.clip((high - series.dimensions[name]) / (high - low), 0, 1)
        lines = [_line(series, stretch, depth) for stretch in series.stretches(depth)]
        paths.append(element("path", class_=f"line {tone}", d="".join(lines)))
    return _picture(paths, label)


def draw_presence(series: ChartSeries, present: Floats, *, label: str) -> Element:
    """Draw a bar where something was there; lower where it was so for a part of the point only."""
    parts = []
    edges = np.flatnonzero(np.diff(present, prepend=np.nan, append=np.nan) != 0)
    for first, after in pairwise(edges.tolist()):
        if present[first] > 0:
            left, right = (_across(series, x) for x in (series.start[first], series.end[after - 1]))
            parts.append(
                f"M{left} {_HEIGHT}V{round(_HEIGHT * (1 - present[first]))}H{right}V{_HEIGHT}Z"
            )
    return _picture([element("path", d="".join(parts))], label)


def _picture(content: Sequence[Element], label: str) -> Element:
    return element(
        "svg",
        *content,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def _across(series: ChartSeries, time: float) -> int:
    return round(_WIDTH * time / series.duration)


def _x(series: ChartSeries, stretch: slice) -> list[int]:
    """Return the left edge, the middle of every point, and the right edge."""
    start, end = series.start[stretch], series.end[stretch]
    times = [start[0], *(start + end) / 2, end[-1]]
    return [_across(series, time) for time in times]


def _line(series: ChartSeries, stretch: slice, depth: Floats) -> str:
    """Draw a path through the points of a stretch; depth is 0 at the top and 1 at the bottom."""
    values = depth[stretch]
    x = _x(series, stretch)
    y = [round(_HEIGHT * value) for value in (values[0], *values, values[-1])]
    steps = zip(np.diff(x).tolist(), np.diff(y).tolist(), strict=True)
    return f"M{x[0]} {y[0]}l" + " ".join(f"{right} {down}" for right, down in steps).replace(
        " -", "-"
    )


def place_names(series: ChartSeries, tones: Mapping[str, str]) -> list[Element]:
    """Write each label where its band is widest, if it is wide enough anywhere."""
    tops = np.cumsum(series.probabilities, axis=1)
    count = len(tops)
    reach = max(1, round(0.05 * count))
    if count <= 2 * reach:
        return []
    names = []
    for index, (name, tone) in enumerate(tones.items()):
        ceiling = tops[:, index]
        floor = ceiling - series.probabilities[:, index]
        lowest = sliding_window_view(floor, 2 * reach + 1).max(axis=1)
        highest = sliding_window_view(ceiling, 2 * reach + 1).min(axis=1)
        room = np.nan_to_num(highest - lowest)
        best = int(room.argmax())
        if room[best] < 0.1:
            continue
        middle = best + reach
        left = (series.start[middle] + series.end[middle]) / 2 / series.duration
        top = 1 - (highest[best] + lowest[best]) / 2
        style = f"left:{100 * left:.2f}%;top:{100 * top:.1f}%"
        names.append(element("span", name, class_=f"band {tone}", style=style))
    return names


def choose_ticks(duration: float) -> list[tuple[float, str]]:
    """Choose at most ten round times from 0 to the duration, with their labels."""
    step = next((step for step in _TICK_STEPS if duration / step <= 9.5), 86400)
    times = np.arange(0, duration + 1e-6, step)
    return [(float(time), format_clock(float(time))) for time in times]


def format_clock(seconds: float) -> str:
    """Write a time as ``1:02:03`` or ``2:03``; with a decimal where it has one."""
    tenths = round(seconds * 10)
    whole, tenth = divmod(tenths, 10)
    fraction = f".{tenth}" if tenth else ""
    hours, minutes = whole // 3600, whole // 60 % 60
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{whole % 60:02d}{fraction}"
