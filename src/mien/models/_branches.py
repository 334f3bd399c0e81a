"""What models with one network per modality share: who has what, pooling, and answers over time.

A branch only ever sees the items that have its modality, so a batch may mix complete and
incomplete recordings and nothing is computed for a modality that is not there.

Per frame, answers are on the grid of the batch (`mien.layers.time.grid_of`). A modality's answer at
a step is the one that lies under the step's middle, ``(n + 1/2) hop``: nearest, so that nothing
observed is mixed with anything unobserved. A step with a hole in one modality, or behind its end,
is answered by the others; one that nobody observed, a hole in all or padding, takes each modality's
nearest observed step, so no answer depends on what follows the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mien.layers.masked import masked_mean, zero_missing
from mien.layers.time import grid_of, select_present, step_under
from mien.models._base import Model, Prediction
from mien.signals import Signals


@dataclass(frozen=True)
class Encoded:
    """What a branch made of the items that have its modality.

    Attributes:
        frames: ``(items, time, width)``.
        extras: further tensors with a leading items axis, by name.
    """

    frames: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Representation:
    """One modality of a whole batch.

    Attributes:
        values: ``(batch, width)`` per clip or ``(batch, time, width)`` per frame; zero for items
            without the modality.
        pooled: ``(batch, width)``, the mean over the observed steps.
        present: ``(batch,)`` bool, who has the modality.
        observed: ``(batch,)`` or ``(batch, time)`` bool, where it was observed.
        extras: the branch's, for the whole batch; zero for items without the modality.
    """

    values: Tensor
    pooled: Tensor
    present: Tensor
    observed: Tensor
    extras: Mapping[str, Tensor]


@dataclass(frozen=True)
class BranchPrediction(Prediction):
    """A prediction that says from what it was made.

    Attributes:
        observed: by modality ``(batch,)`` per clip or ``(batch, time)`` per frame, bool.
    """

    observed: Mapping[str, Tensor] = field(default_factory=dict)


def find_nearest_valid(valid: Tensor) -> Tensor:
    """Find for each step the index of the nearest valid one, the earlier of two.

    Args:
        valid: ``(batch, time)`` bool.

    Returns:
        ``(batch, time)`` indices; those of a row without any valid step mean nothing.
    """
    time = valid.shape[1]
    steps = torch.arange(time, device=valid.device)
    before = torch.where(valid, steps, -2 * time).cummax(dim=1).values
    after = torch.where(valid, steps, 3 * time).flip(1).cummin(dim=1).values.flip(1)
    return torch.where(steps - before <= after - steps, before, after).clamp(0, time - 1)


def spread(values: Tensor, rows: Tensor, batch: int) -> Tensor:
    """Put values of some items at their places in the batch, zero elsewhere."""
    if len(rows) == batch:
        return values
    return values.new_zeros(batch, *values.shape[1:]).index_copy(0, rows, values)


class Branches(Model):
    """Base of models that encode each modality by itself; see the module docstring."""

    heads: nn.ModuleDict

    def encode(self, modality: str, values: Tensor, valid: Tensor) -> Encoded:
        """Encode one modality of the items that have it.

        Args:
            modality: its name.
            values: ``(items, time, features)``, zero where not valid.
            valid: ``(items, time)`` bool, somewhere true for each item.
        """
        raise NotImplementedError

    def represent(self, signals: Signals) -> dict[str, Representation]:
        """Represent each modality, without those that no item of the batch has.

        Raises:
            NothingPresent: somebody in the batch has no observed modality.
            OptionError: a modality has another number of features than the model was made for.
        """
        present = self.require_anything(signals)
        hop, steps = grid_of(select_present(signals, self.modalities).values())
        out = {}
        for name, who in present.items():
            rows = who.nonzero().flatten()
            if not len(rows):
                continue
            values, valid = self._part(signals, name, rows)
            encoded = self.encode(name, values, valid)
            pooled = masked_mean(encoded.frames, valid)
            shown, observed = pooled, who[rows]
            if self.task.per == "frame":
                under = step_under(steps, hop, signals[name].hop)
                shown, observed = _at_steps(encoded.frames, valid, under)
            extras = {key: spread(x, rows, len(who)) for key, x in encoded.extras.items()}
            out[name] = Representation(
                spread(shown, rows, len(who)),
                spread(pooled, rows, len(who)),
                who,
                spread(observed, rows, len(who)),
                extras,
            )
        return out

    def score_by_modality(self, found: Mapping[str, Representation]) -> dict[str, Tensor]:
        """Score each modality by its own head, zero for items without it."""
        out = {}
        for name, r in found.items():
            scores = self.heads[name](r.values)
            out[name] = torch.where(_like(r.present, scores), scores, 0.0)
        return out

    def compute_own_terms(self, prediction: BranchPrediction, target: Tensor) -> dict[str, Tensor]:
        """Compute by modality the criterion of its own scores, over where it was observed."""
        return {
            name: self.criterion(prediction.by_modality[name], target, observed)
            for name, observed in prediction.observed.items()
            if bool(observed.any())
        }

    def _part(self, signals: Signals, name: str, rows: Tensor) -> tuple[Tensor, Tensor]:
        sequence = signals[name]
        values, valid = sequence.values.flatten(2), sequence.valid
        if len(rows) < len(valid):
            values, valid = values[rows], valid[rows]
        return zero_missing(values, valid), valid


def find_answering(representations: Mapping[str, Representation]) -> dict[str, Tensor]:
    """Find which modalities answer: those observed there or, if none is, all that the item has.

    Returns:
        By modality ``(batch,)`` per clip or ``(batch, time)`` per frame, bool.
    """
    nothing = ~torch.stack([r.observed for r in representations.values()]).any(dim=0)
    return {
        name: r.observed | (nothing & _like(r.present, nothing))
        for name, r in representations.items()
    }


def average_scores(scores: Mapping[str, Tensor], where: Mapping[str, Tensor]) -> Tensor:
    """Average the scores of those modalities that answer."""
    weights = torch.stack([where[name] for name in scores]).unsqueeze(-1)
    total = torch.where(weights, torch.stack(list(scores.values())), 0.0).sum(dim=0)
    return total / weights.sum(dim=0).clamp(min=1)


def _like(mask: Tensor, other: Tensor) -> Tensor:
    """``(batch,)`` with as many axes as another tensor."""
    return mask.reshape(-1, *[1] * (other.ndim - 1))


def _at_steps(frames: Tensor, valid: Tensor, under: Tensor) -> tuple[Tensor, Tensor]:
    """Frames at the steps of another modality, and whether they were observed there."""
    time = valid.shape[1]
    under = under.to(valid.device)
    inside = under.clamp(max=time - 1)
    index = find_nearest_valid(valid)[:, inside]
    taken = frames.gather(1, index.unsqueeze(-1).expand(-1, -1, frames.shape[2]))
    return taken, valid[:, inside] & (under < time)
