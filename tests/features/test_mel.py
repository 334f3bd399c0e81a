"""Spectral front ends against stored numbers of the published definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from mien.features import mel


@pytest.fixture(scope="module")
def cases(golden_folder):
    return load_file(golden_folder / "mfcc_cases.safetensors")


def largest_difference(ours, stored):
    assert ours.shape == stored.shape
    assert ours.dtype == np.float32
    return np.abs(ours - stored).max()


@pytest.mark.parametrize("utterance", range(4))
def test_mfcc_of_16_khz(cases, utterance):
    ours = mel.mfcc(cases[f"input/waveform_{utterance}"], 16_000)
    assert largest_difference(ours.T, cases[f"output/mfcc16000_{utterance}"]) < 3e-4


@pytest.mark.parametrize("utterance", [0, 3])
def test_mfcc_of_22050_hz_apart_from_the_resampler(cases, utterance):
    ours = mel.mfcc(cases[f"input/waveform22050_{utterance}"], mel.MFCC_RATE_HZ)
    assert largest_difference(ours.T, cases[f"output/mfcc22050_{utterance}"]) < 3e-4


@pytest.mark.parametrize("utterance", range(4))
def test_mfcc_of_22050_hz_through_our_resampler(cases, utterance):
    waveform = mel.resample(cases[f"input/waveform_{utterance}"], 16_000, mel.MFCC_RATE_HZ)
    ours = mel.mfcc(waveform, mel.MFCC_RATE_HZ)
    assert largest_difference(ours.T, cases[f"output/mfcc22050_{utterance}"]) < 3e-4


@pytest.mark.parametrize("utterance", [0, 3])
def test_resampler(cases, utterance):
    ours = mel.resample(cases[f"input/waveform_{utterance}"], 16_000, 22_050)
    assert largest_difference(ours, cases[f"input/waveform22050_{utterance}"]) < 1e-6


@pytest.mark.parametrize("utterance", range(4))
def test_log_power_spectrogram(cases, utterance):
    ours = mel.log_power_spectrogram(cases[f"input/waveform_{utterance}"])
    assert largest_difference(ours, cases[f"output/logpower_{utterance}"]) < 1e-4


@pytest.mark.parametrize("utterance", range(4))
def test_vggish_log_mel(cases, utterance):
    ours = mel.vggish_log_mel(cases[f"input/waveform_{utterance}"])
    assert largest_difference(ours, cases[f"output/vggish_{utterance}"]) < 1e-5


def test_vggish_filters(cases):
    stored = cases["output/vggish_mel_matrix"]
    np.testing.assert_allclose(mel.vggish_mel_filters(), stored, atol=1e-12)


def test_resample_keeps_a_rate_and_fixes_the_length():
    sound = np.random.default_rng(0).normal(size=1001).astype(np.float32)
    np.testing.assert_array_equal(mel.resample(sound, 16_000, 16_000), sound)
    assert len(mel.resample(sound, 16_000, 22_050)) == 1380  # ceil(1001 * 1.378125)
    assert len(mel.resample(sound[:0], 16_000, 22_050)) == 0


def test_slaney_filters_follow_the_definition():
    """Corners computed one by one from the scale's two pieces, triangles from their areas."""
    corners = []
    top = 15 + 27 * np.log(8) / np.log(6.4)
    for number in range(82):
        point = number * top / 81
        corners.append(point * 200 / 3 if point < 15 else 1000 * 6.4 ** ((point - 15) / 27))
    filters = mel.slaney_mel_filters(16_000, 400, 80)
    assert filters.shape == (201, 80)
    for band in range(80):
        left, middle, right = corners[band : band + 3]
        height = 2 / (right - left)
        expected = np.interp(np.arange(201) * 40.0, [left, middle, right], [0, height, 0])
        np.testing.assert_allclose(filters[:, band], expected, atol=1e-12)


def test_whisper_log_mel_from_scipys_transform():
    sound = np.random.default_rng(1).normal(0, 0.1, 16_000)
    padded = np.pad(sound, 200, mode="reflect")
    _, _, transform = scipy.signal.stft(
        padded, window="hann", nperseg=400, noverlap=240, boundary=None, padded=False
    )
    power = np.abs(transform[:, :100] * 200).T ** 2  # scipy divides by the window's sum
    levels = np.log10(np.maximum(power @ mel.slaney_mel_filters(16_000, 400, 80), 1e-10))
    expected = (np.maximum(levels, levels.max() - 8) + 4) / 4
    ours = mel.whisper_log_mel(sound)
    assert ours.shape == (100, 80)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_whisper_log_mel_of_silence_is_its_floor():
    np.testing.assert_allclose(mel.whisper_log_mel(np.zeros(3200)), -1.5)


@given(samples=st.integers(0, 3000))
@settings(max_examples=60, deadline=None)
def test_lengths(samples):
    sound = np.random.default_rng(samples).normal(size=samples).astype(np.float32)
    assert mel.mfcc(sound, 16_000).shape == (1 + samples // 512, 10)
    assert mel.log_power_spectrogram(sound).shape == (samples // 640, 513)
    assert mel.vggish_log_mel(sound).shape == (max(0, 1 + (samples - 400) // 160), 64)
    log_mel = mel.whisper_log_mel(sound)
    assert log_mel.shape == (samples // 160, 80)
    assert np.isfinite(log_mel).all()


def test_blocks_of_frames_make_no_difference(monkeypatch):
    sound = np.random.default_rng(2).normal(size=20_000)
    whole = mel.vggish_log_mel(sound)
    monkeypatch.setattr(mel, "_BLOCK_FRAMES", 7)
    np.testing.assert_allclose(mel.vggish_log_mel(sound), whole, atol=1e-6)


def test_more_coefficients_begin_with_the_same():
    sound = np.random.default_rng(3).normal(size=4000)
    np.testing.assert_array_equal(
        mel.mfcc(sound, 16_000, count=20)[:, :10], mel.mfcc(sound, 16_000)
    )
