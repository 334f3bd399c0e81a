"""Frames in the child: which to decode, which to keep, and how to turn them into upright BGR."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final, NamedTuple, cast

import numpy as np
from av import VideoFrame
from av.sidedata.sidedata import SideData
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

_TICK_SLACK: Final = 1e-6  # of a tick: 0.6 s × 5 Hz must count as tick 3, whatever floats say
_REMEMBERED_TICKS: Final = 256


class Ticks:
    """Chooses the first frame at or after each tick of a regular grid.

    Args:
        rate_hz: ticks a second.

    Attributes:
        behind: how many frames lay before a tick that an earlier frame had reached.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._earliest: dict[int, float] = {}
        self._last = -1
        self.behind = 0

    def _tick(self, time: float) -> int:
        return math.floor(time * self._rate_hz + _TICK_SLACK)

    def may_want(self, time: float) -> bool:
        """Tell whether a frame at this time may be chosen, after the packets so far."""
        tick = self._tick(time)
        if self._earliest.get(tick, math.inf) < time:
            return False
        self._earliest[tick] = time
        if len(self._earliest) > _REMEMBERED_TICKS:
            del self._earliest[next(iter(self._earliest))]
        return True

    def wants(self, time: float) -> bool:
        """Tell whether the frame at this time, after the earlier ones, is the first of a tick."""
        tick = self._tick(time)
        self.behind += tick < self._last
        if tick <= self._last:
            return False
        self._last = tick
        return True


class Orientation(NamedTuple):
    """How a stored picture is turned into the shown one: transposed, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn; for a mirrored picture, the turn after mirroring left and right."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the shown picture ``(height, width, 3)``, contiguous."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        step_y, step_x = (-1 if mirrored else 1 for mirrored in (self.mirror_y, self.mirror_x))
        return np.ascontiguousarray(image[::step_y, ::step_x])


def read_orientation(frame: VideoFrame) -> Orientation:
    """Read the orientation from a frame's display matrix, to the nearest quarter turn.

    The matrix (ISO/IEC 14496-12, 6.2.2) maps a stored point to a shown one by
    ``x' = a x + c y``, ``y' = b x + d y``.
    """
    data = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    if data is None:
        return Orientation()
    matrix = np.frombuffer(bytes(data), np.int32).astype(np.int64)
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def compute_shown_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """Compute width and height of a stored picture with square pixels, before rotation.

    An aspect beyond 4:1 is taken for damage and ignored.
    """
    aspect = float(pixel_aspect or 1)
    if not 0.25 <= aspect <= 4:
        aspect = 1.0
    return max(1, round(width * aspect)), height


class Painter:
    """Turns decoded frames into upright BGR arrays no larger than wanted.

    Args:
        max_side_px: the most that the longer side may have.
        pixel_aspect: width over height of a stored pixel, None where unknown.
    """

    def __init__(self, max_side_px: int, pixel_aspect: Fraction | None) -> None:
        self._max_side_px = max_side_px
        self._pixel_aspect = pixel_aspect
        self._reformatter = VideoReformatter()

    def paint(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Paint the picture, ``(height, width, 3)`` uint8 BGR."""
        width, height = compute_shown_size(frame.width, frame.height, self._pixel_aspect)
        scale = min(1.0, self._max_side_px / max(width, height))
        # Averaging over areas keeps a scaled-down face free of moiré.
        converted = self._reformatter.reformat(
            frame,
            width=max(1, round(width * scale)),
            height=max(1, round(height * scale)),
            format="bgr24",
            interpolation=Interpolation.AREA if scale < 1 else Interpolation.BICUBIC,
            threads=1,
        )
        image: NDArray[np.uint8] = converted.to_ndarray().astype(np.uint8, copy=False)
        return read_orientation(frame).apply(image)
