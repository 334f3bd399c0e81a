import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import NothingPresent
from mien.missing import withhold
from mien.models import LinearProbe, Task, create_model
from mien.models.linear_probe import Description, describe
from mien.signals import Sequence, Signals

TASK = Task.emotions(("neutral", "anger", "fear"))
SIZES = {"audio": 5, "video": 4}


def probe(seed: int = 0) -> LinearProbe:
    torch.manual_seed(seed)
    model = create_model("linear_probe", task=TASK, modalities=SIZES)
    assert isinstance(model, LinearProbe)
    return model.eval()


def signals(batch: int = 3, time: int = 6, seed: int = 0) -> Signals:
    torch.manual_seed(seed)
    return Signals(
        {
            name: Sequence(torch.randn(batch, time, size), torch.rand(batch, time) < 0.7, 0.1)
            for name, size in SIZES.items()
        }
    )


def test_description_is_mean_and_deviation_of_observed_steps():
    values = torch.tensor([[[1.0], [3.0], [100.0]]])
    valid = torch.tensor([[True, True, False]])
    got = describe(Sequence(values, valid, 0.1))
    assert got.values.tolist() == [[2.0, 1.0]]
    assert got.present.tolist() == [True]


def test_one_modality_alone_keeps_its_own_probabilities():
    model, both = probe(), signals()
    alone = model(withhold(both, {"audio"}))
    assert torch.equal(alone.scores, model(both).by_modality["video"])


def test_two_modalities_are_a_product_of_experts():
    got = probe()(signals())
    expected = got.by_modality["audio"] + got.by_modality["video"]
    torch.testing.assert_close(got.scores, expected)


def test_a_batch_may_mix_complete_and_incomplete_items():
    model, both = probe(), signals()
    mixed_valid = both["audio"].valid.clone()
    mixed_valid[1] = False
    mixed = Signals({**both, "audio": Sequence(both["audio"].values, mixed_valid, 0.1)})
    got, full = model(mixed).scores, model(both).scores
    torch.testing.assert_close(got[0], full[0])
    torch.testing.assert_close(got[1], model(withhold(both, {"audio"})).scores[1])


@settings(max_examples=30, deadline=None)
@given(st.floats(allow_nan=True, allow_infinity=True, width=32), st.integers(0, 1000))
def test_values_that_were_not_observed_never_matter(poison, seed):
    model, clean = probe(), signals(seed=seed)
    clean["audio"].valid[:, 0] = True
    dirty = Signals(
        {
            name: Sequence(torch.where(s.valid[..., None], s.values, poison), s.valid, s.hop)
            for name, s in clean.items()
        }
    )
    assert torch.equal(model(clean).scores, model(dirty).scores)


def test_nothing_present_is_a_clear_error():
    both = signals()
    for s in both.values():
        s.valid[2] = False
    with pytest.raises(NothingPresent, match=r"items \[2\]"):
        probe()(both)


def test_dimensions_are_the_mean_of_the_heads_that_are_there():
    model = create_model("linear_probe", task=Task("dimensions", ("valence",)), modalities=SIZES)
    both = {m: Description(torch.randn(3, 2 * n), torch.tensor([True, True, False]))
            for m, n in SIZES.items()}  # fmt: skip
    both["video"] = Description(both["video"].values, torch.tensor([True, False, True]))
    said = model.fuse(both)
    audio, video = said.by_modality["audio"], said.by_modality["video"]
    torch.testing.assert_close(said.scores[0], (audio[0] + video[0]) / 2)
    torch.testing.assert_close(said.scores[1], audio[1])
    torch.testing.assert_close(said.scores[2], video[2])


def test_experts_learn_from_their_own_loss_alone():
    model = create_model("linear_probe", task=TASK, modalities=SIZES, experts=True)
    described = {m: Description(torch.randn(4, 2 * n), torch.ones(4).bool())
                 for m, n in SIZES.items()}  # fmt: skip
    target = torch.tensor([0, 1, 0, 1])
    said = model.fuse(described)
    own = [torch.nn.functional.cross_entropy(s, target) for s in said.by_modality.values()]
    torch.testing.assert_close(model.loss(said, target), sum(own))


def test_every_parameter_gets_a_gradient_and_loss_is_cross_entropy():
    model = probe()
    prediction = model(signals())
    target = torch.tensor([0, 1, 2])
    loss = model.loss(prediction, target)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    picked = prediction.scores.log_softmax(-1)[range(3), target]
    torch.testing.assert_close(loss, -picked.mean())
