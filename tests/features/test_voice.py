"""The voice reader: its grid, its chunks, its independence of pieces, and odd sound."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sound import read_sound

from mien.errors import OptionError, WeightError
from mien.features import voice
from mien.features.activity import ActivityNetwork
from mien.features.mel import whisper_log_mel
from mien.features.voice import CHUNK_STEPS, MARGIN_STEPS, VoiceReader, VoiceSegment, read_voice
from mien.features.whisper import WhisperEncoder

RATE_HZ = 16_000


class Samples(NamedTuple):
    time: float
    values: np.ndarray


@pytest.fixture(scope="module")
def networks():
    try:
        return {"encoder": WhisperEncoder.pretrained(), "activity": ActivityNetwork.pretrained()}
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

    def steady(self, log_mel, *, blocks):
        steps = log_mel.unflatten(1, (-1, 2)).mean(dim=2)
        self.lengths.append(steps.shape[1])
        return torch.nn.functional.pad(steps, (0, 384 * len(blocks) - 80))


@pytest.fixture
def cheap(networks):
    return {"encoder": CheapEncoder(), "activity": networks["activity"]}


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def read(reader, pieces):
    segments = []
    for time, values in pieces:
        segments += reader.push(Samples(time, values))
    return segments + reader.finish()


def joined(segments):
    values = np.concatenate([segment.values for segment in segments])
    return values, np.concatenate([segment.voiced for segment in segments])


def steps_of(segments):
    return [step for s in segments for step in range(s.first, s.first + len(s.values))]


def whole_encoding(encoder, sound):
    with torch.inference_mode():
        return encoder.steady(torch.from_numpy(whisper_log_mel(sound))[None])[0].numpy()


def test_short_sound_is_encoded_whole(networks, speech):
    sound = speech[: 3 * RATE_HZ]
    heard = read_voice(sound, **networks)
    assert heard.first == 0
    assert heard.values.shape == (150, 768)
    assert heard.values.dtype == np.float32
    assert heard.voiced.shape == (150,)
    assert heard.voiced.dtype == bool
    np.testing.assert_allclose(
        heard.values, whole_encoding(networks["encoder"], sound), rtol=1e-4, atol=1e-4
    )


def test_blocks_can_be_chosen(networks, speech):
    sound = speech[:RATE_HZ]
    both = read_voice(sound, **networks)
    last = read_voice(sound, blocks=(3,), **networks)
    assert last.values.shape == (50, 384)
    np.testing.assert_allclose(last.values, both.values[:, 384:], rtol=1e-4, atol=1e-4)
    with pytest.raises(OptionError, match="no blocks"):
        VoiceReader(blocks=(4,), **networks)


def test_long_sound_is_a_tiling_of_chunks(cheap):
    steps = 3 * CHUNK_STEPS + 17
    segments = read(VoiceReader(**cheap), [(0.0, noise(steps * 320))])
    assert steps_of(segments) == list(range(steps))
    assert set(cheap["encoder"].lengths) == {CHUNK_STEPS}
    assert all(len(s.values) <= CHUNK_STEPS for s in segments)
    assert all(len(s.values) == len(s.voiced) for s in segments)


def test_chunks_come_near_the_whole(networks, speech):
    """The tolerance that the module states, with room for other speech."""
    sound = speech[: 28 * RATE_HZ]
    whole = whole_encoding(networks["encoder"], sound)
    chunks = read_voice(sound, **networks).values
    assert chunks.shape == whole.shape == (1400, 768)
    assert np.linalg.norm(chunks - whole) < 0.25 * np.linalg.norm(whole)
    lengths = np.linalg.norm(chunks, axis=1) * np.linalg.norm(whole, axis=1)
    assert ((chunks * whole).sum(axis=1) / lengths).mean() > 0.975


def test_every_step_away_from_the_ends_has_its_context(networks, monkeypatch):
    """An encoder that says where in its input each step lies."""

    class Ruler(torch.nn.Module):
        def steady(self, log_mel, *, blocks):
            steps = log_mel.shape[1] // 2
            before = torch.arange(steps, dtype=torch.float32)
            values = torch.stack([before, steps - 1 - before], dim=1)[None]
            return torch.nn.functional.pad(values, (0, 384 * len(blocks) - 2))

    for steps in (CHUNK_STEPS, CHUNK_STEPS + 1, 2 * CHUNK_STEPS, 1777):
        segments = read(
            VoiceReader(encoder=Ruler(), activity=networks["activity"]),
            [(0.0, np.zeros(steps * 320, np.float32))],
        )
        values, _ = joined(segments)
        position = np.arange(steps)
        assert (values[:, 0] >= np.minimum(MARGIN_STEPS, position)).all()
        assert (values[:, 1] >= np.minimum(MARGIN_STEPS, steps - 1 - position)).all()


@given(
    samples=st.integers(0, 26 * RATE_HZ),
    cuts=st.lists(st.integers(0, 26 * RATE_HZ), max_size=10),
    start=st.integers(0, 3 * RATE_HZ),
)
@settings(max_examples=15, deadline=None)
def test_pieces_make_no_difference(networks, samples, cuts, start):
    shared = {"encoder": CheapEncoder(), "activity": networks["activity"]}
    sound = noise(samples, seed=1)
    whole = read(VoiceReader(**shared), [(start / RATE_HZ, sound)])
    edges = sorted(min(cut, samples) for cut in cuts)
    begins = [start, *(start + edge for edge in edges)]
    pieces = [
        (begin / RATE_HZ, piece)
        for begin, piece in zip(begins, np.split(sound, edges), strict=True)
    ]
    parts = read(VoiceReader(**shared), pieces)
    assert steps_of(parts) == steps_of(whole)
    if whole:
        for ours, theirs in zip(joined(parts), joined(whole), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_pieces_make_no_difference_to_real_features(networks, speech):
    sound = speech[: 23 * RATE_HZ + 77]
    whole = read_voice(sound, **networks)
    pieces = [(i / RATE_HZ, sound[i : i + 7001]) for i in range(0, len(sound), 7001)]
    values, voiced = joined(read(VoiceReader(**networks), pieces))
    np.testing.assert_array_equal(values, whole.values)
    np.testing.assert_array_equal(voiced, whole.voiced)
    assert 0.3 < voiced.mean() < 1


@given(st.lists(st.tuples(st.integers(161, 9000), st.integers(1, 20_000)), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_only_observed_steps_come_out(networks, stretches):
    """A step is there where half of it was heard; stretches are (gap before, length)."""
    shared = {"encoder": CheapEncoder(), "activity": networks["activity"]}
    pieces, expected, at = [], [], 0
    for gap, length in stretches:
        at += gap
        pieces.append((at / RATE_HZ, noise(length)))
        expected += range((at + 160) // 320, (at + length + 160) // 320)
        at += length
    segments = read(VoiceReader(**shared), pieces)
    assert steps_of(segments) == expected


def test_sound_lies_where_it_was(cheap):
    """A click 5 s into a recording whose sound starts at 2 s and pauses from 3 s to 4 s."""
    first, second = np.zeros(RATE_HZ, np.float32), np.zeros(2 * RATE_HZ, np.float32)
    second[RATE_HZ : RATE_HZ + 320] = noise(320)
    segments = read(VoiceReader(**cheap), [(2.0, first), (4.0, second)])
    assert [segment.first for segment in segments] == [100, 200]
    values, _ = joined(segments)
    assert steps_of(segments)[int(values[:, :80].mean(axis=1).argmax())] == 250


def test_a_clock_that_trembles_is_one_stretch(cheap):
    sound = noise(4 * RATE_HZ)
    shifts = [0.0, 0.004, -0.004, 0.009]
    pieces = [(i + shift, sound[i * RATE_HZ :][:RATE_HZ]) for i, shift in enumerate(shifts)]
    segments = read(VoiceReader(**cheap), pieces)
    assert len(segments) == 1
    assert steps_of(segments) == list(range(200))


def test_sound_that_comes_twice_counts_once(cheap):
    sound = noise(3 * RATE_HZ)
    pieces = [(0.0, sound[: 2 * RATE_HZ]), (1.0, sound[RATE_HZ:]), (0.5, sound[:100])]
    again = read(VoiceReader(**cheap), pieces)
    once = read(VoiceReader(**cheap), [(0.0, sound)])
    np.testing.assert_array_equal(joined(again)[0], joined(once)[0])


def test_sound_before_the_start_is_dropped(cheap):
    sound = noise(RATE_HZ)
    segments = read(VoiceReader(**cheap), [(-0.25, sound)])
    assert steps_of(segments) == list(range(38))  # 37.5 steps: half a step counts
    assert read(VoiceReader(**cheap), [(-2.0, sound)]) == []


def test_a_reader_can_read_another_recording(cheap):
    reader = VoiceReader(**cheap)
    first = read(reader, [(0.0, noise(RATE_HZ))])
    second = read(reader, [(0.0, noise(RATE_HZ))])
    np.testing.assert_array_equal(first[0].values, second[0].values)
    assert reader.finish() == []


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 320, 1600, 3333])
def test_very_short_sound(networks, samples):
    heard = read_voice(noise(samples), **networks)
    assert heard.values.shape == ((samples + 160) // 320, 768)
    assert np.isfinite(heard.values).all()
    assert len(heard.voiced) == len(heard.values)


def test_zeros_are_no_voice_and_finite(networks):
    heard = read_voice(np.zeros(12 * RATE_HZ), **networks)
    assert heard.values.shape == (600, 768)
    assert np.isfinite(heard.values).all()
    assert not heard.voiced.any()


def test_samples_that_are_not_finite_are_silence(networks, speech):
    sound = speech[: 2 * RATE_HZ].copy()
    sound[1000:1400] = 0
    expected = read_voice(sound, **networks)
    sound[1000:1200], sound[1200:1300], sound[1300:1400] = np.nan, np.inf, -np.inf
    heard = read_voice(sound, **networks)
    np.testing.assert_array_equal(heard.values, expected.values)
    np.testing.assert_array_equal(heard.voiced, expected.voiced)


def test_huge_samples_stay_finite(networks):
    heard = read_voice(noise(RATE_HZ) * 1e30, **networks)
    assert np.isfinite(heard.values).all()


def test_memory_is_flat(cheap):
    reader = VoiceReader(**cheap)
    for second in range(60):
        reader.push(Samples(float(second), noise(RATE_HZ)))
        if second > 30:
            assert reader._stretch._sound.size <= 2 * CHUNK_STEPS * 320
            assert len(reader._stretch._voiced) <= 2 * CHUNK_STEPS
            assert reader._stretch._detector._waiting.size < RATE_HZ


def test_segments_come_as_soon_as_their_chunk_is_heard(cheap):
    reader = VoiceReader(**cheap)
    assert reader.push(Samples(0.0, noise(CHUNK_STEPS * 320))) == []
    (segment,) = reader.push(Samples(CHUNK_STEPS * voice.VOICE_HOP, noise(320)))
    assert isinstance(segment, VoiceSegment)
    assert len(segment.values) == CHUNK_STEPS - MARGIN_STEPS
