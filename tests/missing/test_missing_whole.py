import pytest
import torch
from hole_material import assert_same, seeded, whole

from mien.errors import OptionError
from mien.missing import (
    ModalityDropout,
    Withhold,
    WithholdPerBatch,
    WithholdPerSample,
    assign_kinds,
    hide_important,
    measure_importance,
    unpair,
)
from mien.signals import Signals


def only_audio(signals: Signals, row: int) -> Signals:
    """The same signals, one sample without its video."""
    signals["video"].valid[row] = False
    return signals


def test_withholding_hides_a_modality_from_everyone_even_the_last():
    after = Withhold(("audio",))(only_audio(whole(), 2), seeded())
    assert not after["audio"].valid.any()
    assert after.present("video").tolist() == [True, True, False, True]


def test_each_sample_loses_one_modality_where_both_are_certain():
    after = WithholdPerSample({"audio": 1, "video": 1})(whole(400), seeded())
    audio, video = after.present("audio"), after.present("video")
    assert torch.equal(audio, ~video)
    assert 140 < int(audio.sum()) < 260  # 6 standard deviations of a fair coin


def test_losses_per_sample_have_the_stated_probability():
    after = WithholdPerSample({"audio": 0.5, "video": 0.2})(whole(4000, 1), seeded())
    lost = 1 - after.present("audio").double().mean()
    assert float(lost) == pytest.approx(0.5 * 0.8 + 0.5 * 0.2 / 2, abs=0.04)


def test_no_sample_loses_more_modalities_than_allowed():
    everything = whole(50, audio=3, video=3, physiology=3)
    certain = dict.fromkeys(everything, 1.0)
    for at_most, left in ((1, 2), (2, 1), (None, 1)):
        after = WithholdPerSample(certain, at_most)(everything, seeded())
        counts = torch.stack([s.present for s in after.values()]).sum(dim=0)
        assert set(counts.tolist()) == {left}


def test_the_whole_batch_loses_the_same_modality_or_none():
    operation = WithholdPerBatch({"audio": 0.333, "video": 0.333})
    generator, signals = seeded(), whole(3, 2)
    outcomes = []
    for _ in range(900):
        after = operation(signals, generator)
        shown = tuple(name for name in after if after.present(name).all())
        assert all(after.present(name).any() == after.present(name).all() for name in after)
        outcomes.append(shown)
    fractions = {shown: outcomes.count(shown) / 900 for shown in set(outcomes)}
    assert set(fractions) == {("audio",), ("video",), ("audio", "video")}
    assert all(fraction == pytest.approx(1 / 3, abs=0.09) for fraction in fractions.values())


def test_a_batch_keeps_whom_it_would_leave_with_nothing():
    after = WithholdPerBatch({"audio": 1})(only_audio(whole(), 1), seeded())
    assert after.present("audio").tolist() == [False, True, False, False]


def test_dropout_repeats_the_batch_in_the_order_of_its_kinds():
    signals = whole(3)
    after, rows = ModalityDropout().enlarge(signals, seeded())
    full, soft, without_audio, without_video = (
        after.select(torch.arange(3 * kind, 3 * kind + 3)) for kind in range(4)
    )
    assert rows.tolist() == [0, 1, 2] * 4
    assert_same(full, signals)
    assert not without_audio["audio"].valid.any()
    assert without_audio["video"].valid.all()
    assert not without_video["video"].valid.any()
    audio = soft["audio"].values / signals["audio"].values
    video = soft["video"].values / signals["video"].values
    fraction = audio[:, 0, 0]
    assert torch.allclose(audio, fraction.view(3, 1, 1).expand_as(audio))
    assert torch.allclose(video, 1 - fraction.view(3, 1, 1, 1).expand_as(video), atol=1e-6)
    assert len(set(fraction.tolist())) == 3


def test_noise_takes_the_place_of_one_modality():
    signals = whole(40, 20)
    kinds = ("noisy_audio", "noisy_video")
    after = ModalityDropout(kinds)(signals, seeded(9))
    noisy_audio, noisy_video = (after.select(torch.arange(40 * k, 40 * k + 40)) for k in (0, 1))
    noise = noisy_audio["audio"].values
    assert not torch.isclose(noise, signals["audio"].values).any(dim=-1).all(dim=-1).any()
    assert float(noise.mean()) == pytest.approx(0, abs=0.1)
    assert float(noise.std()) == pytest.approx(1, abs=0.1)
    assert torch.equal(noisy_audio["video"].values, signals["video"].values)
    assert torch.equal(noisy_video["audio"].values, signals["audio"].values)
    assert after["audio"].valid.all()


def test_dropout_leaves_an_only_modality_alone():
    signals = whole(1, audio=5)
    after = ModalityDropout(("soft", "without_audio", "noisy_audio", "noisy_video"))(
        signals, seeded()
    )
    for row in range(4):
        assert_same(after.select(torch.tensor([row])), signals)


def test_what_raises_the_loss_most_is_most_important():
    rises = measure_importance(0.6, {"audio": 0.61, "physiology": 0.5, "video": 0.9})
    assert list(rises) == ["video", "audio", "physiology"]
    assert rises["video"] == pytest.approx(0.3)
    assert hide_important(rises, probability=0.25, above=0.1) == WithholdPerBatch({"video": 0.25})
    both = hide_important(rises, probability=0.333)
    assert both == WithholdPerBatch({"video": 0.333, "audio": 0.333})
    signals = whole()
    assert_same(hide_important({"audio": -1.0}, probability=1)(signals, seeded()), signals)


def test_a_loss_that_is_no_number_says_which():
    with pytest.raises(OptionError, match="without video is not finite"):
        measure_importance(0.6, {"audio": 0.7, "video": float("nan")})
    with pytest.raises(OptionError, match="with everything is not finite"):
        measure_importance(float("inf"), {"audio": 0.7})


def test_unpaired_shares_are_exact_and_do_not_move_with_the_machine():
    fractions = {"both": 0.5, "audio": 0.25, "video": 0.25}
    kinds = assign_kinds(101, fractions, seed=1)
    assert sorted(kinds.count(kind) for kind in fractions) == [25, 25, 51]
    assert kinds == assign_kinds(101, fractions, seed=1)
    assert kinds != assign_kinds(101, fractions, seed=2)
    # By sha256sum the order is 4, 2, 1, 5, 0, 3: three pairs, two voices (a tie of remainders goes
    # to the first named), one face.
    by_hand = ["audio", "both", "both", "video", "both", "audio"]
    assert assign_kinds(6, fractions, seed=0) == by_hand


def test_unpaired_samples_keep_their_half():
    samples = [whole(1) for _ in range(8)]
    samples[0] = whole(1, audio=4)
    made = unpair(samples, {"both": 0.25, "video": 0.75}, seed=3)
    kinds = assign_kinds(8, {"both": 0.25, "video": 0.75}, seed=3)
    for sample, after, kind in zip(samples, made, kinds, strict=True):
        has_video = "video" in sample
        assert bool(after.present("audio").all()) == (kind == "both" or not has_video)
        assert bool(after.present("video").all()) == has_video


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"both": 0.5}, "add up to 0.5"),
        ({"both": 0.5, "": 0.5}, "names ''"),
        ({"both": 1.5, "audio": -0.5}, "both is 1.5"),
    ],
)
def test_unpaired_shares_that_make_no_sense(fractions, message):
    with pytest.raises(OptionError, match=message):
        assign_kinds(4, fractions, seed=0)
