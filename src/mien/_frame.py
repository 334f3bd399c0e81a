"""What the table of a timeline promises, checked when the timeline is made."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mien import schema
from mien.metadata import Dimension, Metadata

SLACK = 1e-6
_SUM_SLACK = 1e-3


def check_frame(frame: pd.DataFrame, metadata: Metadata) -> pd.DataFrame:
    """Copy a frame that keeps every promise of `mien.Timeline`.

    Raises:
        ValueError: it breaks one; the text names column and row.
    """
    _check_columns(frame, metadata.columns)
    for name in frame.columns:
        _check_type(frame[name], boolean=name in metadata.modalities)
    texts = [name for name in schema.TEXT_COLUMNS if name in frame.columns]
    frame = frame.astype(dict.fromkeys(texts, "string")).reset_index(drop=True)
    _check_keys(frame, metadata)
    _check_time(frame)
    seen = frame[list(metadata.modalities)].any(axis=1)
    if metadata.labels:
        _check_labels(frame, metadata.labels, seen)
    _check_dimensions(frame, metadata, seen)
    if metadata.faces:
        _check_unit_range(frame, schema.FACE_COLUMNS)
    return frame


def _check_columns(frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    given = [str(name) for name in frame.columns]
    missing = [name for name in columns if name not in given]
    unexpected = [name for name in given if name not in columns]
    if missing or unexpected:
        raise ValueError(f"columns missing: {missing}, unexpected: {unexpected}")
    if given != list(columns):
        raise ValueError(f"columns must be in the order {columns}")


def _check_type(column: pd.Series, *, boolean: bool) -> None:
    if column.name in schema.TEXT_COLUMNS:
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
    expected = "bool" if boolean else "float64"
    if column.dtype != expected:
        raise ValueError(f"{column.name} must have type {expected}, got {column.dtype}")


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _require(holds: pd.Series, column: str, promise: str) -> None:
    if not holds.all():
        raise ValueError(
            f"{column} {promise}; broken in row {int(np.argmin(holds.to_numpy(bool)))}"
        )


def _check_keys(frame: pd.DataFrame, metadata: Metadata) -> None:
    for name in ("file", "person"):
        _require(frame[name].fillna("").ne(""), name, "must not be empty")
    known = frame["file"].isin(list(metadata.recordings))
    _require(known, "file", "must be among the recordings of the metadata")


def _check_time(frame: pd.DataFrame) -> None:
    _require(np.isfinite(frame["start"]) & frame["start"].ge(0), "start", "must be 0 s or later")
    _require(
        np.isfinite(frame["end"]) & frame["end"].gt(frame["start"]), "end", "must follow start"
    )
    before = frame.groupby(["file", "person"], sort=False)["end"].shift()
    in_order = before.isna() | frame["start"].ge(before - SLACK)
    _require(in_order, "start", "must not lie before the end of the person's last row")


def _check_labels(frame: pd.DataFrame, labels: tuple[str, ...], seen: pd.Series) -> None:
    known = frame["emotion"].isna() | frame["emotion"].isin(list(labels))
    _require(known, "emotion", "must be one of the labels")
    probabilities = [schema.probability_column(label) for label in labels]
    _check_unit_range(frame, (*probabilities, "confidence"))
    for name in (*probabilities, "confidence", "emotion"):
        _require_where_observed(frame[name], seen)
    near_one = (frame[probabilities].sum(axis=1) - 1).abs().le(_SUM_SLACK)
    _require(near_one | ~seen, "p_…", "must sum to 1 where observed")


def _check_dimensions(frame: pd.DataFrame, metadata: Metadata, seen: pd.Series) -> None:
    for name, dimension in metadata.dimensions.items():
        _require(~np.isinf(frame[name]), name, "must be finite or missing")
        if not metadata.labels:
            _require_where_observed(frame[name], seen)
        missing = frame[name].isna()
        _require(missing | seen, name, "must be missing where nothing was observed")
        if dimension.derived:
            inside = frame[name].between(_lowest(dimension), _highest(dimension))
            _require(missing | inside, name, f"must go from {dimension.scale}")


def _lowest(dimension: Dimension) -> float:
    return -np.inf if dimension.low is None else dimension.low - SLACK


def _highest(dimension: Dimension) -> float:
    return np.inf if dimension.high is None else dimension.high + SLACK


def _require_where_observed(column: pd.Series, seen: pd.Series) -> None:
    promise = "must be there where, and only where, observed"
    _require(column.notna().eq(seen), str(column.name), promise)


def _check_unit_range(frame: pd.DataFrame, columns: tuple[str, ...]) -> None:
    for name in columns:
        inside = frame[name].isna() | frame[name].between(-SLACK, 1 + SLACK)
        _require(inside, name, "must go from 0 to 1")
