"""Models by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from mien.errors import OptionError
from mien.models._base import Model, Task

_MODELS: dict[str, type[Model]] = {}
_Class = TypeVar("_Class", bound=type[Model])


def register(name: str) -> Callable[[_Class], _Class]:
    """Class decorator that makes a model available under a name."""

    def keep(model: _Class) -> _Class:
        if name in _MODELS:
            raise ValueError(f"two models are called {name}")
        _MODELS[name] = model
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
        OptionError: no model has that name.
    """
    if name not in _MODELS:
        raise OptionError(f"no model is called {name}", advice=f"choose from {list_models()}")
    return _MODELS[name](task, modalities, **options)
