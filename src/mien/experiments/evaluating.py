"""Measuring what is trained: a run on its own test part, or any model on anybody's recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

import pandas as pd
import yaml
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from mien.datasets import Example, Unreadable
from mien.datasets.manifest import ManifestDataSet
from mien.errors import FormatError, InputError, OptionError
from mien.evaluation.predict import Answers
from mien.evaluation.protocols import AnyProtocol, Protocol, Subject
from mien.experiments.data import (
    RunData,
    forget_data,
    load_examples,
    resolve_data,
)
from mien.experiments.execution import measure_run
from mien.experiments.experiment import DEFAULT_METRICS
from mien.experiments.fingerprint import list_changes
from mien.experiments.loading import describe_problems
from mien.experiments.places import find_places
from mien.experiments.runner import read_with_progress
from mien.experiments.runs import NOTE, RunFolder, reopen_run
from mien.formats import write_text
from mien.models import Task
from mien.plugins import load_plugins, naming_plugins
from mien.registry import check_options
from mien.trained import TrainedModel, load_model

_PROTOCOL: TypeAdapter[Protocol] = TypeAdapter(AnyProtocol)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation came to.

    Attributes:
        table: one row a number: ``protocol, condition, level, metric, value``.
        unreadable: recordings that were skipped, each with its error.
    """

    table: pd.DataFrame
    unreadable: tuple[Unreadable, ...] = ()


class EvaluateOptions(TypedDict, total=False):
    """How a model is measured.

    Attributes:
        metrics: what is measured; by default a run's own, or those that go with the model's task.
        out: a CSV file for the table.
        force: measure a run although what it was made of has changed.
        strict: stop at the first recording that cannot be read, instead of skipping it.
        plugin: Python files that register what model and data need.
        console: for progress, and for what cannot be read.
    """

    metrics: Sequence[str]
    out: str | Path | None
    force: bool
    strict: bool
    plugin: Sequence[str | Path]
    console: Console | None


@naming_plugins()
def evaluate(
    model: TrainedModel | str | Path,
    *,
    data: str | Path | None = None,
    label: str | Sequence[str] | None = None,
    protocol: str = "modalities",
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Measure a trained model on recordings with labels, or a finished run on its test part.

    Args:
        model: a `mien.TrainedModel`, the name of one, the path of its file, or the folder of a
            finished run, the one that holds ``run.json``.
        data: for a model the table of recordings, see `mien.datasets.manifest`; for a run the
            folder with the corpora, by default that of the environment's ``MIEN_DATA``.
        label: column of the table; columns of several dimensions. A run has its own.
        protocol: what is withheld: a name, or YAML as ``{name: masked_frames, fractions: [0.5]}``.
        options: see `EvaluateOptions`.

    Raises:
        InputError: there is no such file, or a run was made of something else than is here now.
        FormatError: the table has none of the model's labels.
        OptionError: there is no such protocol, metric or option.

    Example:
        >>> mien.evaluate("default", data="study.csv").table  # doctest: +SKIP
    """
    check_options("evaluate", options, EvaluateOptions.__annotations__)
    load_plugins(options.get("plugin", ()))
    forget_data()
    chosen = parse_protocol(protocol)
    if not isinstance(model, TrainedModel) and Path(model).is_dir():
        if label is not None:
            raise OptionError("a run has its own label", advice="leave --label out")
        found = _evaluate_run(RunFolder(Path(model)), chosen, data, options)
    else:
        trained = model if isinstance(model, TrainedModel) else load_model(model)
        if data is None:
            raise OptionError(
                "it is not said on what to measure the model",
                advice="give a table of recordings with --data, or the folder of a run",
            )
        found = _evaluate_model(
            trained, match_manifest(trained, Path(data), label), chosen, options
        )
    out = options.get("out")
    if out is not None:
        write_text(out, found.table.to_csv(index=False))
    return found


def parse_protocol(text: str) -> Protocol:
    """Make a protocol from a name, or from YAML with options.

    Raises:
        OptionError: there is no such protocol or option; the message names the nearest.
    """
    try:
        return _PROTOCOL.validate_python(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise OptionError(f"{text} is no protocol", advice="give a name, or YAML") from error
    except ValidationError as error:
        raise OptionError(f"{text} is no protocol: {describe_problems(error)}") from error


def match_manifest(
    trained: TrainedModel, path: Path, label: str | Sequence[str] | None = None
) -> ManifestDataSet:
    """Match a table of recordings to a trained model: its labels, its extractors.

    Args:
        trained: the model.
        path: of the table.
        label: its column, or columns of dimensions; by default ``emotion`` for categories, columns
            called as the model's dimensions, or ratings for a model per frame.

    Raises:
        InputError: the table or a file that it names is not there.
        FormatError: it is not as it should be, or has none of the model's labels.
    """
    task = trained.task
    asked: dict[str, Any] = {
        "path": path.resolve(),
        "label": _choose_label(task, label),
        "kind": task.kind,
        "labels": task.names,
        "features": trained.load_extractors(),
    }
    if task.kind == "dimensions":
        asked["ranges"] = dict(task.ranges)
    try:
        dataset = ManifestDataSet.model_validate(asked)
    except ValidationError as error:
        raise FormatError(describe_problems(error), path=path) from error
    return dataset.resolve()


def _choose_label(task: Task, label: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    if isinstance(label, str):
        columns = tuple(part.strip() for part in label.split(","))
        return columns[0] if len(columns) == 1 and task.kind == "categories" else columns
    if label is not None:
        return tuple(label)
    if task.per == "frame":
        return ()
    return None if task.kind == "categories" else task.names


def _evaluate_model(
    trained: TrainedModel,
    dataset: ManifestDataSet,
    protocol: Protocol,
    options: EvaluateOptions,
) -> Evaluation:
    places = find_places(dataset.path.parent)
    resolved = resolve_data(dataset, places)
    console = options.get("console") or Console(quiet=True)
    console.print(resolved.note, markup=False)
    strict = options.get("strict", False)
    skipped = read_with_progress([resolved], places, console, strict=strict)
    examples = trained.prepare_examples(load_examples(resolved, places))
    if not examples:
        raise FormatError(
            f"has no recording with one of the labels {', '.join(trained.task.names)}",
            path=dataset.path,
            advice="name the column of the model's labels with --label",
        )
    subject = Subject(
        trained.model,
        [example for example in examples if _is_observed(example, trained)],
        options.get("metrics") or DEFAULT_METRICS[trained.task.kind],
        window=trained.frame_window,
        post=partial(_calibrate, trained),
    )
    return Evaluation(_tabulate(protocol, subject), skipped)


def _calibrate(trained: TrainedModel, answers: Answers) -> Answers:
    if trained.task.kind != "categories" or trained.temperature == 1.0:
        return answers
    return replace(answers, scores=answers.scores / trained.temperature)


def _is_observed(example: Example, trained: TrainedModel) -> bool:
    return any(bool(s.valid.any()) for n, s in example.signals.items() if n in trained.extractors)


def _tabulate(protocol: Protocol, subject: Subject) -> pd.DataFrame:
    return pd.DataFrame([asdict(row) for row in protocol.measure(subject)])


def _evaluate_run(
    folder: RunFolder, protocol: Protocol, data: str | Path | None, options: EvaluateOptions
) -> Evaluation:
    if not (folder.path / NOTE).exists():
        raise InputError(
            "holds no finished run", path=folder.path, advice="train the experiment first"
        )
    note = folder.require_note()
    named = Path(str(note.data.get("path", "")))
    run = reopen_run(folder, find_places(data, named.parent if named.is_absolute() else None))
    console = options.get("console") or Console(quiet=True)
    strict = options.get("strict", False)
    skipped = read_with_progress([run.dataset], run.places, console, strict=strict)
    now = {**run.fingerprint(), _BASE: note.fingerprint.get(_BASE, "")}
    changes = list_changes({_BASE: "", **note.fingerprint}, now)
    if changes and not options.get("force"):
        raise InputError(
            f"{', '.join(changes)} changed since this run was trained",
            path=folder.path,
            advice="train the experiment again, or measure it as it is with --force",
        )
    update: dict[str, Any] = {"protocols": (protocol,)}
    if metrics := options.get("metrics"):
        update["metrics"] = tuple(metrics)
    run = replace(run, experiment=run.experiment.model_copy(update=update))
    loaded = RunData.load(run.dataset, run.places, run.fold)
    rows, _ = measure_run(run, load_model(folder.model).model, loaded)
    table = pd.DataFrame([asdict(row) for row in rows])
    return Evaluation(table, skipped)


_BASE = "run that it builds on"  # cannot be told of a run alone
