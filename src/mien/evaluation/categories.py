"""How well categories are told: everything is counted from one confusion matrix.

Scores are logits. The target holds class indices, -100 where nobody knows; or shares of raters,
NaN where nobody knows, of which the largest share is the label. Where two shares are the largest
there is no label, and the item counts for nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mien.evaluation._arrays import Floats, Numbers, double, tensor
from mien.layers.losses import UNLABELLED


def confusion(scores: Numbers, target: Numbers) -> Floats:
    """How often each category was taken for each.

    Args:
        scores: ``(…, names)`` logits.
        target: ``(…)`` class indices or ``(…, names)`` shares.

    Returns:
        ``(names, names)`` counts, labels in rows and predictions in columns. All NaN if a score
        of a labelled item is NaN: there is no prediction then, and no figure either.

    Raises:
        ValueError: the shapes do not go together, an index is none of the names, or a share is
            negative.
    """
    logits, gold = _labelled(scores, target)
    names = logits.shape[-1]
    if bool(logits.isnan().any()):
        return np.full((names, names), np.nan)
    cells = gold * names + logits.argmax(-1)
    return np.asarray(
        torch.bincount(cells, minlength=names**2).reshape(names, names), dtype=np.float64
    )


def accuracy(scores: Numbers, target: Numbers) -> float:
    """Share of labelled items that are told right, from 0 to 1; arguments as `confusion`."""
    counts = confusion(scores, target)
    return _ratio(np.trace(counts), counts.sum())


def f1_micro(scores: Numbers, target: Numbers) -> float:
    """F1 of all categories' hits and errors counted together, from 0 to 1.

    With one label per item every error is one false positive and one false negative, so this is
    the accuracy; it stands here because papers report it (VAVL, section 4.3).
    Arguments as `confusion`.
    """
    counts = confusion(scores, target)
    hits = np.trace(counts)
    errors = counts.sum() - hits
    return _ratio(2 * hits, 2 * hits + errors + errors)


def f1_macro(scores: Numbers, target: Numbers) -> float:
    """F1 of each category, meant over those that were labelled or predicted at all.

    From 0 to 1; NaN where nothing is labelled. Arguments as `confusion`.
    """
    counts = confusion(scores, target)
    either = counts.sum(0) + counts.sum(1)
    return _mean_ratio(2 * np.diag(counts), either)


def unweighted_average_recall(scores: Numbers, target: Numbers) -> float:
    """Recall of each category, meant over those that were labelled at all.

    Also called balanced accuracy; from 0 to 1, NaN where nothing is labelled. Arguments as
    `confusion`.
    """
    counts = confusion(scores, target)
    return _mean_ratio(np.diag(counts), counts.sum(1))


def expected_calibration_error(scores: Numbers, target: Numbers, *, bins: int = 15) -> float:
    """How far confidence is from accuracy.

    Items are sorted by the probability of the predicted category into ``bins`` bins of equal width,
    closed above; the gap between mean confidence and accuracy of each is weighted with its share of
    items. Guo et al. (2017), "On calibration of modern neural networks", equation 3.

    Args:
        scores: ``(…, names)`` logits.
        target: as for `confusion`.
        bins: how many.

    Returns:
        From 0 to 1; NaN where nothing is labelled or a score of a labelled item is NaN.

    Raises:
        ValueError: the shapes do not go together, an index is none of the names, or a share is
            negative.
    """
    logits, gold = _labelled(scores, target)
    if not len(gold) or bool(logits.isnan().any()):
        return float("nan")
    confidence, said = logits.softmax(-1).max(-1)
    surplus = confidence - (said == gold).double()
    inner = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]
    total = torch.zeros(bins, dtype=torch.float64)
    total.index_add_(0, torch.bucketize(confidence, inner), surplus)
    return float(total.abs().sum() / len(gold))


def _labelled(scores: Numbers, target: Numbers) -> tuple[Tensor, Tensor]:
    """The labelled items: ``(items, names)`` logits and ``(items,)`` class indices."""
    logits, gold = double(tensor(scores)), tensor(target)
    names = logits.shape[-1]
    if gold.is_floating_point():
        if gold.shape != logits.shape:
            raise ValueError(
                f"shares {tuple(gold.shape)} and scores {tuple(logits.shape)} differ in shape"
            )
        if bool((gold < 0).any()):
            raise ValueError("shares of categories cannot be negative; are these dimensions?")
        gold = _largest(gold)
    if gold.shape != logits.shape[:-1]:
        raise ValueError(f"scores {tuple(logits.shape)} do not fit indices {tuple(gold.shape)}")
    known = gold != UNLABELLED
    gold = gold[known].long()
    if len(gold) and not (int(gold.min()) >= 0 and int(gold.max()) < names):
        raise ValueError(f"a class index lies outside 0..{names - 1} and is not {UNLABELLED}")
    return logits[known], gold


def _largest(shares: Tensor) -> Tensor:
    """The index of the one largest share; unlabelled where there is no such."""
    top = shares.amax(-1, keepdim=True)
    single = (shares == top).sum(-1) == 1
    return torch.where(single, shares.argmax(-1), UNLABELLED)


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")


def _mean_ratio(above: Floats, below: Floats) -> float:
    """Mean of ratios over those with something below; NaN where there is none, or a NaN."""
    there = below != 0
    return float((above[there] / below[there]).mean()) if there.any() else float("nan")
