import pytest
import torch
from pydantic import ValidationError

from mien.layers.losses import CRITERIA, register_criterion
from mien.training import CriterionSettings, Training


def test_a_criterion_of_somebody_else_is_chosen_with_its_own_options(monkeypatch):
    monkeypatch.setattr(CRITERIA, "_entries", dict(CRITERIA._entries))

    @register_criterion("power")
    def power(scores, target, where=None, *, exponent: float):
        return (scores - target).abs().pow(exponent).mean()

    training = Training.model_validate({"criterion": {"name": "power", "exponent": 3}})
    loss = training.criterion.build()(torch.full((1, 1), 2.0), torch.zeros(1, 1), None)
    assert loss == 8
    for wrong, words in (
        ({"exponent": "three"}, "exponent cannot be 'three'; give a number"),
        ({"exponet": 3}, "did you mean exponent"),
        ({}, "needs exponent"),
    ):
        with pytest.raises(ValidationError, match=words):
            CriterionSettings.model_validate({"name": "power", **wrong})


def test_smoothing_beyond_one_is_refused():
    with pytest.raises(ValidationError, match="less than 1"):
        CriterionSettings(name="cross_entropy", label_smoothing=1.5)
