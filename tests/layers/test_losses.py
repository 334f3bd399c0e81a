import pytest
import torch
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.concordance import ccc_loss
from mien.layers.losses import (
    CRITERIA,
    UNLABELLED,
    absolute_error,
    criterion,
    cross_entropy,
    squared_error,
)
from mien.models import Prediction, Task, create_model, list_models
from mien.signals import Sequence, Signals

SCORES = torch.tensor([[2.0, -1.0], [0.5, 0.5], [-3.0, 1.0]])


def test_everything_labelled_is_the_plain_loss():
    classes, numbers = torch.tensor([0, 1, 1]), torch.randn(3, 2)
    assert cross_entropy(SCORES, classes) == F.cross_entropy(SCORES, classes)
    torch.testing.assert_close(squared_error(SCORES, numbers), F.mse_loss(SCORES, numbers))
    torch.testing.assert_close(absolute_error(SCORES, numbers), F.l1_loss(SCORES, numbers))


def test_holes_in_the_target_do_not_count():
    classes = torch.tensor([0, UNLABELLED, 1])
    kept = F.cross_entropy(SCORES[[0, 2]], classes[[0, 2]])
    assert cross_entropy(SCORES, classes) == kept
    numbers = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan], [0.0, 0.0]])
    got = squared_error(SCORES, numbers)
    assert got.item() == pytest.approx((1.0 + 9.0 + 1.0) / 3)


def test_distributions_with_a_hole_do_not_count():
    soft = torch.tensor([[0.3, 0.7], [torch.nan, 0.5], [1.0, 0.0]])
    kept = F.cross_entropy(SCORES[[0, 2]], soft[[0, 2]])
    torch.testing.assert_close(cross_entropy(SCORES, soft), kept)


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("hole", ["target", "where"])
def test_nothing_labelled_is_a_loss_of_zero_with_a_gradient_of_zero(name, hole):
    scores = SCORES.clone().requires_grad_()
    target = torch.full((3, 2), torch.nan if hole == "target" else 0.5)
    where = torch.zeros(3, dtype=torch.bool) if hole == "where" else None
    value = criterion(name)(scores, target, where)
    value.backward()
    assert value.item() == 0
    assert scores.grad.abs().sum() == 0


def test_no_class_labelled_is_a_loss_of_zero():
    assert cross_entropy(SCORES, torch.full((3,), UNLABELLED)) == 0


def test_places_can_be_left_out_as_well():
    where = torch.tensor([True, False, False])
    assert squared_error(SCORES, torch.zeros(3, 2), where).item() == pytest.approx(2.5)
    classes = torch.tensor([0, 1, 1])
    assert cross_entropy(SCORES, classes, where) == F.cross_entropy(SCORES[:1], classes[:1])


def test_labels_can_be_smoothed():
    classes = torch.tensor([0, UNLABELLED, 1])
    soft = torch.tensor([[0.9, 0.1], [torch.nan, 0.5], [0.1, 0.9]])
    smooth = criterion("cross_entropy", label_smoothing=0.2)
    torch.testing.assert_close(smooth(SCORES, classes, None), cross_entropy(SCORES, soft))


@pytest.mark.parametrize("over", ["sequence", "batch", "everything"])
def test_concordance_of_each_kind_of_series_in_a_padded_batch(over):
    scores, target = torch.randn(3, 7, 2), torch.randn(3, 7, 2)
    lengths = (7, 4, 5)
    for item, length in enumerate(lengths):
        target[item, length:] = torch.nan
    items = [(scores[i, :n], target[i, :n]) for i, n in enumerate(lengths)]
    expected = {
        "sequence": torch.stack([ccc_loss(x, y, dim=0) for x, y in items]).mean(),
        "batch": ccc_loss(*(torch.cat(part) for part in zip(*items, strict=True)), dim=0),
        "everything": ccc_loss(
            *(torch.cat([x.flatten() for x in part]) for part in zip(*items, strict=True)), dim=0
        ),
    }
    torch.testing.assert_close(criterion("ccc", over=over)(scores, target, None), expected[over])


def test_where_leaves_steps_out_of_a_series():
    scores, target = torch.randn(2, 6, 1), torch.randn(2, 6, 1)
    where = torch.tensor([[True] * 6, [False] * 6])
    got = criterion("ccc", over="sequence")(scores, target, where)
    torch.testing.assert_close(got, ccc_loss(scores[:1], target[:1], dim=1))


def test_errors_say_what_to_choose():
    with pytest.raises(OptionError, match="squared_error"):
        criterion("hinge")
    with pytest.raises(OptionError, match="over"):
        criterion("ccc", under="batch")
    with pytest.raises(OptionError, match="no sequence"):
        criterion("ccc", over="sequence")(SCORES, SCORES, None)
    with pytest.raises(OptionError, match="class indices"):
        squared_error(SCORES, torch.tensor([0, 1, 1]))
    with pytest.raises(OptionError, match="differ in shape"):
        squared_error(SCORES, torch.zeros(3, 1))


@pytest.mark.parametrize("name", list_models())
def test_every_model_compares_by_its_criterion_alone(name):
    """A criterion that is always zero leaves nothing but what the paper adds to it."""
    sizes = {"audio": 10, "video": 12}
    model = create_model(name, task=Task.emotions(("anger", "fear")), modalities=sizes).eval()
    calls = []

    def nothing(scores, target, where):
        calls.append(where)
        assert scores.shape == (*target.shape, 2)
        return 0 * scores.sum()

    model.criterion = nothing
    valid = torch.ones(2, 16, dtype=torch.bool)
    whole = Signals(
        {n: Sequence(torch.randn(2, 16, size), valid, 0.1) for n, size in sizes.items()}
    )
    with torch.no_grad():
        prediction = model(whole)
        loss = model.loss(prediction, torch.tensor([0, 1]))
    rebuilt = sum(
        model.alpha * F.mse_loss(prediction.reconstructed[n], prediction.pooled[n])
        for n in getattr(prediction, "reconstructed", {})
    )
    assert calls
    torch.testing.assert_close(loss, torch.as_tensor(rebuilt, dtype=loss.dtype))


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
