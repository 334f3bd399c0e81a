"""Trained models of our own, with what they need to be built again."""

from __future__ import annotations

import json

from safetensors import safe_open

from mien import weights
from mien.errors import WeightError
from mien.models._base import Model, Task
from mien.models._registry import create_model


def load_model(name: str) -> Model:
    """A trained model, in evaluation mode.

    Args:
        name: of the weights, as in `mien.weights.status`.

    Raises:
        WeightError: there are no such weights, or they are not what they should be.
    """
    path = weights.locate(name)
    with safe_open(path, framework="pt") as archive:
        notes = archive.metadata() or {}
    if "model" not in notes:
        raise WeightError(
            f"{name} holds no model", path=path, advice="choose another with `mien models`"
        )
    card = json.loads(notes["model"])
    task = Task(card["kind"], tuple(card["names"]), card["per"])
    model = create_model(card["architecture"], task=task, modalities=card["modalities"])
    model.load_state_dict(weights.load(name), strict=True)
    return model.eval()
