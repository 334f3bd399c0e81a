"""Agreement and error of two series of numbers; concordance is in `mien.layers.concordance`.

A target of NaN is a missing label, which counts for nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mien.evaluation._arrays import Numbers, to_double
from mien.layers.concordance import ccc, find_known, moments


def pearson(
    prediction: Numbers, target: Numbers, *, dim: int = -1, valid: Tensor | None = None
) -> Tensor:
    """Compute Pearson's correlation; NaN where a series is constant or nothing is valid.

    Args and shapes as `ccc`.
    """
    found = moments(to_double(prediction), to_double(target), dim, valid, ddof=0)
    below = found.variance_a.sqrt() * found.variance_b.sqrt()
    value = found.covariance / torch.where(below != 0, below, 1.0)
    return torch.where(below != 0, value, float("nan")).squeeze(dim)


def rmse(
    prediction: Numbers, target: Numbers, *, dim: int = -1, valid: Tensor | None = None
) -> Tensor:
    """Compute the root of the mean squared error; NaN where nothing is valid. Args as `ccc`."""
    gap, count = _subtract(prediction, target, dim, valid)
    return (gap.square().sum(dim) / count).sqrt()


def mae(
    prediction: Numbers, target: Numbers, *, dim: int = -1, valid: Tensor | None = None
) -> Tensor:
    """Compute the mean absolute error; NaN where nothing is valid. Args as `ccc`."""
    gap, count = _subtract(prediction, target, dim, valid)
    return gap.abs().sum(dim) / count


def ccc_by_sequence(prediction: Numbers, target: Numbers) -> Tensor:
    """Compute the concordance of each sequence over its time, averaged over the sequences.

    Sequences that cannot be scored (no label, or the same constant twice) are left out. This is not
    the concordance of all sequences put end to end, which also rewards telling sequences apart.

    Args:
        prediction: ``(n, time, names)``.
        target: the same shape; NaN for a missing label.

    Returns:
        ``(names,)`` float64, from -1 to 1; NaN where no sequence can be scored, or where a
        prediction is NaN.

    Raises:
        ValueError: there is no axis of time, or the shapes differ.
    """
    scores = to_double(prediction)
    if scores.ndim != 3:
        raise ValueError(f"needs (n, time, names), got {tuple(scores.shape)}")
    # Infinity marks what cannot be scored, so that a NaN of the prediction still shows.
    value = ccc(scores, to_double(target), dim=1, undefined=float("inf"))
    scored = ~value.isinf()
    return torch.where(scored, value, 0.0).sum(0) / scored.sum(0)


def binary_accuracy(prediction: Numbers, target: Numbers, *, zeros: bool, dim: int = -1) -> Tensor:
    """Compute the fraction of numbers on the right side of zero: sentiment as positive or not.

    The convention of Tsai et al. (2019), "Multimodal transformer for unaligned multimodal language
    sequences": positive is above zero, for label and prediction alike. Others call zero itself
    not-negative, which gives other figures.

    Args:
        prediction: any shape.
        target: the same shape; NaN for a missing label.
        zeros: True counts labels of exactly zero, as not positive; False leaves them out, as the
            figures for CMU-MOSEI do.
        dim: the axis to count over.

    Returns:
        float64, the shape without ``dim``, from 0 to 1; NaN where nothing counts or a prediction
        that counts is NaN.

    Raises:
        ValueError: the shapes differ.
    """
    scores, gold = to_double(prediction), to_double(target)
    _check_shapes(scores, gold)
    counts = find_known(gold, None) if zeros else find_known(gold, None) & (gold != 0)
    right = ((scores > 0) == (gold > 0)).double()
    right = torch.where(scores.isnan(), float("nan"), right)
    return torch.where(counts, right, 0.0).sum(dim) / counts.sum(dim)


def _subtract(
    prediction: Numbers, target: Numbers, dim: int, valid: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Prediction less target, zero where nothing counts; and how many count."""
    scores, gold = to_double(prediction), to_double(target)
    _check_shapes(scores, gold)
    mask = find_known(gold, valid)
    return torch.where(mask, scores - gold, 0.0), mask.sum(dim)


def _check_shapes(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape"
        )
