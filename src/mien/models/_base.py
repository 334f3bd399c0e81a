"""What every model is: a task, sizes of its modalities, signals in, a prediction out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from mien import schema
from mien.errors import NothingPresent
from mien.layers.losses import Criterion, cross_entropy, squared_error
from mien.signals import Signals


@dataclass(frozen=True)
class Task:
    """What a model is asked to say.

    Attributes:
        kind: ``categories`` (one of several names) or ``dimensions`` (a number for each name).
        names: the categories or dimensions, in the order of the scores.
        per: one answer per ``clip`` or per ``frame``.
        low: smallest value of a dimension.
        high: largest value of a dimension.
    """

    kind: Literal["categories", "dimensions"]
    names: tuple[str, ...]
    per: Literal["clip", "frame"] = "clip"
    low: float = -1.0
    high: float = 1.0

    @staticmethod
    def emotions(names: tuple[str, ...], per: Literal["clip", "frame"] = "clip") -> Task:
        """Categories from the vocabulary of emotions, put into its order."""
        return Task("categories", schema.ordered(names), per)


@dataclass(frozen=True)
class Prediction:
    """What a model says.

    Attributes:
        scores: ``(batch, names)`` per clip or ``(batch, time, names)`` per frame; logits for
            categories, values for dimensions.
        by_modality: the same from one modality alone, where the model has that.
        attention: weights by name, where the model has them.
        embeddings: inner representations by name, where the model offers them.
    """

    scores: Tensor
    by_modality: Mapping[str, Tensor] = field(default_factory=dict)
    attention: Mapping[str, Tensor] = field(default_factory=dict)
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)

    def probabilities(self) -> Tensor:
        """Softmax of the scores over the names; only meaningful for categories."""
        return self.scores.softmax(dim=-1)


class Model(nn.Module):
    """Base of all models.

    Args:
        task: what to say.
        modalities: feature size of each modality that the model can use.

    Attributes:
        criterion: how far scores are from a target, wherever the model compares the two; may be
            set to another one of `mien.layers.losses`. Cross-entropy for categories and squared
            error for dimensions, unless the model's paper says otherwise.
    """

    def __init__(self, task: Task, modalities: Mapping[str, int]) -> None:
        super().__init__()
        self.task = task
        self.modalities = dict(modalities)
        self.criterion: Criterion = squared_error if task.kind == "dimensions" else cross_entropy

    def forward(self, signals: Signals) -> Prediction:
        """Predict from whatever is observed.

        Raises:
            NothingPresent: somebody in the batch has no observed modality.
        """
        raise NotImplementedError

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """What training makes small: the criterion of the scores, unless the paper has more.

        Args:
            prediction: what `forward` returned.
            target: for categories ``(batch,)`` class indices or ``(batch, names)`` shares (with a
                time axis per frame); for dimensions the shape of the scores. Where nobody knows,
                an index is -100 and a number NaN; see `mien.layers.losses`.
        """
        return self.criterion(prediction.scores, target, None)

    def require_anything(self, signals: Signals) -> dict[str, Tensor]:
        """Who has which of the model's modalities: ``(batch,)`` bool by modality.

        Raises:
            NothingPresent: somebody in the batch has none.
        """
        present = {name: signals.present(name) for name in self.modalities}
        anything = torch.stack(list(present.values())).any(dim=0)
        if not bool(anything.all()):
            lost = (~anything).nonzero().flatten().tolist()
            raise NothingPresent(
                f"no observed modality for items {lost} of the batch",
                advice=f"this model can use {' and '.join(self.modalities)}",
            )
        return present
