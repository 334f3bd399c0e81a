"""Reading files of features into a table: NumPy archives, Parquet, and CSV as tools write it.

openSMILE writes CSV with semicolons and the columns ``name`` and ``frameTime`` (or, from Python,
``file``, ``start`` and ``end``); OpenFace writes a space after each comma, and the columns
``frame``, ``face_id``, ``timestamp``, ``confidence`` and ``success``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mien.errors import FormatError
from mien.media.paths import plain_file
from mien.registry import nearest

SUFFIXES = (".npz", ".parquet", ".csv", ".tsv", ".txt")
# The first of these that a table has tells when each row begins, in seconds.
TIME_COLUMNS = ("time", "timestamp", "frametime", "start", "start_time", "seconds")
_END_COLUMNS = ("end", "end_time")
_NOTED_COLUMNS = ("name", "file", "frame", "frameindex", "face_id", "confidence", "success")
_ARRAYS = ("time", "hop", "valid", "names")
_SEPARATORS = (";", "\t", ",")
_KNOWN = f"files of features are {', '.join(SUFFIXES)}"


@dataclass(frozen=True)
class FeatureTable:
    """A file of features as it is.

    Attributes:
        path: the file.
        columns: names of the features.
        values: ``(rows, features)`` float32; NaN where a field was empty.
        times: ``(rows,)`` seconds at which each row begins; None where the file does not say.
        hop: seconds of a row where the file says so.
        valid: ``(rows,)`` False where the file says that nothing was seen.
        numbers: ``(rows,)`` of the rows, as a spreadsheet counts.
    """

    path: Path
    columns: tuple[str, ...]
    values: NDArray[np.float32]
    times: NDArray[np.float64] | None
    hop: float | None
    valid: NDArray[np.bool_]
    numbers: NDArray[np.int64]


def read_feature_table(path: str | Path) -> FeatureTable:
    """Read a file of features; its suffix tells how.

    Raises:
        InputError: it cannot be read.
        FormatError: it is no such file, or holds what is no number.
    """
    file = Path(path)
    plain_file(file)
    suffix = file.suffix.lower()
    if suffix == ".npz":
        return _of_archive(file)
    if suffix == ".parquet":
        return _of_frame(_parquet(file), file, first=1)
    if suffix in SUFFIXES:
        return _of_frame(_csv(file), file, first=2)
    raise FormatError(f"is no file of features ({suffix or 'no suffix'})", path=path, advice=_KNOWN)


def _of_archive(path: Path) -> FeatureTable:
    arrays = _arrays(path)
    features = [name for name in arrays if name not in _ARRAYS]
    if "values" in arrays:
        features = ["values"]
    _check_names(arrays, path)
    if len(features) != 1:
        found = ", ".join(arrays) or "nothing"
        raise FormatError(f"holds {found}", path=path, advice="name the array of features `values`")
    values = arrays[features[0]]
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise FormatError(
            f"{features[0]} is {values.dtype} of shape {values.shape}",
            path=path,
            advice="give numbers of shape (time, features)",
        )
    rows, width = values.shape
    names = arrays.get("names", np.arange(width).astype(str))
    valid = arrays.get("valid", np.ones(rows, dtype=np.bool_))
    for name, array, length in (
        ("names", names, width),
        ("valid", valid, rows),
        ("time", arrays.get("time", valid), rows),
    ):
        if array.shape != (length,):
            raise FormatError(f"{name} has the shape {array.shape}, not ({length},)", path=path)
    return FeatureTable(
        path,
        tuple(str(name) for name in names),
        values.astype(np.float32),
        _numbers(arrays["time"], "time", path) if "time" in arrays else None,
        float(_numbers(arrays["hop"].ravel(), "hop", path)[0]) if "hop" in arrays else None,
        valid.astype(np.bool_),
        np.arange(1, rows + 1),
    )


def _check_names(arrays: Iterable[str], path: Path) -> None:
    """Check that no array is nearly one that is read; others may stand beside the features."""
    read = ("values", *_ARRAYS)
    for name in arrays:
        close = nearest(name, read)
        if name not in read and close.startswith("did you mean"):
            raise FormatError(f"holds {name}, which nothing reads", path=path, advice=close)


def _arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FormatError("is no NumPy archive", path=path, advice="write it with np.savez")
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise FormatError(
            f"is no NumPy archive of plain numbers ({error})",
            path=path,
            advice="write it with np.savez",
        ) from error


def _parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise FormatError(f"is no Parquet file ({error})", path=path) from error


def _csv(path: Path) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
        separator = max(_SEPARATORS, key=head.count)
        return pd.read_csv(
            path, sep=separator, skipinitialspace=True, encoding="utf-8-sig", low_memory=False
        )
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise FormatError(f"is no CSV in UTF-8 ({error})", path=path) from error


def _of_frame(frame: pd.DataFrame, path: Path, first: int) -> FeatureTable:
    frame = frame.reset_index() if frame.index.names != [None] else frame
    frame.columns = pd.Index([str(name).strip() for name in frame.columns])
    by_lower = {name.lower(): name for name in frame.columns}
    if len(by_lower) < len(frame.columns):
        raise FormatError("has two columns of one name", path=path)
    frame = _one_face(frame.reset_index(drop=True), by_lower)
    rows = frame.index.to_numpy(dtype=np.int64) + first
    time = next((by_lower[name] for name in TIME_COLUMNS if name in by_lower), None)
    end = next((by_lower[name] for name in _END_COLUMNS if name in by_lower), None)
    aside = {time, end, *(by_lower[name] for name in _NOTED_COLUMNS if name in by_lower)}
    columns = [name for name in frame.columns if name not in aside]
    if not columns:
        raise FormatError("has no column of features", path=path)
    values = np.empty((len(frame), len(columns)), dtype=np.float32)
    for place, name in enumerate(columns):
        values[:, place] = _numbers(frame[name].to_numpy(), name, path, rows)
    valid = np.ones(len(frame), dtype=np.bool_)
    if "success" in by_lower:
        valid = _numbers(frame[by_lower["success"]].to_numpy(), "success", path, rows) > 0
    times = None if time is None else _seconds(frame[time], time, path, rows)
    return FeatureTable(path, tuple(columns), values, times, None, valid, rows)


def _one_face(frame: pd.DataFrame, by_lower: dict[str, str]) -> pd.DataFrame:
    """Select the rows of the face that OpenFace saw most often, of equals the first."""
    if "face_id" not in by_lower or not len(frame):
        return frame
    seen = frame
    if "success" in by_lower:
        seen = frame[pd.to_numeric(frame[by_lower["success"]], errors="coerce") > 0]
    numbers = (seen if len(seen) else frame)[by_lower["face_id"]]
    counts = numbers.value_counts(sort=False)
    return frame[frame[by_lower["face_id"]] == counts.idxmax()]


def _seconds(
    column: pd.Series[Any], name: str, path: Path, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Parse times in seconds; Python's openSMILE writes them as ``0 days 00:00:00.02``."""
    if column.dtype.kind not in "fiub":
        try:
            return np.asarray(pd.to_timedelta(column).dt.total_seconds(), dtype=np.float64)
        except (ValueError, TypeError, AttributeError):
            pass  # what it holds is named below
    return _numbers(column.to_numpy(), name, path, rows, needed=True)


def _numbers(
    column: NDArray[Any],
    name: str,
    path: Path,
    rows: NDArray[np.int64] | None = None,
    *,
    needed: bool = False,
) -> NDArray[np.float64]:
    """Parse a column as numbers; NaN for what is empty, unless it is needed.

    Args:
        column: the fields.
        name: of the column.
        path: the file.
        rows: numbers of the rows; from 1 where None.
        needed: whether an empty field is no number either.

    Raises:
        FormatError: a field is no number; names its row and column.
    """
    numbers = pd.to_numeric(pd.Series(column), errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.isnan(numbers) & ~pd.isna(column) | np.isinf(numbers)
    if needed:
        wrong |= np.isnan(numbers)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise FormatError(
            f"row {row + 1 if rows is None else rows[row]}, column {name}: {column[row]!r} is no "
            "finite number",
            path=path,
            advice="correct it, or take the column out",
        )
    return numbers
