"""Reading a manifest; what may stand in it is in `mien.datasets.manifest`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mien.datasets import _checks
from mien.datasets._base import Clip
from mien.datasets._rows import TableRow, check_spelling, fold_spelling, read_rows, require_columns
from mien.datasets.ratings import read_ratings
from mien.errors import FormatError, OptionError
from mien.features.files import FeatureFile
from mien.models import Task
from mien.registry import nearest
from mien.schema import EMOTIONS, sort_emotions

Kind = Literal["categories", "dimensions"]
Ranges = Mapping[str, tuple[float, float]]
Label = str | tuple[str, ...] | None
Division = Literal["fold", "part", ""]
LAYOUT = (
    "a manifest has the columns person, path (or files of features) and a label; see "
    "mien train --template manifest"
)
_KNOWN = ("path", "person", "fold", "part", "start", "end", "channel", "ratings")


@dataclass(frozen=True)
class Asked:
    """What is wanted of a manifest.

    Attributes:
        label: the column of categories, the columns of dimensions, () for ratings per frame, or
            None for ``emotion``, or ratings where there is no such column.
        kind: what a single column holds; None where its fields tell.
        labels: names that are known already, in their order; of the table where empty.
        ranges: smallest and largest value by dimension; those of the table where left out.
        files: what files of features have to be like, by modality; like the first where left out.
        hops: seconds of a step of files of features that do not tell, by modality.
    """

    label: Label = None
    kind: Kind | None = None
    labels: tuple[str, ...] = ()
    ranges: Ranges | None = None
    files: Mapping[str, FeatureFile] | None = None
    hops: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Manifest:
    """A table of recordings that was read and found sound.

    Attributes:
        path: the table.
        rows: numbers of its rows, as a spreadsheet counts.
        clips: one for each row.
        task: what is asked.
        label: the columns that the labels are from, as in `Asked`.
        ranges: smallest and largest value by dimension.
        files: what reads the files of features, by modality.
        division: the column that divides people, empty where none does.
        notices: what is possible but doubtful, sentences.
    """

    path: Path
    rows: tuple[int, ...]
    clips: tuple[Clip, ...]
    task: Task
    label: str | tuple[str, ...]
    ranges: dict[str, tuple[float, float]]
    files: dict[str, FeatureFile]
    division: Division
    notices: tuple[str, ...]

    @property
    def has_recordings(self) -> bool:
        """Whether any row names a recording."""
        return any(clip.path for clip in self.clips)


class Reading:
    """Reads one manifest.

    Args:
        path: the table.
        asked: what is wanted of it.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        self.path, self.asked = path, asked
        self.columns, self.rows = read_rows(path, LAYOUT)
        self.modalities = _checks.find_modalities(self.columns)
        self.notices: list[str] = []

    def read(self) -> Manifest:
        """Read and check the table; see `mien.datasets.manifest.read_manifest`."""
        needed = ["person"] if self.modalities else ["path", "person"]
        require_columns(self.path, self.columns, needed, LAYOUT)
        self._note_unread()
        label = self._choose_label()
        kind = self._choose_kind(label)
        division = self._find_division()
        columns = [label] if isinstance(label, str) and kind == "categories" else []
        for column in ("person", *columns, *([division] if division else [])):
            check_spelling(self.rows, column)
        told = [(row, self._clip(row, label, kind, division)) for row in self.rows]
        _checks.check_stretches(told)
        if division:
            _checks.check_people(told, division)
            self.notices += _checks.check_division(told, division, self.path)
        files = self._check_files(told)
        if kind == "categories":
            assert isinstance(label, str)
            self.notices += _checks.check_categories(told, label, self.path, self.asked.labels)
        _checks.check_times(told, files)
        task, ranges = self._task(told, label, kind)
        return Manifest(
            self.path,
            tuple(row.number for row in self.rows),
            tuple(clip for _, clip in told),
            task,
            label,
            ranges,
            files,
            division,
            tuple(self.notices),
        )

    def _check_files(self, told: _checks.Told) -> dict[str, FeatureFile]:
        known, hops = self.asked.files or {}, self.asked.hops or {}
        checked = {
            m: _checks.check_feature_files(told, m, known.get(m), hops.get(m))
            for m in self.modalities
        }
        return {name: file for name, file in checked.items() if file is not None}

    def _note_unread(self) -> None:
        for column in self.columns:
            close = nearest(column, _KNOWN)
            if column not in _KNOWN and close.startswith("did you mean"):
                self.notices.append(f"Nothing reads the column {column}; {close}")

    def _choose_label(self) -> str | tuple[str, ...]:
        label = self.asked.label
        if label is None:
            asked_for = "emotion" in self.columns or self.asked.kind == "categories"
            label = "emotion" if asked_for else ()
        columns = (label,) if isinstance(label, str) else label
        if columns and not {*columns} & {*self.columns} and "ratings" in self.columns:
            self._check_dimensions(columns)
            columns = label = ()  # dimensions of the ratings
        if not columns:
            advice = "name the column of the labels (--label), or give files of ratings per frame"
            require_columns(self.path, self.columns, ["ratings"], advice)
        advice = LAYOUT if self.asked.label else "name the column of the labels (--label)"
        require_columns(self.path, self.columns, columns, advice)
        if columns and all(not row.text(c) for row in self.rows for c in columns):
            raise FormatError(
                f"column {', '.join(columns)} is empty in every row",
                path=self.path,
                advice="fill in what is known, or ask for another column",
            )
        return label

    def _check_dimensions(self, asked: tuple[str, ...]) -> None:
        """Check columns of ratings against the dimensions of a trained model, if there is one."""
        for name in asked if self.asked.labels else ():
            if name not in self.asked.labels:
                raise FormatError(
                    f"has no column {name}, and {name} is none of the model's dimensions",
                    path=self.path,
                    advice=nearest(name, self.asked.labels),
                )

    def _choose_kind(self, label: str | tuple[str, ...]) -> Kind:
        if not isinstance(label, str):
            return "dimensions"
        if self.asked.kind is not None:
            return self.asked.kind
        if self.asked.labels:
            return "dimensions" if self.asked.labels == (label,) else "categories"
        texts = [row.text(label) for row in self.rows if row.text(label)]
        if not all(_is_number(text) for text in texts):
            return "categories"
        if any(not float(text).is_integer() for text in texts):
            return "dimensions"
        raise OptionError(
            f"column {label} holds only whole numbers: are they categories, or a dimension?",
            path=self.path,
            advice="set kind to categories or dimensions",
        )

    def _find_division(self) -> Division:
        filled = [
            column
            for column in ("fold", "part")
            if column in self.columns and any(row.text(column) for row in self.rows)
        ]
        if len(filled) > 1:
            raise FormatError(
                "has both fold and part", path=self.path, advice="keep one of the two columns"
            )
        if not filled:
            return ""
        column: Division = "fold" if filled[0] == "fold" else "part"
        for row in self.rows:
            text = row.text(column)
            if not text:
                raise row.wrong(column, "is empty", f"give every row a {column}, or none")
            if column == "part" and text not in _checks.PARTS:
                raise row.wrong(
                    column, f"{text!r} is unknown", f"one of {', '.join(_checks.PARTS)}"
                )
            if column == "fold" and text in _checks.PARTS:
                raise row.wrong(column, f"{text!r} is a part", "call the column part")
        return column

    def _clip(
        self, row: TableRow, label: str | tuple[str, ...], kind: Kind, division: Division
    ) -> Clip:
        corpus = self.path.stem
        recording = row.file_in("path")
        files = {m: f for m in self.modalities if (f := row.file_in(f"{m}_features"))}
        if recording is None and not files:
            places = [c for c in self.columns if c == "path" or c.endswith("_features")]
            advice = "name the recording or a file of features, or take the row out"
            raise row.wrong(" or ".join(places), "no file is named", advice)
        category = row.text(label) if isinstance(label, str) and kind == "categories" else ""
        if category and self.asked.labels and category not in self.asked.labels:
            self._check_word(row, str(label), category)
        columns = label if isinstance(label, tuple) else (label,) * (kind == "dimensions")
        numbers = {column: row.number_in(column) for column in columns}
        start, end = _stretch(row)
        clip = Clip(
            recording,
            f"{corpus}/{_checks.check_person(row)}",
            category or None,
            corpus,
            values={name: number for name, number in numbers.items() if number is not None},
            part=row.text(division) if division else "",
            start=start,
            end=end,
            channel=_channel(row),
            files=files,
            ratings=row.file_in("ratings") if label == () else None,
        )
        return replace(clip, name=_name(row, clip))

    def _check_word(self, row: TableRow, column: str, word: str) -> None:
        for known in self.asked.labels:
            if fold_spelling(known) == fold_spelling(word):
                raise row.wrong(
                    column, f"{word!r} is spelled {known!r} elsewhere", "type them the same"
                )

    def _task(
        self, told: _checks.Told, label: str | tuple[str, ...], kind: Kind
    ) -> tuple[Task, dict[str, tuple[float, float]]]:
        if kind == "categories":
            found = {clip.label for _, clip in told if clip.label is not None}
            return Task("categories", self.asked.labels or sort_labels(found)), {}
        names = self.asked.labels or self._dimensions(told, label)
        ranges = {name: self._range(name, told, label) for name in names}
        return Task("dimensions", names, "clip" if label else "frame", ranges=ranges), ranges

    def _dimensions(self, told: _checks.Told, label: str | tuple[str, ...]) -> tuple[str, ...]:
        if label:
            return (label,) if isinstance(label, str) else label
        chosen = self.asked.label
        if chosen:  # columns of the ratings, not of the table
            return (chosen,) if isinstance(chosen, str) else chosen
        rated = [clip.ratings for _, clip in told if clip.ratings]
        if not rated:
            raise FormatError(
                "column ratings is empty in every row", path=self.path, advice="name files"
            )
        return read_ratings(rated[0]).dimensions

    def _range(
        self, name: str, told: _checks.Told, label: str | tuple[str, ...]
    ) -> tuple[float, float]:
        low, high = (self.asked.ranges or {}).get(name, (None, None))
        values: list[float] = []
        for row, clip in told:
            mine = [clip.values[name]] if name in clip.values else []
            if clip.ratings is not None:
                mine += self._list_ratings(row, clip, name)
            values += mine
            if low is not None and high is not None and not self.asked.labels:
                for value in (one for one in mine if not low <= one <= high):
                    problem = f"{name} is {value:g}, its range is {low:g} to {high:g}"
                    raise row.wrong(name if label else "ratings", problem, "mend it, or the range")
        if low is not None and high is not None:
            self._note_beyond(name, values, low, high)
            return low, high
        if not values or min(values) == max(values):
            raise FormatError(
                f"{name} is {'the same' if values else 'missing'} in every row",
                path=self.path,
                advice="give ranges, or labels that differ",
            )
        return min(values), max(values)

    def _note_beyond(self, name: str, values: Sequence[float], low: float, high: float) -> None:
        """Note values beyond a range: a trained model's is what it saw, there may be more."""
        if values and (min(values) < low or max(values) > high):
            self.notices.append(
                f"{name} goes from {min(values):g} to {max(values):g}, beyond {low:g} to {high:g}."
            )

    def _list_ratings(self, row: TableRow, clip: Clip, name: str) -> list[float]:
        assert clip.ratings is not None
        ratings = read_ratings(clip.ratings)
        if name not in ratings.dimensions:
            problem = f"{clip.ratings.name} has no column {name}"
            raise row.wrong("ratings", problem, f"it has {', '.join(ratings.dimensions)}")
        column = ratings.dimensions.index(name)
        return [
            value
            for trace in ratings.traces.values()
            for value in trace.values[:, column].tolist()
            if math.isfinite(value)
        ]


def sort_labels(labels: Sequence[str] | set[str]) -> tuple[str, ...]:
    """Put labels in order: that of the vocabulary of emotions if all are in it, or the alphabet's.

    Example:
        >>> sort_labels({"sadness", "anger"}), sort_labels({"tense", "bored"})
        (('sadness', 'anger'), ('bored', 'tense'))
    """
    names = sorted(labels)
    return sort_emotions(names) if {*names} <= {*EMOTIONS} else tuple(names)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _stretch(row: TableRow) -> tuple[float, float | None]:
    start, end = row.number_in("start") or 0.0, row.number_in("end")
    if start < 0:
        raise row.wrong("start", f"{start:g} s is before the recording", "give seconds from 0")
    if end is not None and end <= start:
        problem = f"{end:g} s is not after the start at {start:g} s: times go backwards"
        raise row.wrong("end", problem, "let start come before end")
    return start, end


def _channel(row: TableRow) -> int | None:
    number = row.number_in("channel")
    if number is None:
        return None
    if not number.is_integer() or number < 1:
        raise row.wrong("channel", f"{row.text('channel')!r} is none", "count channels from 1")
    return int(number)


def _name(row: TableRow, clip: Clip) -> str:
    """Return the file as it was typed, with what else tells rows of the same file apart."""
    name = row.text("path") or next(row.text(f"{m}_features") for m in clip.files)
    if clip.start or clip.end is not None:
        name += f"@{clip.start:g}-{'' if clip.end is None else format(clip.end, 'g')}"
    return name + (f"#{clip.channel}" if clip.channel else "")
