"""Trained models of our own, with what they need to be built again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from mien import weights
from mien.errors import WeightError
from mien.models._base import Model, Task
from mien.models._registry import create_model


def list_trained() -> tuple[str, ...]:
    """The names of all weights that hold a whole model."""
    return tuple(name for name, file in weights.trained().items() if _card(file.path))


def load_model(name: str) -> Model:
    """A trained model, in evaluation mode.

    Args:
        name: of the weights, as in `mien.weights.status`.

    Raises:
        WeightError: there are no such weights, or they are not what they should be.
    """
    path = weights.locate(name)
    card = _card(path)
    if card is None:
        raise WeightError(
            f"{name} holds no model", path=path, advice="choose another with `mien models`"
        )
    task = Task(card["kind"], tuple(card["names"]), card["per"])
    model = create_model(card["architecture"], task=task, modalities=card["modalities"])
    model.load_state_dict(weights.load(name), strict=True)
    return model.eval()


def _card(path: Path) -> dict[str, Any] | None:
    """What the header of a weight file says about the model in it, if there is one."""
    with safe_open(path, framework="pt") as archive:
        notes = archive.metadata() or {}
    card: dict[str, Any] | None = json.loads(notes["model"]) if "model" in notes else None
    return card
