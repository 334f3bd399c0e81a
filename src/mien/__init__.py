"""mien: emotion from face and voice, and from whichever of the two is left."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mien._version import __version__
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.api import analyze
    from mien.models import Task, create_model, list_models
    from mien.recognition.recognizer import Recognizer
    from mien.timeline import Timeline, read

# Loaded on first use: `import mien` stays quick, and the decoder's process never loads torch.
_LAZY = {
    "Recognizer": "mien.recognition.recognizer",
    "Task": "mien.models",
    "Timeline": "mien.timeline",
    "analyze": "mien.api",
    "create_model": "mien.models",
    "list_models": "mien.models",
    "read": "mien.timeline",
}

__all__ = [
    "MienError",
    "Recognizer",
    "Task",
    "Timeline",
    "__version__",
    "analyze",
    "create_model",
    "list_models",
    "read",
]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mien' has no attribute {name!r}")
