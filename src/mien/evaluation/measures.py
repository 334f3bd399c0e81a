"""Every metric by name, with its direction: one way to score a prediction of any task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar, get_args

import numpy as np
from torch import Tensor

from mien.errors import OptionError
from mien.evaluation import categories, metrics
from mien.evaluation._arrays import Floats, Numbers, to_double, to_floats, to_tensor
from mien.layers.concordance import ccc
from mien.registry import Registry, nearest

Kind = Literal["categories", "dimensions"]


@dataclass(frozen=True)
class Metric:
    """One way to score predictions against targets.

    Attributes:
        kind: the kind of task it scores.
        higher_is_better: its direction.
        title: for the axis of a figure or the head of a table.
        score: of ``scores`` and ``target``: one number for categories, one for each name for
            dimensions.
    """

    kind: Kind
    higher_is_better: bool
    title: str
    score: Callable[[Numbers, Numbers], float | Floats]


METRICS: Registry[Metric] = Registry(
    "metric", group="mien.metrics", modules=("mien.evaluation.measures",)
)
Score = TypeVar("Score", bound=Callable[[Numbers, Numbers], float | Floats])


def register_metric(
    name: str, kind: Kind, *, title: str = "", higher_is_better: bool = True
) -> Callable[[Score], Score]:
    """Register a metric; decorate the function of ``scores`` and ``target`` that computes it.

    Args:
        name: by which an experiment asks for it.
        kind: of the tasks that it scores; see `measure` for what the function is given.
        title: for tables and figures; the name where empty.
        higher_is_better: its direction.

    Raises:
        OptionError: the kind is unknown, or (the decorator) the name is taken.

    Example:
        >>> @register_metric("error_rate", "categories", higher_is_better=False)
        ... def error_rate(scores, target):
        ...     return 1 - categories.accuracy(scores, target)
        >>> measure("error_rate", np.eye(2), np.array([0, 0]), kind="categories")
        0.5
    """
    if kind not in get_args(Kind):
        raise OptionError(f"no task is of kind {kind!r}", advice=nearest(kind, get_args(Kind)))

    def register(score: Score) -> Score:
        METRICS.register(name, Metric(kind, higher_is_better, title or name, score))
        return score

    return register


def measure(name: str, scores: Numbers, target: Numbers, *, kind: Kind) -> float:
    """Score predictions by the name of a metric.

    Args:
        name: one of `METRICS`.
        scores: ``(n, names)`` or ``(n, time, names)``: logits of categories, values of dimensions.
        target: class indices without the last axis (-100 for a missing label) or soft labels for
            categories; the shape of the scores for dimensions (NaN for a missing label). Padded
            steps have to be marked in the same way.
        kind: of the task, as `mien.models.Task.kind`; a metric for the other kind is refused.

    Returns:
        One number; for dimensions the mean over the names. NaN where it is not defined, or where
        a score is NaN though there is a label.

    Raises:
        OptionError: there is no such metric, or it does not score this kind of task.
        ValueError: the shapes or the values do not go together.
    """
    return float(np.mean(_find_metric(name, kind).score(scores, target)))


def measure_dimensions(name: str, scores: Numbers, target: Numbers) -> Floats:
    """Score each dimension on its own; arguments and errors as `measure`.

    Returns:
        ``(names,)``, in the order of the scores.
    """
    return np.asarray(_find_metric(name, "dimensions").score(scores, target), dtype=np.float64)


def _find_metric(name: str, kind: Kind) -> Metric:
    metric = METRICS[name]
    if metric.kind != kind:
        fitting = ", ".join(known for known, other in METRICS.items() if other.kind == kind)
        raise OptionError(f"{name} does not score {kind}", advice=f"choose from {fitting}")
    return metric


def _score_end_to_end(function: Callable[..., Tensor], scores: Numbers, target: Numbers) -> Floats:
    """Score series with all items and steps put end to end, one number for each name."""
    values, gold = to_double(to_tensor(scores)), to_double(to_tensor(target))
    if values.shape != gold.shape:
        raise ValueError(f"scores {tuple(values.shape)} and target {tuple(gold.shape)} differ")
    names = values.shape[-1]
    return to_floats(function(values.reshape(-1, names), gold.reshape(-1, names), dim=0))


def _score_by_sequence(scores: Numbers, target: Numbers) -> Floats:
    return to_floats(metrics.ccc_by_sequence(to_tensor(scores), to_tensor(target)))


def _make_categorical(
    title: str, score: Callable[[Numbers, Numbers], float], *, higher_is_better: bool = True
) -> Metric:
    return Metric("categories", higher_is_better, title, score)


def _make_dimensional(
    title: str, function: Callable[..., Tensor], *, higher_is_better: bool = True
) -> Metric:
    return Metric("dimensions", higher_is_better, title, partial(_score_end_to_end, function))


_BUILT_IN = {
    "accuracy": _make_categorical("accuracy", categories.accuracy),
    "f1_micro": _make_categorical("micro F1", categories.f1_micro),
    "f1_macro": _make_categorical("macro F1", categories.f1_macro),
    "uar": _make_categorical("unweighted average recall", categories.unweighted_average_recall),
    "ece": _make_categorical(
        "expected calibration error",
        categories.expected_calibration_error,
        higher_is_better=False,
    ),
    "ccc": _make_dimensional("concordance", ccc),
    "ccc_by_sequence": Metric(
        "dimensions", True, "concordance, mean over sequences", _score_by_sequence
    ),
    "pearson": _make_dimensional("Pearson's correlation", metrics.pearson),
    "rmse": _make_dimensional("root mean squared error", metrics.rmse, higher_is_better=False),
    "mae": _make_dimensional("mean absolute error", metrics.mae, higher_is_better=False),
    "binary_accuracy": _make_dimensional(
        "binary accuracy", partial(metrics.binary_accuracy, zeros=True)
    ),
    "binary_accuracy_without_zeros": _make_dimensional(
        "binary accuracy without zeros", partial(metrics.binary_accuracy, zeros=False)
    ),
}
for _name, _metric in _BUILT_IN.items():
    METRICS.register(_name, _metric)
