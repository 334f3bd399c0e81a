"""The loop: epochs of batches, the best epoch by the development part, exact resume.

Nothing random outlives a step. Order, noise and dropout of a step come from seeds made of the run's
seed, the epoch and the step, so a run that was killed and goes on from its last checkpoint ends in
the same weights as one that was not (same machine, CPU). Device, precision and several processes
are Fabric's.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from mien.datasets import Example
from mien.errors import OptionError
from mien.formats import write_text
from mien.layers.losses import criterion
from mien.missing import Operation
from mien.models import Model
from mien.training.batches import batches, collate, mixed
from mien.training.checkpoint import Checkpoint, Standing
from mien.training.lesson import Lesson, Strategy, Taught, build_strategy
from mien.training.optimizers import build_schedule
from mien.training.settings import Training

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"


@dataclass(frozen=True)
class Plan:
    """What one training needs beside the model.

    Attributes:
        examples: to learn from.
        training: how.
        seed: of order, noise and dropout.
        score: the development score of a model in evaluation mode; higher is better. None where
            nobody is left to select by: then the last epoch counts, and schedules and `patience`
            look at the training loss.
        operation: what is done to each batch, None for nothing.
        folder: for the checkpoint and the log, made if need be; None to keep nothing.
        mark: of data and model, so that no other training's checkpoint is taken.
        every: seconds between checkpoints within an epoch and between epochs.
        tell: is told after each step which share of all steps is done; patience may end it sooner.
    """

    examples: Sequence[Example]
    training: Training
    seed: int
    score: Callable[[Model], float] | None
    operation: Operation | None = None
    folder: Path | None = None
    mark: str = ""
    every: float = 30.0
    tell: Callable[[float], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """How a training ended; the model holds the weights of the best epoch.

    Attributes:
        score: of the best epoch on the development part.
        epoch: which it was, counted from 1.
        epochs: how many there were.
        last: weights after the last update.
        rows: the log, one row an epoch.
    """

    score: float
    epoch: int
    epochs: int
    last: dict[str, Tensor]
    rows: list[dict[str, float]]


def train(model: Model, plan: Plan, fabric: Fabric | None = None) -> Outcome:
    """Train a model; goes on where an earlier call with the same folder was stopped.

    Args:
        model: with fresh weights; afterwards with those of the best epoch.
        plan: with what and how.
        fabric: launched; one process on the CPU where None.

    Raises:
        InputError: the folder holds another training's checkpoint.
        OptionError: no examples, or settings that the model cannot have.
    """
    if not plan.examples:
        raise OptionError("nothing to learn from", advice="the training part is empty")
    return _Run(model, plan, fabric or Fabric(accelerator="cpu", devices=1)).finish()


def set_criterion(model: Model, training: Training) -> None:
    """Let a model learn by the loss that the settings name; by its own where they name none."""
    if training.criterion is not None:
        model.criterion = criterion(**training.criterion.model_dump(exclude_defaults=True))


class _Run:
    def __init__(self, model: Model, plan: Plan, fabric: Fabric) -> None:
        self.model, self.plan, self.fabric = model, plan, fabric
        set_criterion(model, plan.training)
        self.strategy: Strategy = build_strategy(plan.training, model, fabric)
        self.schedules = {
            name: build_schedule(plan.training.schedule, optimizer, plan.training.epochs)
            for name, optimizer in self.strategy.optimizers.items()
        }
        names = list(self.strategy.optimizers)
        wrapped = fabric.setup(Lesson(model), *self.strategy.optimizers.values())
        lesson, *optimizers = wrapped
        self.lesson = cast(Taught, lesson)
        self.strategy.optimizers = dict(zip(names, optimizers, strict=True))
        self.checkpoint = None
        if plan.folder is not None:
            plan.folder.mkdir(parents=True, exist_ok=True)
            self.checkpoint = Checkpoint(
                plan.folder / CHECKPOINT, model, self.strategy.optimizers, self.schedules
            )
        mark = f"{plan.mark} {plan.seed} {len(plan.examples)} {plan.training.model_dump_json()}"
        self.standing = self.checkpoint.load(mark) if self.checkpoint else Standing(mark)
        self.saved = time.monotonic()

    def finish(self) -> Outcome:
        training, standing = self.plan.training, self.standing
        while standing.epoch < training.epochs and not self._tired():
            self._epoch()
        self._save(now=True)
        last = {name: weight.clone() for name, weight in self.model.state_dict().items()}
        self.model.load_state_dict(standing.best)
        self.model.eval()
        score = standing.best_score if standing.best_score is not None else float("nan")
        return Outcome(score, standing.best_epoch, standing.epoch, last, standing.rows)

    def _tired(self) -> bool:
        patience = self.plan.training.patience
        return patience is not None and self.standing.stale >= patience

    def _epoch(self) -> None:
        plan, standing = self.plan, self.standing
        began = time.monotonic()
        self.model.train()
        for batch in batches(
            plan.examples,
            plan.training.batch_size,
            seed=plan.seed,
            epoch=standing.epoch,
            first=standing.step,
        ):
            standing.loss += self._step(batch)
            standing.step += 1
            self._tell()
            self._save()
        self.model.eval()
        with torch.inference_mode():
            loss = standing.loss / max(standing.step, 1)
            score = -loss if plan.score is None else plan.score(self.model)
        standing.judge(score, self.model, last=plan.score is None)
        self._log(score, time.monotonic() - began)
        for schedule in self.schedules.values():
            schedule.advance(score)
        standing.epoch, standing.step, standing.loss = standing.epoch + 1, 0, 0.0
        self._save()

    def _tell(self) -> None:
        training, standing = self.plan.training, self.standing
        if self.plan.tell is not None:
            steps = math.ceil(len(self.plan.examples) / training.batch_size)
            self.plan.tell((standing.epoch + min(standing.step / steps, 1)) / training.epochs)

    def _step(self, batch: list[Example]) -> float:
        fabric, standing = self.fabric, self.standing
        seed = mixed(self.plan.seed, standing.epoch, standing.step, fabric.global_rank)
        torch.manual_seed(seed)
        mine = batch[fabric.global_rank :: fabric.world_size] or batch[:1]
        signals, target = collate(mine)
        if self.plan.operation is not None:
            noise = torch.Generator().manual_seed(seed)
            signals, rows = self.plan.operation.enlarge(signals, noise)
            target = target[rows]
        return self.strategy.update(
            self.lesson, signals.to(fabric.device), target.to(fabric.device)
        )

    def _log(self, score: float, seconds: float) -> None:
        standing = self.standing
        rate = next(iter(self.strategy.optimizers.values())).param_groups[0]["lr"]
        standing.rows.append(
            {
                "epoch": standing.epoch + 1,
                "learning_rate": float(rate),
                "loss": standing.loss / max(standing.step, 1),
                "score": score,
                "seconds": round(seconds, 2),
            }
        )
        if self.plan.folder is not None and self.fabric.is_global_zero:
            text = io.StringIO()
            writer = csv.DictWriter(text, list(standing.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(standing.rows)
            write_text(self.plan.folder / LOG, text.getvalue())

    def _save(self, *, now: bool = False) -> None:
        due = now or time.monotonic() - self.saved >= self.plan.every
        if self.checkpoint and due and self.fabric.is_global_zero:
            self.checkpoint.save(self.standing)
            self.saved = time.monotonic()
