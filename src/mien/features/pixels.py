"""From a recording of one person to face crops and cepstra, for models that begin with those.

What SFAV (Chumachenko et al. 2022, section IV) takes, but for the crops: aligned grey ones of 48
px, which mien's face encoder reads, instead of 224 px in colour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien import weights
from mien._closing import Closing
from mien.features.face_encoder import CROP_PX
from mien.features.faces import SeenFace
from mien.features.mel import MFCC_RATE_HZ, mfcc, resample
from mien.features.observe import SAMPLE_HZ
from mien.features.readers import DefaultReaders
from mien.media import Decoder, Frame, Samples
from mien.schema import AUDIO, VIDEO
from mien.signals import Sequence, Signals

COEFFICIENTS = 10
MFCC_HOP = 512 / MFCC_RATE_HZ
_EDITION = 1


class PixelExtractor(Closing):
    """Reads recordings of one person: 10 cepstra every 23 ms, a face crop every ``hop`` seconds.

    ``audio`` is ``(1, steps, 10)``, everywhere valid where there is sound; ``video`` is
    ``(1, frames, 1, 48, 48)`` grey values from 0 to 1, valid where the face that was seen most
    often was seen. A modality that the recording has no track of is left out.

    Args:
        hop: seconds between two looks at the face; SFAV's is 3.6 s / 15.
    """

    def __init__(self, *, hop: float = 0.24) -> None:
        self.hop = hop
        self._readers = DefaultReaders()
        self._decoder = Decoder()

    def close(self) -> None:
        """End the decoder's process."""
        self._decoder.close()

    @cached_property
    def version(self) -> str:
        """Settings and digests of the weights, in one line."""
        used = {name: weights.digest(name) for name in ("yunet",)}
        return f"pixels edition={_EDITION} hop={self.hop!r} {used}"

    def __call__(self, path: Path) -> Signals:
        """The sequences of a recording.

        Raises:
            MienError: the recording cannot be used.
        """
        reader = self._readers.face()
        faces: list[SeenFace] = []
        sound: list[Samples] = []
        with self._decoder.stream(path, video_hz=1 / self.hop) as stream:
            for item in stream:
                if isinstance(item, Frame):
                    faces += reader.push(item)
                else:
                    sound.append(item)
            probe = stream.probe
        faces += reader.finish()
        sequences = {}
        if probe.audio and sound:
            sequences[AUDIO] = _cepstra(sound)
        if probe.video:
            end = max([face.time for face in faces] + [s.time for s in sound], default=0.0)
            sequences[VIDEO] = self._crops(faces, end)
        return Signals(sequences)

    def _crops(self, faces: Iterable[SeenFace], end: float) -> Sequence:
        frames = int(end / self.hop) + 1
        values = np.zeros((1, frames, 1, CROP_PX, CROP_PX), dtype=np.float32)
        valid = np.zeros((1, frames), dtype=bool)
        people: dict[int, list[SeenFace]] = defaultdict(list)
        for face in faces:
            people[face.person].append(face)
        for face in max(people.values(), key=len, default=[]):
            slot = int(face.time / self.hop + 1e-6)
            values[0, slot, 0], valid[0, slot] = face.crop / 255, True
        return Sequence(torch.from_numpy(values), torch.from_numpy(valid), self.hop)


def _cepstra(sound: list[Samples]) -> Sequence:
    """Cepstra of all sound, with silence where there was none."""
    length = max(round(s.time * SAMPLE_HZ) + len(s.values) for s in sound)
    wave: NDArray[np.float32] = np.zeros(length, dtype=np.float32)
    for samples in sound:
        first = max(round(samples.time * SAMPLE_HZ), 0)
        wave[first : first + len(samples.values)] = samples.values
    values = mfcc(resample(wave, SAMPLE_HZ, MFCC_RATE_HZ), MFCC_RATE_HZ, count=COEFFICIENTS)
    batch = torch.from_numpy(values)[None]
    return Sequence(batch, torch.ones(batch.shape[:2], dtype=torch.bool), MFCC_HOP)
