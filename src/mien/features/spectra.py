"""The spectral front ends of `mien.features.mel` as extractors: ``log_mel, mfcc, spectrogram``."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mien.errors import OptionError
from mien.features.extractor import SoundExtractor, register_extractor
from mien.features.mel import (
    MFCC_RATE_HZ,
    WHISPER_BANDS,
    WHISPER_RATE_HZ,
    log_power_spectrogram,
    mfcc,
    resample,
    vggish_log_mel,
    whisper_log_mel,
)

Floats = NDArray[np.float32]

_MOST_COEFFICIENTS = 128
_VGGISH_BANDS = 64


@register_extractor("log_mel")
class LogMel(SoundExtractor):
    """Log-mel bands every 10 ms.

    Attributes:
        hop: seconds of a step, from 0.01.
        kind: ``whisper``, 80 bands as of `whisper_log_mel`, or ``vggish``, 64 bands as of
            `vggish_log_mel`.
    """

    edition: ClassVar[int] = 1
    hop: float = 0.01
    kind: Literal["whisper", "vggish"] = "whisper"

    @property
    def shape(self) -> tuple[int, ...]:
        """80 or 64 bands."""
        return (WHISPER_BANDS if self.kind == "whisper" else _VGGISH_BANDS,)

    @property
    def native_hop(self) -> float:
        """10 ms."""
        return 0.01

    def extract(self, samples: Floats) -> Floats:
        """Compute the bands of an unbroken stretch of sound."""
        return whisper_log_mel(samples) if self.kind == "whisper" else vggish_log_mel(samples)


@register_extractor("mfcc")
class Mfcc(SoundExtractor):
    """Mel-frequency cepstral coefficients as of librosa, of sound at 22,050 Hz.

    See `mien.features.mel.mfcc`.

    Attributes:
        count: how many, from the zeroth; 1 to 128.
        hop: seconds of a step, from 512 samples (23 ms).
    """

    edition: ClassVar[int] = 1
    count: int = 10
    hop: float = 512 / MFCC_RATE_HZ

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MOST_COEFFICIENTS:
            raise OptionError(
                f"mfcc: count is {self.count}",
                advice=f"give a number from 1 to {_MOST_COEFFICIENTS}",
            )
        super().__post_init__()

    @property
    def shape(self) -> tuple[int, ...]:
        """Coefficients."""
        return (self.count,)

    @property
    def native_hop(self) -> float:
        """512 samples."""
        return 512 / MFCC_RATE_HZ

    def extract(self, samples: Floats) -> Floats:
        """Compute the coefficients of an unbroken stretch of sound."""
        sound = resample(samples, WHISPER_RATE_HZ, MFCC_RATE_HZ)
        return mfcc(sound, MFCC_RATE_HZ, count=self.count)


@register_extractor("spectrogram")
class Spectrogram(SoundExtractor):
    """Log power of 40 ms frames, 513 bins; see `mien.features.mel.log_power_spectrogram`.

    Attributes:
        hop: seconds of a step, from 0.04.
    """

    edition: ClassVar[int] = 1
    hop: float = 0.04

    @property
    def shape(self) -> tuple[int, ...]:
        """513 bins."""
        return (513,)

    @property
    def native_hop(self) -> float:
        """40 ms."""
        return 0.04

    def extract(self, samples: Floats) -> Floats:
        """Compute the spectrogram of an unbroken stretch of sound."""
        return log_power_spectrogram(samples)
