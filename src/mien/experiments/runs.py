"""One run of an experiment: what is run, what it was made of, and its folder on disk.

A run is one model, one treatment, one fold, one seed. Its folder holds ``run.json`` (what it was
made of), ``model.safetensors`` (a `mien.trained.TrainedModel`), ``log.csv`` (how it learned),
``predictions.parquet`` (its answers to the test part) and ``results.csv`` (what was measured).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from mien.datasets import DataSet, Places
from mien.errors import InputError
from mien.experiments.data import (
    fingerprint_data,
    fingerprint_further,
    fingerprint_ratings,
    list_folds,
    resolve_data,
)
from mien.experiments.experiment import Experiment
from mien.experiments.fingerprint import (
    Parts,
    digest,
    fingerprint_measuring_code,
    fingerprint_training_code,
    list_changes,
)
from mien.experiments.spec import ModelSpec, Treatment
from mien.formats import write_text
from mien.model_file import RUN_MODEL
from mien.settings import Settings
from mien.training import CHECKPOINT, Training

NOTE, RESULTS = "run.json", "results.csv"
PREDICTIONS = "predictions.parquet"
KEYS = ["model", "treatment", "fold", "seed"]


class RunNote(BaseModel):
    """What ``run.json`` says.

    Attributes:
        fingerprint: what the weights were made of, by part.
        epoch: the best one, counted from 1; None while it is being trained.
        measured: what the results were made of beside the weights; None before.
        experiment: name of it.
        model: the row of the table.
        treatment: how it was trained.
        training: settings.
        data: the data set and its options.
        fold: number of the fold; None for everybody.
        seed: of weights, order and noise.
        measures: protocols, metrics and post-processing.
        trained_clips: how many clips were trained on.
        tested_clips: how many were measured.
        tested_people: who was measured.
    """

    model_config = ConfigDict(extra="ignore")

    fingerprint: dict[str, str]
    epoch: int | None = None
    measured: dict[str, str] | None = None
    experiment: str
    model: dict[str, Any]
    treatment: dict[str, Any]
    training: dict[str, Any]
    data: dict[str, Any]
    fold: int | None
    seed: int
    measures: dict[str, Any]
    trained_clips: int = 0
    tested_clips: int = 0
    tested_people: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFolder:
    """What lies on disk of a run.

    Attributes:
        path: of the folder.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / RUN_MODEL

    @property
    def predictions(self) -> Path:
        """The table of the answers to the test part."""
        return self.path / PREDICTIONS

    @property
    def results(self) -> Path:
        """The table of what was measured."""
        return self.path / RESULTS

    @property
    def checkpoint(self) -> Path:
        """Where an unfinished training stands."""
        return self.path / CHECKPOINT

    def read_note(self) -> RunNote | None:
        """Read what the run was made of; None where nothing was run, or by a mien before this."""
        try:
            return RunNote.model_validate_json((self.path / NOTE).read_bytes())
        except (OSError, ValidationError):
            return None

    def write_note(self, note: RunNote) -> None:
        """Write what the run was made of."""
        write_text(self.path / NOTE, note.model_dump_json(indent=2) + "\n")

    def require_note(self) -> RunNote:
        """Read what a finished run was made of.

        Raises:
            InputError: the folder holds no finished run.
        """
        note = self.read_note()
        if note is None or not self.model.exists() or not self.results.exists():
            raise InputError(
                "holds no finished run", path=self.path, advice="train the experiment first"
            )
        return note

    def read_results(self) -> pd.DataFrame:
        """Read what was measured, with `KEYS` and the experiment.

        Raises:
            InputError: the folder holds no finished run.
        """
        note = self.require_note()
        return pd.read_csv(self.results).assign(
            experiment=note.experiment,
            model=ModelSpec.model_validate(note.model).name,
            treatment=note.treatment["label"],
            fold=note.fold,
            seed=note.seed,
        )


@dataclass(frozen=True)
class RunState:
    """How far a run is, and why it is not done.

    Attributes:
        trained: whether the weights on disk are of what the run is made of now.
        measured: whether the results are.
        changes: parts that differ from those of the weights on disk; empty where there are none.
    """

    trained: bool
    measured: bool
    changes: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.trained and self.measured


@dataclass(frozen=True)
class RunSpec:
    """What is run.

    Attributes:
        experiment: of which it is a part, resolved.
        model: the row of the table.
        treatment: how it is trained.
        fold: number of the fold, from 0; None to train on everybody and measure nobody.
        seed: of weights, order and noise.
        places: where data is.
        root: folder of the experiment's runs.
        changes: to the training settings, over those of experiment and model.
    """

    experiment: Experiment
    model: ModelSpec
    treatment: Treatment
    fold: int | None
    seed: int
    places: Places
    root: Path
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> RunFolder:
        """The run's own folder."""
        fold = "everybody" if self.fold is None else f"fold{self.fold}"
        parts = (self.model.name, self.treatment.label, f"{fold}-seed{self.seed}")
        return RunFolder(self.root.joinpath(*(re.sub(r"[^\w.+-]+", "_", part) for part in parts)))

    @cached_property
    def dataset(self) -> DataSet:
        """The data, with what the model's row changes, resolved."""
        return resolve_data(self.experiment.data_of(self.model), self.places)

    @property
    def training(self) -> Training:
        """The settings, with what the model's row changes."""
        return self.experiment.training_of(self.model).model_copy(update=dict(self.changes))

    @property
    def base(self) -> RunSpec | None:
        """The run whose model this one asks what to hide; None where it asks nobody."""
        hiding = self.treatment.hide_important
        if hiding is None:
            return None
        treatments = self.experiment.treatments
        return replace(self, treatment=next(t for t in treatments if t.label == hiding.after))

    def fingerprint(self) -> Parts:
        """Digest what decides about the weights, part by part.

        Raises:
            MienError: the data is not there or not as it should be.
        """
        data, places = self.dataset, self.places
        fold = None if self.fold is None else list_folds(data, places)[self.fold]
        settings = {
            "model": [_options(self.model, "label", "training", "data", "treatments")],
            "treatment": _options(self.treatment, "label", "hide_important"),
            "training": _options(self.training),
            "data options": {n: v for n, v in _data_options(data).items() if n != "folds"},
            "fold": None if fold is None else [fold.train, fold.dev, fold.test],
            "seed": self.seed,
        }
        parts = {f"{name} settings" if name in _OF_SETTINGS else name: digest(value)
                 for name, value in settings.items()}  # fmt: skip
        parts |= fingerprint_data(data, places)
        parts |= fingerprint_further(data, places, self.treatment.extra)
        parts |= fingerprint_training_code(self.model.model)
        if (base := self.base) is not None and self.treatment.hide_important is not None:
            hiding = _options(self.treatment.hide_important, "after")
            parts["run that it builds on"] = digest([base.fingerprint(), hiding])
        return parts

    def fingerprint_measures(self) -> Parts:
        """Digest what decides about the results beside the weights."""
        parts = {name.replace("_", "-"): digest(v) for name, v in self.measures().items()}
        parts["ratings"] = fingerprint_ratings(self.dataset, self.places)
        return {**parts, **fingerprint_measuring_code()}

    def measures(self) -> dict[str, Any]:
        """Return what is measured: protocols, metrics and post-processing, as JSON."""
        post = self.experiment.post_processing
        protocols = [{"name": p.name, **_options(p, "name")} for p in self.experiment.protocols]
        return {
            "protocols": protocols,
            "metrics": list(self.experiment.metrics),
            "post_processing": None if post is None else _options(post),
        }

    def inspect(self) -> RunState:
        """Find out how far the run is.

        Raises:
            MienError: the data is not there or not as it should be.
        """
        note = self.folder.read_note()
        if note is None:
            return RunState(trained=False, measured=False)
        changes = list_changes(note.fingerprint, self.fingerprint())
        trained = not changes and note.epoch is not None and self.folder.model.exists()
        measured = self.fold is None or (
            note.measured == self.fingerprint_measures() and self.folder.results.exists()
        )
        return RunState(trained, trained and measured, changes)

    def note(self) -> RunNote:
        """Describe the run before anything of it was done."""
        return RunNote(
            fingerprint=dict(self.fingerprint()),
            experiment=self.experiment.name,
            model=_options(self.model),
            treatment=_options(self.treatment),
            training=_options(self.training),
            data={"name": self.dataset.name, **_options(self.dataset, "name")},
            fold=self.fold,
            seed=self.seed,
            measures=self.measures(),
        )


_OF_SETTINGS = ("model", "treatment", "training")


def reopen_run(folder: RunFolder, places: Places) -> RunSpec:
    """Make the specification of a finished run again.

    Args:
        folder: of the run.
        places: where data is now.

    Raises:
        InputError: the folder holds no finished run.
    """
    note = folder.require_note()
    treatments = [note.treatment]
    hiding = note.treatment.get("hide_important")
    if hiding:
        treatments.append({"label": hiding["after"]})
    # Settings and data are noted with what the row of the table changes.
    model = {k: v for k, v in note.model.items() if k not in ("training", "data", "treatments")}
    experiment = Experiment.model_validate(
        {
            "name": note.experiment,
            "data": note.data,
            "models": [model],
            "treatments": treatments,
            "training": note.training,
            **note.measures,
        }
    )
    return RunSpec(
        experiment,
        experiment.models[0],
        experiment.treatments[0],
        note.fold,
        note.seed,
        places,
        folder.path.parents[2],
    )


def measure_overlap(folders: Iterable[RunFolder]) -> float | None:
    """Measure how much the test parts of folds overlap.

    Returns:
        The size of a test part divided by that of a training part, the mean over folds, where some
        test person comes back in another fold; None where nobody does.
    """
    tested: dict[int, set[str]] = {}
    ratios: dict[int, float] = {}
    for folder in folders:
        note = folder.read_note()
        if note is None or note.fold is None or not note.trained_clips:
            continue
        tested.setdefault(note.fold, set()).update(note.tested_people)
        ratios[note.fold] = note.tested_clips / note.trained_clips
    everybody = [person for people in tested.values() for person in people]
    if len(everybody) == len({*everybody}) or not ratios:
        return None
    return sum(ratios.values()) / len(ratios)


def _options(settings: Settings, *without: str) -> dict[str, Any]:
    """Return what settings say as JSON, without defaults, so that new ones change nothing."""
    dumped = settings.model_dump(mode="json", exclude_defaults=True, exclude={*without})
    return json.loads(json.dumps(dumped))  # type: ignore[no-any-return]


def _data_options(data: DataSet) -> dict[str, Any]:
    """Options of a data set; where its files lie says nothing about what is in them."""
    places = [name for name in type(data).model_fields if isinstance(getattr(data, name), Path)]
    return _options(data, "name", *places)
