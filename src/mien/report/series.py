"""The steps of one person on an even grid of time, few enough to draw."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mien import schema
from mien.metadata import Metadata

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChartSeries:
    """What is drawn of one person.

    Attributes:
        duration: seconds of the whole recording, the length of the axis.
        start: ``(points,)`` seconds.
        end: ``(points,)`` seconds.
        probabilities: ``(points, labels)``, means over the observed steps; NaN in gaps.
        dimensions: by name ``(points,)``, likewise.
        present: by modality ``(points,)``, the fraction of the point's time in which it was
            observed.
        seen: ``(points,)`` the same for any modality.
        merged: the steps that one point stands for, 1 where nothing was merged.
    """

    duration: float
    start: Floats
    end: Floats
    probabilities: Floats
    dimensions: dict[str, Floats]
    present: dict[str, Floats]
    seen: Floats
    merged: int

    def stretches(self, values: Floats) -> Iterator[slice]:
        """Find points that follow one another and have values."""
        good = np.isfinite(values if values.ndim == 1 else values.sum(axis=1))
        touching = np.abs(self.start[1:] - self.end[:-1]) < 1e-3
        joined = np.concatenate([[False], touching & good[1:] & good[:-1], [False]])
        firsts = np.flatnonzero(good & ~joined[:-1])
        lasts = np.flatnonzero(good & ~joined[1:])
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            yield slice(first, last + 1)


def gather(rows: pd.DataFrame, metadata: Metadata, *, duration: float, limit: int) -> ChartSeries:
    """Put the rows of one person on a grid of at most ``limit`` points.

    Args:
        rows: rows of a timeline, of one person in one recording; at least one.
        metadata: of the timeline.
        duration: seconds of the recording.
        limit: the most points; neighbouring steps are averaged until they fit.
    """
    length = rows["end"] - rows["start"]
    hop = float(length.median())
    duration = max(duration, float(rows["end"].max()))
    merged = max(1, math.ceil(duration / hop / limit))
    width = merged * hop
    cells = math.ceil(duration / width - 1e-6)
    cell = ((rows["start"] + length / 2) // width).clip(upper=cells - 1)
    columns = [schema.probability_column(label) for label in metadata.labels]
    scores = rows[[*columns, *metadata.dimensions]].groupby(cell).mean().reindex(range(cells))
    nominal = np.arange(cells) * width
    start = rows["start"].groupby(cell).min().reindex(range(cells)).to_numpy(float)
    end = rows["end"].groupby(cell).max().reindex(range(cells)).to_numpy(float)
    start = np.where(np.isnan(start), nominal, start)
    end = np.where(np.isnan(end), np.minimum(nominal + width, duration), end)

    def fraction(observed: pd.Series) -> Floats:
        seconds = length.where(observed, 0.0).groupby(cell).sum().reindex(range(cells))
        fractions: Floats = np.clip(seconds.fillna(0.0).to_numpy(float) / (end - start), 0, 1)
        return fractions

    modalities = list(metadata.modalities)
    return ChartSeries(
        duration=duration,
        start=start,
        end=end,
        probabilities=scores[columns].to_numpy(float),
        dimensions={name: scores[name].to_numpy(float) for name in metadata.dimensions},
        present={name: fraction(rows[name]) for name in modalities},
        seen=fraction(rows[modalities].any(axis=1)),
        merged=merged,
    )
