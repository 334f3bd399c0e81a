"""Where a training stands, on disk: whole or not there."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mien.errors import InputError
from mien.formats import write_atomically
from mien.training.optimizers import Schedule


@dataclass
class Standing:
    """Everything that a training has to remember beside weights and optimisers.

    Attributes:
        mark: of the settings, the data and the seed; a checkpoint of another mark is refused.
        epoch: the one under way, from 0.
        step: batches of it that were learnt.
        loss: sum of the losses of those batches.
        stale: epochs since the best one.
        best_score: on the development part; None before the first epoch ended.
        best_epoch: counted from 1.
        best: weights of the best epoch.
        rows: the log, one row an epoch.
    """

    mark: str
    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    stale: int = 0
    best_score: float | None = None
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)

    def judge(self, score: float, model: nn.Module, *, last: bool = False) -> None:
        """Count an epoch that ended with this score; the first of equals is the best.

        Args:
            score: higher is better; NaN is worse than anything.
            model: that has it.
            last: whether the weights of the last epoch are kept instead of those of the best.
        """
        better = self.best_score is None or score > self.best_score or math.isnan(self.best_score)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best_score = score
        if better or last:
            self.best_epoch = self.epoch + 1
            self.best = copy.deepcopy(model.state_dict())


@dataclass(frozen=True)
class Checkpoint:
    """A file that a training can go on from.

    Attributes:
        path: of the file.
        model: whose weights it keeps.
        optimizers: by part of the model.
        schedules: likewise.
    """

    path: Path
    model: nn.Module
    optimizers: dict[str, Optimizer]
    schedules: dict[str, Schedule]

    def save(self, standing: Standing) -> None:
        """Write it in place of the one before."""
        state = {
            "standing": asdict(standing),
            "model": self.model.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "schedules": {name: s.state_dict() for name, s in self.schedules.items()},
        }
        write_atomically(self.path, lambda file: torch.save(state, file))

    def load(self, mark: str) -> Standing:
        """Where the training stands: at its start, if there is no file.

        Raises:
            InputError: the file belongs to other settings, data or seed, or is no checkpoint.
        """
        if not self.path.exists():
            return Standing(mark)
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            standing = Standing(**state["standing"])
        except Exception as error:
            raise InputError(
                f"is no checkpoint ({error})", path=self.path, advice="remove it to start anew"
            ) from error
        if standing.mark != mark:
            raise InputError(
                "is the checkpoint of other settings, other data or another seed",
                path=self.path,
                advice="remove it to start anew, or choose another folder",
            )
        self.model.load_state_dict(state["model"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(state["schedules"][name])
        return standing
