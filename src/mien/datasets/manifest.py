"""Anyone's own recordings: a table of them in CSV.

::

    path,person,emotion,arousal,valence,part
    clips/a.mp4,anna,anger,0.7,-0.4,train
    clips/b.mp4,ben,,0.1,,test
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path

from mien import schema
from mien.datasets._base import Clip
from mien.errors import FormatError, InputError

_NEEDED = ("path", "person")
_WORDS = (*_NEEDED, "emotion", "part")
_PARTS = ("train", "valid", "test")
_LAYOUT = "a manifest has the columns path and person, and may have emotion, part and dimensions"


def manifest_clips(path: Path, needed: Iterable[str] = ()) -> list[Clip]:
    """The recordings that a table names.

    The table is UTF-8, separated by commas, with a row of column names. ``path`` is relative to the
    table; ``person`` is whoever is in the recording, the same name wherever it is the same person;
    ``emotion`` is a word of `mien.schema.EMOTIONS`; ``part`` is train, valid or test. Every other
    column is a dimension, whose numbers may have any range. What is not known is left empty. The
    corpus is called after the table.

    Args:
        path: the table.
        needed: columns that it must have beside path and person, and not empty in every row.

    Returns:
        A clip for each row, in order.

    Raises:
        InputError: the table or a recording is not there.
        FormatError: a column is missing, or a field is not what its column asks for; the message
            names the row, counted as a spreadsheet does, and the column.
    """
    wanted = tuple(needed)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(list(reader.fieldnames or ()), wanted, path)
            clips = [_Row(row, number, path).clip() for number, row in enumerate(reader, start=2)]
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", path=path, advice="give the path of a CSV file"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise FormatError(f"is no CSV in UTF-8 ({error})", path=path, advice=_LAYOUT) from error
    if not clips:
        raise FormatError("names no recording", path=path, advice=_LAYOUT)
    _check_once(clips, path)
    _check_told(clips, wanted, path)
    return clips


def _check_columns(columns: list[str], needed: tuple[str, ...], path: Path) -> None:
    missing = [column for column in (*_NEEDED, *needed) if column not in columns]
    if missing:
        raise FormatError(
            f"has no column {', '.join(missing)}, only {', '.join(columns) or 'none'}",
            path=path,
            advice=_LAYOUT,
        )
    if len(set(columns)) < len(columns) or "" in columns:
        raise FormatError("has a column twice, or one without a name", path=path, advice=_LAYOUT)


def _check_once(clips: list[Clip], path: Path) -> None:
    seen: dict[Path, int] = {}
    for number, clip in enumerate(clips, start=2):
        where = clip.path.resolve()
        if where in seen:
            raise FormatError(
                f"row {number}, column path: {clip.path.name} is in row {seen[where]} already",
                path=path,
                advice="name each recording once",
            )
        seen[where] = number


def _check_told(clips: list[Clip], needed: tuple[str, ...], path: Path) -> None:
    told = {"emotion" for clip in clips if clip.emotion}
    told |= {"part" for clip in clips if clip.part}
    told |= {name for clip in clips for name in clip.values}
    empty = [column for column in needed if column not in told]
    if empty:
        raise FormatError(
            f"column {', '.join(empty)} is empty in every row",
            path=path,
            advice="fill in what is known, or do not ask for it",
        )


class _Row:
    """One row of a manifest; every complaint names it."""

    def __init__(self, fields: dict[str, str | None], number: int, manifest: Path) -> None:
        self.number, self.manifest = number, manifest
        if None in fields or None in fields.values():
            raise FormatError(
                f"row {number} has more or fewer fields than there are columns",
                path=manifest,
                advice="put fields with a comma into quotes",
            )
        self.fields = {column: (text or "").strip() for column, text in fields.items()}

    def clip(self) -> Clip:
        """The recording of this row."""
        corpus = self.manifest.stem
        values = {
            column: self._number(column)
            for column, text in self.fields.items()
            if text and column not in _WORDS
        }
        person = self.fields["person"]
        if not person:
            raise self._wrong("person", "nobody is named", "name everybody, if only by a number")
        return Clip(
            self._recording(),
            f"{corpus}/{person}",
            self._word("emotion", schema.EMOTIONS),
            corpus,
            values=values,
            part=self._word("part", _PARTS) or "",
        )

    def _wrong(self, column: str, problem: str, advice: str) -> FormatError:
        return FormatError(
            f"row {self.number}, column {column}: {problem}", path=self.manifest, advice=advice
        )

    def _recording(self) -> Path:
        name = self.fields["path"]
        recording = self.manifest.parent / name
        if not name or not recording.is_file():
            raise InputError(
                f"row {self.number}, column path: there is no file {name!r}",
                path=self.manifest,
                advice=f"paths are relative to {self.manifest.parent}",
            )
        return recording

    def _word(self, column: str, words: tuple[str, ...]) -> str | None:
        word = self.fields.get(column, "")
        if word and word not in words:
            raise self._wrong(
                column, f"{word!r} is unknown", f"one of {', '.join(words)}, or empty"
            )
        return word or None

    def _number(self, column: str) -> float:
        try:
            number = float(self.fields[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self._wrong(
                column,
                f"{self.fields[column]!r} is no number",
                f"columns other than {', '.join(_WORDS)} are dimensions; leave empty what is not "
                "known",
            )
        return number
