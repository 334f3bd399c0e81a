"""Timelines as captions (WebVTT) and as tiers of annotation (TextGrid).

Of a model with labels, both tell of stretches in which a person's most probable label stays the
same; of a model of dimensions only, of averages over about a second each. Both belong to one
recording.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

import pandas as pd

from mien.errors import OptionError
from mien.formats._registry import Format, register_format
from mien.timeline import Timeline

_AVERAGED_S = 1.0  # shorter captions cannot be read


class Interval(NamedTuple):
    """A stretch of a tier; times are milliseconds, so that neighbours meet exactly."""

    start: int
    end: int
    text: str


class _Caption(NamedTuple):
    """What is said of a person in a stretch of time; seconds."""

    start: float
    end: float
    person: str
    text: str


def write_vtt(timeline: Timeline, file: BinaryIO) -> None:
    """Write captions (W3C WebVTT), in order of time: ``<v person>label confidence``.

    The confidence is averaged over the stretch. Of dimensions only: ``<v person>name value, …``.

    Raises:
        OptionError: the timeline holds several recordings.
    """
    name = _only_recording(timeline)
    blocks = [
        "WEBVTT",
        f"NOTE {_escape(f'{name}, read by mien, model {timeline.metadata.model}')}",
    ]
    for caption in sorted(_captions(timeline), key=lambda caption: caption[:2]):
        start, end = _milliseconds(caption.start), _milliseconds(caption.end)
        if start < end:
            text = f"<v {_escape(caption.person)}>{_escape(caption.text)}"
            blocks.append(f"{_clock(start)} --> {_clock(end)}\n{text}")
    file.write(("\n\n".join(blocks) + "\n").encode())


def _captions(timeline: Timeline) -> list[_Caption]:
    if timeline.metadata.labels:
        return [
            _Caption(one.start, one.end, one.person, f"{one.emotion} {one.confidence:.2f}")
            for one in timeline.segments()
        ]
    averages = _averages(timeline)
    names = list(timeline.metadata.dimensions)
    texts = [
        ", ".join(f"{name} {value:z.2f}" for name, value in zip(names, values, strict=True))
        for values in averages[names].to_numpy(float)
    ]
    spans = zip(averages["start"], averages["end"], averages["person"], texts, strict=True)
    return [_Caption(start, end, person, text) for start, end, person, text in spans]


def _averages(timeline: Timeline) -> pd.DataFrame:
    """Average the dimensions over observed steps that follow one another, about a second each.

    Returns:
        ``person``, ``start``, ``end`` and a column for each dimension.
    """
    names = list(timeline.metadata.dimensions)
    rows = timeline.frame[timeline.observed]
    gap = (rows["start"] - rows.groupby("person", sort=False)["end"].shift()).abs().gt(1e-3)
    keys = [rows["person"], gap.cumsum(), (rows["start"] + 1e-6) // _AVERAGED_S]
    groups = rows.groupby(keys, sort=False)
    averages = groups[names].mean()
    averages["start"], averages["end"] = groups["start"].min(), groups["end"].max()
    averages["person"] = groups["person"].first()
    return averages.reset_index(drop=True)


def _clock(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{thousandths:03d}"


def _escape(text: str) -> str:
    """Text without markup and in one line."""
    return html.escape(_one_line(text), quote=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def write_textgrid(timeline: Timeline, file: BinaryIO) -> None:
    """Write a TextGrid (Praat's long text format, UTF-8), which Praat and ELAN open.

    Tiers of each person: ``PERSON emotion``, or one for each dimension of a model that has no
    labels; then one for each modality, ``PERSON face`` and ``PERSON voice``. Intervals cover the
    whole recording; empty ones are those in which nothing was observed.

    Raises:
        OptionError: the timeline holds several recordings.
    """
    name = _only_recording(timeline)
    ends = [timeline.metadata.recordings[name].duration, *timeline.frame["end"]]
    last = max(1, *(_milliseconds(end) for end in ends))
    tiers = _tiers(timeline) or [("nobody", [])]
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
        lines += _tier_lines(number, title, _fill(intervals, last))
    file.write(("\n".join(lines) + "\n").encode())


def _tiers(timeline: Timeline) -> list[tuple[str, list[Interval]]]:
    metadata = timeline.metadata
    scores = _scores(timeline)
    tiers = []
    for person, rows in timeline.frame.groupby("person", sort=False):
        for title, table in scores.items():
            own = table[table["person"] == person]
            columns = (own["start"], own["end"], own["text"])
            intervals = [
                Interval(_milliseconds(start), _milliseconds(end), text)
                for start, end, text in zip(*columns, strict=True)
            ]
            tiers.append((f"{person} {title}", intervals))
        for modality in metadata.modalities:
            evidence = metadata.evidence(modality)
            tiers.append((f"{person} {evidence}", _presence(rows[rows[modality]], evidence)))
    return tiers


def _scores(timeline: Timeline) -> dict[str, pd.DataFrame]:
    """By title of a tier: ``person``, ``start``, ``end`` and ``text`` of its intervals."""
    if timeline.metadata.labels:
        columns = ("file", "person", "start", "end", "text", "confidence")
        return {"emotion": pd.DataFrame(timeline.segments(), columns=columns)}
    averages = _averages(timeline)
    return {
        name: averages.assign(text=[f"{value:z.2f}" for value in averages[name]])
        for name in timeline.metadata.dimensions
    }


def _presence(rows: pd.DataFrame, text: str) -> list[Interval]:
    merged: list[Interval] = []
    for begin, finish in zip(rows["start"], rows["end"], strict=True):
        start, end = _milliseconds(begin), _milliseconds(finish)
        if merged and merged[-1].end == start:
            start = merged.pop().start
        merged.append(Interval(start, end, text))
    return merged


def _fill(intervals: Iterable[Interval], last: int) -> list[Interval]:
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


register_format("vtt", Format(".vtt", "captions for a video player", write_vtt))
register_format("textgrid", Format(".TextGrid", "tiers for Praat and ELAN", write_textgrid))
