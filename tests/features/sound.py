"""Real sound for the tests of the voice features."""

from __future__ import annotations

import av
import numpy as np

from mien.features.mel import resample


def read_sound(path):
    """``(samples,)`` float32, 16 kHz mono, of a recording."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono")
        rate_hz = container.streams.audio[0].rate
        frames = [new for old in container.decode(audio=0) for new in resampler.resample(old)]
    waveform = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return resample(waveform, rate_hz, 16_000)
