"""Concordance of two series of numbers, as a measure and as a loss.

All moments are divided by N (population) unless asked otherwise: the concordance coefficient of Lin
(1989), "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 255-268,
for finite samples differs between N and N - 1 wherever the means differ, so every report has to say
which one it gives. Deviations are taken from the mean before they are squared (two passes), because
the difference of large sums cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Means, variances and covariance along an axis, kept with length one.

    Attributes:
        count: valid steps.
        mean_gap: mean of the prediction less mean of the target.
        variance_a: of the prediction.
        variance_b: of the target.
        covariance: of both.
    """

    count: Tensor
    mean_gap: Tensor
    variance_a: Tensor
    variance_b: Tensor
    covariance: Tensor


def ccc(
    prediction: Tensor,
    target: Tensor,
    *,
    dim: int = -1,
    valid: Tensor | None = None,
    ddof: int = 0,
    undefined: float = float("nan"),
) -> Tensor:
    """Compute the concordance correlation coefficient.

    ``2 s_xy / (s_xx + s_yy + (mean_x - mean_y) ** 2)`` with variances divided by ``N - ddof``. One
    constant series, or two different ones, agree by exactly 0.

    Example:
        >>> ccc(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 3.0, 4.0]))
        tensor(0.5714, dtype=torch.float64)

    Args:
        prediction: any shape.
        target: the same shape. Where it is NaN the step counts as not valid.
        dim: the axis of the series.
        valid: True where a step counts; broadcast to the shape. Nothing means everywhere.
        ddof: 0 for the population, 1 for the sample form of MuSe's evaluation and torchmetrics.
        undefined: the value where nothing is valid or both series are the same constant.

    Returns:
        float64, the shape without ``dim``, from -1 to 1. NaN where a valid prediction is NaN.
    """
    found = moments(prediction.double(), target.double(), dim, valid, ddof)
    below = found.variance_a + found.variance_b + found.mean_gap.square()
    defined = (below != 0) & (found.count > ddof)
    value = 2 * found.covariance / torch.where(defined, below, 1.0)
    return torch.where(defined, value, undefined).squeeze(dim)


def ccc_loss(
    prediction: Tensor, target: Tensor, *, dim: int = -1, valid: Tensor | None = None
) -> Tensor:
    """Compute ``1 - ccc`` (population), averaged over all series that can be scored.

    Series without two valid steps, or whose prediction and target are the same constant, are left
    out of the mean; if that is all of them the loss is 1 and has no slope.

    Args:
        prediction: any shape.
        target: the same shape; NaN where there is no label.
        dim: the axis of the series.
        valid: True where a step counts.

    Returns:
        A scalar from 0 to 2 of the prediction's type (float32 at least).
    """
    wide = torch.promote_types(prediction.dtype, torch.float32)
    found = moments(prediction.to(wide), target.to(wide), dim, valid, ddof=0)
    below = found.variance_a + found.variance_b + found.mean_gap.square()
    defined = (found.count > 1) & (below != 0)
    value = 2 * found.covariance / torch.where(defined, below, 1.0)
    kept = torch.where(defined, value, 0.0).sum()
    return 1 - kept / defined.sum().clamp(min=1)


def find_known(target: Tensor, valid: Tensor | None) -> Tensor:
    """Find where a step counts: it has a label and nothing says otherwise."""
    labelled = ~target.isnan()
    return labelled if valid is None else labelled & valid


def moments(
    prediction: Tensor, target: Tensor, dim: int, valid: Tensor | None, ddof: int
) -> Moments:
    """Compute moments of two series; differences from the mean are exact for constants.

    Args:
        prediction: any shape.
        target: the same shape; NaN where there is no label.
        dim: the axis of the series.
        valid: True where a step counts.
        ddof: 0 for the population, 1 for the sample.

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape"
        )
    mask = find_known(target, valid)
    count = mask.sum(dim, keepdim=True)
    mean_a, apart_a = _centre(prediction, mask, count, dim)
    mean_b, apart_b = _centre(target, mask, count, dim)
    divisor = (count - ddof).clamp(min=1)
    return Moments(
        count,
        mean_a - mean_b,
        apart_a.square().sum(dim, keepdim=True) / divisor,
        apart_b.square().sum(dim, keepdim=True) / divisor,
        (apart_a * apart_b).sum(dim, keepdim=True) / divisor,
    )


def _centre(values: Tensor, mask: Tensor, count: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Mean and deviations from it; exact for constants, whose rounded mean may be off."""
    covered = torch.where(mask, values, 0.0)
    mean = covered.sum(dim, keepdim=True) / count.clamp(min=1)
    low = torch.where(mask, values, float("inf")).amin(dim, keepdim=True).detach()
    high = torch.where(mask, values, float("-inf")).amax(dim, keepdim=True).detach()
    # Only the rounding is taken away: the slope stays that of the mean.
    mean = torch.where(low == high, mean + (low - mean.detach()), mean)
    return mean, torch.where(mask, values - mean, 0.0)
