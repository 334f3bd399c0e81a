import pytest
import torch

from mien.errors import NothingPresent, OptionError
from mien.missing import check_withheld, withhold
from mien.signals import Sequence, Signals, pad_batch


def sequence(batch: int = 2, time: int = 4, features: int = 3) -> Sequence:
    valid = torch.ones(batch, time, dtype=torch.bool)
    return Sequence(torch.arange(float(batch * time * features)).view(batch, time, -1), valid, 0.5)


def test_present_says_who_has_any_observation():
    some = sequence()
    some.valid[1] = False
    assert some.present.tolist() == [True, False]


def test_valid_must_be_boolean():
    with pytest.raises(TypeError, match="boolean"):
        Sequence(torch.zeros(1, 2, 3), torch.ones(1, 2), 0.5)


@pytest.mark.parametrize("shape", [(1, 3, 3), (2, 2, 3), (1, 2)])
def test_values_and_valid_must_agree(shape):
    with pytest.raises(ValueError, match="batch, time"):
        Sequence(torch.zeros(shape), torch.ones(1, 2, dtype=torch.bool), 0.5)


def test_hop_must_be_positive():
    with pytest.raises(ValueError, match="hop"):
        Sequence(torch.zeros(1, 2, 3), torch.ones(1, 2, dtype=torch.bool), 0.0)


def test_modalities_must_share_the_batch():
    with pytest.raises(ValueError, match="batch size"):
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


@pytest.mark.parametrize(
    ("names", "message"),
    [({"smell"}, "cannot withhold smell"), ({"audio", "video"}, "nothing is left")],
)
def test_what_may_be_withheld(names, message):
    with pytest.raises(OptionError, match=message):
        check_withheld(names)


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
    with pytest.raises(ValueError, match="hop"):
        pad_batch([Signals({"audio": sequence(1, 2)}), other])
    with pytest.raises(NothingPresent):
        pad_batch([])
