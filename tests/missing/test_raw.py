import numpy as np
import pytest

from mien.errors import OptionError
from mien.media import Frame, Samples
from mien.missing.raw import (
    LEVEL_S,
    RAW_OPERATIONS,
    Babble,
    Dark,
    FrameRate,
    RawBurst,
    WhiteNoise,
    create_raw_operation,
    speech_power,
)

RATE = 16_000
MIX = np.random.default_rng(9).uniform(-1, 1, 5_000).astype(np.float32)
EVERY_KIND = [
    WhiteNoise(10),
    Babble(MIX, 10),
    FrameRate(1),
    Dark(0.2, noise=5),
    RawBurst("video", seconds=0.5, every=1),
    RawBurst("audio", seconds=0.5, every=1),
]


def speech(seconds: float, level: float = 0.1) -> np.ndarray:
    """Bursts of a tone, half a second each, with silence of the same length between."""
    time = np.arange(int(seconds * RATE)) / RATE
    tone = level * np.sqrt(2) * np.sin(2 * np.pi * 300 * time)
    return np.where(time % 1 < 0.5, tone, 0).astype(np.float32)


def sound(values: np.ndarray, piece: int) -> list[Samples]:
    return [
        Samples(start / RATE, values[start : start + piece])
        for start in range(0, len(values), piece)
    ]


def frames(count: int, rate_hz: float = 5.0) -> list[Frame]:
    generator = np.random.default_rng(1)
    return [
        Frame(index / rate_hz, generator.integers(1, 256, (6, 8, 3), dtype=np.uint8))
        for index in range(count)
    ]


def stream(piece: int = 4_000) -> list[Frame | Samples]:
    items = [*frames(15), *sound(speech(3), piece)]
    return sorted(items, key=lambda item: item.time)


def heard(items) -> np.ndarray:
    return np.concatenate([item.values for item in items if isinstance(item, Samples)])


def shown(items) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


def decibels(clean: np.ndarray, noisy: np.ndarray) -> float:
    """Power of the tone itself over that of what was added."""
    return 10 * np.log10(0.1**2 / np.square(noisy - clean).mean())


@pytest.mark.parametrize("operation", EVERY_KIND, ids=repr)
def test_a_seed_gives_one_stream_however_the_sound_is_cut(operation):
    coarse, fine = list(operation(iter(stream(7_000)), 3)), list(operation(iter(stream(333)), 3))
    np.testing.assert_allclose(heard(coarse), heard(fine), atol=1e-7)
    assert [f.time for f in shown(coarse)] == [f.time for f in shown(fine)]
    for one, other in zip(shown(coarse), shown(fine), strict=True):
        np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize("operation", EVERY_KIND, ids=repr)
def test_time_stays_true_and_what_came_in_stays_as_it_was(operation):
    before = stream()
    untouched = stream()
    after = list(operation(iter(before), 3))
    times = [item.time for item in before if isinstance(item, Samples)]
    assert [item.time for item in after if isinstance(item, Samples)] == times
    assert {f.time for f in shown(after)} <= {f.time for f in shown(before)}
    for item, same in zip(before, untouched, strict=True):
        np.testing.assert_array_equal(item[1], same[1])
    assert heard(after).dtype == np.float32
    assert np.abs(heard(after)).max() <= 1
    assert all(frame.image.dtype == np.uint8 for frame in shown(after))


@pytest.mark.parametrize("operation", [op for op in EVERY_KIND if op != FrameRate(1)], ids=repr)
def test_another_seed_gives_another_stream(operation):
    one, other = (list(operation(iter(stream()), seed)) for seed in (3, 4))
    assert any((a[1] != b[1]).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 0.0])
@pytest.mark.parametrize("kind", [WhiteNoise, lambda snr_db: Babble(MIX, snr_db)])
def test_noise_has_the_ratio_to_speech_and_not_to_its_pauses(kind, snr_db):
    clean = speech(5)
    noisy = heard(kind(snr_db)(iter(sound(clean, 1_000)), 0))
    assert decibels(clean, noisy) == pytest.approx(snr_db, abs=0.2)


def test_the_level_of_noise_is_that_of_the_beginning_and_holds():
    clean = np.concatenate([speech(LEVEL_S), speech(10, level=0.001)])
    noisy = heard(WhiteNoise(10)(iter(sound(clean, 16_000)), 0))
    late = slice(int(LEVEL_S * RATE), None)
    assert decibels(clean[late], noisy[late]) == pytest.approx(10, abs=0.2)


def test_no_more_than_the_beginning_is_held_back():
    taken = 0

    def counted():
        nonlocal taken
        for item in sound(speech(60), RATE):
            taken += 1
            yield item

    next(WhiteNoise(10)(counted(), 0))
    assert taken == LEVEL_S


def test_silence_stays_silent_under_noise():
    silent = sound(np.zeros(RATE, dtype=np.float32), 1_000)
    assert not heard(WhiteNoise(0)(iter(silent), 0)).any()


def test_pictures_pass_noise_at_once():
    first = next(WhiteNoise(10)(iter(stream()), 0))
    assert isinstance(first, Frame)


def test_babble_goes_round_its_mix():
    clean = speech(2, level=0.01)
    added = heard(Babble(MIX, 0)(iter(sound(clean, 900)), 5)) - clean
    np.testing.assert_allclose(added[: len(MIX)], added[len(MIX) : 2 * len(MIX)], atol=1e-6)
    scaled = added[: len(MIX)] / np.abs(added).max() * np.abs(MIX).max()
    np.testing.assert_allclose(np.sort(scaled), np.sort(MIX), atol=1e-4)


def test_babble_is_told_apart_by_its_mix_and_not_by_its_number_type():
    assert repr(Babble(MIX, 10)) == repr(Babble(MIX.copy(), 10.0))
    assert repr(Babble(MIX, 10)) != repr(Babble(MIX[:-1], 10))
    assert repr(WhiteNoise(10)) == repr(WhiteNoise(10.0))


def test_a_frame_rate_keeps_the_first_frame_of_each_tick():
    kept = shown(FrameRate(1)(iter(frames(15)), 0))
    assert [frame.time for frame in kept] == [0, 1, 2]
    assert len(shown(FrameRate(5)(iter(frames(15)), 0))) == 15


def test_dark_frames_keep_a_share_of_their_light():
    bright, dark = frames(1)[0].image, shown(Dark(0.2)(iter(frames(1)), 0))[0].image
    np.testing.assert_array_equal(dark, np.rint(bright * 0.2))
    grainy = shown(Dark(0.5, noise=8)(iter([Frame(0, np.full((90, 90, 3), 200, np.uint8))]), 0))
    assert grainy[0].image.std() == pytest.approx(8, rel=0.05)


def test_a_burst_blacks_out_its_seconds_and_no_others():
    burst = RawBurst("video", seconds=2, every=4)
    after = list(burst(iter([*frames(60), *sound(speech(12), 4_000)]), 8))
    black = np.array([not frame.image.any() for frame in shown(after)]).reshape(3, 20)
    assert (np.abs(black.sum(1) - 10) <= 1).all()
    assert (np.abs(np.diff(black.astype(int), axis=1)).sum(1) <= 2).all()
    np.testing.assert_array_equal(heard(after), speech(12))


def test_a_muted_stretch_is_cut_to_the_sample():
    burst = RawBurst("audio", seconds=0.5, every=2)
    ones = np.ones(2 * RATE, dtype=np.float32)
    values = heard(burst(iter([*sound(ones, 700)]), 1))
    muted = np.flatnonzero(values == 0)
    assert len(muted) == pytest.approx(0.5 * RATE, abs=1)
    assert muted[-1] - muted[0] == len(muted) - 1


def test_speech_power_leaves_pauses_out():
    assert speech_power(speech(4)) == pytest.approx(0.01, rel=0.01)
    assert speech_power(np.zeros(RATE, dtype=np.float32)) == 0
    assert speech_power(np.zeros(0, dtype=np.float32)) == 0


def test_operations_are_made_by_name():
    assert create_raw_operation("white_noise", snr_db=10) == WhiteNoise(10)
    assert create_raw_operation("babble", mix=MIX, snr_db=0) == Babble(MIX, 0)
    assert {type(operation).__name__ for operation in EVERY_KIND} == {
        kind.__name__ for kind in RAW_OPERATIONS.values()
    }


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rain", {}),
        ("white_noise", {}),
        ("white_noise", {"snr_db": "loud"}),
        ("white_noise", {"snr_db": float("nan")}),
        ("white_noise", {"snr_db": 10, "colour": "pink"}),
        ("babble", {"snr_db": 10, "mix": np.zeros(5)}),
        ("babble", {"snr_db": 10, "mix": np.ones((5, 2))}),
        ("frame_rate", {"rate_hz": 0}),
        ("dark", {"factor": 1.5}),
        ("burst", {"modality": "smell"}),
        ("burst", {"modality": "audio", "seconds": 3, "every": 2}),
    ],
)
def test_options_that_make_no_sense_are_typed_errors(name, options):
    with pytest.raises(OptionError):
        create_raw_operation(name, **options)


def test_unknown_words_are_answered_with_the_nearest():
    with pytest.raises(OptionError, match="no raw operation is called 'drak'; did you mean dark"):
        create_raw_operation("drak")
    with pytest.raises(OptionError, match="no option 'snr_bd'; did you mean snr_db"):
        create_raw_operation("white_noise", snr_bd=3)
    with pytest.raises(OptionError, match="needs snr_db"):
        create_raw_operation("white_noise")
