"""All runs of an experiment, in several processes, and what they measured as one table."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from mien.datasets import DataSet, Places, Unreadable
from mien.errors import MienError, OptionError
from mien.experiments.data import list_folds, list_unobserved, list_unreadable, load_examples
from mien.experiments.execution import execute
from mien.experiments.experiment import Experiment
from mien.experiments.runs import KEYS, RunSpec, RunState
from mien.models import MODELS
from mien.plugins import blame_plugin, load_plugins, loaded_plugins, naming_plugins

WATCH_S = 2.0
_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
)


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

    def create_fabric(self) -> Fabric:
        """Create a fabric on it, not yet launched.

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


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing.

    Attributes:
        run: which.
        error: why.
    """

    run: RunSpec
    error: str


def plan_runs(experiment: Experiment, places: Places, root: Path) -> list[RunSpec]:
    """Plan all runs of an experiment: those that others build on first, then seed by seed.

    So what is stopped halfway has all models and folds of its first seeds.

    Args:
        experiment: resolved.
        places: where data is.
        root: folder of its runs.

    Raises:
        MienError: the data is not there or not as it should be.
    """
    runs = [
        RunSpec(experiment, model, treatment, 0, seed, places, root)
        for model in experiment.models
        for treatment in experiment.treatments
        if model.treatments is None or treatment.label in model.treatments
        for seed in experiment.seeds
    ]
    planned = [
        replace(run, fold=fold)
        for run in runs
        for fold in range(len(list_folds(run.dataset, places)))
    ]
    return sorted(planned, key=lambda run: (run.base is not None, run.seed, run.fold or 0))


def read_with_progress(
    datasets: Sequence[DataSet], places: Places, console: Console, *, strict: bool = False
) -> tuple[Unreadable, ...]:
    """Load data sets, with a bar over recordings.

    Args:
        datasets: resolved.
        places: where data is.
        console: for progress, and for what cannot be read.
        strict: raise at the first recording that cannot be read, instead of skipping it.

    Returns:
        The recordings that could not be read; each was named on the console.

    Raises:
        MienError: the data is not there or not as it should be.
    """
    with Progress(*_COLUMNS, console=console, disable=not console.is_terminal) as progress:
        for dataset in datasets:
            bar = progress.add_task(f"reading {dataset.name}", total=None)

            def advance(done: int, total: int, bar: TaskID = bar) -> None:
                progress.update(bar, completed=done, total=total)

            load_examples(dataset, places, advance, strict=strict)
            progress.update(bar, visible=False)
    skipped = list_unreadable(datasets, places)
    for one in skipped:
        console.print(f"skipped: {one.error}", markup=False, style="red")
    for path in list_unobserved(datasets, places):
        console.print(f"not used, nothing in it was observed: {path}", markup=False)
    return skipped


def run_all(
    runs: Sequence[RunSpec],
    console: Console,
    *,
    workers: int | None = None,
    hardware: Hardware = ONE_CPU,
    force: bool = False,
) -> list[Failure]:
    """Execute runs that are not done, with a bar, and go on past those that fail.

    Args:
        runs: which.
        console: for progress, and for why something is trained again.
        workers: processes, each with a run of its own. None for as many as there are cores,
            on the CPU, and for one elsewhere; one runs here.
        hardware: what each run is computed on.
        force: train all of them again.

    Raises:
        OptionError: there is to be no worker.
    """
    if workers is not None and workers < 1:
        raise OptionError(f"workers: {workers}", advice="give a number of processes from 1")
    states = {number: run.inspect() for number, run in enumerate(runs)}
    left = [run for number, run in enumerate(runs) if force or not states[number].done]
    _tell_changes(states.values(), console)
    failures = []
    with Progress(*_COLUMNS, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("runs", total=len(runs), completed=len(runs) - len(left))
        within = progress.add_task("this run, %", total=100, visible=False)

        def on_progress(fraction: float) -> None:
            progress.update(within, completed=100 * fraction, visible=True)

        alone = hardware.accelerator != "cpu" or hardware.devices > 1
        at_once = workers or (1 if alone else os.cpu_count() or 1)
        how = ExecutionSettings(hardware, force)
        for run, failure in _execute_each(left, at_once, how, on_progress):
            progress.advance(bar)
            error = failure or _explain_undone(run.inspect())
            if error is not None:
                failures.append(Failure(run, error))
                console.print(f"{run.folder.path}: {error}", markup=False, style="red")
    return failures


def _explain_undone(state: RunState) -> str | None:
    """Say why a run that was just executed is not done; None where it is."""
    if state.done:
        return None
    if not state.changes:
        return "ended without results"
    changed = ", ".join(state.changes)
    return f"{changed} changed while it ran; what it reads must be the same at every reading"


def _tell_changes(states: Iterable[RunState], console: Console) -> None:
    """Say why runs that have results are trained again."""
    reasons = Counter(", ".join(state.changes) for state in states if state.changes)
    for reason, count in reasons.items():
        runs = "1 run" if count == 1 else f"{count} runs"
        console.print(
            f"{runs}: {reason} changed since they were trained; trained again", markup=False
        )


@dataclass(frozen=True)
class ExecutionSettings:
    """How runs are executed.

    Attributes:
        hardware: what each is computed on.
        force: train again in any case.
    """

    hardware: Hardware = ONE_CPU
    force: bool = False


def _execute_each(
    runs: Sequence[RunSpec],
    workers: int,
    how: ExecutionSettings,
    on_progress: Callable[[float], None],
) -> Iterator[tuple[RunSpec, str | None]]:
    """Each run and what went wrong with it; only a run in this process tells how far it is."""
    if workers == 1 or len(runs) < 2:
        for run in runs:
            yield run, attempt(run, how, on_progress)
        return
    context = multiprocessing.get_context("spawn")
    # Runs of the second wave build on those of the first.
    waves = [[run for run in runs if (run.base is not None) is late] for late in (False, True)]
    with ProcessPoolExecutor(
        workers,
        mp_context=context,
        initializer=_begin_worker,
        initargs=(os.getpid(), tuple(loaded_plugins())),
    ) as pool:
        for wave in waves:
            pending: dict[Future[str | None], RunSpec] = {
                pool.submit(attempt, run, how): run for run in wave
            }
            for future in as_completed(pending):
                yield pending[future], future.result()


def _begin_worker(parent: int, plugins: Sequence[str]) -> None:
    """Begin a worker: plugins, one thread, and an end when the parent was killed."""
    torch.set_num_threads(1)
    load_plugins(plugins)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def attempt(
    run: RunSpec,
    how: ExecutionSettings = ExecutionSettings(),
    on_progress: Callable[[float], None] | None = None,
) -> str | None:
    """Execute a run; what went wrong, if it did."""
    try:
        fabric = how.hardware.create_fabric()
        if how.hardware.devices == 1:
            with naming_plugins():
                execute(run, fabric, on_progress, force=how.force)
        else:
            plugins = tuple(loaded_plugins())
            fabric.launch(partial(_share, run=run, force=how.force, plugins=plugins))
    except MienError as error:
        return str(error)
    except Exception as error:
        if not MODELS.origin(run.model.model):
            raise
        # Not in the plugin's own lines, as where it gives what is no prediction.
        return str(blame_plugin(error, f"the model {run.model.model}"))
    return None


def _share(fabric: Fabric, run: RunSpec, force: bool, plugins: Sequence[str]) -> None:
    """Execute a run in one of several processes that share it."""
    torch.set_num_threads(1)
    load_plugins(plugins)
    execute(run, fabric, force=force)


def collect(runs: Sequence[RunSpec]) -> pd.DataFrame:
    """Collect what runs measured, one row a number.

    Args:
        runs: finished ones.

    Returns:
        Columns ``model, treatment, fold, seed, protocol, condition, level, metric, value``.
    """
    tables = [run.folder.read_results() for run in runs]
    if not tables:
        return pd.DataFrame(columns=[*KEYS, "protocol", "condition", "level", "metric", "value"])
    whole = pd.concat(tables, ignore_index=True)
    return whole[[*KEYS, *(name for name in whole if name not in KEYS)]]
