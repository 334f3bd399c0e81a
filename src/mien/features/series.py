"""One modality of one recording over time, in numpy: what extractors give and the cache keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Series:
    """One modality of one recording.

    Attributes:
        values: ``(time, *feature)`` float32; zero where not valid.
        valid: ``(time,)`` bool, True where the modality was observed.
        hop: seconds; step ``i`` is ``[i * hop, (i + 1) * hop)`` from the recording's time 0.
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    hop: float

    def __post_init__(self) -> None:
        if self.valid.dtype != np.bool_ or self.values.dtype != np.float32:
            raise TypeError(f"want float32 and bool, got {self.values.dtype}, {self.valid.dtype}")
        if self.values.ndim < 2 or self.valid.shape != self.values.shape[:1]:
            raise ValueError(
                f"values {self.values.shape} and valid {self.valid.shape} must share the time, and "
                "values must have a feature axis"
            )
        if not 0 < self.hop < math.inf:
            raise ValueError(f"hop must be positive, got {self.hop}")

    def __len__(self) -> int:
        return len(self.valid)

    def cut(self, start: float, end: float | None) -> Series:
        """Keep the whole steps of a stretch: those whose middle lies in ``[start, end)``.

        Of two stretches that meet, no step belongs to both. A stretch that holds no middle becomes
        the one step that it begins in.

        Args:
            start: seconds from the recording's time 0.
            end: likewise; None for all that follows.

        Returns:
            The steps, the first of them at time 0; none where the series ends before the start.
        """
        first = max(_first_middle(start, self.hop), 0)
        last = len(self) if end is None else _first_middle(end, self.hop)
        if end is not None and last <= first:
            first = max(math.floor(start / self.hop + 1e-6), 0)
            last = first + 1
        return replace(self, values=self.values[first:last], valid=self.valid[first:last])

    def resize(self, steps: int) -> Series:
        """Cut the series to a number of steps, or go on with steps that were not observed."""
        if steps <= len(self):
            return replace(self, values=self.values[:steps], valid=self.valid[:steps])
        more = steps - len(self)
        values = np.pad(self.values, ((0, more), *((0, 0),) * (self.values.ndim - 1)))
        return replace(self, values=values, valid=np.pad(self.valid, (0, more)))


class Medium(NamedTuple):
    """A modality as its own medium has it, whatever else was read of the recording.

    Attributes:
        series: from time 0 to the end of the medium.
        end: seconds at which the medium (the sound, the pictures, the file of features) ends.
        follows: whether it ends with the others, wherever these end: a file of features. Its only
            row, where it has one, describes the whole recording.
    """

    series: Series
    end: float
    follows: bool = False


def align_ends(media: Mapping[str, Medium]) -> dict[str, Series]:
    """Let all modalities of a recording end together, with the longer of sound and pictures.

    Args:
        media: by modality.

    Returns:
        By modality; what was lengthened has steps that were not observed, except a file of one row,
        which is repeated.
    """
    ends = [medium.end for medium in media.values() if not medium.follows]
    end = max(ends or [medium.end for medium in media.values()], default=0.0)
    return {name: fit(medium, end) for name, medium in media.items()}


def fit(medium: Medium, end: float) -> Series:
    """Let a modality end at some second; see `align_ends`."""
    series = medium.series
    steps = count_steps(end, series.hop)
    if not (medium.follows and len(series) == 1):
        return series.resize(steps)
    values = np.repeat(series.values, steps, axis=0)
    return replace(series, values=values, valid=np.repeat(series.valid, steps))


def count_steps(duration: float, hop: float) -> int:
    """Count the steps that cover a duration, at least one.

    The last may be cut short, but not to less than a thousandth.
    """
    return max(math.ceil(round(duration / hop, 3)), 1)


def find_steps(times: Any, hop: float) -> NDArray[np.int64]:  # noqa: ANN401 - anything of numbers
    """Find the step that each time falls into; a time a millionth before a step belongs to it."""
    steps: NDArray[np.int64] = np.floor(np.asarray(times) / hop + 1e-6).astype(np.int64)
    return steps


def _first_middle(time: float, hop: float) -> int:
    """Find the first step whose middle is not before a time."""
    return math.ceil(time / hop - 0.5 - 1e-6)
