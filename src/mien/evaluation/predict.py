"""What a model answers to examples from which something was taken away."""

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
            "nobody knows".
        by_modality: scores from one modality alone, where the model has them.
        embeddings: inner representations ``(examples, …)``, where they were asked for.
    """

    scores: Tensor
    target: Tensor
    by_modality: Mapping[str, Tensor] = field(default_factory=dict)
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def answered(self) -> float:
        """The share of examples to which there was an answer."""
        return float((~self.scores.isnan()).flatten(1).any(dim=1).float().mean())

    @property
    def labelled(self) -> Tensor:
        """The target, with "nobody knows" where there was no answer."""
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
    """Ask a model about examples.

    Args:
        model: in evaluation mode.
        examples: what about.
        operation: what is taken away from them first.
        seed: of the operation.
        embeddings: whether to keep the inner representations; only for models per clip.
        window: steps that a model per frame is shown at once, with half of them shared by
            neighbouring windows and averaged; None for whole sessions.
    """
    device = next(model.parameters()).device
    asked = (
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
        parts.append(_asked(model, asked, signals.to(device), steps, embeddings))
    whole = {name: _stacked([p.get(name) for p in parts], parts) for name in _names(parts)}
    target = stack_targets([example.target for example in examples])
    return Answers(
        whole["scores"],
        target,
        {name[3:]: t for name, t in whole.items() if name.startswith("by_")},
        {name[3:]: t for name, t in whole.items() if name.startswith("in_")},
    )


def _asked(
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
        found = {name: _cut(value, steps) for name, value in found.items()}
    return {name: _spread(value.cpu(), rows.cpu(), len(present)) for name, value in found.items()}


def _cut(values: Tensor, steps: int) -> Tensor:
    """``(batch, time, …)`` with so many steps; NaN where there were fewer."""
    out = values.new_full((len(values), steps, *values.shape[2:]), float("nan"))
    kept = min(steps, values.shape[1])
    out[:, :kept] = values[:, :kept]
    return out


def _spread(values: Tensor, rows: Tensor, batch: int) -> Tensor:
    out = values.new_full((batch, *values.shape[1:]), float("nan"))
    out[rows] = values
    return out


def _names(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, None]:
    return dict.fromkeys(name for part in parts for name in part)


def _stacked(values: Sequence[Tensor | None], parts: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Batches under each other; NaN for a batch that lacks this, and for steps after the end."""
    known = [value for value in values if value is not None]
    shape = torch.tensor([value.shape[1:] for value in known]).amax(dim=0).tolist()
    out = []
    for value, part in zip(values, parts, strict=True):
        whole = known[0].new_full((len(part["scores"]), *shape), float("nan"))
        if value is not None:
            whole[tuple(slice(0, size) for size in value.shape)] = value
        out.append(whole)
    return torch.cat(out)
