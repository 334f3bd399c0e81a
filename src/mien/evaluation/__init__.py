"""How well predictions agree with labels, and what differences are worth.

Metrics by name are in `mien.evaluation.measures`; tests and intervals in
`mien.evaluation.statistics`; pictures in `mien.evaluation.figures`.
"""

from mien.evaluation.categories import (
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    f1_macro,
    f1_micro,
    unweighted_average_recall,
)
from mien.evaluation.inspection import (
    cosine_distance,
    prediction_entropy,
    representation_entropy,
    response_time,
)
from mien.evaluation.measures import METRICS, Metric, measure, measure_dimensions, register_metric
from mien.evaluation.metrics import binary_accuracy, ccc_by_sequence, mae, pearson, rmse
from mien.layers.concordance import ccc, ccc_loss

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "binary_accuracy",
    "ccc",
    "ccc_by_sequence",
    "ccc_loss",
    "confusion_matrix",
    "cosine_distance",
    "expected_calibration_error",
    "f1_macro",
    "f1_micro",
    "mae",
    "measure",
    "measure_dimensions",
    "pearson",
    "prediction_entropy",
    "register_metric",
    "representation_entropy",
    "response_time",
    "rmse",
    "unweighted_average_recall",
]
