"""How sound comes to its listeners: the grid, stretches, odd sound; and how native steps pool."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import PluginError
from mien.features.extractor import SoundExtractor, register_extractor
from mien.features.hearing import HeardFeatures, Hearing, Listener, Voiced
from mien.media import Samples

RATE_HZ = 16_000


class Loudness:
    """A stream that gives, of each 320 samples, how loud they are; half of them count."""

    def __init__(self):
        self.sound = np.empty(0, dtype=np.float32)

    def push(self, samples):
        self.sound = np.concatenate([self.sound, samples])
        return np.empty((0, 1))

    def finish(self):
        steps = (len(self.sound) + 160) // 320
        return np.pad(self.sound, (0, 320))[: steps * 320].reshape(steps, 320).std(1, keepdims=True)


def heard(pieces):
    """``{step: loudness}`` after some pieces ``(seconds, values)``."""
    out = {}

    def put(first, rows):
        out.update({first + index: float(row[0]) for index, row in enumerate(rows)})

    hearing = Hearing([Listener(Loudness, 320, put)])
    for time, values in pieces:
        hearing.push(Samples(time, values))
    hearing.finish()
    return out


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


@given(
    samples=st.integers(0, 9 * RATE_HZ),
    cuts=st.lists(st.integers(0, 9 * RATE_HZ), max_size=10),
    start=st.integers(0, 3 * RATE_HZ),
)
@settings(max_examples=30, deadline=None)
def test_pieces_make_no_difference(samples, cuts, start):
    sound = noise(samples, seed=1)
    edges = sorted(min(cut, samples) for cut in cuts)
    begins = [start, *(start + edge for edge in edges)]
    pieces = zip([b / RATE_HZ for b in begins], np.split(sound, edges), strict=True)
    assert heard(pieces) == heard([(start / RATE_HZ, sound)])


@given(st.lists(st.tuples(st.integers(161, 9000), st.integers(1, 20_000)), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_only_observed_steps_come_out(stretches):
    """A step is there where half of it was heard; stretches are (gap before, length)."""
    pieces, expected, at = [], [], 0
    for gap, length in stretches:
        at += gap
        pieces.append((at / RATE_HZ, noise(length)))
        expected += range((at + 160) // 320, (at + length + 160) // 320)
        at += length
    assert list(heard(pieces)) == expected


def test_sound_lies_where_it_was():
    """A click 5 s into a recording whose sound starts at 2 s and pauses from 3 s to 4 s."""
    first, second = np.zeros(RATE_HZ, np.float32), np.zeros(2 * RATE_HZ, np.float32)
    second[RATE_HZ : RATE_HZ + 320] = noise(320)
    steps = heard([(2.0, first), (4.0, second)])
    assert [*steps] == [*range(100, 150), *range(200, 300)]
    assert max(steps, key=steps.get) == 250


def test_a_clock_that_trembles_is_one_stretch():
    sound = noise(4 * RATE_HZ)
    shifts = [0.0, 0.004, -0.004, 0.009]
    pieces = [(i + shift, sound[i * RATE_HZ :][:RATE_HZ]) for i, shift in enumerate(shifts)]
    assert heard(pieces) == heard([(0.0, sound)])


def test_sound_that_comes_twice_counts_once():
    sound = noise(3 * RATE_HZ)
    pieces = [(0.0, sound[: 2 * RATE_HZ]), (1.0, sound[RATE_HZ:]), (0.5, sound[:100])]
    assert heard(pieces) == heard([(0.0, sound)])


def test_sound_before_the_start_is_dropped():
    sound = noise(RATE_HZ)
    assert list(heard([(-0.25, sound)])) == list(range(38))  # 37.5 steps: half a step counts
    assert heard([(-2.0, sound)]) == {}


def test_samples_that_are_not_finite_are_silence_and_huge_ones_are_clipped():
    sound = noise(2 * RATE_HZ)
    sound[1000:1400] = 0
    odd = sound.copy()
    odd[1000:1200], odd[1200:1300], odd[1300:1400] = np.nan, np.inf, -np.inf
    assert heard([(0.0, odd)]) == heard([(0.0, sound)])
    assert max(heard([(0.0, noise(RATE_HZ) * 1e30)]).values()) <= 1


def test_voiced_steps_are_false_outside():
    voiced = Voiced()
    voiced.put(3, np.array([True, False, True]))
    assert voiced.between(-2, 9).nonzero()[0].tolist() == [5, 7]
    assert voiced.between(50, 52).tolist() == [False, False]
    assert voiced.at(np.array([0.065, 0.085, 0.105, 9.0])).tolist() == [True, False, True, False]


@register_extractor("test_steps")
class Steps(SoundExtractor):
    """Gives nothing by itself; the tests put its native steps."""

    hop: float = 0.2
    native_hop = 0.02
    shape = (2,)


def pooled(values, voiced, hop=0.2, first=0, end=None, **settings):
    features = HeardFeatures(Steps(hop=hop, **settings))
    features.put(first, np.repeat(np.asarray(values, dtype=np.float32)[:, None], 2, axis=1))
    where = Voiced()
    where.put(first, np.asarray(voiced, dtype=np.bool_))
    features.settle((first + len(values)) * 0.02 if end is None else end, where)
    one = features.medium().series
    features.close()
    return one


def test_a_step_is_the_mean_of_what_was_voiced():
    voiced = [i % 2 == 0 and i < 20 for i in range(35)]
    one = pooled(range(35), voiced, voiced_only=True)
    assert one.valid.tolist() == [True, True, False, False]
    assert one.values[:, 0].tolist() == [4, 14, 0, 0]
    assert one.hop == 0.2
    everything = pooled(range(35), voiced)
    assert everything.values[:, 1].tolist() == [4.5, 14.5, 24.5, 32]


def test_late_sound_and_odd_hops_fall_into_the_right_steps():
    late = {"values": [1] * 10, "voiced": [True] * 10, "first": 30, "end": 1.0}  # 0.6 to 0.8 s
    assert pooled(**late, hop=0.25).valid.tolist() == [False, False, True, True]
    assert pooled(**late, hop=0.02).valid.nonzero()[0].tolist() == list(range(30, 40))
    assert len(pooled(**late, hop=0.02)) == 50


def test_long_sound_is_pooled_in_blocks_without_a_seam(monkeypatch):
    values = np.random.default_rng(0).integers(0, 50, 1000)
    whole = pooled(values, values > 10, hop=0.07, voiced_only=True)
    monkeypatch.setattr("mien.features.hearing._BLOCK_BYTES", 100)
    parts = pooled(values, values > 10, hop=0.07, voiced_only=True)
    np.testing.assert_array_equal(parts.values, whole.values)
    np.testing.assert_array_equal(parts.valid, whole.valid)
    where = np.floor((np.arange(1000) + 0.5) * 0.02 / 0.07 + 1e-9).astype(int)
    for step in range(len(whole)):
        used = (where == step) & (values > 10)
        assert whole.values[step, 0] == np.float32(values[used].mean() if used.any() else 0)


def test_what_an_extractor_gives_is_checked():
    @register_extractor("test_wrong")
    class Wrong(SoundExtractor):
        hop: float = 0.02
        shape = (2,)
        rows = np.zeros((5, 3))

        def extract(self, samples):
            return self.rows

    for rows, problem in (
        (np.zeros((5, 3)), r"gave float64 of shape \(5, 3\).*steps, 2"),
        (np.full((5, 2), np.nan), "not finite"),
        (np.full((5, 2), "a"), "gave <U1"),
    ):
        Wrong.rows = rows
        features = HeardFeatures(Wrong())
        hearing = Hearing([features.listener()])
        hearing.push(Samples(0.0, noise(1600)))
        with pytest.raises(PluginError, match=problem):
            hearing.finish()
        features.close()
