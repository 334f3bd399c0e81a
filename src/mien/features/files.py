"""Files of features that others have made, as an extractor.

Rows become steps by the time column: where the times lie on a regular grid (within a fifth of a
step), each row is the step that it begins in and steps without a row were not observed; otherwise,
or where another hop is asked for, each step takes the row whose time is nearest, within
one step. A file of one row describes the whole recording.

A row that is empty altogether, or of which the file says that nothing was seen (``success`` 0,
``valid`` False), is a step that was not observed. A row of which only some fields are empty is
refused, since a step is observed or not: fill such fields (an unvoiced pitch with 0, say), or empty
the row.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mien.errors import FormatError, OptionError
from mien.features.extractor import Extractor, Source, check_hop, register_extractor
from mien.features.feature_tables import FeatureTable, read_feature_table
from mien.features.series import Series, count_steps

ONE_ROW_HOP = 1.0  # of a file whose only row does not say how long it is
_SHORTEST_HOP_S = 1e-4
_JITTER = 0.2  # of a step
_ROUNDED_S = 0.0006  # times that are written to a thousandth are off by half of one
_LATE_START = 0.1  # of a step: a first row that begins so little before a step belongs to it
_MOST_STEPS = 10_000_000


class FileExtractor(Extractor):
    """Base of what is read from a file of features beside each recording."""

    source: ClassVar[Source] = "file"

    def read(self, path: str | Path) -> Series:
        """Read a file.

        Args:
            path: the file.

        Returns:
            Values ``(time, *shape)``.

        Raises:
            MienError: it cannot be read, or holds other features.
        """
        raise NotImplementedError


@register_extractor("file")
class FeatureFile(FileExtractor):
    """Features from a file beside each recording; see the module docstring.

    Attributes:
        columns: names of the features, all that a file has; their order is that of the values.
        hop: seconds of a step.

    Example:
        >>> FeatureFile(columns=("loudness", "pitch"), hop=0.01).shape
        (2,)
    """

    edition: ClassVar[int] = 1
    columns: tuple[str, ...]
    hop: float

    def __post_init__(self) -> None:
        if not self.columns or len({*self.columns}) < len(self.columns):
            raise OptionError("file: columns must be names, each once", advice="name the features")
        check_hop(self, _SHORTEST_HOP_S)

    @property
    def shape(self) -> tuple[int, ...]:
        """As many features as there are columns."""
        return (len(self.columns),)

    def read(self, path: str | Path) -> Series:
        """Read a file.

        Args:
            path: a NumPy archive, Parquet or CSV.

        Returns:
            Values ``(time, columns)``.

        Raises:
            InputError: the file cannot be read.
            FormatError: it is no file of features, has other columns, times that do not rise, or a
                row of which some fields are empty.
        """
        table = read_feature_table(path)
        order = _order(table, self.columns)
        values, valid = _check(table)
        values = values[:, order]
        if table.times is None:
            _check_own_hop(table, self.hop)
            return _series(values, valid, self.hop)
        steps, rows = _placed(table, table.times, self.hop)
        out = np.zeros((steps, len(order)), dtype=np.float32)
        there = np.zeros(steps, dtype=np.bool_)
        taken = rows >= 0
        out[taken], there[taken] = values[rows[taken]], valid[rows[taken]]
        return _series(out, there, self.hop)


def inspect_feature_file(
    path: str | Path, *, hop: float | None = None
) -> tuple[tuple[str, ...], float]:
    """Look into a file of features, to make the extractor that reads it and others like it.

    Args:
        path: the file.
        hop: seconds of a step, for a file that has no times, or for other steps than it has.

    Returns:
        Names of the features, and seconds of a step.

    Raises:
        InputError: it cannot be read.
        FormatError: it is no file of features, or nothing tells how long a step is.
    """
    table = read_feature_table(path)
    if hop is not None:
        return table.columns, hop
    if table.hop is not None:
        found = table.hop
    elif len(table.values) == 1:
        found = ONE_ROW_HOP
    elif table.times is None:
        raise FormatError(
            "has no times",
            path=path,
            advice="add a column (or an array) `time` in seconds, or give the hop",
        )
    else:
        found = _hop_of(table, table.times)
    if not _SHORTEST_HOP_S <= found < math.inf:
        raise FormatError(f"its steps of {found:g} s make no sense", path=path)
    return table.columns, found


def _order(table: FeatureTable, columns: tuple[str, ...]) -> list[int]:
    """Where the columns are in a table.

    Raises:
        FormatError: it has others.
    """
    there = {name: place for place, name in enumerate(table.columns)}
    lacking = [name for name in columns if name not in there]
    further = [name for name in table.columns if name not in columns]
    if lacking or further:
        parts = [f"lacks {', '.join(lacking[:5])}"] if lacking else []
        parts += [f"has also {', '.join(further[:5])}"] if further else []
        raise FormatError(
            f"has other columns than the first file had: {' and '.join(parts)}",
            path=table.path,
            advice="extract all files in the same way",
        )
    return [there[name] for name in columns]


def _check(table: FeatureTable) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the values, zero where not observed, and what was observed."""
    if not len(table.values):
        raise FormatError("has no rows", path=table.path)
    empty = np.isnan(table.values)
    valid = table.valid & ~empty.all(axis=1)
    partly = empty.any(axis=1) & valid
    if partly.any():
        row = int(np.flatnonzero(partly)[0])
        column = table.columns[int(np.flatnonzero(empty[row])[0])]
        raise FormatError(
            f"row {table.numbers[row]}, column {column} is empty though the rest of the row is not",
            path=table.path,
            advice="fill it (an unvoiced pitch with 0, say), or empty the whole row",
        )
    if np.isinf(table.values[valid]).any():
        raise FormatError("holds numbers that are not finite", path=table.path)
    return np.where(valid[:, None], table.values, 0).astype(np.float32), valid


def _check_own_hop(table: FeatureTable, hop: float) -> None:
    if table.hop is not None and abs(table.hop - hop) > _JITTER * hop / max(len(table.values), 1):
        raise FormatError(
            f"has steps of {table.hop:g} s, the first file had {hop:g} s",
            path=table.path,
            advice="extract all files in the same way, or give their times",
        )


def _check_rising(table: FeatureTable, times: NDArray[np.float64]) -> None:
    if not np.isfinite(times).all() or times[0] < -_ROUNDED_S:
        raise FormatError("times must be finite and must not be negative", path=table.path)
    falling = np.flatnonzero(np.diff(times) <= 0)
    if len(falling):
        row = int(falling[0]) + 1
        raise FormatError(
            f"row {table.numbers[row]}: the time {times[row]:g} s does not come after "
            f"{times[row - 1]:g} s",
            path=table.path,
            advice="sort the rows by time, one row for each",
        )


def _hop_of(table: FeatureTable, times: NDArray[np.float64]) -> float:
    """Estimate the step of times that rise: the roundest number that fits, else their median."""
    _check_rising(table, times)
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    steps = np.concatenate([[0], np.cumsum(np.maximum(np.rint(gaps / usual), 1))])
    slope = float(np.polyfit(steps, times - times[0], 1)[0]) if len(times) > 2 else usual
    off = _off_grid(times, steps, slope)
    if off > _JITTER * usual:
        return float(f"{usual:.3g}")
    tolerance = max(min(_ROUNDED_S, _JITTER * usual / 2), off)
    for digits in range(1, 8):
        for candidate in (float(f"{slope:.{digits}g}"), 1 / float(f"{1 / slope:.{digits}g}")):
            if _off_grid(times, steps, candidate) <= tolerance:
                return candidate
    return slope


def _off_grid(times: NDArray[np.float64], steps: NDArray[np.number], hop: float) -> float:
    """How far times are from a grid at most, in seconds, wherever the grid begins."""
    begins = times - hop * steps
    return float(np.abs(begins - np.median(begins)).max())


def _placed(
    table: FeatureTable, times: NDArray[np.float64], hop: float
) -> tuple[int, NDArray[np.int64]]:
    """How many steps there are, and the row of each; -1 where there is none."""
    _check_rising(table, times)
    if times[-1] / hop > _MOST_STEPS:
        raise FormatError(
            f"ends at {times[-1]:g} s, too late for steps of {hop:g} s",
            path=table.path,
            advice="give times in seconds",
        )
    if len(times) == 1:
        return 1, np.zeros(1, dtype=np.int64)
    steps = np.rint((times - times[0]) / hop).astype(np.int64)
    begin = float(np.median(times - hop * steps))
    first = math.floor(max(begin, 0.0) / hop + _LATE_START)
    if _off_grid(times, steps, hop) <= _JITTER * hop and (np.diff(steps) > 0).all():
        rows = np.full(first + int(steps[-1]) + 1, -1)
        rows[first + steps] = np.arange(len(times))
        return len(rows), rows
    return _nearest_rows(times, hop)


def _nearest_rows(times: NDArray[np.float64], hop: float) -> tuple[int, NDArray[np.int64]]:
    """Find the row nearest to the beginning of each step; -1 where it is a step away."""
    usual = float(np.median(np.diff(times)))
    count = count_steps(float(times[-1]) + usual, hop)
    begins = np.arange(count) * hop
    after = np.clip(np.searchsorted(times, begins), 1, len(times) - 1)
    rows = np.where(begins - times[after - 1] <= times[after] - begins, after - 1, after)
    far = np.abs(times[rows] - begins) > max(hop, usual) * (1 + 1e-6)
    return count, np.where(far, -1, rows)


def _series(values: NDArray[np.float32], valid: NDArray[np.bool_], hop: float) -> Series:
    return Series(np.ascontiguousarray(values), valid, hop)
