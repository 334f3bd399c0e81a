"""The sound of one recording, passed on to whoever reads it, stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.features.activity import STEP_SAMPLES, ActivityDetector, ActivityNetwork
from mien.features.extractor import SoundExtractor, run_extractor
from mien.features.series import Medium, Series, count_steps
from mien.features.store import RowStore
from mien.features.streams import SoundStream
from mien.stream import SAMPLE_RATE_HZ, Samples

VOICED_HOP = STEP_SAMPLES / SAMPLE_RATE_HZ

# Sound that is off by less than half a voiced step from where the sound before it ended goes on
# from there: clocks of containers are no finer than that.
_SLACK_SAMPLES = STEP_SAMPLES // 2
_BLOCK_BYTES = 64 << 20

Floats = NDArray[np.float32]


class Listener:
    """Reads a recording's sound in steps that are counted from the recording's time 0.

    A stretch that begins within a step is padded with silence, or loses the rest of the step, as
    is nearer.

    Args:
        begin_stream: begins an unbroken stretch.
        step_samples: samples of a step of what the stream gives.
        put: takes the number of a step and the rows from there on.
    """

    def __init__(
        self,
        begin_stream: Callable[[], SoundStream],
        step_samples: float,
        put: Callable[[int, NDArray[Any]], None],
    ) -> None:
        self._begin_stream, self._step_samples, self._put = begin_stream, step_samples, put
        self._stream: SoundStream | None = None
        self._step = 0
        self._excess = 0

    def begin(self, sample: int) -> None:
        """Begin a stretch at a sample of the recording."""
        self._stream = self._begin_stream()
        self._step = int(np.floor(sample / self._step_samples + 0.5))
        self._excess = round(self._step * self._step_samples) - sample

    def push(self, values: Floats) -> None:
        """Hear more of the stretch."""
        assert self._stream is not None
        if self._excess <= 0:
            values = np.pad(values, (-self._excess, 0))
            self._excess = 0
        else:
            cut = min(self._excess, len(values))
            self._excess -= cut
            values = values[cut:]
        self._give(self._stream.push(values))

    def finish(self) -> None:
        """End the stretch."""
        if self._stream is not None:
            self._give(self._stream.finish())
            self._stream = None

    def _give(self, rows: NDArray[Any]) -> None:
        if len(rows):
            self._put(self._step, rows)
            self._step += len(rows)


class Hearing:
    """Cuts the sound of one recording into unbroken stretches for its listeners.

    Samples that are not finite are taken for silence, those beyond full scale are clipped. Sound
    that overlaps what was already heard is dropped, and so is sound before time 0.

    Args:
        listeners: each hears everything.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._end: int | None = None

    def push(self, samples: Samples) -> None:
        """Hear more; pieces come in order of time."""
        values = np.clip(np.where(np.isfinite(samples.values), samples.values, 0), -1, 1)
        values = values.astype(np.float32)
        begin = round(samples.time * SAMPLE_RATE_HZ)
        late = begin - (self._end or 0)
        if late < -_SLACK_SAMPLES or (late < 0 and self._end is None):
            values = values[-late:]
        if not len(values):
            return
        if self._end is None or late > _SLACK_SAMPLES:
            self.finish()
            self._end = max(begin, 0)
            for listener in self._listeners:
                listener.begin(self._end)
        self._end += len(values)
        for listener in self._listeners:
            listener.push(values)

    def finish(self) -> None:
        """End the sound."""
        for listener in self._listeners:
            listener.finish()


class _ActivityStream:
    """`ActivityDetector` as a stream of yes and no."""

    def __init__(self, network: ActivityNetwork) -> None:
        self._detector = ActivityDetector(network)

    def push(self, samples: Floats) -> NDArray[np.bool_]:
        return np.array(self._detector.push(samples), dtype=np.bool_)

    def finish(self) -> NDArray[np.bool_]:
        return np.array(self._detector.finish(), dtype=np.bool_)


class Voiced:
    """Whether there was voice, in steps of 20 ms from the start of the recording."""

    def __init__(self) -> None:
        self._steps = bytearray()

    def __len__(self) -> int:
        return len(self._steps)

    def listener(self, network: ActivityNetwork) -> Listener:
        """Return a listener that fills this."""
        return Listener(lambda: _ActivityStream(network), STEP_SAMPLES, self.put)

    def put(self, first: int, rows: NDArray[np.bool_]) -> None:
        """Put what was found at some steps."""
        self._steps.extend(bytes(max(first - len(self._steps), 0)))
        self._steps[first : first + len(rows)] = rows.astype(np.bool_).tobytes()

    def between(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return ``(stop - start,)``: some steps; False outside the recording."""
        known = bytes(self._steps[max(start, 0) : max(stop, 0)])
        before = min(max(-start, 0), stop - start)
        padded = bytes(before) + known
        return np.frombuffer(padded.ljust(stop - start, b"\0"), dtype=np.bool_)

    def at(self, times: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell whether there was voice at some times, in seconds that rise."""
        if not len(times):
            return np.empty(0, dtype=np.bool_)
        steps = np.floor(times / VOICED_HOP + 1e-9).astype(np.int64)
        found: NDArray[np.bool_] = self.between(int(steps[0]), int(steps[-1]) + 1)[steps - steps[0]]
        return found


class HeardFeatures:
    """What one extractor made of the sound of one recording; lies in a temporary file.

    Args:
        extractor: reads the sound.
    """

    def __init__(self, extractor: SoundExtractor) -> None:
        self.extractor = extractor
        self._rows = RowStore(extractor.shape, extractor.dtype)
        self._observed = bytearray()
        self._valid = np.empty(0, dtype=np.bool_)
        self._end = 0.0

    def close(self) -> None:
        """Remove the temporary file."""
        self._rows.close()

    def listener(self) -> Listener:
        """Return a listener that fills this."""
        step_samples = self.extractor.native_hop * SAMPLE_RATE_HZ
        return Listener(lambda: _Checked(self.extractor), step_samples, self.put)

    def settle(self, end: float, voiced: Voiced) -> None:
        """Bring what was heard into steps of the extractor's hop; the sound is over.

        Args:
            end: seconds at which it ended.
            voiced: where somebody spoke.
        """
        native, hop = self.extractor.native_hop, self.extractor.hop
        steps, self._end = count_steps(end, hop), end
        if hop > native * (1 + 1e-9):
            self._pool(steps, voiced)
            return
        valid = self._native_valid(0, self._rows.rows, voiced)[:steps]
        self._valid = np.pad(valid, (0, steps - len(valid)))

    def medium(self) -> Medium:
        """Return the whole series, up to the end of the sound."""
        values, valid = self.read(0, len(self._valid))
        return Medium(Series(values, valid, self.extractor.hop), self._end)

    def read(self, start: int, stop: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Cut steps ``start`` to ``stop``: values and mask; zeros and False outside."""
        valid = np.zeros(stop - start, dtype=np.bool_)
        first, last = max(start, 0), min(stop, len(self._valid))
        if last > first:
            valid[first - start : last - start] = self._valid[first:last]
        values = self._rows.read(start, stop)
        values[~valid] = 0
        return values, valid

    def put(self, first: int, rows: NDArray[Any]) -> None:
        """Put native steps."""
        self._rows.write(first, rows)
        self._observed.extend(bytes(max(first + len(rows) - len(self._observed), 0)))
        self._observed[first : first + len(rows)] = b"\1" * len(rows)

    def _native_valid(self, start: int, stop: int, voiced: Voiced) -> NDArray[np.bool_]:
        valid = np.frombuffer(bytes(self._observed[start:stop]), dtype=np.bool_)
        if self.extractor.voiced_only:
            valid = valid & voiced.at((np.arange(start, stop) + 0.5) * self.extractor.native_hop)
        return valid

    def _pool(self, steps: int, voiced: Voiced) -> None:
        """Means over the valid native steps of each step, a block of steps at a time."""
        native, shape = self._rows, self.extractor.shape
        ratio = self.extractor.native_hop / self.extractor.hop
        pooled, valid = RowStore(shape, native.dtype), np.zeros(steps, dtype=np.bool_)
        block = max(int(_BLOCK_BYTES * ratio / (4 * native.width)), 1)
        for first in range(0, steps, block):
            last = min(first + block, steps)
            start = max(int(first / ratio) - 1, 0)
            stop = min(int(last / ratio) + 2, native.rows)
            if stop <= start:
                continue
            where = np.floor((np.arange(start, stop) + 0.5) * ratio + 1e-9).astype(np.int64)
            used = self._native_valid(start, stop, voiced) & (where >= first) & (where < last)
            sums = np.zeros((last - first, *shape))
            np.add.at(sums, where[used] - first, native.read(start, stop)[used])
            counts = np.bincount(where[used] - first, minlength=last - first)
            means = sums / np.maximum(counts, 1).reshape(-1, *(1,) * len(shape))
            pooled.write(first, means.astype(np.float32))
            valid[first:last] = counts > 0
        native.close()
        self._rows, self._valid = pooled, valid


class _Checked:
    """The stream of an extractor, with what it gives checked."""

    def __init__(self, extractor: SoundExtractor) -> None:
        self._extractor = extractor
        self._stream = extractor.stream()

    def push(self, samples: Floats) -> NDArray[Any]:
        return run_extractor(self._extractor, self._stream.push, samples)

    def finish(self) -> NDArray[Any]:
        return run_extractor(self._extractor, lambda _: self._stream.finish(), None)
