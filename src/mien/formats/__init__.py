"""A timeline in the formats that people use, written whole or not at all.

Tables (CSV, TSV, Parquet, JSON) hold every row and can be read back. Captions (WebVTT) and tiers
of annotation (TextGrid) hold stretches of time. The page (HTML) is for reading. Others come by
`register_format`, from a plugin file or an installed distribution (entry point ``mien.formats``).
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from mien.errors import FormatError, InputError, OptionError
from mien.formats._registry import FORMATS, Format, choose_format, register_format
from mien.formats.atomic import make_folder, write_atomically, write_text
from mien.formats.separated import write_table

__all__ = [
    "FORMATS",
    "Format",
    "make_folder",
    "read",
    "register_format",
    "write",
    "write_atomically",
    "write_table",
    "write_text",
]


def write(timeline: Any, path: str | Path, *, format: str | None = None) -> None:  # noqa: A002, ANN401
    """Write a timeline to a file, whole or not at all.

    Args:
        timeline: the `mien.Timeline`.
        path: where to; an existing file is replaced.
        format: a name of `FORMATS`; without it, the suffix of the path decides.

    Raises:
        OptionError: unknown format, or one that cannot hold several recordings.
        OutputError: the file could not be written.
    """
    chosen = FORMATS[choose_format(path, format)]
    write_atomically(path, partial(chosen.write, timeline))


def read(path: str | Path, *, format: str | None = None) -> Any:  # noqa: A002, ANN401
    """Read back a timeline that `write` has written.

    From Parquet and JSON the table and its metadata come back exactly; from CSV and TSV to the
    written precision, and what those do not hold is called ``unknown``. Pictures do not come back.

    Args:
        path: the file.
        format: a name of `FORMATS`; without it, the suffix of the path decides.

    Returns:
        The `mien.Timeline`.

    Raises:
        InputError: the file is missing or cannot be opened.
        FormatError: the file does not hold a timeline.
        OptionError: unknown format, or one that cannot be read back.
    """
    name = choose_format(path, format)
    reader = FORMATS[name].read
    if reader is None:
        readable = ", ".join(other for other, found in FORMATS.items() if found.read)
        raise OptionError(f"{name} cannot be read back", path=path, advice=f"give {readable}")
    try:
        with Path(path).open("rb") as file:
            return reader(file)
    # Before OSError, for pyarrow's errors about damaged files may be both.
    except (ValueError, TypeError, KeyError, OptionError, csv.Error, pa.ArrowException) as error:
        raise FormatError(
            f"is no {name} timeline: {_what(error)}",
            path=path,
            advice="give a file as mien has written it",
        ) from error
    except OSError as error:
        problem = f"cannot be read: {error.strerror or _what(error)}"
        raise InputError(problem, path=path, advice="check the path and the file") from error


def _what(error: Exception) -> str:
    """Say in one line what is wrong with a file's content."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".removeprefix(": ")
    if isinstance(error, OptionError):
        return error.problem
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return (str(error).splitlines() or [type(error).__name__])[0]
