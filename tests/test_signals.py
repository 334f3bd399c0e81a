import pytest
import torch

from mien.errors import NothingPresent, OptionError
from mien.missing import withhold
from mien.signals import Sequence, Signals, as_signals, pad_batch


def sequence(batch: int = 2, time: int = 4, features: int = 3) -> Sequence:
    valid = torch.ones(batch, time, dtype=torch.bool)
    return Sequence(torch.arange(float(batch * time * features)).view(batch, time, -1), valid, 0.5)


def test_present_says_who_has_any_observation():
    some = sequence()
    some.valid[1] = False
    assert some.present.tolist() == [True, False]


def test_valid_must_be_boolean():
    with pytest.raises(OptionError, match="boolean"):
        Sequence(torch.zeros(1, 2, 3), torch.ones(1, 2), 0.5)


@pytest.mark.parametrize("shape", [(1, 3, 3), (2, 2, 3), (1, 2)])
def test_values_and_valid_must_agree(shape):
    with pytest.raises(OptionError, match="batch, time"):
        Sequence(torch.zeros(shape), torch.ones(1, 2, dtype=torch.bool), 0.5)


def test_hop_must_be_positive():
    with pytest.raises(OptionError, match="hop"):
        Sequence(torch.zeros(1, 2, 3), torch.ones(1, 2, dtype=torch.bool), 0.0)


def test_modalities_must_share_the_batch():
    with pytest.raises(OptionError, match="batch size"):
        Signals({"audio": sequence(2), "video": sequence(3)})


def test_a_modality_that_nobody_has_may_be_left_out():
    signals = Signals({"audio": sequence()})
    assert signals.present("video").tolist() == [False, False]


def test_no_modality_at_all_is_a_clear_error():
    with pytest.raises(NothingPresent, match="give audio, video or both"):
        _ = Signals({}).batch


def test_withholding_hides_every_step_and_leaves_the_rest():
    signals = withhold(Signals({"audio": sequence(), "video": sequence()}), {"audio"})
    assert not signals["audio"].valid.any()
    assert signals["video"].valid.all()


def test_pad_batch_pads_with_holes_and_keeps_who_lacks_what():
    long = Signals({"audio": sequence(1, 5), "video": sequence(1, 2)})
    short = Signals({"audio": sequence(2, 3)})
    batch = pad_batch([long, short])
    assert batch.batch == 3
    assert batch["audio"].valid.sum(dim=1).tolist() == [5, 3, 3]
    assert batch["video"].present.tolist() == [True, False, False]
    torch.testing.assert_close(batch["audio"].values[1:, :3], short["audio"].values)
    assert batch.select(torch.tensor([2, 0]))["audio"].valid.sum(dim=1).tolist() == [3, 5]


def test_pad_batch_refuses_different_hops_and_nothing():
    other = Signals({"audio": Sequence(torch.zeros(1, 2, 3), torch.ones(1, 2).bool(), 0.25)})
    with pytest.raises(OptionError, match="hop"):
        pad_batch([Signals({"audio": sequence(1, 2)}), other])
    with pytest.raises(NothingPresent):
        pad_batch([])


def test_plain_tensors_are_signals_with_nan_where_nothing_was_observed():
    video = torch.ones(2, 3, 4)
    video[1, 2, 0] = float("nan")
    signals = as_signals({"audio": torch.zeros(2, 6, 5), "video": video})
    assert signals["audio"].valid.all()
    assert signals["video"].valid.tolist() == [[True] * 3, [True, True, False]]
    assert (signals["audio"].hop, signals["video"].hop) == (1.0, 2.0)
    assert as_signals(signals) is signals


def test_hops_of_plain_tensors_can_be_told():
    plain = {"audio": torch.zeros(2, 6, 5), "video": torch.zeros(2, 3, 4, dtype=torch.int64)}
    assert {s.hop for s in as_signals(plain, hop=0.5).values()} == {0.5}
    signals = as_signals({**plain, "text": sequence()}, hop={"audio": 0.1, "video": 0.2})
    assert [s.hop for s in signals.values()] == [0.1, 0.2, 0.5]
    assert signals["video"].values.is_floating_point()
    with pytest.raises(OptionError, match="video has no hop"):
        as_signals(plain, hop={"audio": 0.1})


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ({"audio": torch.zeros(2, 6)}, "audio has the shape"),
        ({"audio": "sound.wav"}, "audio is no tensor but of type str"),
        (torch.zeros(2, 6, 3), "Tensor is no signals"),
        ({"audio": torch.zeros(2, 6, 3), "video": torch.zeros(1, 6, 3)}, "batch size"),
    ],
)
def test_what_is_no_signals(plain, words):
    with pytest.raises(OptionError, match=words):
        as_signals(plain)
