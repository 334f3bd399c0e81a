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
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mien import schema

TEXT_COLUMNS = ("file", "person", "emotion")
BOOLEAN_COLUMNS = ("audio", "video")
_UNIT_RANGE = ("confidence", *schema.FACE_BOX, "face_quality")
_SLACK = 1e-6
_SUM_SLACK = 1e-3


class Recording(BaseModel):
    """What is known of one recording.

    Attributes:
        duration: seconds.
        has_audio: the file holds sound.
        has_video: the file holds moving pictures.
        warnings: what went wrong without stopping the analysis, one sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    duration: float = Field(ge=0, allow_inf_nan=False)
    has_audio: bool
    has_video: bool
    warnings: tuple[str, ...] = ()


class Metadata(BaseModel):
    """How a timeline came about.

    Attributes:
        mien_version: the version that made it.
        model: the name of the model.
        emotions: those that the model knows, in the order of the vocabulary.
        window: seconds that each row's scores were computed from; None where a file does not say.
        hop: seconds between two rows of one person; None where a file does not say.
        dimensions: where ``arousal`` and ``valence`` come from: ``predicted``, or a text that
            begins with ``derived``.
        withheld: modalities that were hidden from the model on purpose.
        baseline: features were standardised by each person's own recordings.
        recordings: by the name that the column ``file`` holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mien_version: str
    model: str
    emotions: tuple[str, ...] = Field(min_length=1)
    window: float | None = Field(gt=0, allow_inf_nan=False)
    hop: float | None = Field(gt=0, allow_inf_nan=False)
    dimensions: dict[str, str]
    withheld: tuple[str, ...] = ()
    baseline: bool = False
    recordings: dict[str, Recording]

    @field_validator("emotions")
    @classmethod
    def _known_emotions(cls, emotions: tuple[str, ...]) -> tuple[str, ...]:
        if schema.ordered(emotions) != emotions:
            raise ValueError(f"emotions must be in the order {schema.ordered(emotions)}")
        return emotions

    @field_validator("dimensions")
    @classmethod
    def _known_dimensions(cls, dimensions: dict[str, str]) -> dict[str, str]:
        if set(dimensions) != set(schema.DIMENSIONS):
            raise ValueError(f"dimensions must say where {schema.DIMENSIONS} come from")
        return dimensions

    @field_validator("withheld")
    @classmethod
    def _known_modalities(cls, withheld: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(withheld) - set(schema.MODALITIES))
        if unknown:
            raise ValueError(f"not a modality: {', '.join(unknown)}")
        return withheld

    def derived(self, dimension: str) -> bool:
        """Whether a dimension was computed from the categories rather than predicted."""
        return self.dimensions[dimension].startswith("derived")


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
    r"""A path as text that every format can hold.

    File names are bytes on some systems; those that are no UTF-8 become ``\xff``-like escapes.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Run(NamedTuple):
    """A stretch in which a person's most probable emotion stays the same.

    Attributes:
        file: the recording.
        person: who.
        start: seconds.
        end: seconds.
        emotion: the most probable one.
        confidence: its probability, the mean over the stretch.
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
            `mien.schema.timeline_columns`. ``start`` and ``end`` are seconds from the start of the
            recording; ``audio`` and ``video`` say whether a voice and a face were observed in the
            step; probabilities, ``confidence`` and ``face_quality`` go from 0 to 1, the face box is
            in fractions of the picture, ``arousal`` and ``valence`` go from -1 to 1. Where neither
            was observed, scores are NaN and ``emotion`` is missing. Text columns have pandas'
            ``string`` type.
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
        object.__setattr__(self, "frame", _checked(self.frame, self.metadata))
        people = set(zip(self.frame["file"], self.frame["person"], strict=True))
        unknown = sorted(set(self.thumbnails) - people)
        if unknown:
            raise ValueError(f"thumbnails of somebody who is not in the frame: {unknown[0]}")

    @classmethod
    def concat(cls, timelines: Iterable[Timeline]) -> Timeline:
        """One timeline of several recordings that were analysed in the same way.

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
        recordings: dict[str, Recording] = {}
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

    def summary(self) -> pd.DataFrame:
        """One row per file and person, over the whole recording.

        Returns:
            ``file``, ``person``, ``start`` of the first and ``end`` of the last row; means over the
            observed steps: ``p_…``, ``arousal``, ``valence``, ``face_quality``; ``emotion``, that
            of the highest mean probability, and ``confidence``, that mean; ``face_seconds``,
            ``voice_seconds`` and ``seconds`` with a face, a voice, and either. Times in seconds.
        """
        emotions = self.metadata.emotions
        rows = [
            {"file": file, "person": person, **_summarised(steps, emotions)}
            for (file, person), steps in self.frame.groupby(["file", "person"], sort=False)
        ]
        probabilities = [schema.probability_column(emotion) for emotion in emotions]
        columns = ["file", "person", "start", "end", "emotion", "confidence"]
        columns += [*probabilities, *schema.DIMENSIONS]
        columns += ["face_seconds", "voice_seconds", "seconds", "face_quality"]
        summary = pd.DataFrame(rows, columns=columns)
        numbers = {name: "float64" for name in columns if name not in TEXT_COLUMNS}
        return summary.astype(dict.fromkeys(TEXT_COLUMNS, "string") | numbers)

    def runs(self) -> list[Run]:
        """Stretches in which a person's most probable emotion stays the same, person by person.

        Where nothing was observed there is none. ``pandas.DataFrame(timeline.runs())`` is a table.
        """
        seen = self.frame[self.frame["emotion"].notna()]
        return [
            run
            for (file, person), steps in seen.groupby(["file", "person"], sort=False)
            for run in _runs(str(file), str(person), steps)
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
        from mien import formats  # noqa: PLC0415 - formats stand on timelines

        formats.write(self, path, format=format)

    def __repr__(self) -> str:
        people = len(self.summary())
        seen = int(self.frame["emotion"].notna().sum())
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


def _summarised(steps: pd.DataFrame, emotions: tuple[str, ...]) -> dict[str, object]:
    seen = steps[steps["audio"] | steps["video"]]
    means = {emotion: seen[schema.probability_column(emotion)].mean() for emotion in emotions}
    emotion = None if seen.empty else max(emotions, key=lambda name: means[name])
    length = steps["end"] - steps["start"]
    return {
        "start": steps["start"].iloc[0],
        "end": steps["end"].iloc[-1],
        "emotion": emotion,
        "confidence": np.nan if emotion is None else means[emotion],
        **{schema.probability_column(name): mean for name, mean in means.items()},
        **{name: seen[name].mean() for name in (*schema.DIMENSIONS, "face_quality")},
        "face_seconds": length[steps["video"]].sum(),
        "voice_seconds": length[steps["audio"]].sum(),
        "seconds": length[steps["audio"] | steps["video"]].sum(),
    }


def _runs(file: str, person: str, steps: pd.DataFrame) -> Iterator[Run]:
    start, end = steps["start"].to_numpy(float), steps["end"].to_numpy(float)
    emotion = steps["emotion"].to_numpy(object)
    goes_on = (emotion[1:] == emotion[:-1]) & (np.abs(start[1:] - end[:-1]) <= _SLACK)
    firsts = np.flatnonzero(np.concatenate([[True], ~goes_on]))
    lengths = np.diff(firsts, append=len(steps))
    confidence = np.add.reduceat(steps["confidence"].to_numpy(float), firsts) / lengths
    for first, length, mean in zip(firsts, lengths, confidence, strict=True):
        last = first + length - 1
        yield Run(file, person, float(start[first]), float(end[last]), emotion[first], float(mean))


def _checked(frame: pd.DataFrame, metadata: Metadata) -> pd.DataFrame:
    """A copy of the frame that keeps every promise of `Timeline`."""
    _check_columns(frame, schema.timeline_columns(metadata.emotions))
    for name in frame.columns:
        _check_type(frame[name])
    frame = frame.astype(dict.fromkeys(TEXT_COLUMNS, "string")).reset_index(drop=True)
    _check_names(frame, metadata)
    _check_time(frame)
    _check_scores(frame, metadata.emotions)
    return frame


def _check_columns(frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    given = [str(name) for name in frame.columns]
    missing = [name for name in columns if name not in given]
    unexpected = [name for name in given if name not in columns]
    if missing or unexpected:
        raise ValueError(f"columns missing: {missing}, unexpected: {unexpected}")
    if given != list(columns):
        raise ValueError(f"columns must be in the order {columns}")


def _check_type(column: pd.Series) -> None:
    if column.name in TEXT_COLUMNS:
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind not in {"string", "empty"}:
            raise ValueError(f"{column.name} must hold text, got {kind}")
        surrogates = [text for text in column.dropna() if not _encodable(text)]
        if surrogates:
            raise ValueError(
                f"{column.name} {surrogates[0]!r} is no valid Unicode; "
                "mien.timeline.readable_name makes it so"
            )
        return
    expected = "bool" if column.name in BOOLEAN_COLUMNS else "float64"
    if column.dtype != expected:
        raise ValueError(f"{column.name} must have type {expected}, got {column.dtype}")


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _require(holds: pd.Series, column: str, promise: str) -> None:
    if not holds.all():
        raise ValueError(
            f"{column} {promise}; broken in row {int(np.argmin(holds.to_numpy(bool)))}"
        )


def _check_names(frame: pd.DataFrame, metadata: Metadata) -> None:
    for name in ("file", "person"):
        _require(frame[name].fillna("").ne(""), name, "must not be empty")
    known = frame["file"].isin(list(metadata.recordings))
    _require(known, "file", "must be among the recordings of the metadata")
    known = frame["emotion"].isna() | frame["emotion"].isin(list(metadata.emotions))
    _require(known, "emotion", "must be one that the model knows")


def _check_time(frame: pd.DataFrame) -> None:
    _require(np.isfinite(frame["start"]) & frame["start"].ge(0), "start", "must be 0 s or later")
    _require(
        np.isfinite(frame["end"]) & frame["end"].gt(frame["start"]), "end", "must follow start"
    )
    before = frame.groupby(["file", "person"], sort=False)["end"].shift()
    in_order = before.isna() | frame["start"].ge(before - _SLACK)
    _require(in_order, "start", "must not lie before the end of the person's last row")


def _check_scores(frame: pd.DataFrame, emotions: tuple[str, ...]) -> None:
    probabilities = [schema.probability_column(emotion) for emotion in emotions]
    for name in (*probabilities, *_UNIT_RANGE):
        _require(
            frame[name].isna() | frame[name].between(-_SLACK, 1 + _SLACK),
            name,
            "must go from 0 to 1",
        )
    for name in schema.DIMENSIONS:
        _require(
            frame[name].isna() | frame[name].between(-1 - _SLACK, 1 + _SLACK),
            name,
            "must go from -1 to 1",
        )
    seen = frame["audio"] | frame["video"]
    for name in (*probabilities, "confidence", "emotion"):
        _require(
            frame[name].notna().eq(seen), name, "must be there where, and only where, observed"
        )
    for name in schema.DIMENSIONS:
        _require(frame[name].isna() | seen, name, "must be missing where nothing was observed")
    near_one = (frame[probabilities].sum(axis=1) - 1).abs().le(_SUM_SLACK)
    _require(near_one | ~seen, "p_…", "must sum to 1 where observed")
