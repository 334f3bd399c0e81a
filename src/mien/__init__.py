"""mien: emotion from face and voice, and from whichever of the two is left."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mien._version import __version__
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.api import analyze
    from mien.card import Card
    from mien.datasets import register_dataset
    from mien.experiments.evaluating import evaluate
    from mien.experiments.laboratory import train
    from mien.features.extract import extract
    from mien.features.extractor import Extractor, FaceExtractor, SoundExtractor, register_extractor
    from mien.models import Model, Prediction, Task, create_model, list_models, register_model
    from mien.plugins import load_plugin
    from mien.recognition.recognizer import Recognizer
    from mien.signals import Sequence, Signals
    from mien.timeline import Timeline, read
    from mien.trained import TrainedModel, list_trained, load_model

# Loaded on first use: `import mien` stays quick, and the decoder's process never loads torch.
_LAZY = {
    "Card": "mien.card",
    "Extractor": "mien.features.extractor",
    "FaceExtractor": "mien.features.extractor",
    "Model": "mien.models",
    "Prediction": "mien.models",
    "Recognizer": "mien.recognition.recognizer",
    "Sequence": "mien.signals",
    "Signals": "mien.signals",
    "SoundExtractor": "mien.features.extractor",
    "Task": "mien.models",
    "Timeline": "mien.timeline",
    "TrainedModel": "mien.trained",
    "analyze": "mien.api",
    "create_model": "mien.models",
    "evaluate": "mien.experiments.evaluating",
    "extract": "mien.features.extract",
    "list_models": "mien.models",
    "list_trained": "mien.trained",
    "load_model": "mien.trained",
    "load_plugin": "mien.plugins",
    "read": "mien.timeline",
    "register_dataset": "mien.datasets",
    "register_extractor": "mien.features.extractor",
    "register_model": "mien.models",
    "train": "mien.experiments.laboratory",
}

__all__ = [
    "Card",
    "Extractor",
    "FaceExtractor",
    "MienError",
    "Model",
    "Prediction",
    "Recognizer",
    "Sequence",
    "Signals",
    "SoundExtractor",
    "Task",
    "Timeline",
    "TrainedModel",
    "__version__",
    "analyze",
    "create_model",
    "evaluate",
    "extract",
    "list_models",
    "list_trained",
    "load_model",
    "load_plugin",
    "read",
    "register_dataset",
    "register_extractor",
    "register_model",
    "train",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, "errors"})
