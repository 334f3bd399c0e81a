"""Metrics of categories: everything is counted from one confusion matrix.

Scores are logits. The target holds class indices, -100 for a missing label; or soft labels, the
proportions of the raters' votes, NaN for a missing label, of which the largest is the label. Where
two are the largest there is no label, and the item counts for nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mien.evaluation._arrays import Floats, Numbers, to_double, to_tensor
from mien.layers.losses import UNLABELLED


def confusion_matrix(scores: Numbers, target: Numbers) -> Floats:
    """Count the confusion matrix.

    Args:
        scores: ``(…, names)`` logits.
        target: ``(…)`` class indices or ``(…, names)`` soft labels.

    Returns:
        ``(names, names)`` counts, labels in rows and predictions in columns. All NaN if a score
        of a labelled item is NaN: there is no prediction then, and no figure either.

    Raises:
        ValueError: the shapes do not go together, an index is none of the names, or a soft
            label is negative.
    """
    logits, gold = _select_labelled(scores, target)
    names = logits.shape[-1]
    if bool(logits.isnan().any()):
        return np.full((names, names), np.nan)
    cells = gold * names + logits.argmax(-1)
    return np.asarray(
        torch.bincount(cells, minlength=names**2).reshape(names, names), dtype=np.float64
    )


def accuracy(scores: Numbers, target: Numbers) -> float:
    """Compute the accuracy over labelled items, from 0 to 1; arguments as `confusion_matrix`."""
    counts = confusion_matrix(scores, target)
    return _ratio(np.trace(counts), counts.sum())


def f1_micro(scores: Numbers, target: Numbers) -> float:
    """Compute the F1 of all categories' hits and errors counted together, from 0 to 1.

    With one label per item every error is one false positive and one false negative, so this is
    the accuracy; it stands here because papers report it (VAVL, section 4.3).
    Arguments as `confusion_matrix`.
    """
    counts = confusion_matrix(scores, target)
    hits = np.trace(counts)
    errors = counts.sum() - hits
    return _ratio(2 * hits, 2 * hits + errors + errors)


def f1_macro(scores: Numbers, target: Numbers) -> float:
    """Compute the F1 of each category, averaged over those that were labelled or predicted at all.

    From 0 to 1; NaN where nothing is labelled. Arguments as `confusion_matrix`.
    """
    counts = confusion_matrix(scores, target)
    either = counts.sum(0) + counts.sum(1)
    return _average_ratio(2 * np.diag(counts), either)


def unweighted_average_recall(scores: Numbers, target: Numbers) -> float:
    """Compute the recall of each category, averaged over those that were labelled at all.

    Also called balanced accuracy; from 0 to 1, NaN where nothing is labelled. Arguments as
    `confusion_matrix`.
    """
    counts = confusion_matrix(scores, target)
    return _average_ratio(np.diag(counts), counts.sum(1))


def expected_calibration_error(scores: Numbers, target: Numbers, *, bins: int = 15) -> float:
    """Compute how far confidence is from accuracy.

    Items are sorted by the probability of the predicted category into ``bins`` bins of equal width,
    closed above; the gap between mean confidence and accuracy of each is weighted with its fraction
    of the items. Guo et al. (2017), "On calibration of modern neural networks", equation 3.

    Args:
        scores: ``(…, names)`` logits.
        target: as for `confusion_matrix`.
        bins: how many.

    Returns:
        From 0 to 1; NaN where nothing is labelled or a score of a labelled item is NaN.

    Raises:
        ValueError: the shapes do not go together, an index is none of the names, or a soft
            label is negative.
    """
    logits, gold = _select_labelled(scores, target)
    if not len(gold) or bool(logits.isnan().any()):
        return float("nan")
    confidence, predicted = logits.softmax(-1).max(-1)
    surplus = confidence - (predicted == gold).double()
    inner = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]
    total = torch.zeros(bins, dtype=torch.float64)
    total.index_add_(0, torch.bucketize(confidence, inner), surplus)
    return float(total.abs().sum() / len(gold))


def _select_labelled(scores: Numbers, target: Numbers) -> tuple[Tensor, Tensor]:
    """Return the labelled items: ``(items, names)`` logits and ``(items,)`` class indices."""
    logits, gold = to_double(to_tensor(scores)), to_tensor(target)
    names = logits.shape[-1]
    if gold.is_floating_point():
        if gold.shape != logits.shape:
            raise ValueError(
                f"soft labels {tuple(gold.shape)} and scores {tuple(logits.shape)} differ in shape"
            )
        if bool((gold < 0).any()):
            raise ValueError("soft labels cannot be negative; are these dimensions?")
        gold = _find_largest(gold)
    if gold.shape != logits.shape[:-1]:
        raise ValueError(f"scores {tuple(logits.shape)} do not fit indices {tuple(gold.shape)}")
    known = gold != UNLABELLED
    gold = gold[known].long()
    if len(gold) and not (int(gold.min()) >= 0 and int(gold.max()) < names):
        raise ValueError(f"a class index lies outside 0..{names - 1} and is not {UNLABELLED}")
    return logits[known], gold


def _find_largest(soft: Tensor) -> Tensor:
    """Find the index of the one largest; -100 where there is no such."""
    top = soft.amax(-1, keepdim=True)
    single = (soft == top).sum(-1) == 1
    return torch.where(single, soft.argmax(-1), UNLABELLED)


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")


def _average_ratio(above: Floats, below: Floats) -> float:
    """Mean of ratios over those with something below; NaN where there is none, or a NaN."""
    there = below != 0
    return float((above[there] / below[there]).mean()) if there.any() else float("nan")
