"""An experiment from a table of recordings and a few words: what ``mien train study.csv`` runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mien.errors import OptionError
from mien.experiments.experiment import Experiment
from mien.experiments.places import find_places

DEFAULT_MODEL = "linear_probe"
EPOCHS, PATIENCE, BATCH_SIZE, RATE, CLIP = 60, 12, 16, 1e-3, 1.0

_FIGURES = {("categories", "clip"): ("confusion",), ("dimensions", "frame"): ("traces",)}

_ARGUMENTS = {
    "models.0.model": "model",
    "models.0.options": "option",
    "data.features": "feature",
    "data.count": "folds",
    "data.label": "label",
    "treatments.0.operation": "treatment",
    "training.epochs": "epochs",
    "seeds": "seeds",
}  # by the place in the experiment that each is written to

Feature = str | Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """What is asked of a table of recordings.

    Attributes:
        label: column, or columns of dimensions; None for what the table has.
        model: one of `mien.list_models`.
        options: of the model.
        features: by modality, an extractor's name, or its name and settings; empty for the default.
        treatment: operation of `mien.missing` on each batch of the training: a name, or name and
            options; None for nothing.
        epochs: at most; None for `EPOCHS`.
        seeds: of weights, order and noise; each is one more cross-validation.
        folds: how many, None for five, or those of the table.
    """

    label: str | Sequence[str] | None = None
    model: str = DEFAULT_MODEL
    options: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Feature] = field(default_factory=dict)
    treatment: Feature | None = None
    epochs: int | None = None
    seeds: Sequence[int] = (0,)
    folds: int | None = None


def plan_study(path: Path, study: Study, name: str = "") -> Experiment:
    """Plan the cross-validation of one model on a table of recordings.

    Args:
        path: of the table.
        study: what is asked.
        name: of the experiment; the table's own where empty.

    Raises:
        OptionError: something is asked that makes no sense; the message says what.
        MienError: the table is not as it should be.
    """
    given = {
        "name": name or path.stem,
        "title": (name or path.stem).replace("_", " "),
        "data": _describe_data(path, study),
        "models": [{"model": study.model, "options": dict(study.options)}],
        "training": {
            "epochs": EPOCHS if study.epochs is None else study.epochs,
            "patience": PATIENCE,
            "batch_size": BATCH_SIZE,
            "clip": CLIP,
            "optimizer": {"name": "adam", "rate": RATE},
        },
        "seeds": list(study.seeds),
    }
    if study.treatment is not None:
        given["treatments"] = [_describe_treatment(study.treatment)]
    try:
        experiment = Experiment.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"] if part != "function-plain")
        message = problem["msg"].removeprefix("Value error, ")
        raise OptionError(f"{_name_argument(place)}: {message}") from error
    task = experiment.data.resolve(find_places(path.parent)).task()
    figures = _FIGURES.get((task.kind, task.per), ())
    return experiment.model_copy(update={"figures": figures})


def _name_argument(place: str) -> str:
    """Say a place in the experiment as the argument that it is from."""
    for start, argument in _ARGUMENTS.items():
        if place == start or place.startswith(f"{start}."):
            rest = place.removeprefix(start).strip(".")
            return f"{argument} {rest}".strip()
    return place


def _describe_data(path: Path, study: Study) -> dict[str, Any]:
    data: dict[str, Any] = {"name": "manifest", "path": str(path.resolve())}
    if study.label is not None:
        data["label"] = study.label if isinstance(study.label, str) else list(study.label)
    if study.features:
        data["features"] = dict(study.features)
    if study.folds is not None:
        data["count"] = study.folds
    return data


def _describe_treatment(treatment: Feature) -> dict[str, Any]:
    if isinstance(treatment, str):
        return {"label": treatment, "operation": {"name": treatment}}
    options = {name: value for name, value in treatment.items() if name != "name"}
    return {
        "label": str(treatment.get("name")),
        "operation": {"name": treatment.get("name"), "options": options},
    }
