"""What goes on inside: how sure the modalities are, how far apart, and how soon they are right."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.evaluation._arrays import Floats, Numbers, to_double, to_floats, to_tensor


def prediction_entropy(scores: Numbers, *, base: float = math.e) -> Floats:
    """Compute the entropy of predictions over the names.

    MATER, section 4.2.1, compares its mean over the clips between audio and video. The paper does
    not give the base of its logarithm.

    Args:
        scores: ``(…, names)`` logits, for instance of one modality.
        base: of the logarithm.

    Returns:
        ``(…)`` from 0 (sure) to ``log(names)`` (all names alike).
    """
    return to_floats(_softmax_entropy(to_double(to_tensor(scores))) / math.log(base))


def representation_entropy(
    hidden: Numbers, valid: Numbers | None = None, *, base: float = math.e
) -> Floats:
    """Compute the entropy of a layer's representation, taken over its features.

    MATER, equation 6: softmax over the features, then the entropy. The equation's sums repeat one
    index; we read it as one value per layer and time step, and average it over the steps.

    Args:
        hidden: ``(batch, time, features)`` of one layer.
        valid: ``(batch, time)`` bool, the steps that count. Nothing means all.
        base: of the logarithm.

    Returns:
        ``(batch,)`` from 0 to ``log(features)``; NaN where no step counts.
    """
    entropy = _softmax_entropy(to_double(to_tensor(hidden))) / math.log(base)
    counts = torch.ones_like(entropy) if valid is None else to_tensor(valid)
    counts = counts.bool()
    return to_floats(torch.where(counts, entropy, 0.0).sum(1) / counts.sum(1))


def cosine_distance(a: Numbers, b: Numbers) -> Floats:
    """Compute one less the cosine between embeddings of two modalities of the same clips.

    VAVL, section 5.4 and figure 4, gives the mean over the clips: the higher, the more of what one
    modality alone says is kept.

    Args:
        a: ``(…, features)``.
        b: the same shape.

    Returns:
        ``(…)`` from 0 (same direction) to 2 (opposite); NaN where an embedding is zero or NaN.

    Raises:
        ValueError: the shapes differ.
    """
    one, other = to_double(to_tensor(a)), to_double(to_tensor(b))
    if one.shape != other.shape:
        raise ValueError(f"shapes {tuple(one.shape)} and {tuple(other.shape)} differ")
    lengths = one.norm(dim=-1) * other.norm(dim=-1)
    cosine = (one * other).sum(-1) / torch.where(lengths != 0, lengths, float("nan"))
    return to_floats(1 - cosine.clamp(-1, 1))


def response_time(
    scores: Numbers, target: Numbers, ends: Numbers, valid: Numbers | None = None
) -> Floats:
    """Compute the seconds until the first window whose prediction is right has ended.

    MATER, section 6.2; its histograms hold the clips that were classified correctly.

    Args:
        scores: ``(clips, windows, names)`` logits, each window's own or those after it.
        target: ``(clips,)`` class indices, -100 for a missing label.
        ends: ``(windows,)`` seconds from the start of a clip to the end of each window, rising.
        valid: ``(clips, windows)`` bool, the windows that a clip has. Nothing means all.

    Returns:
        ``(clips,)`` seconds; NaN where no window is right or there is no label.

    Raises:
        ValueError: the shapes do not go together.
    """
    logits, gold, until = to_double(to_tensor(scores)), to_tensor(target), to_floats(ends)
    if logits.ndim != 3 or gold.shape != logits.shape[:1] or until.shape != logits.shape[1:2]:
        raise ValueError(
            f"scores {tuple(logits.shape)}, target {tuple(gold.shape)} and ends {until.shape} "
            "must be (clips, windows, names), (clips,) and (windows,)"
        )
    # No prediction is -100, so a clip without a label is never right; nor is one by its NaN.
    right = (logits.argmax(-1) == gold[:, None]) & ~logits.isnan().any(-1)
    if valid is not None:
        right &= to_tensor(valid).bool()
    first = np.asarray(right.int().argmax(1))
    return np.where(np.asarray(right.any(1)), until[first], np.nan)


def _softmax_entropy(logits: Tensor) -> Tensor:
    logs = F.log_softmax(logits, dim=-1)
    # Where a probability is zero its logarithm is minus infinity, and the term is nothing.
    return -torch.where(logs.isneginf(), 0.0, logs.exp() * logs).sum(-1)
