"""The voice of a recording as features at 50 Hz, read while the recording streams by.

Every 20 ms step holds outputs of Whisper's first encoder blocks and whether somebody spoke. Long
sound goes through the encoder in chunks of 10 s of which the outermost second on either side is
only context. The encoder's attention spans its whole input and its positions are absolute, so a
chunk is never exactly what the whole would have been: on four recordings of 28 s (Java-SED and
RAVDESS speech joined) it differs from the encoding of the whole by 0.19 of its length (L2; cosine
0.984 on average), and would by 0.32 if the drift over positions were left in. Margins of 0.5 or 2 s
are no better, chunks of 6 s give 0.22, of 20 s 0.12 at a higher price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mien.features.activity import STEP_SAMPLES, ActivityDetector, ActivityNetwork
from mien.features.mel import WHISPER_RATE_HZ, whisper_log_mel
from mien.features.whisper import CHUNK_STEPS, WIDTH, WhisperEncoder, check_blocks

VOICE_BLOCKS = (2, 3)
VOICE_FEATURES = WIDTH * len(VOICE_BLOCKS)
VOICE_HOP = STEP_SAMPLES / WHISPER_RATE_HZ

MARGIN_STEPS = 50
_STRIDE_STEPS = CHUNK_STEPS - 2 * MARGIN_STEPS
_CHUNK_SAMPLES = CHUNK_STEPS * STEP_SAMPLES
_STRIDE_SAMPLES = _STRIDE_STEPS * STEP_SAMPLES
# Sound that is off by less than half a step from where the sound before it ended goes on from
# there: clocks of containers are no finer than that.
_SLACK_SAMPLES = STEP_SAMPLES // 2

Floats = NDArray[np.float32]


class TimedSamples(Protocol):
    """A piece of 16 kHz mono sound and when it begins, as `mien.media.Samples`."""

    @property
    def time(self) -> float:
        """Seconds from the start of the recording."""

    @property
    def values(self) -> Floats:
        """``(samples,)``, from -1 to 1."""


class VoiceSegment(NamedTuple):
    """Features of an unbroken stretch of sound.

    Attributes:
        first: number of the first step; step ``i`` is ``[0.02 * i, 0.02 * (i + 1))`` seconds of the
            recording.
        values: ``(steps, 384 * blocks)``, as of `WhisperEncoder.steady`.
        voiced: ``(steps,)``, did somebody speak.
    """

    first: int
    values: Floats
    voiced: NDArray[np.bool_]


class VoiceReader:
    """Reads the voice of one recording, piece by piece, in memory that does not grow with it.

    Steps that were never observed (before a late start, in a gap) are not emitted; a step counts
    as observed where at least half of it was. Samples that are not finite are taken for silence,
    those beyond full scale are clipped. What comes out does not depend on how the sound was cut
    into pieces.

    Args:
        blocks: which encoder blocks' outputs, counted from 1, each from 1 to 3.
        encoder: shared by several readers; loaded where None.
        activity: likewise.

    Raises:
        OptionError: a block that is not there.
        WeightError: weights cannot be had.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[int] = VOICE_BLOCKS,
        encoder: WhisperEncoder | None = None,
        activity: ActivityNetwork | None = None,
    ) -> None:
        check_blocks(blocks)
        self._blocks = tuple(blocks)
        self._encoder = encoder or WhisperEncoder.pretrained()
        self._activity = activity or ActivityNetwork.pretrained()
        self._stretch: _Stretch | None = None

    def push(self, samples: TimedSamples) -> list[VoiceSegment]:
        """Hear more; pieces come in order of time.

        Sound that overlaps what was already heard is dropped, and so is sound before time zero.

        Returns:
            The segments that are complete now, in order, each of up to 9 s.
        """
        values = _clean(samples.values)
        begin = round(samples.time * WHISPER_RATE_HZ)
        heard = 0 if self._stretch is None else self._stretch.end
        late = begin - heard
        if late < -_SLACK_SAMPLES or (late < 0 and self._stretch is None):
            values = values[-late:]
        if not len(values):
            return []
        segments = []
        if self._stretch is None or late > _SLACK_SAMPLES:
            segments = self.finish()
            detector = ActivityDetector(self._activity)
            self._stretch = _Stretch(max(begin, 0), self._encoder, detector, self._blocks)
        return segments + self._stretch.push(values)

    def finish(self) -> list[VoiceSegment]:
        """The segments that were still open; the reader may then read another recording."""
        segments = [] if self._stretch is None else self._stretch.finish()
        self._stretch = None
        return segments


def read_voice(
    waveform: ArrayLike,
    *,
    blocks: Sequence[int] = VOICE_BLOCKS,
    encoder: WhisperEncoder | None = None,
    activity: ActivityNetwork | None = None,
) -> VoiceSegment:
    """The voice of a whole recording at once; the same numbers as `VoiceReader` gives.

    Args:
        waveform: ``(samples,)``, 16 kHz mono, from -1 to 1.
        blocks: as of `VoiceReader`.
        encoder: as of `VoiceReader`.
        activity: as of `VoiceReader`.

    Returns:
        One segment from step 0, of ``(samples + 160) // 320`` steps.

    Raises:
        OptionError: a block that is not there.
        WeightError: weights cannot be had.
    """
    reader = VoiceReader(blocks=blocks, encoder=encoder, activity=activity)
    whole = _Piece(0.0, np.asarray(waveform, dtype=np.float32))
    segments = reader.push(whole) + reader.finish()
    nothing = VoiceSegment(0, np.empty((0, WIDTH * len(blocks)), np.float32), np.empty(0, np.bool_))
    parts = [nothing, *segments]
    values = np.concatenate([part.values for part in parts])
    return VoiceSegment(0, values, np.concatenate([part.voiced for part in parts]))


class _Piece(NamedTuple):
    time: float
    values: Floats


def _clean(values: Floats) -> Floats:
    finite = np.where(np.isfinite(values), values, 0)
    return np.clip(finite, -1, 1).astype(np.float32)


class _Stretch:
    """One unbroken stretch of sound, aligned to whole steps of the recording.

    The sound that is kept begins with the chunk that was encoded last, since the last chunk of all
    ends where the sound ends and so begins anywhere after that.
    """

    def __init__(
        self,
        begin: int,
        encoder: WhisperEncoder,
        detector: ActivityDetector,
        blocks: tuple[int, ...],
    ) -> None:
        self.end = begin
        self._encoder, self._detector, self._blocks = encoder, detector, blocks
        self._emitted = _nearest_step(begin)
        self._excess = self._emitted * STEP_SAMPLES - begin
        self._sound = np.empty(0, dtype=np.float32)
        self._first = self._emitted  # step at which the kept sound begins
        self._next = 0  # where in the kept sound the next chunk begins
        self._voiced: list[bool] = []

    def push(self, values: Floats) -> list[VoiceSegment]:
        self.end += len(values)
        self._append(self._aligned(values))
        segments = []
        while len(self._sound) > self._next + _CHUNK_SAMPLES:
            self._sound = self._sound[self._next :]
            self._first += self._next // STEP_SAMPLES
            self._next = _STRIDE_SAMPLES
            until = self._first + CHUNK_STEPS - MARGIN_STEPS
            segments.append(self._encoded(self._sound[:_CHUNK_SAMPLES], self._first, until))
        return segments

    def finish(self) -> list[VoiceSegment]:
        steps = _nearest_step(len(self._sound))
        until = self._first + steps
        self._voiced += self._detector.finish()
        if until <= self._emitted:
            return []
        first = max(self._first, until - CHUNK_STEPS)
        whole = np.pad(self._sound, (0, STEP_SAMPLES))[: steps * STEP_SAMPLES]
        return [self._encoded(whole[(first - self._first) * STEP_SAMPLES :], first, until)]

    def _aligned(self, values: Floats) -> Floats:
        if self._excess <= 0:
            lead, self._excess = -self._excess, 0
            return np.pad(values, (lead, 0))
        cut = min(self._excess, len(values))
        self._excess -= cut
        return values[cut:]

    def _append(self, values: Floats) -> None:
        self._sound = np.concatenate([self._sound, values])
        self._voiced += self._detector.push(values)

    def _encoded(self, sound: Floats, first: int, until: int) -> VoiceSegment:
        log_mel = torch.from_numpy(whisper_log_mel(sound))
        with torch.inference_mode():
            values = self._encoder.steady(log_mel.unsqueeze(0), blocks=self._blocks)[0]
        begin, count = self._emitted, until - self._emitted
        self._emitted = until
        voiced, self._voiced = self._voiced[:count], self._voiced[count:]
        kept = values[begin - first : until - first].numpy().copy()
        return VoiceSegment(begin, kept, np.array(voiced, dtype=np.bool_))


def _nearest_step(sample: int) -> int:
    return (sample + STEP_SAMPLES // 2) // STEP_SAMPLES
