# mypy: ignore-errors
"""From a recording of one person to a sequence of their voice and one of their face."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien import weights
from mien._closing import Closing
from mien.errors import OptionError
from mien.features.kept import content_digest
from mien.features.observe import OldObservation as Observation
from mien.features.observe import observe
from mien.features.readers import DefaultReaders
from mien.features.voice import VOICE_HOP
from mien.media import Decoder
from mien.missing import check_withheld
from mien.missing.raw import RawOperation
from mien.schema import AUDIO, VIDEO
from mien.signals import Sequence, Signals

# Part of every version: raise it when the same settings and weights come to give other features.
_EDITION = 1
_WEIGHTS = {
    AUDIO: ("whisper_tiny_en", "voice_drift", "silero_vad"),
    VIDEO: ("yunet", "face_encoder"),
}
_BLOCK_STEPS = 30_000  # of voice at once, 92 MB


class SequenceExtractor(Closing):
    """Reads recordings of one person: voice in steps of ``hop``, face at ``face_hz``.

    ``audio`` holds, for each step, the mean of the voice features (`mien.features.voice`) over its
    voiced 20 ms, ``(1, steps, 768)``, valid where any was voiced. ``video`` holds the features of
    the face that was seen most often (`Observation.faces`), ``(1, frames, 264)``, valid where that
    face was seen. Both begin at the recording's time 0 and reach to its end. All voice is taken for
    the person's. A modality that the recording has no track of is left out.

    Networks and the decoder's process are shared by all recordings; close when done.

    Args:
        hop: seconds of a step of voice.
        face_hz: frames a second in which faces are looked for.
        without: modalities that are not even decoded.
        through: what the decoded stream suffers before it is read.
        seed: chance of ``through``, mixed with the content of each recording: the same recording
            suffers the same, wherever it lies and in whichever order it comes.

    Raises:
        OptionError: hop, rate or modality make no sense.
    """

    def __init__(
        self,
        *,
        hop: float = 0.2,
        face_hz: float = 5.0,
        without: Collection[str] = (),
        through: RawOperation | None = None,
        seed: int = 0,
    ) -> None:
        for name, value, low in (("hop", hop, VOICE_HOP), ("face_hz", face_hz, 0.1)):
            if not low <= value <= 60:
                raise OptionError(f"{name} is {value}", advice=f"give a number from {low} to 60")
        self.hop, self.face_hz = float(hop), float(face_hz)
        self.without = check_withheld(without)
        self.through, self.seed = through, seed
        self._readers = DefaultReaders()
        self._decoder = Decoder()

    def close(self) -> None:
        """End the decoder's process."""
        self._decoder.close()

    @cached_property
    def version(self) -> str:
        """Settings, degradation and digests of the weights, in one line.

        Raises:
            WeightError: a weight file cannot be had.
        """
        used = [modality for modality in _WEIGHTS if modality not in self.without]
        parts: dict[str, object] = {"edition": _EDITION, "hop": self.hop, "face_hz": self.face_hz}
        parts |= {"modalities": "+".join(used), "through": self.through}
        if self.through is not None:
            parts["seed"] = self.seed
        parts |= {name: weights.digest(name) for modality in used for name in _WEIGHTS[modality]}
        return "sequences " + " ".join(f"{key}={value!r}" for key, value in parts.items())

    def __call__(self, path: Path) -> Signals:
        """The sequences of a recording.

        Args:
            path: the recording.

        Returns:
            Signals of batch one; values that were not observed are zero.

        Raises:
            MienError: the recording cannot be used.
        """
        stage = iter if self.through is None else partial(self.through, seed=self._seed_of(path))
        with observe(
            path,
            decoder=self._decoder,
            readers=self._readers,
            without=self.without,
            face_hz=self.face_hz,
            through=stage,
        ) as seen:
            sequences = {}
            if seen.probe and seen.probe.audio and AUDIO not in self.without:
                sequences[AUDIO] = voice_sequence(seen, self.hop)
            if seen.probe and seen.probe.video and VIDEO not in self.without:
                sequences[VIDEO] = face_sequence(seen, self.face_hz)
        return Signals(sequences)

    def _seed_of(self, path: Path) -> int:
        content = int(content_digest(path)[:16], 16)
        return int(np.random.SeedSequence([self.seed, content]).generate_state(1)[0])


def voice_sequence(seen: Observation, hop: float) -> Sequence:
    """Means of the voice features over the voiced 20 ms of each step.

    Args:
        seen: what was observed.
        hop: seconds of a step.

    Returns:
        ``(1, steps, 768)``, valid where there was voice.
    """
    steps = _steps(seen.duration, hop)
    sums = np.zeros((steps, seen.voice.width))
    counts = np.zeros(steps, dtype=np.int64)
    for start in range(0, seen.voice.rows, _BLOCK_STEPS):
        stop = min(start + _BLOCK_STEPS, seen.voice.rows)
        where = np.floor((np.arange(start, stop) + 0.5) * VOICE_HOP / hop + 1e-9).astype(np.int64)
        used = seen.voiced_between(start, stop) & (where < steps)
        np.add.at(sums, where[used], seen.voice.read(start, stop)[used])
        counts += np.bincount(where[used], minlength=steps)
    return _sequence(sums / np.maximum(counts, 1)[:, None], counts > 0, hop)


def face_sequence(seen: Observation, face_hz: float) -> Sequence:
    """Features of the face that was seen most often, of equals the one that came first.

    Args:
        seen: what was observed.
        face_hz: frames a second in which faces were looked for.

    Returns:
        ``(1, frames, 264)``, valid where that face was seen.
    """
    frames = _steps(seen.duration, 1 / face_hz)
    values = np.zeros((frames, seen.faces.width))
    valid = np.zeros(frames, dtype=bool)
    if seen.tracks:
        track = max(seen.tracks.values(), key=lambda track: len(track.times))
        slots = np.floor(np.array(track.times) * face_hz + 1e-6).astype(np.int64)
        for slot, row in zip(slots.tolist(), track.rows, strict=True):
            if slot < frames:
                values[slot] = seen.faces.read(row, row + 1)[0]
                valid[slot] = True
    return _sequence(values, valid, 1 / face_hz)


def _steps(duration: float, hop: float) -> int:
    """How many steps cover a duration; the last may be cut short, but not to a thousandth."""
    return max(math.ceil(round(duration / hop, 3)), 1)


def _sequence(values: NDArray[np.float64], valid: NDArray[np.bool_], hop: float) -> Sequence:
    batch = torch.from_numpy(values.astype(np.float32))[None]
    return Sequence(batch, torch.from_numpy(valid)[None], hop)
