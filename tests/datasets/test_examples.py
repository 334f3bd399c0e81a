import math

import pytest
import torch

from mien.datasets import Example, cut_segments
from mien.errors import OptionError
from mien.layers.time import grid_of
from mien.signals import Sequence, Signals


def example(steps, target=None, valid=None):
    values = torch.arange(steps, dtype=torch.float32)[None, :, None]
    mask = torch.ones(1, steps, dtype=torch.bool) if valid is None else valid
    signals = Signals({"audio": Sequence(values, mask, 0.5)})
    return Example(
        "c", "p", signals, torch.arange(steps).float() if target is None else target, "train"
    )


def test_an_example_is_one_clip():
    two = Sequence(torch.zeros(2, 3, 1), torch.ones(2, 3, dtype=torch.bool), 1.0)
    with pytest.raises(ValueError, match="2 clips"):
        Example("c", "p", Signals({"audio": two}), torch.tensor(0))


def test_an_example_knows_whether_anything_was_observed():
    assert example(4).observed
    assert not example(4, valid=torch.zeros(1, 4, dtype=torch.bool)).observed


def test_five_minutes_give_eight_segments():
    pieces = cut_segments(example(600), 250, 50)
    assert [piece.clip for piece in pieces] == [f"c/{start:05d}" for start in range(0, 400, 50)]
    assert {len(piece.target) for piece in pieces} == {250}
    last = pieces[-1]
    assert torch.equal(last.signals["audio"].values.flatten(), torch.arange(350.0, 600.0))
    assert torch.equal(last.target, torch.arange(350.0, 600.0))
    assert (last.person, last.part) == ("p", "train")


@pytest.mark.parametrize(
    ("steps", "lengths"), [(620, [250] * 8 + [220]), (250, [250]), (90, [90]), (251, [250, 201])]
)
def test_segments_reach_the_end_and_no_further(steps, lengths):
    pieces = cut_segments(example(steps), 250, 50)
    assert [len(piece.target) for piece in pieces] == lengths
    assert pieces[-1].target[-1] == steps - 1


def test_segments_need_a_label_for_every_step():
    with pytest.raises(OptionError, match="the target has 9 steps, its signals 10"):
        cut_segments(example(10, target=torch.zeros(9)), 5, 5)
    with pytest.raises(OptionError, match="the target has 0 steps"):
        cut_segments(example(10, target=torch.tensor(1)), 5, 5)
    with pytest.raises(OptionError, match="stride 0"):
        cut_segments(example(10), 5, 0)


def two_hops(fine, coarse, ratio):
    signals = {
        "audio": Sequence(torch.arange(float(fine))[None, :, None], torch.ones(1, fine) > 0, 0.1),
        "video": Sequence(
            torch.arange(float(coarse))[None, :, None], torch.ones(1, coarse) > 0, 0.1 * ratio
        ),
    }
    return Example("c", "p", Signals(signals), torch.arange(math.ceil(coarse * ratio)))


def test_segments_of_several_hops_begin_with_a_step_of_each():
    pieces = cut_segments(two_hops(20, 7, 3), 8, 4)
    assert [piece.clip for piece in pieces] == ["c/00000", "c/00006", "c/00012"]
    for piece in pieces:
        start = int(piece.target[0])
        assert start % 3 == 0
        assert grid_of(piece.signals.values())[1] == len(piece.target)
        video = piece.signals["video"].values.flatten().tolist()
        assert video == [float(n) for n in range(start // 3, (start + len(piece.target)) // 3)]
    assert int(pieces[-1].target[-1]) == 20
    with pytest.raises(OptionError, match=r"the hop of video, 0\.15 s, is no multiple of 0\.1 s"):
        cut_segments(two_hops(21, 14, 1.5), 8, 4)
