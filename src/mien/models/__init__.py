"""The models; one file per paper, imported when first asked for by name."""

from mien.models._base import Model, Prediction
from mien.models._official import from_official
from mien.models._registry import (
    COUNTED,
    MODELS,
    ModelFacts,
    check_model_options,
    create_model,
    describe_model,
    list_models,
    register_model,
)
from mien.models._task import Task
from mien.models._windows import predict_in_windows
from mien.models.linear_probe import Description, LinearProbe

__all__ = [
    "COUNTED",
    "MODELS",
    "Description",
    "LinearProbe",
    "Model",
    "ModelFacts",
    "Prediction",
    "Task",
    "check_model_options",
    "create_model",
    "describe_model",
    "from_official",
    "list_models",
    "predict_in_windows",
    "register_model",
]
