import pytest
import torch
from hole_material import holed, seeded, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.missing import Burst, KeepFirst, MaskFrames, NoiseWindows
from mien.signals import Signals

FEW = settings(max_examples=60, deadline=None)


def changed(before: Signals, after: Signals, name: str) -> torch.Tensor:
    """``(batch, time)``: where the values of a modality are others."""
    return (before[name].values != after[name].values).flatten(2).any(dim=2)


@FEW
@given(signals=holed(), tenths=st.integers(0, 10), seed=st.integers(0, 99))
def test_the_masked_share_is_exact(signals, tenths, seed):
    after = MaskFrames(tenths / 10, ("audio",))(signals, seeded(seed))
    if "audio" not in signals:
        return
    counts = signals["audio"].valid.sum(dim=1).tolist()
    others = [
        any(bool(signals.present(name)[row]) for name in signals if name != "audio")
        for row in range(signals.batch)
    ]
    for row, (count, another) in enumerate(zip(counts, others, strict=True)):
        masked = (count * tenths + 5) // 10  # halves up, in whole numbers
        kept = max(count - masked, 1 if count and not another else 0)
        assert int(after["audio"].valid[row].sum()) == kept


def test_masked_frames_are_anywhere():
    after = MaskFrames(0.5, ("video",))(whole(300), seeded())
    fraction = after["video"].valid.double().mean(dim=0)
    assert torch.allclose(fraction, torch.full_like(fraction, 0.5), atol=0.15)


def test_one_step_of_the_first_modality_is_left():
    after = MaskFrames(1.0, ("video", "audio"))(whole(), seeded())
    assert after["video"].valid.sum(dim=1).tolist() == [1] * 4
    assert not after["audio"].valid.any()


def test_a_burst_is_one_stretch_anywhere_in_what_was_observed():
    signals = whole(200)
    signals["video"].valid[:, :2] = False
    signals["video"].valid[:, 9:] = False
    hole = signals["video"].valid & ~Burst("video", 0.6)(signals, seeded())["video"].valid
    assert set(hole.sum(dim=1).tolist()) == {3}
    starts = hole.int().argmax(dim=1)
    assert all(row[start : start + 3].all() for row, start in zip(hole, starts, strict=True))
    assert set(starts.tolist()) == {2, 3, 4, 5, 6}


def test_a_burst_begins_where_it_is_told():
    hole = ~Burst("video", 0.4, start=1.0)(whole(2), seeded())["video"].valid
    assert hole.nonzero()[:, 1].tolist() == [5, 6, 5, 6]
    late = Burst("video", 9.0, start=1.0)(whole(2), seeded())["video"].valid
    assert late.sum(dim=1).tolist() == [5, 5]


def test_a_burst_over_everything_leaves_one_step_only_where_nothing_else_is():
    signals = whole(2)
    signals["audio"].valid[1] = False
    signals["video"].valid[1, 8:] = False
    after = Burst("video", 60)(signals, seeded())["video"].valid
    assert after.nonzero().tolist() == [[1, 7]]


def test_the_beginning_is_shown_to_the_same_time_in_all_modalities():
    after = KeepFirst(0.6)(whole(1), seeded())
    assert after["audio"].valid[0].tolist() == [True] * 6 + [False] * 4  # of 0.1 s
    assert after["video"].valid[0].tolist() == [True] * 3 + [False] * 7  # of 0.2 s


def test_a_step_is_not_shown_before_it_ends():
    assert int(KeepFirst(0.5)(whole(1), seeded())["video"].valid.sum()) == 2


def test_who_begins_late_is_shown_to_the_end_of_the_first_step():
    signals = whole(2)
    signals["audio"].valid[1] = False
    signals["video"].valid[1, :4] = False
    after = KeepFirst(0.2)(signals, seeded())
    assert after["video"].valid[1].nonzero().flatten().tolist() == [4]
    assert after["video"].valid[0].nonzero().flatten().tolist() == [0]
    honest = KeepFirst(0.2, sparing=False)(signals, seeded())
    assert not honest["video"].valid[1].any()
    assert torch.equal(honest["video"].valid[0], after["video"].valid[0])


@pytest.mark.parametrize("windows", [1, 3, 9])
def test_so_many_windows_are_noise(windows):
    signals = whole(30)  # audio for 1 s: five windows
    after = NoiseWindows(windows, 0.2, ("audio",))(signals, seeded())
    noise = changed(signals, after, "audio").view(30, 5, 2)
    assert torch.equal(noise.all(dim=2), noise.any(dim=2))
    assert set(noise.any(dim=2).sum(dim=1).tolist()) == {min(windows, 5)}
    assert after["audio"].valid.all()
    assert not changed(signals, after, "video").any()


def test_noise_falls_only_on_windows_that_were_observed():
    signals = whole(50)
    signals["audio"].valid[:, 4:] = False
    signals["audio"].valid[:, 1] = False
    after = NoiseWindows(1, 0.2, ("audio",))(signals, seeded())
    noise = changed(signals, after, "audio")
    assert set(map(tuple, noise.nonzero()[:, 1:].tolist())) == {(0,), (2,), (3,)}
    assert bool(noise.any(dim=1).all())


def test_both_modalities_are_noisy_in_the_same_windows():
    signals = whole(20, audio=20, video=10)  # 2 s of both
    after = NoiseWindows(4, 0.2)(signals, seeded())
    audio = changed(signals, after, "audio").view(20, 10, 2).all(dim=2)
    assert torch.equal(audio, changed(signals, after, "video"))
    assert set(audio.sum(dim=1).tolist()) == {4}


def test_noise_has_its_mean_and_standard_deviation():
    after = NoiseWindows(10, 0.2, ("audio",), mean=5.0, std=0.5)(whole(200), seeded())
    values = after["audio"].values
    assert float(values.mean()) == pytest.approx(5, abs=0.05)
    assert float(values.std()) == pytest.approx(0.5, abs=0.05)


def test_in_training_up_to_half_of_the_windows_are_noise():
    signals, generator = whole(2, audio=8), seeded()
    signals["audio"].valid[1, 1:] = False  # a single window
    operation, numbers = NoiseWindows("up_to_half", 0.1, ("audio",)), []
    for _ in range(120):
        noise = changed(signals, operation(signals, generator), "audio")
        numbers.append(int(noise[0].sum()))
        assert not noise[1].any()
    assert set(numbers) == {1, 2, 3, 4}
    assert all(15 <= numbers.count(number) <= 50 for number in set(numbers))


def test_noise_on_whole_numbers_makes_them_floating_point():
    signals = whole(1)
    pixels = type(signals["video"])(
        torch.zeros(1, 10, 2, 2, dtype=torch.uint8), signals["video"].valid, 0.2
    )
    after = NoiseWindows(10, 0.2, ("video",))(Signals({"video": pixels}), seeded())
    assert after["video"].values.is_floating_point()
    assert bool((after["video"].values < 0).any())
