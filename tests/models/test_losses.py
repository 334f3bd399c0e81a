import pytest
import torch
from torch.nn import functional as F

from mien.layers.losses import (
    UNLABELLED,
    absolute_error,
    cross_entropy,
    over_labelled,
    squared_error,
)
from mien.models import Task, create_model
from mien.models._base import Prediction
from mien.signals import Sequence, Signals

SCORES = torch.tensor([[2.0, -1.0], [0.5, 0.5], [-3.0, 1.0]])


def test_everything_labelled_is_the_plain_loss():
    classes, numbers = torch.tensor([0, 1, 1]), torch.randn(3, 2)
    assert over_labelled(cross_entropy, SCORES, classes) == F.cross_entropy(SCORES, classes)
    torch.testing.assert_close(squared_error(SCORES, numbers), F.mse_loss(SCORES, numbers))
    torch.testing.assert_close(absolute_error(SCORES, numbers), F.l1_loss(SCORES, numbers))


def test_holes_in_the_target_do_not_count():
    classes = torch.tensor([0, UNLABELLED, 1])
    kept = F.cross_entropy(SCORES[[0, 2]], classes[[0, 2]])
    assert over_labelled(cross_entropy, SCORES, classes) == kept
    numbers = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan], [0.0, 0.0]])
    got = over_labelled(squared_error, SCORES, numbers)
    assert got.item() == pytest.approx((1.0 + 9.0 + 1.0) / 3)


def test_distributions_with_a_hole_do_not_count():
    shares = torch.tensor([[0.3, 0.7], [torch.nan, 0.5], [1.0, 0.0]])
    kept = F.cross_entropy(SCORES[[0, 2]], shares[[0, 2]])
    torch.testing.assert_close(over_labelled(cross_entropy, SCORES, shares), kept)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (cross_entropy, torch.full((3,), UNLABELLED)),
        (squared_error, torch.full((3, 2), torch.nan)),
        (cross_entropy, torch.tensor([[0.5, torch.nan]] * 3)),
    ],
)
def test_nothing_labelled_is_a_loss_of_zero_with_a_gradient_of_zero(loss, target):
    scores = SCORES.clone().requires_grad_()
    value = over_labelled(loss, scores, target)
    value.backward()
    assert value.item() == 0
    assert scores.grad.abs().sum() == 0


def test_places_can_be_left_out_as_well():
    where = torch.tensor([True, False, False])
    numbers = torch.zeros(3, 2)
    assert over_labelled(squared_error, SCORES, numbers, where).item() == pytest.approx(2.5)


def test_a_model_s_loss_leaves_out_frames_that_nobody_labelled():
    torch.manual_seed(0)
    task = Task("dimensions", ("valence",), "frame")
    model = create_model("sfav_ia", task=task, modalities={"audio": 4, "video": 3})
    scores, target = torch.randn(2, 6, 1), torch.randn(2, 6, 1)
    target[1, 2:] = torch.nan
    expected = F.mse_loss(scores.flatten()[:8], target.flatten()[:8])
    torch.testing.assert_close(model.loss(Prediction(scores), target), expected)


@pytest.mark.parametrize("name", ["vavl", "unimodal_conformer", "mater"])
def test_frames_of_which_none_was_observed_give_no_loss(name):
    """Audio gives the steps and is hidden; video is observed only after the last of them."""
    sizes = {"width": 8, "heads": 2}
    if name != "mater":
        sizes |= {"kernel_size": 3, "projected": 5, "hidden": (7, 6), "layers": 1}
    else:
        sizes |= {"layers": 1, "feedforward": 12}
    task = Task("dimensions", ("valence",), "frame")
    model = create_model(name, task=task, modalities={"audio": 4, "video": 3}, **sizes)
    nothing = torch.zeros(1, 8, dtype=torch.bool)
    late = torch.tensor([[False, False, False, True]])
    signals = Signals(
        {
            "audio": Sequence(torch.randn(1, 8, 4), nothing, 0.1),
            "video": Sequence(torch.randn(1, 4, 3), late, 1.0),
        }
    )
    prediction = model(signals)
    loss = model.loss(prediction, torch.zeros_like(prediction.scores))
    assert loss.isfinite()
    loss.backward()
