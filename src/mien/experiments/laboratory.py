"""The doors of the laboratory: train, evaluate, reproduce, compare."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import pandas as pd
import yaml
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from safetensors.torch import load_file

from mien.datasets import Places
from mien.errors import InputError, OptionError
from mien.evaluation.protocols import AnyProtocol, Protocol
from mien.evaluation.statistics import compare as compared
from mien.experiments.comparisons import all_tested, as_one, blocks
from mien.experiments.loading import load_experiment, parts_of, shipped
from mien.experiments.material import material
from mien.experiments.pictures import draw
from mien.experiments.runner import ONE_CPU, Failure, Hardware, collect, plan, run_all
from mien.experiments.runs import RUN, WEIGHTS, Run, built, done, measured, results_of
from mien.experiments.spec import Experiment
from mien.experiments.tables import markdown, summary
from mien.formats import write_text

DATA_VARIABLE = "MIEN_DATA"
RUNS = Path("runs")
_PROTOCOL: TypeAdapter[Protocol] = TypeAdapter(AnyProtocol)


@dataclass(frozen=True)
class Report:
    """What an experiment came to.

    Attributes:
        files: tables and figures that were written.
        failures: runs that came to nothing.
        table: one row for each number, see `mien.experiments.tables.summary`.
    """

    files: list[Path]
    failures: list[Failure]
    table: pd.DataFrame


def places(data: str | Path | None, runs: Path = RUNS) -> Places:
    """Where data is: the folder given, or that of the environment variable ``MIEN_DATA``.

    Raises:
        InputError: neither is a folder.
    """
    given = data or os.environ.get(DATA_VARIABLE)
    if not given or not Path(given).is_dir():
        raise InputError(
            "is no folder of data",
            path=given or None,
            advice=f"give --data, or set {DATA_VARIABLE}",
        )
    return Places(Path(given), runs / "features")


class Options(TypedDict, total=False):
    """How an experiment is run.

    Attributes:
        data: the folder with the corpora; that of the environment's ``MIEN_DATA`` by default.
        quick: only a small part of it, to see that it runs.
        so_far: run nothing, and write the tables of what was run before.
        out: folder for tables and figures; that of the runs by default.
        workers: runs at a time; by default as many as there are cores, one on a GPU.
        hardware: what each run is computed on; the CPU by default.
        console: for progress.
    """

    data: str | Path | None
    quick: bool
    so_far: bool
    out: str | Path | None
    workers: int | None
    hardware: Hardware
    console: Console | None


def reproduce(name: str, **options: Unpack[Options]) -> Report:
    """Run an experiment that ships with mien, and write its tables and figures.

    What was run before is not run again.

    Args:
        name: one of `mien.experiments.loading.list_experiments`, or what several of them begin
            with: ``mmte_table1`` is ``mmte_table1_arousal`` and ``mmte_table1_valence``.
        options: see `Options`.

    Raises:
        MienError: there is no such experiment, or its data is not there.
    """
    reports = [_report(shipped(part), f"mien reproduce {part}", options) for part in parts_of(name)]
    return Report(
        [file for report in reports for file in report.files],
        [failure for report in reports for failure in report.failures],
        pd.concat([report.table for report in reports], ignore_index=True),
    )


def train(path: str | Path, **options: Unpack[Options]) -> Report:
    """Run anybody's experiment, and write its tables and figures.

    Args:
        path: a YAML file, see `mien.experiments.spec.Experiment`.
        options: see `Options`.

    Raises:
        MienError: the file does not say what it has to, or its data is not there.
    """
    return _report(load_experiment(path), f"mien train {Path(path).name}", options)


def _report(experiment: Experiment, command: str, options: Options) -> Report:
    command, folder = f"{command} --data DIR", RUNS / experiment.name
    if options.get("quick"):
        experiment, command = experiment.quickly(), f"{command} --quick"
        folder = RUNS / f"{experiment.name}-quick"
    runs = plan(experiment, places(options.get("data")), folder)
    failures: list[Failure] = []
    if not options.get("so_far"):
        failures = run_all(
            runs,
            options.get("console") or Console(quiet=True),
            workers=options.get("workers"),
            hardware=options.get("hardware", ONE_CPU),
        )
    finished = [run for run in runs if done(run)]
    results = collect(finished)
    if results.empty:
        return Report([], failures, results)
    target = Path(options.get("out") or folder)
    target.mkdir(parents=True, exist_ok=True)
    page, numbers = target / f"{experiment.name}.md", target / f"{experiment.name}.csv"
    table = summary(experiment, results)
    drawn = draw(experiment, results, finished, target)
    tests = all_tested(experiment, results)
    text = markdown(experiment, results, table, tests, command=command, planned=len(runs))
    pictures = "".join(f"\n![{path.stem}]({path.name})\n" for path in drawn)
    written = [page, numbers]
    write_text(numbers, table.to_csv(index=False, float_format="%.6g"))
    every = as_one(tests)
    if len(every):
        written.append(target / f"{experiment.name}_tests.csv")
        write_text(written[-1], every.to_csv(index=False, float_format="%.6g"))
    write_text(page, text + pictures)
    return Report([*written, *drawn], failures, table)


def evaluate(run: str | Path, *, protocol: str, data: str | Path | None = None) -> pd.DataFrame:
    """Measure a finished run under a protocol, on its own test part.

    Args:
        run: its folder, the one that holds ``run.json``.
        protocol: a name, or YAML such as ``{name: masked_frames, fractions: [0.5]}``.
        data: see `reproduce`.

    Returns:
        Columns ``protocol, condition, level, metric, value``.

    Raises:
        InputError: the folder holds no run.
        OptionError: there is no such protocol.
    """
    folder = Path(run)
    again, chosen = _opened(folder, places(data)), _protocol(protocol)
    given = material(again)
    model = built(again, given)
    model.load_state_dict(load_file(folder / WEIGHTS))
    single = again.experiment.model_copy(update={"protocols": (chosen,)})
    rows, _ = measured(again.of(single), model.eval(), given)
    return pd.DataFrame([asdict(row) for row in rows])


def _opened(folder: Path, where: Places) -> Run:
    note = folder / RUN
    if not note.exists() or not (folder / WEIGHTS).exists():
        raise InputError("holds no finished run", path=folder, advice="train the experiment first")
    said = json.loads(note.read_text())
    measures = said["measures"]
    experiment = Experiment.model_validate(
        {
            "name": said["experiment"],
            "title": said["experiment"],
            "paper": "none",
            "data": said["data"],
            "models": [said["entry"]],
            # What was hidden in training was found out then; measuring needs it no more.
            "treatments": [{**said["treatment"], "hide_important": None}],
            "training": said["training"],
            "protocols": measures["protocols"],
            "metrics": measures["metrics"],
            "post_processing": measures["post_processing"]
            and {"steps": measures["post_processing"]},
        }
    )
    return Run(
        experiment,
        experiment.models[0],
        experiment.treatments[0],
        said["fold"],
        said["seed"],
        folder.parent,
        where,
        said["made_up"],
    )


def _protocol(said: str) -> Protocol:
    try:
        return _PROTOCOL.validate_python(yaml.safe_load(said))
    except ValidationError as error:
        raise OptionError(f"{said} is no protocol: {error.errors()[0]['msg']}") from error


def compare(
    runs: Sequence[str | Path],
    *,
    metric: str | None = None,
    condition: str = "everything",
    protocol: str | None = None,
    level: float | None = None,
) -> pd.DataFrame:
    """Put runs beside each other, with paired t-tests where folds and seeds allow.

    Args:
        runs: folders of runs, or folders that hold runs at any depth.
        metric: the first that all have, where None.
        condition: which.
        protocol: whose condition it is; may be None where one protocol has it.
        level: of the condition, where it has levels.

    Returns:
        One row for each pair of models, called by model and treatment, and by experiment where
        there are several: means, difference, t, p and Holm's p. Seeds of a fold are one pair.

    Raises:
        InputError: a folder holds no finished run.
        OptionError: there are not two models to compare, or it is not said under what.
    """
    tables = []
    for folder in map(Path, runs):
        found = sorted(path.parent for path in folder.rglob(RUN))
        if not found:
            raise InputError("holds no run", path=folder, advice="train an experiment first")
        tables += [results_of(path) for path in found]
    results = pd.concat(tables, ignore_index=True)
    chosen = metric or str(results["metric"].iloc[0])
    rows = results[(results["metric"] == chosen) & (results["condition"] == condition)]
    rows = _at_one(rows, protocol, level)
    called = rows["model"] + ", " + rows["treatment"]
    if rows["experiment"].nunique() > 1:
        called = rows["experiment"] + ", " + called
    rows = rows.assign(model=called)
    if rows["model"].nunique() < 2:
        raise OptionError(
            f"there are not two models with {chosen} under {condition}",
            advice="name runs of several models or treatments",
        )
    once, over = blocks(rows[["model", "fold", "seed", "value"]])
    means = once.groupby("model")["value"].mean()
    table = compared(once, value="value", by="model", over=over)
    return table.assign(
        metric=chosen, mean=table["model"].map(means), mean_against=table["against"].map(means)
    )


def _at_one(rows: pd.DataFrame, protocol: str | None, level: float | None) -> pd.DataFrame:
    """The rows of one protocol and one level; several must not be taken for one."""
    if protocol is not None:
        rows = rows[rows["protocol"] == protocol]
    if level is not None:
        rows = rows[rows["level"] == level]
    for what in ("protocol", "level"):
        known = rows[what].unique().tolist()
        if len(known) > 1:
            raise OptionError(
                f"the condition is measured at several: {what} {known}",
                advice=f"name one with --{what}",
            )
    return rows
