"""The models; one file per paper."""

from mien.models._base import Model, Prediction, Task
from mien.models._registry import create_model, list_models
from mien.models.linear_probe import Description, LinearProbe, PersonBaseline
from mien.models.pretrained import list_trained, load_model

__all__ = [
    "Description",
    "LinearProbe",
    "Model",
    "PersonBaseline",
    "Prediction",
    "Task",
    "create_model",
    "list_models",
    "list_trained",
    "load_model",
]
