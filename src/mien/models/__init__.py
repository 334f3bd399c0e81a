"""The models; one file per paper, imported when first asked for by name."""

from mien.models._base import Model, Prediction
from mien.models._official import from_official
from mien.models._registry import (
    COUNTED,
    ModelFacts,
    check_model_options,
    create_model,
    describe_model,
    list_models,
    register_model,
)
from mien.models._task import Task
from mien.models._windows import predict_in_windows
from mien.models.linear_probe import Description, LinearProbe, PersonBaseline
from mien.models.pretrained import list_trained, load_model

__all__ = [
    "COUNTED",
    "Description",
    "LinearProbe",
    "Model",
    "ModelFacts",
    "PersonBaseline",
    "Prediction",
    "Task",
    "check_model_options",
    "create_model",
    "describe_model",
    "from_official",
    "list_models",
    "list_trained",
    "load_model",
    "predict_in_windows",
    "register_model",
]
