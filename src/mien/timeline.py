"""What was read from recordings: one row per person and time step, and how it came about.

A model looks at windows that are longer than the distance between them. Each row stands for the
step at the middle of its window, so the rows of one person follow one another without overlap.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mien import formats, schema
from mien._frame import SLACK, check_frame
from mien.metadata import Dimension, Metadata, RecordingInfo

__all__ = [
    "Dimension",
    "Metadata",
    "RecordingInfo",
    "Segment",
    "Thumbnail",
    "Timeline",
    "read",
    "readable_name",
]


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a tracked person.

    Attributes:
        time: seconds from the start of the recording.
        jpeg: the picture, a JPEG file's bytes.
    """

    time: float
    jpeg: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.jpeg.startswith(b"\xff\xd8\xff"):
            raise ValueError(f"the thumbnail at {self.time} s is not a JPEG picture")


def readable_name(path: str | os.PathLike[str]) -> str:
    r"""Turn a path into text that every format can hold.

    File names are bytes on some systems; those that are no UTF-8 become ``\xff``-like escapes.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Segment(NamedTuple):
    """A stretch in which a person's most probable label stays the same.

    Attributes:
        file: the recording.
        person: who.
        start: seconds.
        end: seconds.
        emotion: the most probable label.
        confidence: its probability, averaged over the stretch.
    """

    file: str
    person: str
    start: float
    end: float
    emotion: str
    confidence: float


@dataclass(frozen=True, eq=False, repr=False)
class Timeline:
    """Emotion over time for every person of one or more recordings.

    Attributes:
        frame: one row per person and step of one hop, with exactly the columns of
            `Metadata.columns`. ``start`` and ``end`` are seconds from the start of the recording. A
            boolean column for each modality says whether it was observed in the step. Of a model
            with labels: ``emotion``, the most probable label, its probability ``confidence``, and
            ``p_<label>`` for each, from 0 to 1; one column for each dimension, on the scale that
            the metadata gives. Where nothing was observed, these are missing. Where the model looks
            at faces: the box in fractions of the picture, and ``face_quality`` from 0 to 1. Text
            columns have pandas' ``string`` type.
        metadata: how it came about.
        thumbnails: small pictures by file and person. Kept in memory and shown on the HTML page;
            no table format holds them.

    Raises:
        ValueError: the frame breaks one of these promises; the text says which column and row.
    """

    frame: pd.DataFrame
    metadata: Metadata
    thumbnails: Mapping[tuple[str, str], tuple[Thumbnail, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", check_frame(self.frame, self.metadata))
        people = set(zip(self.frame["file"], self.frame["person"], strict=True))
        unknown = sorted(set(self.thumbnails) - people)
        if unknown:
            raise ValueError(f"thumbnails of somebody who is not in the frame: {unknown[0]}")

    @classmethod
    def concat(cls, timelines: Iterable[Timeline]) -> Timeline:
        """Put together the timelines of several recordings that were analysed in the same way.

        Raises:
            ValueError: none is given, two hold the same file, or they were made differently.
        """
        parts = list(timelines)
        if not parts:
            raise ValueError("there is no timeline to put together")
        settings = [part.metadata.model_dump(exclude={"recordings"}) for part in parts]
        for name, value in settings[0].items():
            if any(other[name] != value for other in settings):
                raise ValueError(f"the timelines differ in {name}")
        recordings: dict[str, RecordingInfo] = {}
        for part in parts:
            twice = sorted(set(recordings) & set(part.metadata.recordings))
            if twice:
                raise ValueError(f"{twice[0]} is in two of the timelines")
            recordings |= part.metadata.recordings
        return cls(
            pd.concat([part.frame for part in parts], ignore_index=True),
            parts[0].metadata.model_copy(update={"recordings": recordings}),
            {key: pictures for part in parts for key, pictures in part.thumbnails.items()},
        )

    @property
    def observed(self) -> pd.Series:
        """Whether any modality was observed, by row of the frame."""
        return self.frame[list(self.metadata.modalities)].any(axis=1)

    def summary(self) -> pd.DataFrame:
        """Average over the whole recording, one row per file and person.

        Returns:
            ``file``, ``person``, ``start`` of the first and ``end`` of the last row; of a model
            with labels ``emotion``, that of the highest mean probability, and ``confidence``, that
            mean; averages over the observed steps of ``p_…``, of each dimension and of
            ``face_quality`` where there are faces; ``<modality>_seconds`` for each modality and
            ``seconds`` for any of them: for how long it was observed. Times in seconds.
        """
        columns = _summary_columns(self.metadata)
        rows = [
            {"file": file, "person": person, **_summarise(steps, self.metadata)}
            for (file, person), steps in self.frame.groupby(["file", "person"], sort=False)
        ]
        summary = pd.DataFrame(rows, columns=columns)
        kinds = {n: "string" if n in schema.TEXT_COLUMNS else "float64" for n in columns}
        return summary.astype(kinds)

    def segments(self) -> list[Segment]:
        """List stretches in which a person's most probable label stays the same, by person.

        Where nothing was observed there is none, and a model of dimensions only has none at all.
        ``pandas.DataFrame(timeline.segments())`` is a table.
        """
        if not self.metadata.labels:
            return []
        seen = self.frame[self.frame["emotion"].notna()]
        return [
            segment
            for (file, person), steps in seen.groupby(["file", "person"], sort=False)
            for segment in _segments(str(file), str(person), steps)
        ]

    def save(self, path: str | Path, *, format: str | None = None) -> None:  # noqa: A002
        """Write the timeline to a file, whole or not at all.

        Args:
            path: where to; an existing file is replaced.
            format: a name of `mien.formats.FORMATS`; without it, the suffix decides.

        Raises:
            OptionError: unknown format, or one that cannot hold several recordings.
            OutputError: the file could not be written.
        """
        formats.write(self, path, format=format)

    def __repr__(self) -> str:
        people = len(self.summary())
        seen = int(self.observed.sum())
        hop = f" of {self.metadata.hop:g} s" if self.metadata.hop else ""
        return (
            f"Timeline({_count(len(self.metadata.recordings), 'recording')}, "
            f"{_count(people, 'person', 'people')}, {_count(len(self.frame), 'step')}{hop}, "
            f"{seen} observed, model {self.metadata.model})"
        )

    def _repr_html_(self) -> str:
        table = self.summary().to_html(index=False, na_rep="", float_format="{:.2f}".format)
        return f"<p>{escape(repr(self))}</p>{table}"


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def _summary_columns(metadata: Metadata) -> list[str]:
    best = ("emotion", "confidence") if metadata.labels else ()
    return [
        *("file", "person", "start", "end"),
        *best,
        *map(schema.probability_column, metadata.labels),
        *metadata.dimensions,
        *map(schema.seconds_column, metadata.modalities),
        "seconds",
        *(("face_quality",) if metadata.faces else ()),
    ]


def _summarise(steps: pd.DataFrame, metadata: Metadata) -> dict[str, object]:
    observed = steps[list(metadata.modalities)]
    anything = observed.any(axis=1)
    probabilities = {label: schema.probability_column(label) for label in metadata.labels}
    scores = [*probabilities.values(), *metadata.dimensions]
    seen = steps.loc[anything, [*scores, *(("face_quality",) if metadata.faces else ())]]
    means = dict(seen.mean())
    length = steps["end"] - steps["start"]
    row: dict[str, object] = {"start": steps["start"].iloc[0], "end": steps["end"].iloc[-1]}
    if metadata.labels and anything.any():
        best = max(metadata.labels, key=lambda label: means[probabilities[label]])
        row |= {"emotion": best, "confidence": means[probabilities[best]]}
    seconds = {
        schema.seconds_column(name): length[observed[name]].sum() for name in metadata.modalities
    }
    return row | means | seconds | {"seconds": length[anything].sum()}


def _segments(file: str, person: str, steps: pd.DataFrame) -> Iterator[Segment]:
    start, end = steps["start"].to_numpy(float), steps["end"].to_numpy(float)
    emotion = steps["emotion"].to_numpy(object)
    goes_on = (emotion[1:] == emotion[:-1]) & (np.abs(start[1:] - end[:-1]) <= SLACK)
    firsts = np.flatnonzero(np.concatenate([[True], ~goes_on]))
    lengths = np.diff(firsts, append=len(steps))
    confidence = np.add.reduceat(steps["confidence"].to_numpy(float), firsts) / lengths
    for first, length, mean in zip(firsts, lengths, confidence, strict=True):
        last = first + length - 1
        span = float(start[first]), float(end[last])
        yield Segment(file, person, *span, emotion[first], float(mean))


def read(path: str | Path, *, format: str | None = None) -> Timeline:  # noqa: A002
    """Read back a timeline that `Timeline.save` has written; see `mien.formats.read`."""
    timeline: Timeline = formats.read(path, format=format)
    return timeline
