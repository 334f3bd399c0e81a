"""All runs of an experiment, in several processes, and what they measured as one table."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mien.datasets import Places
from mien.errors import MienError, OptionError
from mien.experiments.material import folds_of
from mien.experiments.runs import Run, Tell, done, execute, results_of
from mien.experiments.spec import Experiment


@dataclass(frozen=True)
class Hardware:
    """What a run is computed on, as Fabric names it.

    Attributes:
        accelerator: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        devices: processes that share each batch of a run.
        precision: ``32-true``, ``bf16-mixed``, ``16-mixed`` or ``64-true``.
    """

    accelerator: str = "cpu"
    devices: int = 1
    precision: str = "32-true"

    def fabric(self) -> Fabric:
        """A fabric on it, not yet launched.

        Raises:
            OptionError: there is no such hardware here.
        """
        strategy = DDPStrategy(start_method="spawn", find_unused_parameters=True)
        try:
            return Fabric(
                accelerator=self.accelerator,
                devices=self.devices,
                strategy=strategy if self.devices > 1 else "auto",
                precision=self.precision,  # type: ignore[arg-type]
            )
        except (ValueError, RuntimeError) as error:
            raise OptionError(
                f"cannot compute on {self.accelerator} with {self.precision}: {error}",
                advice="choose an accelerator that is here, or cpu",
            ) from error


ONE_CPU = Hardware()
WATCH_S = 2.0


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing.

    Attributes:
        run: which.
        error: why.
    """

    run: Run
    error: str


def plan(
    experiment: Experiment, places: Places, folder: Path, *, made_up: bool = False
) -> list[Run]:
    """All runs of an experiment: those that others build on first, then seed by seed.

    So what is stopped halfway has all models and folds of its first seeds.

    Args:
        experiment: what to run.
        places: where data is.
        folder: of the experiment's runs.
        made_up: let generated examples stand in for the data.

    Raises:
        MienError: the data is not there.
    """
    runs = []
    for entry in experiment.models:
        for treatment in experiment.treatments:
            if entry.treatments is not None and treatment.label not in entry.treatments:
                continue
            first = Run(experiment, entry, treatment, 0, 0, folder, places, made_up)
            folds = len(folds_of(first.source, places, made_up))
            runs += [
                Run(experiment, entry, treatment, fold, seed, folder, places, made_up)
                for fold in range(folds)
                for seed in experiment.seeds
            ]
    return sorted(
        runs,
        key=lambda run: (run.builds_on_another, run.seed, run.fold),
    )


def run_all(
    runs: Sequence[Run],
    console: Console,
    *,
    workers: int | None = None,
    hardware: Hardware = ONE_CPU,
) -> list[Failure]:
    """Run what was not run before; one that fails does not stop the others.

    Args:
        runs: of `plan`.
        console: for progress.
        workers: runs at a time, each in a process of its own. None for as many as there are cores,
            on the CPU, and for one elsewhere; one runs here.
        hardware: what each run is computed on.
    """
    left = [run for run in runs if not done(run)]
    failures = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("runs", total=len(runs), completed=len(runs) - len(left))
        within = progress.add_task("this run, %", total=100, visible=False)

        def tell(share: float) -> None:
            progress.update(within, completed=100 * share, visible=True)

        alone = hardware.accelerator != "cpu" or hardware.devices > 1
        at_once = workers or (1 if alone else os.cpu_count() or 1)
        for run, error in _each(left, at_once, hardware, tell):
            progress.advance(bar)
            if error is not None:
                failures.append(Failure(run, error))
                console.print(f"{run.path}: {error}", markup=False, style="red")
    return failures


def _each(
    runs: Sequence[Run], workers: int, hardware: Hardware, tell: Tell
) -> Iterator[tuple[Run, str | None]]:
    """Each run and what went wrong with it; only a run in this process tells how far it is."""
    if workers == 1 or len(runs) < 2:
        for run in runs:
            yield run, attempt(run, hardware, tell)
        return
    context = multiprocessing.get_context("spawn")
    # Runs of the second wave build on those of the first.
    waves = [[run for run in runs if run.builds_on_another is late] for late in (False, True)]
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_alone, initargs=(os.getpid(),)
    ) as pool:
        for wave in waves:
            pending: dict[Future[str | None], Run] = {
                pool.submit(attempt, run, hardware): run for run in wave
            }
            for future in as_completed(pending):
                yield pending[future], future.result()


def _alone(parent: int) -> None:
    """Begin a worker: one thread, and an end when the parent was killed and cannot say so."""
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def attempt(run: Run, hardware: Hardware = ONE_CPU, tell: Tell | None = None) -> str | None:
    """Execute a run; what went wrong, if it did."""
    try:
        fabric = hardware.fabric()
        if hardware.devices == 1:
            execute(run, fabric, tell)
        else:
            fabric.launch(partial(_together, run=run))
    except MienError as error:
        return str(error)
    return None


def _together(fabric: Fabric, run: Run) -> None:
    """Execute a run in one of several processes that share it."""
    torch.set_num_threads(1)
    execute(run, fabric)


def collect(runs: Sequence[Run]) -> pd.DataFrame:
    """What runs measured, one row a number.

    Args:
        runs: finished ones.

    Returns:
        Columns ``model, treatment, fold, seed, protocol, condition, level, metric, value``.
    """
    tables = [results_of(run.path) for run in runs]
    columns = ["model", "treatment", "fold", "seed"]
    if not tables:
        return pd.DataFrame(columns=[*columns, "protocol", "condition", "level", "metric", "value"])
    whole = pd.concat(tables, ignore_index=True)
    return whole[[*columns, *(name for name in whole if name not in columns)]]
