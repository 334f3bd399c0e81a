"""The decoded stream of a recording: pictures and stretches of sound with true time stamps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000


class Frame(NamedTuple):
    """One picture.

    Attributes:
        time: seconds from the file's time 0, as the file stamps it; never negative.
        image: ``(height, width, 3)`` uint8, channels blue, green, red.
    """

    time: float
    image: NDArray[np.uint8]


class Samples(NamedTuple):
    """A stretch of sound: 16 kHz, one channel.

    Attributes:
        time: seconds from the file's time 0 to the first of the values; never negative.
        values: ``(samples,)`` float32 in [-1, 1].
    """

    time: float
    values: NDArray[np.float32]
