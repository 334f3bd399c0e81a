"""The voice in chunks: how they tile, how near they come to the whole, what memory they take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sound import read_sound

from mien.errors import OptionError, WeightError
from mien.features.mel import whisper_log_mel
from mien.features.whisper import (
    CHUNK_STEPS,
    MARGIN_STEPS,
    WhisperEncoder,
    WhisperStream,
    WhisperTinyEn,
)

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def encoder():
    try:
        return WhisperEncoder.pretrained()
    except WeightError as error:
        pytest.skip(f"no weights: {error}")


@pytest.fixture(scope="module")
def speech(data_folder):
    """30 s of real speech, several people."""
    paths = sorted((data_folder / "java_sed_voice").glob("*.ogg"))[::97]
    return np.concatenate([read_sound(path) for path in paths])[: 30 * RATE_HZ]


class CheapEncoder(torch.nn.Module):
    """As wide as the real one; says how loud each step is, and how many steps it was given."""

    def __init__(self):
        super().__init__()
        self.lengths = []

    def encode_steadily(self, log_mel, *, blocks):
        steps = log_mel.unflatten(1, (-1, 2)).mean(dim=2)
        self.lengths.append(steps.shape[1])
        return torch.nn.functional.pad(steps, (0, 384 * len(blocks) - 80))


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def read(encoder, pieces, blocks=(2, 3)):
    stream = WhisperStream(encoder, blocks)
    return np.concatenate([*(stream.push(piece) for piece in pieces), stream.finish()])


def whole_encoding(encoder, sound):
    with torch.inference_mode():
        return encoder.encode_steadily(torch.from_numpy(whisper_log_mel(sound))[None])[0].numpy()


def test_short_sound_is_encoded_whole(encoder, speech):
    sound = speech[: 3 * RATE_HZ]
    rows = WhisperTinyEn().extract(sound)
    assert rows.shape == (150, 768)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, whole_encoding(encoder, sound), rtol=1e-4, atol=1e-4)


def test_blocks_can_be_chosen(encoder, speech):
    both = WhisperTinyEn().extract(speech[:RATE_HZ])
    last = WhisperTinyEn(blocks=(3,))
    assert last.shape == (384,)
    np.testing.assert_allclose(last.extract(speech[:RATE_HZ]), both[:, 384:], rtol=1e-4, atol=1e-4)
    with pytest.raises(OptionError, match="no blocks"):
        WhisperTinyEn(blocks=(4,))


def test_long_sound_is_a_tiling_of_chunks():
    cheap, steps = CheapEncoder(), 3 * CHUNK_STEPS + 17
    assert len(read(cheap, [noise(steps * 320)])) == steps
    assert set(cheap.lengths) == {CHUNK_STEPS}


def test_chunks_come_near_the_whole(encoder, speech):
    """The tolerance that the module states, with room for other speech."""
    sound = speech[: 28 * RATE_HZ]
    whole, chunks = whole_encoding(encoder, sound), read(encoder, [sound])
    assert chunks.shape == whole.shape == (1400, 768)
    assert np.linalg.norm(chunks - whole) < 0.25 * np.linalg.norm(whole)
    lengths = np.linalg.norm(chunks, axis=1) * np.linalg.norm(whole, axis=1)
    assert ((chunks * whole).sum(axis=1) / lengths).mean() > 0.975


def test_every_step_away_from_the_ends_has_its_context():
    """An encoder that says where in its input each step lies."""

    class Ruler(torch.nn.Module):
        def encode_steadily(self, log_mel, *, blocks):
            steps = log_mel.shape[1] // 2
            before = torch.arange(steps, dtype=torch.float32)
            values = torch.stack([before, steps - 1 - before], dim=1)[None]
            return torch.nn.functional.pad(values, (0, 384 * len(blocks) - 2))

    for steps in (CHUNK_STEPS, CHUNK_STEPS + 1, 2 * CHUNK_STEPS, 1777):
        values = read(Ruler(), [np.zeros(steps * 320, np.float32)])
        position = np.arange(steps)
        assert (values[:, 0] >= np.minimum(MARGIN_STEPS, position)).all()
        assert (values[:, 1] >= np.minimum(MARGIN_STEPS, steps - 1 - position)).all()


@given(
    samples=st.integers(0, 26 * RATE_HZ),
    cuts=st.lists(st.integers(0, 26 * RATE_HZ), max_size=10),
)
@settings(max_examples=15, deadline=None)
def test_pieces_make_no_difference(samples, cuts):
    sound = noise(samples, seed=1)
    pieces = np.split(sound, sorted(min(cut, samples) for cut in cuts))
    np.testing.assert_array_equal(read(CheapEncoder(), pieces), read(CheapEncoder(), [sound]))


def test_pieces_make_no_difference_to_real_features(encoder, speech):
    sound = speech[: 23 * RATE_HZ + 77]
    pieces = np.split(sound, range(7001, len(sound), 7001))
    np.testing.assert_array_equal(read(encoder, pieces), read(encoder, [sound]))


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 320, 1600, 3333])
def test_very_short_sound(encoder, samples):
    rows = WhisperTinyEn().extract(noise(samples))
    assert rows.shape == ((samples + 160) // 320, 768)
    assert np.isfinite(rows).all()


def test_zeros_are_finite(encoder):
    rows = WhisperTinyEn().extract(np.zeros(12 * RATE_HZ, np.float32))
    assert rows.shape == (600, 768)
    assert np.isfinite(rows).all()


def test_memory_is_flat():
    stream = WhisperStream(CheapEncoder(), (2, 3))
    for _ in range(60):
        stream.push(noise(RATE_HZ))
        assert stream._sound.size <= 2 * CHUNK_STEPS * 320


def test_rows_come_as_soon_as_their_chunk_is_heard():
    stream = WhisperStream(CheapEncoder(), (2, 3))
    assert len(stream.push(noise(CHUNK_STEPS * 320))) == 0
    assert len(stream.push(noise(320))) == CHUNK_STEPS - MARGIN_STEPS
