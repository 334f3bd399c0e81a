"""Dropout whose masks cost little on a processor, and attention that drops out its weights.

Drawing one random number for each value is a third of the time of a training step where attention
is wide and heads are narrow. Here one draw of 64 bits decides about four values. The rate is
rounded to a multiple of 1 / 65,536, and what is kept is scaled by exactly that, so the mean stays.
Other devices have fast dropout of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BITS = 16  # that decide about one value
_LEVELS = 1 << BITS


def dropout(values: Tensor, rate: float, training: bool) -> Tensor:
    """Zero a fraction of the values at random and scale the others, so that the mean stays.

    Args:
        values: any shape.
        rate: fraction that is zeroed, from 0 to 1.
        training: otherwise the values come back as they are.

    Returns:
        The shape of the values.
    """
    cut = round(rate * _LEVELS)
    if not training or not cut:
        return values
    if values.device.type != "cpu" or cut == _LEVELS:
        return F.dropout(values, rate)
    words = torch.empty(-(-values.numel() * BITS // 64), dtype=torch.int64)
    words.random_(-(1 << 63), None)
    levels = words.view(torch.int16)[: values.numel()].view(values.shape)
    kept = (levels >= cut - _LEVELS // 2).to(values.dtype)
    return values * kept.mul_(_LEVELS / (_LEVELS - cut))


class Dropout(nn.Dropout):
    """`dropout` as a module."""

    def forward(self, values: Tensor) -> Tensor:
        """Drop out in training; the shape stays."""
        return dropout(values, self.p, self.training)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    rate: float = 0.0,
    scale: float | None = None,
) -> Tensor:
    """Attend by scaled dot products (Vaswani et al. 2017, equation 1).

    Args:
        q: queries, ``(…, steps, size)``.
        k: keys, ``(…, time, size)``.
        v: values, ``(…, time, size)``.
        bias: added to the scaled scores, ``(…, steps, time)``; nowhere minus infinity for all keys
            of a query.
        rate: fraction of the weights that is dropped out.
        scale: of the scores; None: one over the root of the size.

    Returns:
        ``(…, steps, size)``.
    """
    if not rate or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, bias, rate, scale=scale)
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-2, -1)
    if bias is not None:
        scores = scores.add_(bias)
    return dropout(scores.softmax(dim=-1), rate, True) @ v
