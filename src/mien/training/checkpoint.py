"""Checkpoints: the state of a training on disk, whole or not there."""

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
from mien.training.optimizers import Scheduler


@dataclass
class TrainingState:
    """Everything that a training has to remember beside weights and optimisers.

    Attributes:
        fingerprint: of the settings, the data and the seed; a checkpoint of another one is refused.
        epoch: the one under way, from 0.
        step: batches of it that were learned from.
        loss: sum of the losses of those batches.
        stale: epochs since the best one.
        best_score: on the development part; None before the first epoch ended.
        best_epoch: counted from 1.
        best: weights of the best epoch.
        rows: the log, one row an epoch.
        discarded: why an earlier checkpoint in its place was discarded; empty if there was none.
    """

    fingerprint: str
    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    stale: int = 0
    best_score: float | None = None
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    discarded: str = ""

    def record_score(self, score: float, model: nn.Module, *, keep_last: bool = False) -> None:
        """Record the score of an epoch that ended; the first of equals is the best.

        Args:
            score: higher is better; NaN is worse than anything.
            model: that has it.
            keep_last: whether the weights of the last epoch are kept instead of the best ones.
        """
        better = self.best_score is None or score > self.best_score or math.isnan(self.best_score)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best_score = score
        if better or keep_last:
            self.best_epoch = self.epoch + 1
            self.best = copy.deepcopy(model.state_dict())


@dataclass(frozen=True)
class Checkpoint:
    """A file that a training can go on from.

    Attributes:
        path: of the file.
        model: whose weights it keeps.
        optimizers: by part of the model.
        schedulers: likewise.
    """

    path: Path
    model: nn.Module
    optimizers: dict[str, Optimizer]
    schedulers: dict[str, Scheduler]

    def save(self, state: TrainingState) -> None:
        """Write it in place of the one before."""
        content = {
            "state": asdict(state),
            "model": self.model.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "schedulers": {name: s.state_dict() for name, s in self.schedulers.items()},
        }
        write_atomically(self.path, lambda file: torch.save(content, file))

    def load(self, fingerprint: str, *, discard: bool = False) -> TrainingState:
        """Load the state of the training: its start, if there is no file.

        Args:
            fingerprint: of the settings, the data and the seed.
            discard: begin anew where the file cannot be used, instead of an error; `discarded` of
                the state says why. The file is replaced at the next `save`.

        Raises:
            InputError: the file belongs to other settings, data or seed, or is no checkpoint.
        """
        if not self.path.exists():
            return TrainingState(fingerprint)
        try:
            content = self._read(fingerprint)
        except InputError as error:
            if not discard:
                raise
            return TrainingState(fingerprint, discarded=error.problem)
        self.model.load_state_dict(content["model"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][name])
        for name, scheduler in self.schedulers.items():
            scheduler.load_state_dict(content["schedulers"][name])
        return TrainingState(**content["state"])

    def _read(self, fingerprint: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            found = TrainingState(**content["state"]).fingerprint
        except Exception as error:
            raise InputError(
                f"is no checkpoint ({error})", path=self.path, advice="remove it to start anew"
            ) from error
        if found != fingerprint:
            raise InputError(
                "is the checkpoint of other settings, other data or another seed",
                path=self.path,
                advice="remove it to start anew, or choose another folder",
            )
        return content
