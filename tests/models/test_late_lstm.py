from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from contract.contract import check_contract
from mien.layers.concordance import ccc_loss
from mien.models import Task
from mien.models.late_lstm import LateLSTM, Recurrent
from mien.signals import Sequence, Signals

FRAME = Task("dimensions", ("arousal",), "frame")


def test_contract_with_one_lstm_that_sees_the_future():
    check_contract(
        "late_lstm",
        widths={"audio": 6},
        layers={"audio": 2, "video": 1},
        bidirectional=("audio",),
        fusion_width=5,
        hidden=6,
        tasks=("categories, frame", "dimensions, clip"),
    )


def test_parameters():
    model = LateLSTM(FRAME, {"audio": 88, "video": 20, "physiology": 3})
    found = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in [*model.networks.items(), ("fusion", model.fusion)]
    }
    expected = {"audio": 547969, "video": 72065, "physiology": 25777, "fusion": 70977}
    assert found == expected


def signals(batch=3, time=12):
    valid = torch.ones(batch, time, dtype=torch.bool)
    return Signals({n: Sequence(torch.randn(batch, time, 4), valid, 0.5) for n in ("a", "b")})


def test_the_fusion_teaches_the_modalities_only_when_not_staged():
    for staged in (True, False):
        model = LateLSTM(FRAME, {"a": 4, "b": 4}, fusion_width=4, staged=staged).eval()
        model(signals()).scores.sum().backward()
        reached = [p.grad is not None and bool(p.grad.any()) for p in model.networks.parameters()]
        assert any(reached) is not staged


def test_loss_is_everybodys_own_where_they_are():
    model = LateLSTM(FRAME, {"a": 4, "b": 4}, fusion_width=4).eval()
    given_ = signals()
    hidden = given_["b"].valid.clone()
    hidden[1] = False
    given_ = Signals({"a": given_["a"], "b": Sequence(given_["b"].values, hidden, 0.5)})
    prediction, target = model(given_), torch.randn(3, 12, 1)
    there = torch.tensor([0, 2])
    expected = (
        ccc_loss(prediction.scores, target, dim=1)
        + ccc_loss(prediction.by_modality["a"], target, dim=1)
        + ccc_loss(prediction.by_modality["b"][there], target[there], dim=1)
    )
    assert model.loss(prediction, target).item() == pytest.approx(expected.item(), abs=1e-6)


def test_loss_of_categories():
    model = LateLSTM(Task.emotions(("anger", "fear")), {"a": 4, "b": 4}, fusion_width=4).eval()
    prediction, target = model(Signals({"a": signals()["a"]})), torch.tensor([0, 1, 1])
    expected = F.cross_entropy(prediction.scores, target)
    expected = expected + F.cross_entropy(prediction.by_modality["a"], target)
    assert model.loss(prediction, target).item() == pytest.approx(expected.item(), abs=1e-6)


def test_dimensions_stay_in_the_range_of_the_task():
    task = Task("dimensions", ("arousal",), "frame", low=1.0, high=5.0)
    model = LateLSTM(task, {"a": 4}).eval()
    huge = Signals({"a": Sequence(torch.randn(2, 5, 4) * 1e4, signals(2, 5)["a"].valid, 0.5)})
    found = model(huge).scores
    assert found.min() >= 1
    assert found.max() <= 5


def test_each_dimension_stays_in_its_own_range():
    task = Task("dimensions", ("arousal", "mood"), ranges={"mood": (3.0, 7.0)})
    huge = Signals({"a": Sequence(torch.randn(9, 5, 4) * 1e4, signals(9, 5)["a"].valid, 0.5)})
    arousal, mood = LateLSTM(task, {"a": 4}).eval()(huge).scores.T
    assert arousal.abs().max() <= 1
    assert mood.min() >= 3
    assert mood.max() <= 7


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 9), st.booleans(), st.integers(0, 4))
def test_padding_behind_an_lstm(inputs, outputs, time, both_ways, more):
    module = Recurrent(inputs, outputs, width=3, layers=2, bidirectional=both_ways, hidden=4).eval()
    values, valid = torch.randn(2, time, inputs), torch.ones(2, time, dtype=torch.bool)
    found = module(values, valid)
    assert found.shape == (2, time, outputs)
    longer = module(F.pad(values, (0, 0, 0, more)), F.pad(valid, (0, more)))
    assert torch.allclose(longer[:, :time], found, atol=1e-6)
