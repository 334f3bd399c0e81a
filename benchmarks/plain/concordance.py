"""One minus the concordance coefficient (Lin 1989), as papers write it: no masks, no holes."""

from __future__ import annotations

from torch import Tensor


def concordance_loss(scores: Tensor, target: Tensor, dim: int) -> Tensor:
    """Compute population moments along an axis, averaged over all series."""
    mean, other = scores.mean(dim, keepdim=True), target.mean(dim, keepdim=True)
    apart, apart_other = scores - mean, target - other
    spread = apart.square().mean(dim) + apart_other.square().mean(dim)
    gap = (mean - other).square().squeeze(dim)
    return 1 - (2 * (apart * apart_other).mean(dim) / (spread + gap)).mean()
