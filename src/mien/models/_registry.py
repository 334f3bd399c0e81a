"""Models by name, with what a table of them says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, get_args

import torch

from mien.errors import OptionError
from mien.models._base import Model, check_modalities
from mien.models._options import check_module_options
from mien.models._task import Per, Task
from mien.registry import Registry

_Class = TypeVar("_Class", bound=type[Model])
_BUILT_IN = tuple(
    f"mien.models.{module}"
    for module in (
        "auxformer",
        "cross_attention",
        "feature_fusion",
        "late_lstm",
        "linear_probe",
        "mater",
        "mmte",
        "mult",
        "sfav",
        "tav",
        "tlstm",
        "uavm",
        "vavl",
    )
)
# The categories that parameters are counted for.
COUNTED = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")


@dataclass(frozen=True)
class RegisteredModel:
    """A model of the registry.

    Attributes:
        model: its class.
        paper: where it comes from, authors and year.
        missing: what stands for a modality that is missing, a clause.
    """

    model: type[Model]
    paper: str
    missing: str


MODELS: Registry[RegisteredModel] = Registry("model", group="mien.models", modules=_BUILT_IN)


def register_model(name: str, *, paper: str = "", missing: str = "") -> Callable[[_Class], _Class]:
    """Make a subclass of `Model` available under a name, as a decorator of the class.

    Args:
        name: what `create_model`, an experiment's YAML and ``mien train`` call it.
        paper: where it comes from, authors and year.
        missing: what stands for a modality that is missing, a clause.

    Raises:
        OptionError: another model has that name, or the class is no model.

    Example:
        >>> from mien.models import Prediction
        >>> @register_model("silent", missing="nothing")
        ... class Silent(Model):
        ...     def forward(self, signals):
        ...         self.require_anything(signals)
        ...         return Prediction(torch.zeros(signals.batch, len(self.task.names)))
    """

    def add(model: _Class) -> _Class:
        if not (isinstance(model, type) and issubclass(model, Model)):
            raise OptionError(f"{name} is no model", advice="make a subclass of mien.Model")
        if model.__module__ not in _BUILT_IN:
            list_models()  # so that whoever comes last, not mien, is told that a name is taken
        MODELS.register(name, RegisteredModel(model, paper, missing))
        return model

    return add


def list_models() -> tuple[str, ...]:
    """List the names of all models, sorted."""
    return tuple(MODELS)


def create_model(
    name: str, *, task: Task, modalities: Mapping[str, int], **options: object
) -> Model:
    """Build a model with fresh weights.

    Args:
        name: one of `list_models`.
        task: what it is to say.
        modalities: feature size of each modality, as ``{"audio": 74, "video": 35}``.
        options: the model's own keyword options; its class documents them.

    Raises:
        OptionError: no model has that name, it has no such option, or its mathematics forbids the
            task or the modalities.

    Example:
        >>> model = create_model(
        ...     "mater", task=Task.emotions(("anger", "fear")), modalities={"audio": 4, "video": 3}
        ... )
        >>> tuple(model({"audio": torch.zeros(2, 8, 4)}).scores.shape)
        (2, 2)
    """
    check_model_options(name, options)
    return MODELS[name].model(task, modalities, **options)


def check_model_options(name: str, options: Mapping[str, object]) -> None:
    """Check the options of a model where they are written, without building it.

    Names are checked, and values as far as the annotations of the model's class tell.

    Args:
        name: one of `list_models`.
        options: as for `create_model`; lists stand for tuples, as in YAML.

    Raises:
        OptionError: no model has that name, it has no such option, one that it needs is lacking,
            or a value is of another kind.

    Example:
        >>> check_model_options("mater", {"widht": 8})
        Traceback (most recent call last):
        mien.errors.OptionError: mater has no option 'widht'; did you mean width?
    """
    check_module_options(name, MODELS[name].model, options)


@dataclass(frozen=True)
class ModelFacts:
    """One row of the table of models.

    Attributes:
        name: of the model.
        paper: where it comes from.
        parameters: trainable numbers, for the given sizes and the `COUNTED` emotions per clip.
        tasks: those that its mathematics allows, as ``categories per clip``.
        missing: what stands for a modality that is missing.
    """

    name: str
    paper: str
    parameters: int
    tasks: tuple[str, ...]
    missing: str


def describe_model(name: str, modalities: Mapping[str, int]) -> ModelFacts:
    """Say what a table of models says of one; nothing of its size is allocated.

    Args:
        name: one of `list_models`.
        modalities: feature size of each modality.

    Raises:
        OptionError: no model has that name, or it cannot have those modalities.
    """
    check_modalities(modalities)
    entry, tasks, parameters = MODELS[name], [], 0
    for per in get_args(Per):
        for task in (Task.emotions(COUNTED, per), Task("dimensions", ("arousal", "valence"), per)):
            try:
                with torch.device("meta"):
                    model = entry.model(task, modalities)
            except OptionError:
                continue
            parameters = parameters or sum(p.numel() for p in model.parameters())
            tasks.append(f"{task.kind} per {task.per}")
    if not tasks:
        raise OptionError(f"{name} cannot have the modalities {dict(modalities)}")
    return ModelFacts(name, entry.paper, parameters, tuple(tasks), entry.missing)
