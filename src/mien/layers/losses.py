"""Losses over what is labelled: a target may have holes, as signals do.

Nobody knows the label where a dimension is NaN, a class index is -100 or a distribution over
classes holds a NaN. Such places count for nothing, and if nothing is left the loss is zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

UNLABELLED = -100
Loss = Callable[[Tensor, Tensor], Tensor]


def squared_error(scores: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the numbers that are labelled; any equal shapes, a scalar."""
    return _gap(scores, target).square().sum() / _count(target)


def absolute_error(scores: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over the numbers that are labelled; any equal shapes, a scalar."""
    return _gap(scores, target).abs().sum() / _count(target)


def labelled(target: Tensor, names: int) -> Tensor:
    """Where anything is labelled.

    Args:
        target: ``(…)`` class indices, or ``(…, names)`` numbers.
        names: how many classes or dimensions.

    Returns:
        ``(…)`` bool, without the axis of names.
    """
    if not target.is_floating_point():
        return target != UNLABELLED
    if target.shape[-1] != names:
        raise ValueError(f"the last axis of the target must hold {names} numbers")
    return ~target.isnan().all(dim=-1)


def over_labelled(
    loss: Loss, scores: Tensor, target: Tensor, where: Tensor | None = None
) -> Tensor:
    """A loss over the items or steps that are labelled.

    Args:
        loss: of ``(items, names)`` scores and their targets.
        scores: ``(…, names)``.
        target: ``(…)`` class indices, or ``(…, names)`` numbers.
        where: ``(…)`` bool, further places to leave out where False.

    Returns:
        A scalar; zero, with a gradient of zero, where nothing is left.
    """
    rows = labelled(target, scores.shape[-1])
    rows = rows if where is None else rows & where
    kept = scores[rows]
    return loss(kept, target[rows]) if len(kept) else kept.sum()


def cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy to class indices or to distributions; a distribution with a hole counts not."""
    if not target.is_floating_point():
        return F.cross_entropy(scores, target)
    whole = ~target.isnan().any(dim=-1)
    return F.cross_entropy(scores[whole], target[whole]) if bool(whole.any()) else 0 * scores.sum()


def _gap(scores: Tensor, target: Tensor) -> Tensor:
    known = ~target.isnan()
    return torch.where(known, scores - torch.where(known, target, 0.0), 0.0)


def _count(target: Tensor) -> Tensor:
    return (~target.isnan()).sum().clamp(min=1)
