"""Agreement and error of two series of numbers; concordance is in `mien.layers.concordance`."""

from __future__ import annotations

import torch
from torch import Tensor

from mien.layers.concordance import known, moments


def pearson(
    prediction: Tensor, target: Tensor, *, dim: int = -1, valid: Tensor | None = None
) -> Tensor:
    """Pearson's correlation; NaN where a series is constant or nothing is valid.

    Args and shapes as `ccc`.
    """
    found = moments(prediction.double(), target.double(), dim, valid, ddof=0)
    below = found.variance_a.sqrt() * found.variance_b.sqrt()
    value = found.covariance / torch.where(below != 0, below, 1.0)
    return torch.where(below != 0, value, float("nan")).squeeze(dim)


def rmse(
    prediction: Tensor, target: Tensor, *, dim: int = -1, valid: Tensor | None = None
) -> Tensor:
    """Root of the mean squared error; NaN where nothing is valid. Args and shapes as `ccc`."""
    mask = known(target, valid)
    error = torch.where(mask, prediction.double() - target.double(), 0.0)
    return (error.square().sum(dim) / mask.sum(dim)).sqrt()


def mae(
    prediction: Tensor, target: Tensor, *, dim: int = -1, valid: Tensor | None = None
) -> Tensor:
    """Mean absolute error; NaN where nothing is valid. Args and shapes as `ccc`."""
    mask = known(target, valid)
    error = torch.where(mask, prediction.double() - target.double(), 0.0)
    return error.abs().sum(dim) / mask.sum(dim)
