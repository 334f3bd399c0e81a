"""Timelines as captions (WebVTT) and as tiers of annotation (TextGrid).

Both tell of stretches in which a person's most probable emotion stays the same, and both belong to
one recording.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

import pandas as pd

from mien.errors import OptionError
from mien.timeline import Timeline


class Interval(NamedTuple):
    """A stretch of a tier; times are milliseconds, so that neighbours meet exactly."""

    start: int
    end: int
    text: str


def write_vtt(timeline: Timeline, file: BinaryIO) -> None:
    """Write captions (W3C WebVTT): ``<v person>emotion confidence``, in order of time.

    The confidence is the mean over the stretch.

    Raises:
        OptionError: the timeline holds several recordings.
    """
    name = _only_recording(timeline)
    runs = sorted(timeline.runs(), key=lambda run: (run.start, run.end))
    blocks = [
        "WEBVTT",
        f"NOTE {_escaped(f'{name}, read by mien, model {timeline.metadata.model}')}",
    ]
    for run in runs:
        start, end = _milliseconds(run.start), _milliseconds(run.end)
        if start < end:
            text = f"<v {_escaped(run.person)}>{run.emotion} {run.confidence:.2f}"
            blocks.append(f"{_clock(start)} --> {_clock(end)}\n{text}")
    file.write(("\n\n".join(blocks) + "\n").encode())


def _clock(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{thousandths:03d}"


def _escaped(text: str) -> str:
    """Text without markup and in one line."""
    return html.escape(_one_line(text), quote=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def write_textgrid(timeline: Timeline, file: BinaryIO) -> None:
    """Write a TextGrid (Praat's long text format, UTF-8), which Praat and ELAN open.

    Three tiers a person: ``PERSON emotion``, ``PERSON face`` and ``PERSON voice``. Intervals cover
    the whole recording; empty ones are those in which nothing was observed.

    Raises:
        OptionError: the timeline holds several recordings.
    """
    name = _only_recording(timeline)
    ends = [timeline.metadata.recordings[name].duration, *timeline.frame["end"]]
    last = max(1, *(_milliseconds(end) for end in ends))
    tiers = _tiers(timeline) or [("emotion", [])]
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_decimal(last)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (title, intervals) in enumerate(tiers, start=1):
        lines += _tier_lines(number, title, _filled(intervals, last))
    file.write(("\n".join(lines) + "\n").encode())


def _tiers(timeline: Timeline) -> list[tuple[str, list[Interval]]]:
    runs = timeline.runs()
    tiers = []
    for person, rows in timeline.frame.groupby("person", sort=False):
        emotions = [
            Interval(_milliseconds(run.start), _milliseconds(run.end), run.emotion)
            for run in runs
            if run.person == person
        ]
        tiers.append((f"{person} emotion", emotions))
        tiers.append((f"{person} face", _presence(rows[rows["video"]], "face")))
        tiers.append((f"{person} voice", _presence(rows[rows["audio"]], "voice")))
    return tiers


def _presence(rows: pd.DataFrame, text: str) -> list[Interval]:
    merged: list[Interval] = []
    for begin, finish in zip(rows["start"], rows["end"], strict=True):
        start, end = _milliseconds(begin), _milliseconds(finish)
        if merged and merged[-1].end == start:
            start = merged.pop().start
        merged.append(Interval(start, end, text))
    return merged


def _filled(intervals: Iterable[Interval], last: int) -> list[Interval]:
    """Intervals that cover everything from 0 to the last millisecond, empty ones between."""
    filled = []
    reached = 0
    for interval in intervals:
        if interval.start > reached:
            filled.append(Interval(reached, interval.start, ""))
        if interval.end > max(reached, interval.start):
            filled.append(interval)
            reached = interval.end
    if reached < last:
        filled.append(Interval(reached, last, ""))
    return filled


def _tier_lines(number: int, title: str, intervals: list[Interval]) -> list[str]:
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f"        name = {_quoted(title)}",
        "        xmin = 0",
        f"        xmax = {_decimal(intervals[-1].end)}",
        f"        intervals: size = {len(intervals)}",
    ]
    for index, interval in enumerate(intervals, start=1):
        lines += [
            f"        intervals [{index}]:",
            f"            xmin = {_decimal(interval.start)}",
            f"            xmax = {_decimal(interval.end)}",
            f"            text = {_quoted(interval.text)}",
        ]
    return lines


def _quoted(text: str) -> str:
    return '"' + _one_line(text).replace('"', '""') + '"'


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _decimal(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _only_recording(timeline: Timeline) -> str:
    names = list(timeline.metadata.recordings)
    if len(names) != 1:
        raise OptionError(
            f"this format holds one recording, the timeline holds {len(names)}",
            advice="save each recording by itself, or choose csv, parquet, json or html",
        )
    return names[0]
