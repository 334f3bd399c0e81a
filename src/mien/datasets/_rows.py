"""Rows of a table that somebody typed: every complaint names the row, as a spreadsheet counts."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.errors import FormatError, InputError, MienError
from mien.registry import nearest


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        number: as a spreadsheet counts, so that the first below the names of the columns is 2.
        fields: what was typed, by column.
        table: the file.
    """

    number: int
    fields: Mapping[str, str]
    table: Path

    def text(self, column: str) -> str:
        """Return a field without surrounding space; empty where there is no such column."""
        return self.fields.get(column, "").strip()

    def number_in(self, column: str) -> float | None:
        """Return a field as a number; None where it is empty.

        Raises:
            FormatError: it is no finite number.
        """
        text = self.text(column)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            advice = "write numbers with a point, as 0.5; leave empty what is missing"
            raise self.wrong(column, f"{text!r} is no number", advice)
        return number

    def file_in(self, column: str) -> Path | None:
        """Return the file that a field names, relative to the table; None where it is empty.

        Raises:
            InputError: there is no such file.
        """
        name = self.text(column)
        if not name:
            return None
        path = self.table.parent / name
        if not path.is_file():
            advice = f"paths are relative to {self.table.parent}"
            raise self.wrong(column, f"there is no file {name!r}", advice, InputError)
        return path

    def wrong(
        self, column: str, problem: str, advice: str, kind: type[MienError] = FormatError
    ) -> MienError:
        """Return an error that names table, row and column."""
        return kind(
            f"row {self.number}, column {column}: {problem}", path=self.table, advice=advice
        )


def read_rows(path: Path, layout: str) -> tuple[tuple[str, ...], list[TableRow]]:
    """Read a table of text: UTF-8, separated by commas, names of columns first.

    Args:
        path: the file.
        layout: what it should look like, a clause.

    Returns:
        The names of the columns, and all rows that are not blank.

    Raises:
        InputError: it cannot be read.
        FormatError: it is no such table, has no row, a column twice or one without a name.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", path=path, advice="give the path of a CSV file"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise FormatError(f"is no CSV in UTF-8 ({error})", path=path, advice=layout) from error
    columns = tuple(name.strip() for name in lines[0]) if lines else ()
    if len(columns) == 1 and ";" in columns[0]:
        raise FormatError(
            "is separated by semicolons", path=path, advice="save it with commas between the fields"
        )
    if len(set(columns)) < len(columns) or "" in columns:
        raise FormatError("has a column twice, or one without a name", path=path, advice=layout)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not any(field.strip() for field in line):
            continue
        if len(line) != len(columns):
            raise FormatError(
                f"row {number} has {len(line)} fields, there are {len(columns)} columns",
                path=path,
                advice="put fields with a comma into quotes",
            )
        rows.append(TableRow(number, dict(zip(columns, line, strict=True)), path))
    if not rows:
        raise FormatError("has no row below the names of its columns", path=path, advice=layout)
    return columns, rows


def require_columns(path: Path, columns: Sequence[str], needed: Iterable[str], layout: str) -> None:
    """Check that columns are there.

    Raises:
        FormatError: one is not; the message names the nearest.
    """
    missing = [column for column in needed if column not in columns]
    if missing:
        close = nearest(missing[0], columns)
        advice = close if close.startswith("did you mean") else layout
        raise FormatError(
            f"has no column {', '.join(missing)}, only {', '.join(columns) or 'none'}",
            path=path,
            advice=advice,
        )


def check_spelling(rows: Iterable[TableRow], column: str) -> None:
    """Check that nothing in a column is typed two ways, as ``Happy`` and ``happy``.

    Raises:
        FormatError: two fields differ only in case or in space.
    """
    seen: dict[str, tuple[int, str]] = {}
    for row in rows:
        raw = row.fields.get(column, "")
        key = fold_spelling(raw)
        if not key:
            continue
        first, other = seen.setdefault(key, (row.number, raw))
        if other != raw:
            raise row.wrong(
                column,
                f"{raw!r} and {other!r} of row {first} differ only in case or space",
                "type them the same",
            )


def fold_spelling(text: str) -> str:
    """Return what remains of a word without its case and its space."""
    return "".join(text.split()).casefold()
