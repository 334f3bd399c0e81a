"""What a pair is made of: two sides with the same weights, inputs and losses, to run in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.models import Model
from mien.signals import Sequence, Signals

SECONDS = 6.0
CLASSES = 6


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        module: with its weights.
        scores: a forward pass in evaluation; None where only the step is compared.
        loss: of a training step.
    """

    module: nn.Module
    scores: Callable[[], Tensor] | None
    loss: Callable[[], Tensor]


@dataclass(frozen=True)
class Pair:
    """One line of the table.

    Attributes:
        name: of the model.
        what: sizes in words.
        batch: clips.
        make: mien's side and the plain one, by the batch.
    """

    name: str
    what: str
    batch: int
    make: Callable[[int], tuple[Side, Side]]


def observed(values: Mapping[str, Tensor]) -> Signals:
    """Signals of six seconds with everything observed."""
    return Signals(
        {
            name: Sequence(x, torch.ones(x.shape[:2], dtype=torch.bool), SECONDS / x.shape[1])
            for name, x in values.items()
        }
    )


def inputs(batch: int, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Random values by modality, ``(batch, *shape)``."""
    generator = torch.Generator().manual_seed(1)
    return {n: torch.randn(batch, *shape, generator=generator) for n, shape in shapes.items()}


def classes(batch: int, count: int = CLASSES) -> Tensor:
    """Random class indices, ``(batch,)``."""
    return torch.randint(count, (batch,), generator=torch.Generator().manual_seed(2))


def numbers(batch: int, *shape: int) -> Tensor:
    """Random numbers from -1 to 1, ``(batch, *shape)``."""
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(2)) * 2 - 1


def ours(model: Model, signals: Signals, target: Tensor) -> Side:
    """Return the side of mien: its scores and its loss."""
    return Side(model, lambda: model(signals).scores, lambda: model.loss(model(signals), target))
