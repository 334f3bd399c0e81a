"""Spectral front ends of the voice: MFCC, log power, VGGish log-mel, Whisper log-mel.

All take one mono waveform and give ``(frames, features)``, time first. They compute in float64 and
return float32, block by block, so that an hour of sound needs no more scratch memory than a minute.

The MFCC of a recording at another rate depend on the resampler: 16 kHz brought to 22,050 Hz leaves
the bands above 8 kHz to whatever the resampler leaks there. We use soxr's "HQ" setting, as
librosa 0.11 does; a polyphase resampler moves single coefficients by 13.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import scipy.fft
import soxr
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MFCC_RATE_HZ = 22_050
WHISPER_RATE_HZ = 16_000
WHISPER_BANDS = 80
_WHISPER_WINDOW = 400
_WHISPER_HOP = 160
_BLOCK_FRAMES = 2048
_FLOOR = 1e-10


def resample(waveform: ArrayLike, from_hz: int, to_hz: int) -> Floats:
    """Change the sampling rate with soxr "HQ", the default resampler of librosa 0.11.

    Args:
        waveform: ``(samples,)``, mono.
        from_hz: its rate.
        to_hz: the rate wanted.

    Returns:
        ``(ceil(samples * to_hz / from_hz),)``, as librosa fixes the length.
    """
    sound = np.asarray(waveform, dtype=np.float32)
    if from_hz == to_hz:
        return sound
    length = -(-len(sound) * to_hz // from_hz)
    changed: Floats = soxr.resample(sound, from_hz, to_hz, quality="HQ")[:length]
    return np.pad(changed, (0, length - len(changed)))


def mfcc(waveform: ArrayLike, rate_hz: int, *, count: int = 10) -> Floats:
    """Compute mel-frequency cepstral coefficients with the defaults of librosa 0.11.

    2,048-point periodic Hann window, hop 512, frames centred with zeros beyond both ends, power
    spectrum, 128 Slaney bands from 0 to half the rate, decibels clipped to 80 below the maximum of
    the whole waveform, orthonormal DCT-II. Agrees with librosa within 3e-4 on values of up to 500.
    For coefficients as of librosa's ``load``, `resample` to ``MFCC_RATE_HZ`` first.

    Args:
        waveform: ``(samples,)``, mono.
        rate_hz: its rate.
        count: how many coefficients, from the zeroth.

    Returns:
        ``(1 + samples // 512, count)``.
    """
    padded = np.pad(np.asarray(waveform, dtype=np.float64), 1024)
    filters = slaney_mel_filters(rate_hz, 2048, 128)
    bands = _bands(padded, window=2048, hop=512, points=2048, filters=filters, spectrum="power")
    decibels = _decibels(bands)
    decibels = np.maximum(decibels, decibels.max(initial=-np.inf) - 80)
    cepstrum: Doubles = scipy.fft.dct(decibels, type=2, axis=1, norm="ortho")
    return cepstrum[:, :count].astype(np.float32)


def log_power_spectrogram(waveform: ArrayLike) -> Floats:
    """Compute the log power of 40 ms frames side by side, for 16 kHz sound.

    640-sample periodic Hann window, hop 640, no padding of the ends, 1,024-point transform,
    ``10 log10(max(|X|^2, 1e-10))``. No normalisation.

    Args:
        waveform: ``(samples,)``, mono, 16 kHz.

    Returns:
        ``(samples // 640, 513)`` decibels.
    """
    sound = np.asarray(waveform, dtype=np.float64)
    power = _bands(sound, window=640, hop=640, points=1024, filters=None, spectrum="power")
    return _decibels(power).astype(np.float32)


def vggish_log_mel(waveform: ArrayLike) -> Floats:
    """Compute the input of VGGish for 16 kHz sound (Hershey et al. 2017, as of AudioSet).

    25 ms periodic Hann window, hop 10 ms, no padding of the ends, 512-point magnitude spectrum, 64
    bands of 125-7,500 Hz, triangles linear in mel without area normalisation, ``ln(x + 0.01)``.
    The network's examples are 96 consecutive rows each.

    Args:
        waveform: ``(samples,)``, mono, 16 kHz.

    Returns:
        ``(1 + (samples - 400) // 160, 64)``; no rows for less than 400 samples.
    """
    sound = np.asarray(waveform, dtype=np.float64)
    filters = vggish_mel_filters()
    bands = _bands(sound, window=400, hop=160, points=512, filters=filters, spectrum="magnitude")
    return np.log(bands + 0.01).astype(np.float32)


def whisper_log_mel(waveform: ArrayLike) -> Floats:
    """Compute the input of Whisper for 16 kHz sound (Radford et al. 2023, section 2.2; 80 bands).

    25 ms periodic Hann window, hop 10 ms, frames centred with the sound mirrored at both ends, the
    frame after the last whole hop dropped, 80 Slaney bands of the power spectrum from 0 to 8 kHz,
    ``log10``, clipped to 8 below the maximum of this waveform, then ``(x + 4) / 4``. Unlike Whisper
    we do not pad to 30 s.

    Args:
        waveform: ``(samples,)``, mono, 16 kHz. Fewer than 201 are padded with zeros to mirror.

    Returns:
        ``(samples // 160, 80)``, about -1 to 1.5.
    """
    sound = np.asarray(waveform, dtype=np.float64)
    frames = len(sound) // _WHISPER_HOP
    half = _WHISPER_WINDOW // 2
    sound = np.pad(sound, (0, max(0, half + 1 - len(sound))))
    padded = np.pad(sound, half, mode="reflect")
    filters = slaney_mel_filters(WHISPER_RATE_HZ, _WHISPER_WINDOW, WHISPER_BANDS)
    bands = _bands(
        padded,
        window=_WHISPER_WINDOW,
        hop=_WHISPER_HOP,
        points=_WHISPER_WINDOW,
        filters=filters,
        spectrum="power",
    )[:frames]
    levels = np.log10(np.maximum(bands, _FLOOR))
    levels = np.maximum(levels, levels.max(initial=-np.inf) - 8)
    scaled: Doubles = (levels + 4) / 4
    return scaled.astype(np.float32)


@cache
def slaney_mel_filters(rate_hz: int, points: int, bands: int) -> Doubles:
    """Build triangles linear in hertz, of equal area, on Slaney's mel scale, up to half the rate.

    The scale is linear below 1 kHz (three mels per 200 Hz) and logarithmic above (27 mels for a
    factor of 6.4); Slaney, M. (1998), Auditory Toolbox, Technical Report 1998-010.

    Args:
        rate_hz: of the sound.
        points: of the transform.
        bands: how many triangles.

    Returns:
        ``(points // 2 + 1, bands)``.
    """
    frequencies = np.linspace(0, rate_hz / 2, points // 2 + 1)
    corners = _slaney_hertz(np.linspace(0, _slaney_mel(rate_hz / 2), bands + 2))
    return _triangles(frequencies, corners) * (2 / (corners[2:] - corners[:-2]))


@cache
def vggish_mel_filters() -> Doubles:
    """Build triangles linear in mel (1127 ln(1 + hertz / 700)), 125-7,500 Hz, without DC.

    Returns:
        ``(257, 64)``.
    """
    frequencies = _natural_mel(np.linspace(0, 8000, 257))
    low, high = _natural_mel(np.array([125.0, 7500.0]))
    filters = _triangles(frequencies, np.linspace(low, high, 66))
    filters[0] = 0
    return filters


def _triangles(positions: Doubles, corners: Doubles) -> Doubles:
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (positions[:, None] - left) / (centre - left)
    falling = (right - positions[:, None]) / (right - centre)
    return np.maximum(0, np.minimum(rising, falling))


def _slaney_mel(hertz: float) -> float:
    if hertz < 1000:
        return hertz * 3 / 200
    return float(15 + np.log(hertz / 1000) * 27 / np.log(6.4))


def _slaney_hertz(mel: Doubles) -> Doubles:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def _natural_mel(hertz: Doubles) -> Doubles:
    return 1127 * np.log1p(hertz / 700)


def _decibels(power: Doubles) -> Doubles:
    return 10 * np.log10(np.maximum(power, _FLOOR))


def _bands(
    sound: Doubles,
    *,
    window: int,
    hop: int,
    points: int,
    filters: Doubles | None,
    spectrum: Literal["power", "magnitude"],
) -> Doubles:
    width = points // 2 + 1 if filters is None else filters.shape[1]
    if len(sound) < window:
        return np.empty((0, width))
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    bands = np.empty((len(frames), width))
    for first in range(0, len(frames), _BLOCK_FRAMES):
        block = slice(first, first + _BLOCK_FRAMES)
        transform = scipy.fft.rfft(frames[block] * hann, n=points, axis=1)
        strength = np.abs(transform) if spectrum == "magnitude" else _square(transform)
        bands[block] = strength if filters is None else strength @ filters
    return bands


def _square(transform: NDArray[np.complex128]) -> Doubles:
    return transform.real**2 + transform.imag**2
