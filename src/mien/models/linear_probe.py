"""Linear probe: linear heads on frozen features, fused by product of experts.

Not from a paper of its own: the baseline that every fusion model here has to beat. Each modality
is described by mean and standard deviation of its features over the observed time, and scored by
multinomial logistic regression. The heads are fused as a product of experts (Hinton 2002, "Training
products of experts by minimizing contrastive divergence", equation 1) with a uniform prior: the
logits of the modalities that are there are added. A missing modality is left out of the sum, per
item of the batch.

For dimensions each head is a linear regression, and the product of experts one of Gaussians of
equal variance, whose mean is the mean of the heads that are there. Per frame
there is nothing to pool: a head takes the features of one frame, on the finest hop.

Trained by the loss of the fused scores, the heads together are one linear model of both modalities
side by side; with ``experts`` each head is trained by its own loss alone, and only then is the sum
a product of experts that each can stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mien.layers.time import align
from mien.models._base import Model, Prediction
from mien.models._registry import register_model
from mien.models._task import Task
from mien.signals import Sequence, Signals


@dataclass(frozen=True)
class Description:
    """One modality of a batch, pooled over time.

    Attributes:
        values: ``(batch, 2 * features)``, mean then standard deviation over observed time, or
            ``(batch, time, features)`` per frame; zero and meaningless where ``present`` is False.
        present: ``(batch,)`` or ``(batch, time)`` bool.
    """

    values: Tensor
    present: Tensor


def describe(sequence: Sequence) -> Description:
    """Compute the mean and population standard deviation over the observed steps of a sequence."""
    mask = sequence.valid.unsqueeze(-1)
    values = torch.where(mask, sequence.values.flatten(2), 0.0)
    count = mask.sum(dim=1).clamp(min=1)
    mean = values.sum(dim=1) / count
    spread = torch.where(mask, values - mean.unsqueeze(1), 0.0).square().sum(dim=1) / count
    return Description(torch.cat([mean, spread.sqrt()], dim=-1), sequence.present)


@dataclass(frozen=True)
class ProbePrediction(Prediction):
    """A prediction that says which heads had anything to go by.

    Attributes:
        present: by modality ``(batch,)`` per clip or ``(batch, time)`` per frame, bool.
    """

    present: Mapping[str, Tensor] = field(default_factory=dict)


@register_model("linear_probe", paper="none: frozen features", missing="left out of the product")
class LinearProbe(Model):
    """See the module docstring.

    Args:
        task: categories or dimensions, per clip or per frame.
        modalities: feature sizes before pooling.
        experts: whether the loss is the sum of the heads' own losses instead of that of their sum.
    """

    def __init__(self, task: Task, modalities: Mapping[str, int], *, experts: bool = False) -> None:
        super().__init__(task, modalities)
        self.experts = experts
        described = 2 if task.per == "clip" else 1
        self.heads = nn.ModuleDict(
            {
                name: nn.Linear(described * size, len(task.names))
                for name, size in self.modalities.items()
            }
        )

    def forward(self, signals: Signals) -> Prediction:
        """Describe, score and fuse; see `Model.forward`."""
        self.require_anything(signals)
        return self.fuse(self.describe(signals))

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """Compute the criterion of the fused scores or, with ``experts``, of each head alone."""
        if not self.experts or not isinstance(prediction, ProbePrediction):
            return super().loss(prediction, target)
        present = prediction.present
        own = [
            self.criterion(scores, target, present[name])
            for name, scores in prediction.by_modality.items()
        ]
        return torch.stack(own).sum()

    def describe(self, signals: Signals) -> dict[str, Description]:
        """Describe each modality that is there: pooled over its observed time, or its frames."""
        if self.task.per == "clip":
            return {name: describe(signals[name]) for name in self.modalities if name in signals}
        aligned = align(signals, self.modalities)
        return {
            name: Description(aligned.spread(values), aligned.spread(aligned.valid[name]))
            for name, values in aligned.values.items()
        }

    def fuse(self, descriptions: Mapping[str, Description]) -> Prediction:
        """Score descriptions and add the logits of those that are present.

        Args:
            descriptions: by modality; may leave modalities out.
        """
        scores = {m: self.heads[m](d.values) for m, d in descriptions.items()}
        there = {m: d.present for m, d in descriptions.items()}
        present = torch.stack(list(there.values())).unsqueeze(-1)
        fused = torch.where(present, torch.stack(list(scores.values())), 0.0).sum(dim=0)
        if self.task.kind == "dimensions":
            fused = fused / present.sum(dim=0).clamp(min=1)
        return ProbePrediction(fused, by_modality=scores, present=there)
