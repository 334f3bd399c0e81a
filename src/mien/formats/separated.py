"""Tables as separated text: CSV, TSV."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from mien.formats.atomic import write_atomically

_SECONDS = ("start", "end", "seconds")


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write any table as CSV in the way of timelines: that of `Timeline.summary`, for one.

    Raises:
        OutputError: the file could not be written.
    """
    write_atomically(path, partial(write_separated, table, separator=","))


def write_separated(table: pd.DataFrame, file: BinaryIO, *, separator: str) -> None:
    """Write a table as separated text; the same table always gives the same bytes.

    UTF-8, lines end in a line feed, quotes only where needed (RFC 4180); seconds with 3 decimals,
    other numbers with 5; ``true`` and ``false``; what is missing is empty. A file name that begins
    with ``=``, ``+``, ``-`` or ``@`` is written as it is, for with a prefix it would no longer be
    that file's name. A spreadsheet may take it for a formula: import tables about files of
    strangers as text.
    """
    columns = [[name, *_texts(table[name])] for name in table.columns]
    quoted = [[_quoted(text, separator) for text in column] for column in columns]
    lines = (separator.join(fields) + "\n" for fields in zip(*quoted, strict=True))
    file.write("".join(lines).encode())


def _quoted(text: str, separator: str) -> str:
    # Not by csv.writer: it leaves a bare carriage return unquoted where lines end otherwise.
    if any(character in text for character in (separator, '"', "\r", "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text


def _texts(column: pd.Series) -> list[str]:
    if pd.api.types.is_bool_dtype(column):
        return ["true" if value else "false" for value in column]
    if pd.api.types.is_float_dtype(column):
        name = str(column.name)
        decimals = 3 if name in _SECONDS or name.endswith("_seconds") else 5
        return ["" if np.isnan(value) else f"{value:z.{decimals}f}" for value in column]
    return ["" if pd.isna(value) else str(value) for value in column]
