"""The model that is handed on: fitted on everybody after cross-validation, calibrated, with a card.

Its epochs are the rounded mean of the best epochs of the folds, since nobody is left to choose by.
Its temperature is fitted on the answers that the folds' models gave to people whom they had not
seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from scipy.optimize import minimize_scalar

from mien.card import Card, Measured
from mien.datasets.manifest import ManifestDataSet
from mien.errors import InputError, OptionError
from mien.experiments.data import RunData
from mien.experiments.execution import Progress, execute
from mien.experiments.experiment import Experiment
from mien.experiments.fingerprint import digest
from mien.experiments.runs import RunSpec
from mien.models import MODELS, Task
from mien.trained import TrainedModel, load_model

_LEAST_LABELS = 10  # fewer answers say nothing about calibration
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Provenance:
    """What a card says that no data can tell.

    Attributes:
        command: that made the file.
        licence: of the weights, with what the data asks for; empty for what the experiment says.
    """

    command: str
    licence: str = ""


def fit_on_everybody(
    runs: Sequence[RunSpec],
    results: pd.DataFrame,
    provenance: Provenance,
    fabric: Fabric | None = None,
    on_progress: Progress | None = None,
    *,
    force: bool = False,
) -> TrainedModel:
    """Fit one model and treatment on everybody, calibrate it and write its card.

    Args:
        runs: the finished runs of its cross-validation, all of one model and one treatment.
        results: what they measured, of `mien.experiments.runner.collect`.
        provenance: what else the card says.
        fabric: launched; one process on the CPU where None.
        on_progress: is told the fraction of the training that is done.
        force: train again in any case.

    Raises:
        InputError: no run is finished.
        OptionError: the runs are of several models or treatments.
        MienError: the data is not as it should be.
    """
    if len({(run.model.name, run.treatment.label) for run in runs}) != 1:
        raise OptionError(
            "a model file is of one model and one treatment",
            advice="leave one of each in the experiment, or give a folder with --out",
        )
    epochs = round(float(np.mean([_read_epoch(run) for run in runs])))
    changes = {"epochs": max(1, epochs), "patience": None}
    everybody = replace(runs[0], fold=None, seed=min(run.seed for run in runs), changes=changes)
    execute(everybody, fabric, on_progress, force=force)
    trained = load_model(everybody.folder.model)
    predictions = pd.concat(
        [pd.read_parquet(run.folder.predictions) for run in runs], ignore_index=True
    )
    return replace(
        trained,
        temperature=fit_temperature(trained.task, predictions),
        card=_write_card(runs, everybody, results, provenance),
    )


def fit_temperature(task: Task, predictions: pd.DataFrame) -> float:
    """Fit the temperature that logits are divided by: least cross-entropy on unseen people.

    Guo et al. (2017), "On calibration of modern neural networks", section 4.2.

    Args:
        task: what was asked.
        predictions: ``score_…`` with logits; ``target`` with names, or ``target_…`` with
            proportions.

    Returns:
        One for dimensions, and where too few labels are known.
    """
    if task.kind != "categories":
        return 1.0
    scores = predictions[[f"score_{name}" for name in task.names]].to_numpy(dtype=np.float64)
    if "target" in predictions:
        places = pd.Categorical(predictions["target"], categories=list(task.names)).codes
        gold = np.eye(len(task.names))[places]
        gold[places < 0] = np.nan
    else:
        gold = predictions[[f"target_{name}" for name in task.names]].to_numpy(dtype=np.float64)
    known = np.isfinite(scores).all(axis=1) & np.isfinite(gold).all(axis=1)
    if known.sum() < _LEAST_LABELS:
        return 1.0
    logits, wanted = torch.from_numpy(scores[known]), torch.from_numpy(gold[known])

    def cross_entropy(log_temperature: float) -> float:
        cooled = (logits / np.exp(log_temperature)).log_softmax(dim=-1)
        return float(-(wanted * cooled).sum(dim=-1).mean())

    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(cross_entropy, bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def _read_epoch(run: RunSpec) -> int:
    note = run.folder.require_note()
    if note.epoch is None:
        raise InputError("is not trained", path=run.folder.path, advice="train the experiment")
    return note.epoch


def _write_card(
    runs: Sequence[RunSpec], everybody: RunSpec, results: pd.DataFrame, provenance: Provenance
) -> Card:
    dataset, experiment = everybody.dataset, everybody.experiment
    further = everybody.treatment.extra
    data = RunData.load(dataset, everybody.places, None)
    people = len({e.person for e in data.build_training_set({}, further, everybody.seed)})
    more = f" Learned from as well: {', '.join(further)}." if further else ""
    folds = len({run.fold for run in runs})
    seeds, epochs = len({run.seed for run in runs}), everybody.training.epochs
    return Card(
        description=experiment.card.description or _describe(experiment, everybody),
        data=dataset.note + more,
        people=people,
        labels_source=experiment.card.labels_source or _describe_labels(everybody),
        dimensions_source=experiment.card.dimensions_source,
        licence=provenance.licence or experiment.card.licence,
        metrics=summarise_folds(results),
        how=f"{_describe_folds(folds)} and {seeds} {_plural('seed', seeds)}, divided by person "
        "where people are known; means and sample standard deviations are over these runs. "
        "The file itself was then fitted on everybody, "
        f"for {epochs} {_plural('epoch', epochs)}, so no figure is of the file itself.",
        command=provenance.command,
        fingerprint=digest(everybody.fingerprint()),
        paper=MODELS[everybody.model.model].paper,
    )


def _describe_folds(folds: int) -> str:
    return "Measured on one division" if folds == 1 else f"Cross-validated over {folds} folds"


def summarise_folds(results: pd.DataFrame) -> tuple[Measured, ...]:
    """Summarise what runs measured for a card: mean and spread over folds and seeds."""
    keys = ["protocol", "condition", "level", "metric"]
    rows = []
    for (protocol, condition, level, metric), group in results.groupby(
        keys, sort=False, dropna=False
    ):
        values = group["value"].dropna()
        if len(values):
            rows.append(
                Measured(
                    protocol=str(protocol),
                    condition=str(condition),
                    metric=str(metric),
                    mean=float(values.mean()),
                    deviation=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
                    count=len(values),
                    level=_number_or_none(level),
                )
            )
    return tuple(rows)


def _number_or_none(level: object) -> float | None:
    number = float(str(level))
    return None if math.isnan(number) else number


def _describe(experiment: Experiment, run: RunSpec) -> str:
    task = run.dataset.task()
    treated = "" if run.treatment.label == "none" else f", trained with {run.treatment.label}"
    return (
        f"{experiment.title}: {run.model.model}{treated}; {', '.join(task.names)} per {task.per}."
    )


def _describe_labels(run: RunSpec) -> str:
    dataset = run.dataset
    if not isinstance(dataset, ManifestDataSet):
        return ""
    columns = [dataset.label] if isinstance(dataset.label, str) else list(dataset.label or ())
    return f"column {', '.join(columns)} of {dataset.path.name}" if columns else "ratings per frame"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
