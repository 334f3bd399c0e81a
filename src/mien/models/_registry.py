"""Models by name, with what a table of them says."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args, get_type_hints

import torch
from torch import nn

from mien.errors import OptionError
from mien.models._base import Model, Task, check_modalities

_Class = TypeVar("_Class", bound=type[Model])
_PER: tuple[Literal["clip", "frame"], ...] = ("clip", "frame")
# The categories that parameters are counted for.
COUNTED = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")


@dataclass(frozen=True)
class Entry:
    """A model of the registry.

    Attributes:
        model: its class.
        paper: where it comes from, authors and year.
        missing: what stands for a modality that is missing, a clause.
    """

    model: type[Model]
    paper: str
    missing: str


_MODELS: dict[str, Entry] = {}


def register(name: str, *, paper: str, missing: str) -> Callable[[_Class], _Class]:
    """Class decorator that makes a model available under a name; see `Entry`."""

    def keep(model: _Class) -> _Class:
        if name in _MODELS:
            raise ValueError(f"two models are called {name}")
        _MODELS[name] = Entry(model, paper, missing)
        return model

    return keep


def list_models() -> tuple[str, ...]:
    """The names of all models, sorted."""
    return tuple(sorted(_MODELS))


def create_model(
    name: str, *, task: Task, modalities: Mapping[str, int], **options: object
) -> Model:
    """A model with fresh weights.

    Args:
        name: one of `list_models`.
        task: what it is to say.
        modalities: feature size of each modality, as ``{"audio": 74, "video": 35}``.
        options: the model's own keyword options; its class documents them.

    Raises:
        OptionError: no model has that name, it has no such option, or its mathematics forbids the
            task or the modalities.
    """
    model = _entry(name).model
    known = option_names(model)
    if unknown := sorted(set(options) - known):
        raise OptionError(
            f"{name} has no option {', '.join(unknown)}",
            advice=f"it has {', '.join(sorted(known)) or 'none'}",
        )
    return model(task, modalities, **options)


def option_names(module: type[nn.Module]) -> frozenset[str]:
    """Keyword options of a module, those included that it hands on to its bases or its parts."""
    names: set[str] = set()
    if issubclass(module, Model):
        names.update(*map(option_names, module.hands_options_to))
    for kind in module.__mro__:
        if "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(vars(kind)["__init__"]).parameters.values()
        names |= {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        rest = [p.name for p in parameters if p.kind is p.VAR_KEYWORD]
        if not rest:
            break
        listed = get_args(get_type_hints(vars(kind)["__init__"])[rest[0]])  # of Unpack[…]
        if listed:
            names |= set(get_type_hints(listed[0]))
            break
    return frozenset(names)


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
    """What there is to say about a model; nothing of its size is allocated.

    Args:
        name: one of `list_models`.
        modalities: feature size of each modality.

    Raises:
        OptionError: no model has that name, or it cannot have those modalities.
    """
    check_modalities(modalities)
    entry, tasks, parameters = _entry(name), [], 0
    for per in _PER:
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


def _entry(name: str) -> Entry:
    if name not in _MODELS:
        raise OptionError(f"no model is called {name}", advice=f"choose from {list_models()}")
    return _MODELS[name]
