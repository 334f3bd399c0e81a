"""Ratings per frame: a CSV file of one recording, of one rater or several.

::

    time,rater,arousal,valence
    0.0,r1,0.12,0.30
    0.5,r1,0.14,0.31
    0.0,r2,0.05,0.28
    0.5,r2,,0.29

``time`` is seconds within the recording; a rating holds from its time to that of the next. One
column for each dimension; an empty field is a missing rating. ``rater`` may be left out where there
is but one; the times of a rater must increase, and raters need not have the same times.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mien.datasets._rows import TableRow, check_spelling, read_rows, require_columns
from mien.errors import FormatError

Raters = Literal["mean", "ewe"]
Floats = NDArray[np.float64]
TIME, RATER = "time", "rater"
_LAYOUT = "ratings have a column time, may have rater, and one column for each dimension"


@dataclass(frozen=True)
class Trace:
    """What one rater said of one recording.

    Attributes:
        times: ``(n,)``, seconds, increasing.
        values: ``(n, dimensions)``; NaN where a rating is missing.
    """

    times: Floats
    values: Floats

    @property
    def interval(self) -> float:
        """Seconds between two ratings, the median."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0

    def resample(self, hop: float, steps: int, start: float = 0.0) -> Floats:
        """Return the ratings on a grid of steps.

        A step is the mean of the ratings that fall into it; one without any is interpolated
        linearly at its middle between the ratings around it, where these are at most two intervals
        apart; the last rating holds for one interval. Otherwise, and beside an empty field, it is
        missing.

        Args:
            hop: seconds of a step.
            steps: how many.
            start: seconds within the recording at which the first begins.

        Returns:
            ``(steps, dimensions)``; NaN where there is no rating.
        """
        middles: Floats = start + (np.arange(steps, dtype=np.float64) + 0.5) * hop
        where = np.floor((self.times - start) / hop + 1e-6).astype(np.int64)
        columns = [self._resample(column, where, middles) for column in self.values.T]
        return np.stack(columns, axis=1)

    def _resample(self, column: Floats, where: NDArray[np.int64], middles: Floats) -> Floats:
        steps, known = len(middles), np.isfinite(column)
        inside = known & (where >= 0) & (where < steps)
        counts = np.bincount(where[inside], minlength=steps)
        sums = np.bincount(where[inside], weights=column[inside], minlength=steps)
        times, last = self.times, len(self.times) - 1
        after = np.searchsorted(times, middles)
        left, right = np.clip(after - 1, 0, None), np.clip(after, None, last)
        reach = self.interval + 1e-9
        near = (after > 0) & (after <= last) & (times[right] - times[left] <= 2 * reach)
        near |= (after > last) & (middles - times[-1] <= reach)
        near |= (after == 0) & (times[0] - middles <= reach)
        # A missing rating on either side makes what is between them missing.
        out = np.where(near, np.interp(middles, times, column), np.nan)
        return np.where(counts > 0, sums / np.maximum(counts, 1), out)


@dataclass(frozen=True)
class Ratings:
    """The ratings of one recording.

    Attributes:
        path: the file.
        dimensions: their names, in the file's order.
        traces: by rater; the name is empty where the file does not say.
    """

    path: Path
    dimensions: tuple[str, ...]
    traces: dict[str, Trace]

    @property
    def first(self) -> float:
        """Seconds at which the first rater begins."""
        return min(float(trace.times[0]) for trace in self.traces.values())

    @property
    def last(self) -> float:
        """Seconds up to which the last rating holds."""
        return max(float(trace.times[-1]) + trace.interval for trace in self.traces.values())

    @property
    def interval(self) -> float:
        """Seconds between two ratings, of the rater who gave fewest."""
        return max(trace.interval for trace in self.traces.values())

    def resample(
        self,
        hop: float,
        steps: int,
        *,
        start: float = 0.0,
        dimensions: Iterable[str] = (),
        raters: Raters = "mean",
    ) -> Floats:
        """Return one rating for each step of a grid.

        Args:
            hop: seconds of a step.
            steps: how many.
            start: seconds within the recording at which the first begins.
            dimensions: which, in this order; all where empty.
            raters: ``mean``: averaged over the raters who rated a step; ``ewe``: weighted by
                `weigh_raters`, for each dimension over all of this recording that is asked.

        Returns:
            ``(steps, dimensions)``; NaN where nobody rated.
        """
        columns = [self.dimensions.index(name) for name in dimensions or self.dimensions]
        said = np.stack([t.resample(hop, steps, start)[:, columns] for t in self.traces.values()])
        weights = np.ones((len(said), len(columns)))
        if raters == "ewe":
            weights = np.stack([weigh_raters(one) for one in said.transpose(2, 0, 1)], axis=1)
        weighed = np.where(np.isfinite(said), weights[:, None], 0.0)
        total = weighed.sum(axis=0)
        mean = (weighed * np.nan_to_num(said)).sum(axis=0) / np.where(total > 0, total, 1.0)
        return np.where(total > 0, mean, np.nan)


def weigh_raters(said: Floats) -> Floats:
    """Weigh raters by how far each agrees with the others.

    Evaluator weighted estimator: Grimm, M. and Kroschel, K. (2005). Evaluation of natural emotions
    using self assessment manikins. ASRU. The weight of a rater is the Pearson correlation with the
    mean of the others over the steps that both rated; one that is negative, or undefined, counts 0.

    Args:
        said: ``(raters, steps)`` of one dimension, NaN where missing.

    Returns:
        ``(raters,)``; all one where there are fewer than three raters, since the two of a pair
        agree with each other equally, or where nobody agrees with anybody.

    Example:
        >>> a = np.linspace(0, 1, 50)
        >>> weigh_raters(np.stack([a, a + 0.1, -a / 2])).round(2).tolist()
        [1.0, 1.0, 0.0]
    """
    if len(said) < 3:
        return np.ones(len(said))
    weights = np.zeros(len(said))
    for index, own in enumerate(said):
        others = np.delete(said, index, axis=0)
        counts = np.isfinite(others).sum(axis=0)
        mean = np.nansum(others, axis=0) / np.maximum(counts, 1)
        both = np.isfinite(own) & (counts > 0)
        if both.sum() > 2 and own[both].std() > 0 and mean[both].std() > 0:
            weights[index] = max(0.0, float(np.corrcoef(own[both], mean[both])[0, 1]))
    return weights if weights.any() else np.ones(len(said))


@lru_cache(maxsize=4096)
def _read(path: Path, changed_ns: int, size: int) -> Ratings:
    del changed_ns, size
    columns, rows = read_rows(path, _LAYOUT)
    require_columns(path, columns, (TIME,), _LAYOUT)
    dimensions = tuple(name for name in columns if name not in {TIME, RATER})
    if not dimensions:
        raise FormatError("has no column of a dimension", path=path, advice=_LAYOUT)
    check_spelling(rows, RATER)
    by_rater: dict[str, list[TableRow]] = {}
    for row in rows:
        if RATER in columns and not row.text(RATER):
            raise row.wrong(RATER, "nobody is named", "name every rater, if only by a number")
        by_rater.setdefault(row.text(RATER), []).append(row)
    traces = {rater: _trace(mine, dimensions) for rater, mine in by_rater.items()}
    return Ratings(path, dimensions, traces)


def read_ratings(path: Path) -> Ratings:
    """Read a file of ratings.

    Raises:
        InputError: it cannot be read.
        FormatError: a column is missing, a field is no number, or times do not increase; the
            message names row and column.
    """
    status = path.stat() if path.is_file() else None
    return _read(path, status.st_mtime_ns if status else 0, status.st_size if status else 0)


def _trace(rows: list[TableRow], dimensions: tuple[str, ...]) -> Trace:
    times: list[float] = []
    for row in rows:
        time = row.number_in(TIME)
        if time is None:
            raise row.wrong(TIME, "is empty", "give seconds within the recording")
        if times and time <= times[-1]:
            raise row.wrong(
                TIME,
                f"{time:g} s comes after {times[-1]:g} s: times go backwards",
                "sort the rows by time, and name raters in a column rater if there are several",
            )
        times.append(time)
    values = [[row.number_in(name) for name in dimensions] for row in rows]
    return Trace(np.array(times), np.array(values, dtype=np.float64))
