"""Timelines as tables: CSV, TSV, Parquet and JSON, and back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from functools import partial
from itertools import takewhile
from typing import Any, BinaryIO, NoReturn

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mien import schema
from mien.formats._registry import Format, register_format
from mien.formats.separated import write_separated
from mien.metadata import UNKNOWN, Dimension, Metadata, RecordingInfo, describe_columns
from mien.timeline import Timeline

_PARQUET_KEY = b"mien"
_LEADING = schema.timeline_columns(modalities=())
_BOOLEANS = {"true": True, "false": False}  # spreadsheets write them in capitals


def write_rows(timeline: Timeline, file: BinaryIO, *, separator: str) -> None:
    """Write the rows of a timeline as text; see `mien.formats.separated.write_separated`."""
    write_separated(timeline.frame, file, separator=separator)


def read_rows(file: BinaryIO, *, separator: str) -> Timeline:
    """Read the rows of a timeline; what the text does not hold is called ``unknown``.

    Raises:
        ValueError: the text is no timeline.
        OptionError: it names columns that cannot stand beside each other.
        csv.Error: the text is no table.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    header, *lines = list(csv.reader(text, delimiter=separator, strict=True)) or [[]]
    if len(set(header)) != len(header):
        raise ValueError("a column stands there twice")
    if any(len(line) != len(header) for line in lines):
        raise ValueError("a line has too many or too few fields")
    values = zip(*lines, strict=True) if lines else ([] for _ in header)
    columns = {name: list(texts) for name, texts in zip(header, values, strict=True)}
    said = _read_columns(columns)
    frame = pd.DataFrame(
        {name: _convert(name, texts, said["modalities"]) for name, texts in columns.items()}
    )
    metadata = Metadata(
        mien_version=UNKNOWN,
        model=UNKNOWN,
        per=None,
        window=None,
        hop=None,
        recordings=_recordings(frame, said["modalities"]),
        **said,
    )
    return Timeline(frame, metadata)


def _read_columns(columns: Mapping[str, list[str]]) -> dict[str, Any]:
    """Tell labels, dimensions, modalities and faces from the columns of a table.

    Raises:
        ValueError: these are not the columns of a timeline.
    """
    names = list(columns)
    faces = names[-len(schema.FACE_COLUMNS) :] == list(schema.FACE_COLUMNS)
    middle = names[len(_LEADING) : -len(schema.FACE_COLUMNS) if faces else None]
    labels: list[str] = []
    if "emotion" in middle:
        place = middle.index("emotion")
        modalities, (_, *scores) = middle[:place], middle[place:]
        labels = [name[2:] for name in takewhile(lambda name: name[:2] == "p_", scores[1:])]
        dimensions = scores[1 + len(labels) :]
    else:
        modalities = list(takewhile(lambda name: _is_modality(name, columns[name]), middle))
        dimensions = middle[len(modalities) :]
    expected = schema.timeline_columns(labels, dimensions, modalities, faces=faces)
    if not modalities or tuple(names) != expected:
        raise ValueError("the first line does not name the columns of a timeline")
    return {
        "labels": tuple(labels),
        "dimensions": dict.fromkeys(dimensions, Dimension(source=UNKNOWN, low=None, high=None)),
        "modalities": tuple(modalities),
        "faces": faces,
    }


def _is_modality(name: str, texts: list[str]) -> bool:
    """Tell whether a column says what was observed; of a table without rows, by its name."""
    return texts[0].lower() in _BOOLEANS if texts else name in schema.MODALITIES


def _convert(name: str, texts: list[str], modalities: tuple[str, ...]) -> pd.Series:
    if name in modalities:
        unknown = [text for text in texts if text.lower() not in _BOOLEANS]
        if unknown:
            raise ValueError(f"{name} must be true or false, not {unknown[0]!r}")
        return pd.Series([_BOOLEANS[text.lower()] for text in texts], dtype=bool)
    if name in schema.TEXT_COLUMNS:
        return pd.Series([text or None for text in texts], dtype=object)
    return pd.Series([float(text or "nan") for text in texts], dtype="float64")


def _recordings(frame: pd.DataFrame, modalities: tuple[str, ...]) -> dict[str, RecordingInfo]:
    """Tell what can be told of the recordings from rows alone."""
    return {
        str(file): RecordingInfo(
            duration=float(rows["end"].max()),
            modalities=tuple(name for name in modalities if rows[name].any()),
        )
        for file, rows in frame.groupby("file", sort=False)
    }


def write_parquet(timeline: Timeline, file: BinaryIO) -> None:
    """Write a timeline as Parquet: units and meaning on every column, metadata in the schema.

    The schema's metadata key ``mien`` holds the timeline's metadata as JSON.
    """
    fields = [
        pa.field(name, _arrow_type(name, timeline.metadata), metadata=described)
        for name, described in describe_columns(timeline.metadata).items()
    ]
    arrays = [
        pa.array(timeline.frame[field.name], type=field.type, from_pandas=True) for field in fields
    ]
    metadata = {_PARQUET_KEY: timeline.metadata.model_dump_json().encode()}
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata)), file)


def _arrow_type(column: str, metadata: Metadata) -> pa.DataType:
    if column in metadata.modalities:
        return pa.bool_()
    return pa.string() if column in schema.TEXT_COLUMNS else pa.float64()


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
    rows = parts["rows"]
    frame = pd.DataFrame({name: _of_rows(name, rows, metadata) for name in metadata.columns})
    return Timeline(frame, metadata)


def _of_rows(name: str, rows: list[dict[str, Any]], metadata: Metadata) -> pd.Series:
    text = name in schema.TEXT_COLUMNS
    kind = bool if name in metadata.modalities else object if text else "float64"
    values = [row[name] for row in rows]
    allowed = bool if kind is bool else (str if kind is object else float, int, type(None))
    wrong = [value for value in values if not isinstance(value, allowed)]
    if wrong:
        raise TypeError(f"{name} cannot be {wrong[0]!r}")
    return pd.Series(values, dtype=kind)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


register_format(
    "csv",
    Format(
        ".csv",
        "a table that every program opens",
        partial(write_rows, separator=","),
        partial(read_rows, separator=","),
    ),
)
register_format(
    "tsv",
    Format(
        ".tsv",
        "the same with tabs instead of commas",
        partial(write_rows, separator="\t"),
        partial(read_rows, separator="\t"),
    ),
)
register_format(
    "parquet",
    Format(
        ".parquet",
        "an exact table with units and metadata, small and fast to read",
        write_parquet,
        read_parquet,
    ),
)
register_format(
    "json",
    Format(".json", "an exact table for programs that read text", write_json, read_json),
)
