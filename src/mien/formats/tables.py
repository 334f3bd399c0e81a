"""Timelines as tables: CSV, TSV, Parquet and JSON, and back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, BinaryIO, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mien import schema
from mien.timeline import BOOLEAN_COLUMNS, TEXT_COLUMNS, Metadata, Recording, Timeline

_PARQUET_KEY = b"mien"
_UNKNOWN = "unknown"
_SECONDS = ("start", "end", "face_seconds", "voice_seconds", "seconds")
_DESCRIPTIONS = {
    "file": ("", "the recording"),
    "person": ("", "who, one name throughout the recording"),
    "start": ("s", "start of the step, from the start of the recording"),
    "end": ("s", "end of the step"),
    "audio": ("", "a voice was observed in the step"),
    "video": ("", "a face was observed in the step"),
    "emotion": ("", "the most probable emotion; missing where nothing was observed"),
    "confidence": ("1", "probability of that emotion, 0 to 1"),
    "face_x": ("1", "left edge of the face, fraction of the picture's width"),
    "face_y": ("1", "upper edge of the face, fraction of the picture's height"),
    "face_width": ("1", "width of the face, fraction of the picture's width"),
    "face_height": ("1", "height of the face, fraction of the picture's height"),
    "face_quality": ("1", "how well the face could be seen, 0 to 1"),
}


def describe_columns(metadata: Metadata) -> dict[str, dict[str, str]]:
    """Unit and meaning of every column of a timeline.

    Returns:
        By column: ``{"unit": …, "description": …}``; the unit is ``s``, ``1`` for a pure number,
        or empty for what is no number.
    """
    described = dict(_DESCRIPTIONS)
    for emotion in metadata.emotions:
        described[schema.probability_column(emotion)] = ("1", f"probability of {emotion}, 0 to 1")
    for name, source in metadata.dimensions.items():
        described[name] = ("1", f"{name}, -1 to 1; {source}")
    columns = schema.timeline_columns(metadata.emotions)
    return {
        name: dict(zip(("unit", "description"), described[name], strict=True)) for name in columns
    }


def write_separated(timeline: Timeline, file: BinaryIO, *, separator: str) -> None:
    """Write the rows of a timeline as text; see `write_separated_table`."""
    write_separated_table(timeline.frame, file, separator=separator)


def write_separated_table(table: pd.DataFrame, file: BinaryIO, *, separator: str) -> None:
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
        decimals = 3 if column.name in _SECONDS else 5
        return ["" if np.isnan(value) else f"{value:z.{decimals}f}" for value in column]
    return ["" if pd.isna(value) else str(value) for value in column]


def read_separated(file: BinaryIO, *, separator: str) -> Timeline:
    """Read the rows of a timeline; what the text does not hold is called ``unknown``.

    Raises:
        ValueError: the text is no timeline.
        csv.Error: the text is no table.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    header, *lines = list(csv.reader(text, delimiter=separator, strict=True)) or [[]]
    emotions = tuple(name.removeprefix("p_") for name in header if name.startswith("p_"))
    if not emotions or tuple(header) != schema.timeline_columns(emotions):
        raise ValueError("the first line does not name the columns of a timeline")
    if any(len(line) != len(header) for line in lines):
        raise ValueError("a line has too many or too few fields")
    columns = dict(zip(header, map(list, zip(*lines, strict=True)), strict=True)) if lines else {}
    frame = pd.DataFrame({name: _typed(name, columns.get(name, [])) for name in header})
    return Timeline(frame, _metadata_of(frame, emotions))


def _typed(name: str, texts: list[str]) -> pd.Series:
    if name in BOOLEAN_COLUMNS:
        # Spreadsheets write booleans in capitals.
        values = {"true": True, "false": False}
        unknown = [text for text in texts if text.lower() not in values]
        if unknown:
            raise ValueError(f"{name} must be true or false, not {unknown[0]!r}")
        return pd.Series([values[text.lower()] for text in texts], dtype=bool)
    if name in TEXT_COLUMNS:
        return pd.Series([text or None for text in texts], dtype=object)
    return pd.Series([float(text or "nan") for text in texts], dtype="float64")


def _metadata_of(frame: pd.DataFrame, emotions: tuple[str, ...]) -> Metadata:
    """What can be told from a table that came without metadata."""
    recordings = {
        str(file): Recording(
            duration=float(rows["end"].max()),
            has_audio=bool(rows["audio"].any()),
            has_video=bool(rows["video"].any()),
        )
        for file, rows in frame.groupby("file", sort=False)
    }
    return Metadata(
        mien_version=_UNKNOWN,
        model=_UNKNOWN,
        emotions=emotions,
        window=None,
        hop=None,
        dimensions=dict.fromkeys(schema.DIMENSIONS, _UNKNOWN),
        recordings=recordings,
    )


def write_parquet(timeline: Timeline, file: BinaryIO) -> None:
    """Write a timeline as Parquet: units and meaning on every column, metadata in the schema.

    The schema's metadata key ``mien`` holds the timeline's metadata as JSON.
    """
    fields = [
        pa.field(name, _arrow_type(name), metadata=described)
        for name, described in describe_columns(timeline.metadata).items()
    ]
    arrays = [
        pa.array(timeline.frame[field.name], type=field.type, from_pandas=True) for field in fields
    ]
    metadata = {_PARQUET_KEY: timeline.metadata.model_dump_json().encode()}
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata)), file)


def _arrow_type(column: str) -> pa.DataType:
    if column in BOOLEAN_COLUMNS:
        return pa.bool_()
    return pa.string() if column in TEXT_COLUMNS else pa.float64()


def read_parquet(file: BinaryIO) -> Timeline:
    """Read back exactly what `write_parquet` has written.

    Raises:
        ValueError: the file holds no timeline.
        KeyError: the file holds no metadata of mien.
        pyarrow.ArrowException: the file is damaged.
    """
    content = file.read()
    # From memory, so that damage is never taken for a failing disk.
    table = pq.read_table(pa.BufferReader(content))
    metadata = Metadata.model_validate_json((table.schema.metadata or {})[_PARQUET_KEY])
    return Timeline(table.to_pandas(ignore_metadata=True), metadata)


def write_json(timeline: Timeline, file: BinaryIO) -> None:
    """Write a timeline as one strict JSON object (RFC 8259), one row a line.

    ``metadata``, ``columns`` (unit and description of each) and ``rows``, objects by column; what
    is missing is ``null``.
    """
    head = {
        "metadata": timeline.metadata.model_dump(mode="json"),
        "columns": describe_columns(timeline.metadata),
    }
    opening = json.dumps(head, ensure_ascii=False, allow_nan=False, indent=2)
    columns = [_plain(timeline.frame[name]) for name in timeline.frame.columns]
    rows = [
        json.dumps(
            dict(zip(timeline.frame.columns, values, strict=True)),
            ensure_ascii=False,
            allow_nan=False,
        )
        for values in zip(*columns, strict=True)
    ]
    text = opening.removesuffix("\n}") + ',\n  "rows": [\n' + ",\n".join(rows) + "\n  ]\n}\n"
    file.write(text.encode())


def _plain(column: pd.Series) -> list[Any]:
    return column.astype(object).where(column.notna(), None).tolist()


def read_json(file: BinaryIO) -> Timeline:
    """Read back exactly what `write_json` has written.

    Raises:
        ValueError: the file is no JSON or no timeline.
        TypeError: a value is of the wrong kind.
        KeyError: a part is missing.
    """
    parts = json.loads(file.read(), parse_constant=_refuse)
    if not isinstance(parts, Mapping):
        raise TypeError("it holds no object")
    metadata = Metadata.model_validate(parts["metadata"])
    columns = schema.timeline_columns(metadata.emotions)
    frame = pd.DataFrame({name: _of_rows(name, parts["rows"]) for name in columns})
    return Timeline(frame, metadata)


def _of_rows(name: str, rows: list[dict[str, Any]]) -> pd.Series:
    kind = bool if name in BOOLEAN_COLUMNS else object if name in TEXT_COLUMNS else "float64"
    values = [row[name] for row in rows]
    allowed = bool if kind is bool else (str if kind is object else float, int, type(None))
    wrong = [value for value in values if not isinstance(value, allowed)]
    if wrong:
        raise TypeError(f"{name} cannot be {wrong[0]!r}")
    return pd.Series(values, dtype=kind)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
