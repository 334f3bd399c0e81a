"""A timeline in the formats that people use, written whole or not at all.

Tables (CSV, TSV, Parquet, JSON) hold every row and can be read back. Captions (WebVTT) and tiers
of annotation (TextGrid) hold the stretches in which a person's most probable emotion stays the
same. The page (HTML) is for reading.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from mien import report
from mien.errors import FormatError, InputError, OptionError
from mien.formats import intervals, tables
from mien.formats.atomic import write_atomically, write_text
from mien.formats.tables import describe_columns
from mien.timeline import Timeline

__all__ = [
    "FORMATS",
    "Format",
    "describe_columns",
    "read",
    "write",
    "write_atomically",
    "write_table",
    "write_text",
]


@dataclass(frozen=True)
class Format:
    """One way to write a timeline.

    Attributes:
        suffix: of a file's name, with the dot.
        description: what it is good for, a clause.
        write: writes a timeline to an open file.
        read: reads a timeline from an open file, where the format holds one.
    """

    suffix: str
    description: str
    write: Callable[[Timeline, BinaryIO], None]
    read: Callable[[BinaryIO], Timeline] | None = None


def _write_page(timeline: Timeline, file: BinaryIO) -> None:
    file.write(report.render(timeline).encode())


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "csv": Format(
            ".csv",
            "a table that every program opens",
            partial(tables.write_separated, separator=","),
            partial(tables.read_separated, separator=","),
        ),
        "tsv": Format(
            ".tsv",
            "the same with tabs instead of commas",
            partial(tables.write_separated, separator="\t"),
            partial(tables.read_separated, separator="\t"),
        ),
        "parquet": Format(
            ".parquet",
            "an exact table with units and metadata, small and fast to read",
            tables.write_parquet,
            tables.read_parquet,
        ),
        "json": Format(
            ".json", "the same for programs that read text", tables.write_json, tables.read_json
        ),
        "vtt": Format(".vtt", "captions for a video player", intervals.write_vtt),
        "textgrid": Format(".TextGrid", "tiers for Praat and ELAN", intervals.write_textgrid),
        "html": Format(".html", "one self-contained page for reading and printing", _write_page),
    }
)


def write(timeline: Timeline, path: str | Path, *, format: str | None = None) -> None:  # noqa: A002
    """Write a timeline to a file, whole or not at all.

    Args:
        timeline: what to write.
        path: where to; an existing file is replaced.
        format: a name of `FORMATS`; without it, the suffix of the path decides.

    Raises:
        OptionError: unknown format, or one that cannot hold several recordings.
        OutputError: the file could not be written.
    """
    chosen = FORMATS[_name(path, format)]
    write_atomically(path, partial(chosen.write, timeline))


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write any table as CSV in the way of timelines: that of `Timeline.summary`, for one.

    Raises:
        OutputError: the file could not be written.
    """
    write_atomically(path, partial(tables.write_separated_table, table, separator=","))


def read(path: str | Path, *, format: str | None = None) -> Timeline:  # noqa: A002
    """Read back a timeline that `write` has written.

    From Parquet and JSON the table and its metadata come back exactly; from CSV and TSV to the
    written precision, and what those do not hold is called ``unknown``. Pictures do not come back.

    Args:
        path: the file.
        format: a name of `FORMATS`; without it, the suffix of the path decides.

    Raises:
        InputError: the file is missing or cannot be opened.
        FormatError: the file does not hold a timeline.
        OptionError: unknown format, or one that cannot be read back.
    """
    name = _name(path, format)
    reader = FORMATS[name].read
    if reader is None:
        readable = ", ".join(other for other, found in FORMATS.items() if found.read)
        raise OptionError(f"{name} cannot be read back", path=path, advice=f"give {readable}")
    try:
        with Path(path).open("rb") as file:
            return reader(file)
    # Before OSError, for pyarrow's errors about damaged files may be both.
    except (ValueError, TypeError, KeyError, csv.Error, pa.ArrowException) as error:
        raise FormatError(
            f"is no {name} timeline: {_what(error)}",
            path=path,
            advice="give a file as mien has written it",
        ) from error
    except OSError as error:
        problem = f"cannot be read: {error.strerror or _what(error)}"
        raise InputError(problem, path=path, advice="check the path and the file") from error


def _name(path: str | Path, name: str | None) -> str:
    choices = ", ".join(FORMATS)
    if name is None:
        suffix = Path(path).suffix
        by_suffix = {known.suffix.lower(): name for name, known in FORMATS.items()}
        if suffix.lower() in by_suffix:
            return by_suffix[suffix.lower()]
        problem = f"the suffix {suffix!r} belongs to no known format"
        raise OptionError(problem, path=path, advice=f"name a format: {choices}")
    if name not in FORMATS:
        raise OptionError(f"there is no format {name!r}", advice=f"choose from {choices}")
    return name


def _what(error: Exception) -> str:
    """One line on what is wrong with a file's content."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return (str(error).splitlines() or [type(error).__name__])[0]
