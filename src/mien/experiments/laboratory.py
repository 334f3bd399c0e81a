"""The doors of the laboratory: train and reproduce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

import pandas as pd
from rich.console import Console

from mien.datasets import Places, Unreadable
from mien.errors import InputError, OptionError
from mien.experiments.comparisons import concat_tests, run_comparisons
from mien.experiments.data import forget_data, resolve_data
from mien.experiments.experiment import Experiment
from mien.experiments.final import Provenance, fit_on_everybody
from mien.experiments.loading import RECIPES, list_experiments, list_parts, load_experiment
from mien.experiments.manifests import Feature, Study, plan_study
from mien.experiments.pictures import draw
from mien.experiments.places import RUNS, find_places
from mien.experiments.runner import (
    ONE_CPU,
    Failure,
    Hardware,
    collect,
    plan_runs,
    read_with_progress,
    run_all,
)
from mien.experiments.runs import RunSpec, measure_overlap
from mien.experiments.tables import summarise_runs, write_page
from mien.formats import make_folder, write_text
from mien.plugins import load_plugins, naming_plugins
from mien.registry import check_options
from mien.trained import SUFFIX

TABLES = (".csv", ".tsv")
RECIPE = (".yaml", ".yml")


@dataclass(frozen=True)
class Report:
    """What an experiment came to.

    Attributes:
        files: models, tables and figures that were written.
        failures: runs that came to nothing.
        table: one row for each number, see `mien.experiments.tables.summarise_runs`.
        unreadable: recordings that were skipped, each with its error.
    """

    files: list[Path]
    failures: list[Failure]
    table: pd.DataFrame
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every run came to something and every recording was read."""
        return not self.failures and not self.unreadable


class RunOptions(TypedDict, total=False):
    """How an experiment is run.

    Attributes:
        data: the folder with the corpora; that of the environment's ``MIEN_DATA`` by default.
        quick: only a small part of it, to see that it runs.
        so_far: run nothing, and write the tables of what was run before.
        out: folder for tables and figures; that of the runs by default. A name that ends in
            ``.safetensors`` is a model file: the experiment's one model is then fitted on
            everybody as well, and tables go to the folder of that name without its ending.
        licence: of the model file, with what the data asks for.
        force: train again what was trained before.
        strict: stop at the first recording that cannot be read, instead of skipping it.
        workers: runs at a time; by default as many as there are cores, one on a GPU.
        hardware: what each run is computed on; the CPU by default.
        plugin: Python files that register a model, an extractor, a data set ….
        console: for progress.
        command: as it was typed, for tables and the card; made from the arguments by default.
    """

    data: str | Path | None
    quick: bool
    so_far: bool
    out: str | Path | None
    licence: str
    force: bool
    strict: bool
    workers: int | None
    hardware: Hardware
    plugin: Sequence[str | Path]
    console: Console | None
    command: str


@naming_plugins()
def reproduce(name: str, **run: Unpack[RunOptions]) -> Report:
    """Run an experiment that ships with mien, and write its tables and figures.

    What was run before is not run again, unless data, settings or code have changed since.

    Args:
        name: one of `mien.experiments.loading.list_experiments`, or what several of them begin
            with: ``mmte_table1`` is ``mmte_table1_arousal`` and ``mmte_table1_valence``.
        run: see `RunOptions`.

    Raises:
        MienError: there is no such experiment, or its data is not there.
    """
    check_options("reproduce", run, RunOptions.__annotations__)
    load_plugins(run.get("plugin", ()))
    reports = []
    for part in list_parts(name):
        experiment = load_experiment(RECIPES / f"{part}.yaml")
        reports.append(
            _ExperimentJob(experiment, f"mien reproduce {part} --data DIR", run).finish()
        )
    return Report(
        [file for report in reports for file in report.files],
        [failure for report in reports for failure in report.failures],
        pd.concat([report.table for report in reports], ignore_index=True),
        tuple(one for report in reports for one in report.unreadable),
    )


class TrainOptions(RunOptions, total=False):
    """How a table of recordings is trained on, and `RunOptions`.

    Attributes:
        option: options of the model, as ``{"width": 8}``.
        feature: by modality an extractor's name, or its name and settings, as
            ``{"audio": "mfcc"}`` or ``{"audio": {"name": "mfcc", "count": 13}}``.
        treatment: operation of `mien.missing.OPERATIONS` on each batch of the training, likewise.
        epochs: at most.
        seeds: of weights, order and noise; (0,) by default.
        folds: how many; five by default, or those of the table.
    """

    option: Mapping[str, Any]
    feature: Mapping[str, Feature]
    treatment: Feature | None
    epochs: int | None
    seeds: Sequence[int]
    folds: int | None


@naming_plugins()
def train(
    path: str | Path,
    *,
    label: str | Sequence[str] | None = None,
    model: str | None = None,
    **options: Unpack[TrainOptions],
) -> Report:
    """Train and measure: anybody's recordings, or anybody's experiment.

    Args:
        path: a table of recordings (``.csv``, see `mien.datasets.manifest`), an experiment
            (``.yaml``, see `mien.experiments.experiment.Experiment`), or the name of one that
            ships with mien. Of a table one model is cross-validated by person.
        label: column of a table; columns of several dimensions.
        model: one of `mien.list_models`, for a table; ``linear_probe`` by default.
        options: see `TrainOptions`; those of its own are for tables only.

    Raises:
        MienError: the file does not say what it has to, an option makes no sense, or the data is
            not there.

    Example:
        >>> mien.train("study.csv", label="mood", out="mine.safetensors")  # doctest: +SKIP
    """
    check_options("train", options, TrainOptions.__optional_keys__)
    run = cast(RunOptions, {k: v for k, v in options.items() if k in RunOptions.__annotations__})
    load_plugins(run.get("plugin", ()))
    given = {"label": label, "model": model, **{k: v for k, v in options.items() if k not in run}}
    asked = {name: value for name, value in given.items() if value not in (None, {}, (), [])}
    file = Path(path)
    command = run.get("command") or f"mien train {file.name}"
    if file.suffix.lower() in TABLES:
        experiment = plan_study(file, _make_study(asked), _name_of(run.get("out")))
        return _ExperimentJob(experiment, command, run, file.parent).finish()
    if asked:
        raise OptionError(
            f"{', '.join(asked)} cannot be given beside an experiment",
            advice="write it in the YAML, or train on a table of recordings",
        )
    if file.suffix.lower() in RECIPE or file.is_file():
        return _ExperimentJob(load_experiment(file), command, run, file.resolve().parent).finish()
    if str(path) in list_experiments():
        return _ExperimentJob(load_experiment(RECIPES / f"{path}.yaml"), command, run).finish()
    raise InputError(
        "is neither a file nor an experiment that ships with mien",
        path=path,
        advice="give a table (.csv), an experiment (.yaml) or a name of `mien experiments`",
    )


def _make_study(asked: Mapping[str, Any]) -> Study:
    names = {"option": "options", "feature": "features"}
    given = {names.get(name, name): value for name, value in asked.items()}
    if isinstance(given.get("label"), str) and "," in given["label"]:
        given["label"] = [part.strip() for part in given["label"].split(",")]
    return Study(**given)


def _name_of(out: str | Path | None) -> str:
    return Path(out).stem if out is not None else ""


@dataclass
class _ExperimentJob:
    """One experiment from its YAML to its files."""

    experiment: Experiment
    command: str
    run: RunOptions
    beside: Path | None = None
    places: Places = field(init=False)
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root = RUNS / self.experiment.name
        if self.run.get("quick"):
            self.experiment = self.experiment.shrink()
            self.command += " --quick"
            self.root = RUNS / f"{self.experiment.name}-quick"
        self.places = find_places(self.run.get("data"), self.beside)

    @property
    def model_file(self) -> Path | None:
        """The model file that is asked for."""
        out = self.run.get("out")
        return Path(out) if out is not None and Path(out).suffix == SUFFIX else None

    @property
    def folder(self) -> Path:
        """Where tables and figures go."""
        if self.model_file is not None:
            return self.model_file.with_suffix("")
        return Path(self.run.get("out") or self.root)

    def finish(self) -> Report:
        """Run everything and write everything."""
        make_folder(self.folder, "choose another with --out")  # before hours are spent
        forget_data()
        console = self.run.get("console") or Console(quiet=True)
        experiment = self.experiment = self.experiment.resolve(self.places)
        datasets = [resolve_data(data, self.places) for data in experiment.list_data()]
        strict, force = self.run.get("strict", False), self.run.get("force", False)
        skipped = read_with_progress(datasets, self.places, console, strict=strict)
        runs = plan_runs(experiment, self.places, self.root)
        if self.model_file is not None:
            _check_single(runs)
        failures: list[Failure] = []
        if not self.run.get("so_far"):
            failures = run_all(
                runs,
                console,
                workers=self.run.get("workers"),
                hardware=self.run.get("hardware", ONE_CPU),
                force=force,
            )
        finished = [run for run in runs if run.inspect().done]
        results = collect(finished)
        if results.empty:
            return Report([], failures, results, skipped)
        files = []
        whole = len(finished) == len(runs) and not self.run.get("so_far")
        if self.model_file is not None and whole:
            console.print("fitting on everybody")
            files.append(self._save_model(finished, results))
        table = summarise_runs(experiment, results)
        files += self._write(finished, results, table, planned=len(runs))
        return Report(files, failures, table, skipped)

    def _save_model(self, runs: Sequence[RunSpec], results: pd.DataFrame) -> Path:
        assert self.model_file is not None
        hardware = self.run.get("hardware", ONE_CPU)
        fabric = hardware.create_fabric() if hardware.devices == 1 else None
        provenance = Provenance(self.command, self.run.get("licence", ""))
        model = fit_on_everybody(
            runs, results, provenance, fabric, force=self.run.get("force", False)
        )
        model.save(self.model_file)
        return self.model_file

    def _write(
        self,
        finished: Sequence[RunSpec],
        results: pd.DataFrame,
        table: pd.DataFrame,
        *,
        planned: int,
    ) -> list[Path]:
        """Write page, numbers, tests and figures."""
        experiment, target = self.experiment, self.folder
        page, numbers = target / f"{experiment.name}.md", target / f"{experiment.name}.csv"
        drawn = draw(experiment, results, finished, target)
        overlap = measure_overlap(run.folder for run in finished)
        tests = run_comparisons(experiment, results, overlap)
        note = resolve_data(experiment.data, self.places).note
        text = write_page(
            experiment, results, table, tests, command=self.command, data=note, planned=planned
        )
        pictures = "".join(f"\n![{path.stem}]({path.name})\n" for path in drawn)
        written = [page, numbers]
        write_text(numbers, table.to_csv(index=False, float_format="%.6g"))
        every = concat_tests(tests)
        if len(every):
            written.append(target / f"{experiment.name}_tests.csv")
            write_text(written[-1], every.to_csv(index=False, float_format="%.6g"))
        write_text(page, text + pictures)
        return [*written, *drawn]


def _check_single(runs: Sequence[RunSpec]) -> None:
    """Refuse a model file of several models before hours are spent."""
    kinds = sorted({f"{run.model.name}, {run.treatment.label}" for run in runs})
    if len(kinds) > 1:
        raise OptionError(
            f"a model file is of one model and one treatment, not of {'; '.join(kinds)}",
            advice="leave one of each in the experiment, or give a folder with --out",
        )
