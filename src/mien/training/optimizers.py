"""Optimisers and schedules from what the settings say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
)

from mien.training import settings


class Scheduler(Protocol):
    """A schedule of the learning rate that is told the score of each epoch; higher is better."""

    def advance(self, score: float) -> None:
        """Move the rate at the end of an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return what it has to remember."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what it remembered."""


def build_optimizer(
    chosen: settings.OptimizerSettings, weights: Iterable[nn.Parameter]
) -> Optimizer:
    """Build an optimiser of some weights."""
    rate, decay = chosen.rate, chosen.decay
    if chosen.name == "sgd":
        return SGD(
            weights,
            lr=rate,
            momentum=chosen.momentum,
            dampening=chosen.dampening,
            weight_decay=decay,
        )
    kind = Adam if chosen.name == "adam" else AdamW
    return kind(weights, lr=rate, betas=chosen.betas, weight_decay=decay)


class _ByEpoch:
    """A schedule that does not look at the score."""

    def __init__(self, inner: LRScheduler) -> None:
        self._inner = inner
        self.state_dict, self.load_state_dict = inner.state_dict, inner.load_state_dict

    def advance(self, score: float) -> None:
        del score
        self._inner.step()


class _Plateau(ReduceLROnPlateau):
    def advance(self, score: float) -> None:
        self.step(score)


def build_scheduler(
    chosen: settings.ScheduleSettings, optimizer: Optimizer, epochs: int
) -> Scheduler:
    """Build the schedule of an optimiser.

    Args:
        chosen: what the settings say.
        optimizer: whose rate it moves.
        epochs: how many there will be at most.
    """
    if chosen.name == "plateau":
        return _Plateau(
            optimizer,
            mode="max",
            threshold=0.0,  # relative, as is usual, it would take a worse negative score for better
            threshold_mode="abs",
            factor=chosen.factor,
            patience=chosen.patience,
            min_lr=chosen.lowest,
        )
    if chosen.name == "steps":
        return _ByEpoch(MultiStepLR(optimizer, list(chosen.epochs), gamma=chosen.factor))
    if chosen.name == "cosine":
        return _ByEpoch(CosineAnnealingLR(optimizer, epochs, eta_min=chosen.lowest))
    return _ByEpoch(ConstantLR(optimizer, factor=1.0))
