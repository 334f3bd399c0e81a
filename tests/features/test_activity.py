"""Voice activity: the network against a recomputation, the decision's rules, and real sounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sound import read_sound

from mien import weights
from mien.errors import WeightError
from mien.features import activity
from mien.features.activity import (
    OFF_PROBABILITY,
    ON_PROBABILITY,
    SHORTEST_SILENCE,
    SHORTEST_SPEECH,
    ActivityDetector,
    ActivityNetwork,
    ActivityState,
    SpeechDecision,
)

SECONDS = np.arange(5 * 16_000) / 16_000


@pytest.fixture(scope="module")
def network():
    try:
        return ActivityNetwork.pretrained()
    except WeightError as error:
        pytest.skip(f"no weights: {error}")


def speech(data_folder):
    return read_sound(data_folder / "java_sed_voice" / "01-01-03_02.ogg")


def voiced(network, sound):
    detector = ActivityDetector(network)
    return np.array(detector.push(sound.astype(np.float32)) + detector.finish(), dtype=bool)


def recomputed(sound):
    """The network window by window in float64, straight from the published tensors."""
    p = {name: value.double().numpy() for name, value in weights.load("silero_vad").items()}
    hidden, cell, probabilities = np.zeros(128), np.zeros(128), []
    padded = np.concatenate([np.zeros(64), sound.astype(np.float64)])
    for begin in range(0, len(sound) - 511, 512):
        window = np.pad(padded[begin : begin + 576], (0, 64), mode="reflect")
        frames = np.stack([window[k : k + 256] for k in range(0, 385, 128)])
        bins = frames @ p["stft_conv.weight"][:, 0].T
        x = np.sqrt(bins[:, :129] ** 2 + bins[:, 129:] ** 2)
        for number, stride in ((1, 1), (2, 2), (3, 2), (4, 1)):
            x = convolved(x, p[f"conv{number}.weight"], p[f"conv{number}.bias"], stride)
        gates = p["lstm_cell.weight_ih"] @ x[0] + p["lstm_cell.bias_ih"]
        gates += p["lstm_cell.weight_hh"] @ hidden + p["lstm_cell.bias_hh"]
        enter, keep, change, out = np.split(gates, 4)
        cell = logistic(keep) * cell + logistic(enter) * np.tanh(change)
        hidden = logistic(out) * np.tanh(cell)
        score = p["final_conv.weight"][0, :, 0] @ np.maximum(hidden, 0) + p["final_conv.bias"][0]
        probabilities.append(logistic(score))
    return np.array(probabilities)


def convolved(x, weight, bias, stride):
    padded = np.pad(x, ((1, 1), (0, 0)))
    steps = range(0, len(x), stride)
    return np.maximum([np.einsum("ki,oik->o", padded[t : t + 3], weight) + bias for t in steps], 0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def test_network_equals_the_recomputation(network, data_folder):
    sound = speech(data_folder)
    sound = sound[: len(sound) // 512 * 512]
    with torch.inference_mode():
        ours, _ = network(torch.from_numpy(sound), ActivityState.fresh())
    expected = recomputed(sound)
    assert expected.max() > 0.9
    assert np.abs(ours.numpy() - expected).max() < 1e-4


def test_state_carries_over(network, data_folder):
    sound = torch.from_numpy(speech(data_folder)[: 40 * 512])
    with torch.inference_mode():
        whole, _ = network(sound, ActivityState.fresh())
        first, state = network(sound[: 13 * 512], ActivityState.fresh())
        second, _ = network(sound[13 * 512 :], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "clip",
    [
        "java_sed_voice/01-01-01_02.ogg",
        "java_sed_voice/07-03-06_05.ogg",
        "java_sed/04-02-02_01.mp4",
        "ravdess_audio/Actor_02/03-01-03-01-01-01-02.ogg",
        "ravdess_audio/Actor_17/03-01-06-02-02-02-17.ogg",
    ],
)
def test_real_speech_is_voice(network, data_folder, clip):
    heard = voiced(network, read_sound(data_folder / clip))
    assert 0.3 < heard.mean() <= 1


@pytest.mark.parametrize("loudness", [0.05, 0.2, 1.0])
def test_speech_at_any_usual_level_is_voice(network, data_folder, loudness):
    assert voiced(network, speech(data_folder) * loudness).mean() > 0.3


SOUNDS = {
    "digital silence": np.zeros(80_000),
    "white noise": np.random.default_rng(0).normal(0, 0.1, 80_000),
    "faint white noise": np.random.default_rng(1).normal(0, 0.003, 80_000),
    "tone": 0.5 * np.sin(2 * np.pi * 440 * SECONDS),
    "mains hum": sum(0.2 / k * np.sin(2 * np.pi * 50 * k * SECONDS) for k in range(1, 8)),
    "faint mains hum": sum(0.01 / k * np.sin(2 * np.pi * 50 * k * SECONDS) for k in range(1, 8)),
    "mains hum of 60 Hz": sum(0.2 / k * np.sin(2 * np.pi * 60 * k * SECONDS) for k in range(1, 8)),
    "clicks": np.where(np.arange(80_000) % 8000 == 0, 0.8, 0),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_what_is_not_voice(network, name):
    assert not voiced(network, SOUNDS[name]).any()


def test_speech_between_silences_is_found_where_it_is(network, data_folder):
    word = speech(data_folder)
    alone = voiced(network, word)
    around = voiced(network, np.concatenate([np.zeros(32_000), word, np.zeros(32_000)]))
    assert not around[:98].any()
    assert not around[-90:].any()
    inside = around[100 : 100 + len(alone)]
    assert (inside == alone).mean() > 0.9


@given(cuts=st.lists(st.integers(0, 60_000), max_size=12), samples=st.integers(0, 60_000))
@settings(max_examples=15, deadline=None)
def test_pieces_make_no_difference(network, data_folder, cuts, samples):
    sound = speech(data_folder)[:samples]
    detector = ActivityDetector(network)
    heard = []
    for piece in np.split(sound, sorted(min(cut, len(sound)) for cut in cuts)):
        heard += detector.push(piece)
    heard += detector.finish()
    assert len(heard) == (len(sound) + 160) // 320
    assert heard == voiced(network, sound).tolist()


def decided(probabilities):
    decision = SpeechDecision()
    steps = decision.push(np.array(probabilities, dtype=np.float32))
    return steps + decision.finish()


def by_rules(probabilities):
    """The same rules, one after the other over the whole sequence."""
    loud, state = [], False
    for p in probabilities:
        state = p >= OFF_PROBABILITY if state else p >= ON_PROBABILITY
        loud.append(state)
    runs = [(value, begin, end) for value, begin, end in runs_of(loud)]
    for value, begin, end in runs:
        if not value and begin > 0 and end < len(loud) and end - begin < SHORTEST_SILENCE:
            loud[begin:end] = [True] * (end - begin)
    for value, begin, end in runs_of(loud):
        if value and end - begin < SHORTEST_SPEECH:
            loud[begin:end] = [False] * (end - begin)
    return loud


def runs_of(values):
    begin = 0
    for index in range(1, len(values) + 1):
        if index == len(values) or values[index] != values[begin]:
            yield values[begin], begin, index
            begin = index


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.9]), st.integers(1, 15)), max_size=12).map(
        lambda runs: [np.float32(value) for value, length in runs for _ in range(length)]
    )
)
@settings(max_examples=300, deadline=None)
def test_decision_follows_the_rules(probabilities):
    assert decided(probabilities) == by_rules(probabilities)


def test_decision_by_example():
    on, between, off = [0.9], [0.4], [0.1]
    assert decided(off * 3 + on * 6 + off * 12) == [False] * 3 + [True] * 6 + [False] * 12
    assert decided(on * 5 + off * 12) == [False] * 17
    assert decided(on * 6 + off * 9 + on * 1 + off * 10) == [True] * 16 + [False] * 10
    assert decided(between * 8 + on * 1 + between * 8) == [False] * 8 + [True] * 9
    assert decided([]) == []


def test_decision_lags_no_more_than_it_says():
    probabilities = np.random.default_rng(0).random(2000).astype(np.float32)
    decision, steps = SpeechDecision(), 0
    for index, probability in enumerate(probabilities, start=1):
        steps += len(decision.push(probability[None]))
        assert index - steps <= SHORTEST_SPEECH + SHORTEST_SILENCE
    assert activity._BLOCK_SAMPLES % activity.STEP_SAMPLES == 0
