"""mien: emotion from face and voice, and from whichever of the two is left."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mien._version import __version__
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.api import analyze
    from mien.features.extract import extract
    from mien.features.extractor import register_extractor
    from mien.formats import read
    from mien.models import Model, Prediction, Task, create_model, list_models, register_model
    from mien.recognition.recognizer import Recognizer
    from mien.signals import Sequence, Signals
    from mien.timeline import Timeline

# Loaded on first use: `import mien` stays quick, and the decoder's process never loads torch.
_LAZY = {
    "Model": "mien.models",
    "Prediction": "mien.models",
    "Recognizer": "mien.recognition.recognizer",
    "Sequence": "mien.signals",
    "Signals": "mien.signals",
    "Task": "mien.models",
    "Timeline": "mien.timeline",
    "analyze": "mien.api",
    "create_model": "mien.models",
    "extract": "mien.features.extract",
    "list_models": "mien.models",
    "read": "mien.formats",
    "register_extractor": "mien.features.extractor",
    "register_model": "mien.models",
}

__all__ = [
    "MienError",
    "Model",
    "Prediction",
    "Recognizer",
    "Sequence",
    "Signals",
    "Task",
    "Timeline",
    "__version__",
    "analyze",
    "create_model",
    "extract",
    "list_models",
    "read",
    "register_extractor",
    "register_model",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
