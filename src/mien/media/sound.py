"""Sound in the child: any layout and rate to 16 kHz, one channel, on a clock that cannot drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import soxr
from av import AudioFrame
from numpy.typing import NDArray

from mien.errors import DamagedError
from mien.stream import SAMPLE_RATE_HZ, Samples

SLOWEST_HZ: Final = 2_000
FASTEST_HZ: Final = 768_000
_GAP: Final = (
    0.05  # seconds by which stamps may be off before we believe them rather than the count
)
_CHUNK: Final = SAMPLE_RATE_HZ // 2
# PyAV's own conversion knows no s64, which a WAV file may well hold.
_TYPES: Final = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


def mix_channels(frame: AudioFrame, channel: int | None = None) -> NDArray[np.float32]:
    """Take one channel of a frame, or mix all, whatever the sample format.

    Args:
        frame: a decoded frame.
        channel: which, counted from 1; the mean where None.

    Returns:
        ``(samples,)`` in [-1, 1].

    Raises:
        DamagedError: the frame has fewer channels, though the file announced more.
    """
    values = _channels(frame)
    if channel is not None:
        if channel > len(values):
            raise DamagedError(
                f"the sound has no channel {channel} all the way",
                advice="leave the channel out, or convert the file with: ffmpeg -i IN OUT.wav",
            )
        values = values[channel - 1 : channel]
    scaled: NDArray[np.floating] = np.nan_to_num(values.astype(np.float32))
    if values.dtype == np.uint8:
        scaled = (scaled - 128) / 128
    elif values.dtype.kind == "i":
        scaled = scaled / 2.0 ** (8 * values.dtype.itemsize - 1)
    mixed: NDArray[np.float32] = np.clip(scaled, -1, 1).mean(axis=0, dtype=np.float32)
    return mixed


def _channels(frame: AudioFrame) -> NDArray[Any]:
    """Return a frame's values as stored, ``(channels, samples)``."""
    kind = np.dtype(_TYPES[frame.format.packed.name])
    planes = [np.frombuffer(memoryview(plane), kind) for plane in frame.planes]
    if frame.format.is_planar:
        return np.stack([plane[: frame.samples] for plane in planes])
    channels = max(1, frame.layout.nb_channels)
    return planes[0][: frame.samples * channels].reshape(frame.samples, channels).T


class SoundSegment:
    """A stretch of sound without a gap, resampled by soxr (HQ) as it comes.

    Args:
        start: seconds, the time of its first sample.
        rate_hz: of the samples put in.
    """

    def __init__(self, start: float, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._start = start
        self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, "float32", "HQ")
        self._taken = 0
        self._given = 0
        self._pending: list[NDArray[np.float32]] = []

    @property
    def end(self) -> float:
        """Seconds: the time of the sample that would come next."""
        return self._start + self._taken / self.rate_hz

    def push(self, values: NDArray[np.float32], *, last: bool = False) -> Iterator[Samples]:
        """Take samples; give a chunk when there is enough for one, or all that is left at last."""
        self._taken += len(values)
        self._pending.append(self._resampler.resample_chunk(values, last=last))
        count = sum(map(len, self._pending))
        if count >= _CHUNK or (last and count):
            chunk = np.clip(np.concatenate(self._pending), -1, 1)
            yield Samples(self._start + self._given / SAMPLE_RATE_HZ, chunk)
            self._given += count
            self._pending = []


class Clock:
    """Puts decoded frames of sound on the file's time line.

    While stamps and sample count agree within 50 ms the count rules, so that jitter does no harm.
    Beyond that the stamps rule: a gap ends the segment and the next begins at its own time; sound
    that lies before what was already given is cut off.

    Args:
        channel: which to take, counted from 1; the mean of all where None.
    """

    def __init__(self, channel: int | None = None) -> None:
        self._channel = channel
        self._segment: SoundSegment | None = None
        self._floor = 0.0
        self.behind = 0

    @property
    def end(self) -> float:
        """Seconds: the end of the sound so far."""
        return self._floor if self._segment is None else self._segment.end

    def push(self, frame: AudioFrame, time: float | None) -> Iterator[Samples]:
        """Take a frame; ``time`` is its stamp in seconds, None where it has none."""
        values, rate_hz = mix_channels(frame, self._channel), frame.sample_rate
        stamp = self.end if time is None else time
        if self._segment and (rate_hz != self._segment.rate_hz or stamp > self.end + _GAP):
            yield from self.finish()
        late = self.end - stamp
        if late > _GAP or (self._segment is None and late > 0):
            values = values[round(late * rate_hz) :]
            stamp = self.end
            self.behind += not len(values)
        if len(values):
            if self._segment is None:
                self._segment = SoundSegment(stamp, rate_hz)
            yield from self._segment.push(values)

    def finish(self) -> Iterator[Samples]:
        """End the segment, giving what is left of it."""
        if self._segment is not None:
            self._floor = self._segment.end
            yield from self._segment.push(np.empty(0, np.float32), last=True)
        self._segment = None
