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
from mien.missing import Operation
from mien.models import Model
from mien.training.batches import collate, iterate_batches, mix_seeds
from mien.training.checkpoint import Checkpoint, TrainingState
from mien.training.optimizers import build_scheduler
from mien.training.settings import Training
from mien.training.strategies import LossFunction, LossModule, Strategy, build_strategy

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
        fingerprint: of data and model, so that no other training's checkpoint is taken.
        restart: begin anew where the folder holds a checkpoint that cannot be used, instead of an
            error; the result says why.
        checkpoint_every: seconds between checkpoints within an epoch and between epochs.
        on_progress: called after each step with the fraction of all steps that is done; patience
            may end the training sooner.
    """

    examples: Sequence[Example]
    training: Training
    seed: int
    score: Callable[[Model], float] | None
    operation: Operation | None = None
    folder: Path | None = None
    fingerprint: str = ""
    restart: bool = False
    checkpoint_every: float = 30.0
    on_progress: Callable[[float], None] | None = None


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended; the model holds the weights of the best epoch.

    Attributes:
        score: of the best epoch on the development part; without one, the least training loss,
            negative.
        best_epoch: which it was, counted from 1; the last one without a development part. A later
            training on everything, which has nobody left to select by, can have as many epochs.
        epochs: how many there were.
        last: weights after the last update.
        rows: the log, one row an epoch.
        discarded: why an earlier checkpoint was discarded, with `Plan.restart`; empty if none was.
    """

    score: float
    best_epoch: int
    epochs: int
    last: dict[str, Tensor]
    rows: list[dict[str, float]]
    discarded: str = ""


def train(model: Model, plan: Plan, fabric: Fabric | None = None) -> TrainingResult:
    """Train a model; goes on where an earlier call with the same folder was stopped.

    Args:
        model: with fresh weights; afterwards with those of the best epoch.
        plan: with what and how.
        fabric: launched; one process on the CPU where None.

    Raises:
        InputError: the folder holds another training's checkpoint, and `Plan.restart` is off.
        OptionError: no examples, or settings that the model cannot have.
    """
    if not plan.examples:
        raise OptionError("nothing to learn from", advice="the training part is empty")
    return _TrainingRun(model, plan, fabric or Fabric(accelerator="cpu", devices=1)).finish()


def set_criterion(model: Model, training: Training) -> None:
    """Give a model the loss that the settings name; it keeps its own where they name none."""
    if training.criterion is not None:
        model.criterion = training.criterion.build()


class _TrainingRun:
    def __init__(self, model: Model, plan: Plan, fabric: Fabric) -> None:
        self.model, self.plan, self.fabric = model, plan, fabric
        set_criterion(model, plan.training)
        self.strategy: Strategy = build_strategy(plan.training, model, fabric)
        self.schedulers = {
            name: build_scheduler(plan.training.schedule, optimizer, plan.training.epochs)
            for name, optimizer in self.strategy.optimizers.items()
        }
        names = list(self.strategy.optimizers)
        wrapped = fabric.setup(LossModule(model), *self.strategy.optimizers.values())
        loss, *optimizers = wrapped
        self.loss = cast(LossFunction, loss)
        self.strategy.optimizers = dict(zip(names, optimizers, strict=True))
        self.checkpoint = None
        if plan.folder is not None:
            plan.folder.mkdir(parents=True, exist_ok=True)
            self.checkpoint = Checkpoint(
                plan.folder / CHECKPOINT, model, self.strategy.optimizers, self.schedulers
            )
        settings = plan.training.model_dump_json()
        fingerprint = f"{plan.fingerprint} {plan.seed} {len(plan.examples)} {settings}"
        self.state = (
            self.checkpoint.load(fingerprint, discard=plan.restart)
            if self.checkpoint
            else TrainingState(fingerprint)
        )
        self.saved = time.monotonic()

    def finish(self) -> TrainingResult:
        training, state = self.plan.training, self.state
        while state.epoch < training.epochs and not self._out_of_patience():
            self._run_epoch()
        self._save(now=True)
        last = {name: weight.clone() for name, weight in self.model.state_dict().items()}
        self.model.load_state_dict(state.best)
        self.model.eval()
        score = state.best_score if state.best_score is not None else float("nan")
        return TrainingResult(
            score, state.best_epoch, state.epoch, last, state.rows, state.discarded
        )

    def _out_of_patience(self) -> bool:
        patience = self.plan.training.patience
        return patience is not None and self.state.stale >= patience

    def _run_epoch(self) -> None:
        plan, state = self.plan, self.state
        began = time.monotonic()
        self.model.train()
        for batch in iterate_batches(
            plan.examples,
            plan.training.batch_size,
            seed=plan.seed,
            epoch=state.epoch,
            first=state.step,
        ):
            state.loss += self._step(batch)
            state.step += 1
            self._report_progress()
            self._save()
        self.model.eval()
        with torch.inference_mode():
            loss = state.loss / max(state.step, 1)
            score = -loss if plan.score is None else plan.score(self.model)
        state.record_score(score, self.model, keep_last=plan.score is None)
        self._log(score, time.monotonic() - began)
        for scheduler in self.schedulers.values():
            scheduler.advance(score)
        state.epoch, state.step, state.loss = state.epoch + 1, 0, 0.0
        self._save()

    def _report_progress(self) -> None:
        training, state = self.plan.training, self.state
        if self.plan.on_progress is not None:
            steps = math.ceil(len(self.plan.examples) / training.batch_size)
            self.plan.on_progress((state.epoch + min(state.step / steps, 1)) / training.epochs)

    def _step(self, batch: list[Example]) -> float:
        fabric, state = self.fabric, self.state
        seed = mix_seeds(self.plan.seed, state.epoch, state.step, fabric.global_rank)
        torch.manual_seed(seed)
        mine = batch[fabric.global_rank :: fabric.world_size] or batch[:1]
        signals, target = collate(mine)
        if self.plan.operation is not None:
            noise = torch.Generator().manual_seed(seed)
            signals, rows = self.plan.operation.enlarge(signals, noise)
            target = target[rows]
        return self.strategy.update(self.loss, signals.to(fabric.device), target.to(fabric.device))

    def _log(self, score: float, seconds: float) -> None:
        state = self.state
        rate = next(iter(self.strategy.optimizers.values())).param_groups[0]["lr"]
        state.rows.append(
            {
                "epoch": state.epoch + 1,
                "learning_rate": float(rate),
                "loss": state.loss / max(state.step, 1),
                "score": score,
                "seconds": round(seconds, 2),
            }
        )
        if self.plan.folder is not None and self.fabric.is_global_zero:
            text = io.StringIO()
            writer = csv.DictWriter(text, list(state.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(state.rows)
            write_text(self.plan.folder / LOG, text.getvalue())

    def _save(self, *, now: bool = False) -> None:
        due = now or time.monotonic() - self.saved >= self.plan.checkpoint_every
        if self.checkpoint and due and self.fabric.is_global_zero:
            self.checkpoint.save(self.state)
            self.saved = time.monotonic()
