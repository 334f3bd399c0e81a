"""Criteria: how far scores are from a target that may have holes, as signals do.

A label is missing where a dimension is NaN, a class index is -100 (the ignore index) or a
distribution over classes holds a NaN; the padding of a batch is filled with the same. Such places
count for nothing, and if nothing is left the criterion is zero, with a gradient of zero.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.annotations import check_values, read_hints
from mien.errors import OptionError
from mien.layers.concordance import ccc_loss
from mien.registry import Registry, check_options

UNLABELLED = -100
Criterion = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Of scores ``(…, names)``, a target, and ``(…)`` bool of where they count (None: everywhere)."""

Over = Literal["sequence", "batch", "everything"]


def cross_entropy(
    scores: Tensor, target: Tensor, where: Tensor | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Compute the cross-entropy to class indices, or to distributions that have no hole.

    Args:
        scores: ``(…, names)`` logits.
        target: ``(…)`` class indices, or ``(…, names)`` soft labels, proportions that sum to one.
        where: ``(…)`` bool, which places count; None for all.
        label_smoothing: fraction of the target spread over all classes (Szegedy et al. 2016,
            "Rethinking the Inception architecture", section 7); from 0 to 1.

    Returns:
        A scalar, the mean over what counts.

    Raises:
        OptionError: soft labels of another shape than the scores, or such a smoothing does not
            exist.
    """
    if not 0 <= label_smoothing <= 1:
        raise OptionError(f"labels cannot be smoothed by {label_smoothing}", advice="from 0 to 1")
    if target.is_floating_point():
        rows = _find_labelled(scores, target, where).all(dim=-1)
    else:
        rows = target != UNLABELLED
        rows = rows if where is None else rows & where
    kept = scores[rows]
    if not len(kept):
        return kept.sum()
    return F.cross_entropy(kept, target[rows], label_smoothing=label_smoothing)


def squared_error(scores: Tensor, target: Tensor, where: Tensor | None = None) -> Tensor:
    """Compute the mean squared error over the numbers that are labelled.

    Args:
        scores: ``(…, names)``.
        target: the same shape.
        where: ``(…)`` bool, which places count; None for all.

    Returns:
        A scalar.

    Raises:
        OptionError: the target holds no numbers, or has another shape.
    """
    known = _find_labelled(scores, target, where)
    return _gap(scores, target, known).square().sum() / known.sum().clamp(min=1)


def absolute_error(scores: Tensor, target: Tensor, where: Tensor | None = None) -> Tensor:
    """Compute the mean absolute error over labelled numbers; arguments as `squared_error`."""
    known = _find_labelled(scores, target, where)
    return _gap(scores, target, known).abs().sum() / known.sum().clamp(min=1)


def concordance(
    scores: Tensor, target: Tensor, where: Tensor | None = None, *, over: Over = "batch"
) -> Tensor:
    """Compute one minus concordance (population), averaged over series.

    Args:
        scores: ``(batch, time, names)`` per frame or ``(batch, names)`` per clip.
        target: the same shape.
        where: the shape without names, bool, which places count; None for all.
        over: what is one series: of each item and dimension its own ``sequence`` over time; of
            each dimension the whole ``batch``; or ``everything``, dimensions too.

    Returns:
        A scalar from 0 to 2. Series without two known numbers are left out.

    Raises:
        OptionError: a sequence is asked for where answers are per clip, there is no such series,
            the target holds no numbers, or has another shape.
    """
    known = _find_labelled(scores, target, where)
    if over == "sequence":
        if scores.ndim < 3:
            raise OptionError(
                "answers per clip have no sequence", advice="take the concordance over the batch"
            )
    elif over == "batch":
        scores, target, known = (part.flatten(0, -2) for part in (scores, target, known))
    elif over == "everything":
        scores, target, known = (part.reshape(-1, 1) for part in (scores, target, known))
    else:
        raise OptionError(
            f"no concordance over {over}", advice="choose sequence, batch or everything"
        )
    return ccc_loss(scores, target, dim=-2, valid=known) * known.any()


CRITERIA: Registry[Callable[..., Tensor]] = Registry("criterion", group="mien.criteria")
Function = TypeVar("Function", bound=Callable[..., Tensor])


def register_criterion(name: str) -> Callable[[Function], Function]:
    """Register a criterion; decorate a function of ``scores``, ``target`` and ``where``.

    Its keyword-only parameters are the options that settings may give.

    Args:
        name: by which settings ask for it.

    Raises:
        OptionError: (the decorator) the name is taken.

    Example:
        >>> @register_criterion("bias")
        ... def bias(scores, target, where=None, *, power: float = 1.0):
        ...     return (scores - target).mean().abs() ** power
        >>> criterion("bias", power=2.0)(torch.ones(1, 1), torch.zeros(1, 1), None)
        tensor(1.)
    """

    def register(function: Function) -> Function:
        CRITERIA.register(name, function)
        return function

    return register


register_criterion("cross_entropy")(cross_entropy)
register_criterion("squared_error")(squared_error)
register_criterion("absolute_error")(absolute_error)
register_criterion("ccc")(concordance)


def criterion(name: str, **options: object) -> Criterion:
    """Find a criterion by its name and set its options.

    Args:
        name: of the criterion.
        options: keyword arguments of that function.

    Raises:
        OptionError: there is no such criterion, it has no such option, one that it needs is not
            given, or a value does not fit its annotation.
    """
    function = CRITERIA[name]
    known = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    needed = [parameter.name for parameter in known if parameter.default is parameter.empty]
    check_options(name, options, [parameter.name for parameter in known], needed)
    check_values(name, options, read_hints(function))
    return partial(function, **options)


def _find_labelled(scores: Tensor, target: Tensor, where: Tensor | None) -> Tensor:
    """``(…, names)`` bool: which numbers of the target count."""
    if not target.is_floating_point():
        raise OptionError("class indices are no numbers", advice="use cross-entropy for categories")
    if scores.shape != target.shape:
        raise OptionError(
            f"scores {tuple(scores.shape)} and target {tuple(target.shape)} differ in shape"
        )
    known = ~target.isnan()
    return known if where is None else known & where.unsqueeze(-1)


def _gap(scores: Tensor, target: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, scores - torch.where(known, target, 0.0), 0.0)
