"""Predictions of a model for examples from which something was taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from mien.datasets import Example
from mien.layers.losses import UNLABELLED
from mien.missing import Operation
from mien.models import Model, Prediction, predict_in_windows
from mien.signals import Signals
from mien.training import collate, mix_seeds, stack_targets

BATCH = 32


@dataclass(frozen=True)
class Answers:
    """A model's answers to examples, in their order.

    Attributes:
        scores: ``(examples, names)`` per clip, ``(examples, time, names)`` per frame; NaN where the
            model was left with nothing at all, and after the end of an example.
        target: as `mien.datasets.Example.target` with an axis of examples in front, padded with
            missing labels.
        by_modality: scores from one modality alone, where the model has them.
        embeddings: inner representations ``(examples, …)``, where they were asked for.
    """

    scores: Tensor
    target: Tensor
    by_modality: Mapping[str, Tensor] = field(default_factory=dict)
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def answered(self) -> float:
        """The fraction of examples to which there was an answer."""
        return float((~self.scores.isnan()).flatten(1).any(dim=1).float().mean())

    @property
    def labelled(self) -> Tensor:
        """The target, with a missing label where there was no answer."""
        nothing = self.scores.isnan().all(dim=-1)
        if not self.target.is_floating_point():
            return self.target.masked_fill(nothing, UNLABELLED)
        return self.target.masked_fill(nothing.unsqueeze(-1), float("nan"))


@torch.inference_mode()
def predict(
    model: Model,
    examples: Sequence[Example],
    *,
    operation: Operation | None = None,
    seed: int = 0,
    embeddings: bool = False,
    window: int | None = None,
) -> Answers:
    """Predict examples.

    Args:
        model: in evaluation mode.
        examples: to predict.
        operation: what is taken away from them first.
        seed: of the operation.
        embeddings: whether to keep the inner representations; only for models per clip.
        window: steps that a model per frame is shown at once, with half of them shared by
            neighbouring windows and averaged; None for whole sessions.
    """
    device = next(model.parameters()).device
    answer = (
        partial(predict_in_windows, model, window_steps=window, overlap=window // 2)
        if window
        else model
    )
    parts: list[dict[str, Tensor]] = []
    for number, start in enumerate(range(0, len(examples), BATCH)):
        signals, target = collate(examples[start : start + BATCH])
        if operation is not None:
            generator = torch.Generator().manual_seed(mix_seeds(seed, number))
            signals = operation(signals, generator)
        steps = target.shape[1] if model.task.per == "frame" else None
        parts.append(_predict_batch(model, answer, signals.to(device), steps, embeddings))
    stacked = {name: _stack([p.get(name) for p in parts], parts) for name in _list_names(parts)}
    target = stack_targets([example.target for example in examples])
    return Answers(
        stacked["scores"],
        target,
        {name[3:]: t for name, t in stacked.items() if name.startswith("by_")},
        {name[3:]: t for name, t in stacked.items() if name.startswith("in_")},
    )


def _predict_batch(
    model: Model,
    answer: Callable[[Signals], Prediction],
    signals: Signals,
    steps: int | None,
    embeddings: bool,
) -> dict[str, Tensor]:
    """Answers of one batch; NaN for items that have nothing left."""
    present = torch.stack([signals.present(name) for name in model.modalities]).any(dim=0)
    rows = present.nonzero().flatten()
    if not len(rows):
        time = [] if steps is None else [steps]
        shape = [len(present), *time, len(model.task.names)]
        return {"scores": torch.full(shape, float("nan"))}
    prediction = answer(signals if len(rows) == len(present) else signals.select(rows))
    found = {"scores": prediction.scores}
    found |= {f"by_{name}": scores for name, scores in prediction.by_modality.items()}
    if embeddings:
        found |= {f"in_{name}": value for name, value in prediction.embeddings.items()}
    if steps is not None:
        found = {name: _cut_or_pad(value, steps) for name, value in found.items()}
    return {name: _scatter(value.cpu(), rows.cpu(), len(present)) for name, value in found.items()}


def _cut_or_pad(values: Tensor, steps: int) -> Tensor:
    """``(batch, time, …)`` with so many steps; NaN where there were fewer."""
    out = values.new_full((len(values), steps, *values.shape[2:]), float("nan"))
    kept = min(steps, values.shape[1])
    out[:, :kept] = values[:, :kept]
    return out


def _scatter(values: Tensor, rows: Tensor, batch: int) -> Tensor:
    out = values.new_full((batch, *values.shape[1:]), float("nan"))
    out[rows] = values
    return out


def _list_names(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, None]:
    return dict.fromkeys(name for part in parts for name in part)


def _stack(values: Sequence[Tensor | None], parts: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Batches under each other; NaN for a batch that lacks this, and for steps after the end."""
    known = [value for value in values if value is not None]
    shape = torch.tensor([value.shape[1:] for value in known]).amax(dim=0).tolist()
    out = []
    for value, part in zip(values, parts, strict=True):
        stacked = known[0].new_full((len(part["scores"]), *shape), float("nan"))
        if value is not None:
            stacked[tuple(slice(0, size) for size in value.shape)] = value
        out.append(stacked)
    return torch.cat(out)
