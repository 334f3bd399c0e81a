"""Attention of one modality to another under masks.

Scaled dot-product attention (Vaswani et al. 2017, equation 1) between two sequences of different
length and width. Where none of the keys is valid, attention gives zeros and not NaN.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError


def check_heads(width: int, heads: int) -> None:
    """Refuse a width that does not divide into heads.

    Raises:
        OptionError: it does not.
    """
    if heads < 1 or width % heads:
        raise OptionError(f"a width of {width} does not divide into {heads} heads")


def split_heads(values: Tensor, heads: int) -> Tensor:
    """Split ``(batch, time, width)`` into ``(batch, heads, time, width / heads)``, in chunks."""
    batch, time, width = values.shape
    return values.reshape(batch, time, heads, width // heads).transpose(1, 2)


def attend(queries: Tensor, keys: Tensor, values: Tensor, valid: Tensor) -> Tensor:
    """Average values by the similarity of their keys to each query.

    Args:
        queries: ``(batch, heads, steps, size)``.
        keys: ``(batch, heads, time, size)``.
        values: ``(batch, heads, time, size)``.
        valid: ``(batch, time)`` bool, which keys and values there are.

    Returns:
        ``(batch, steps, heads * size)``; zeros for an item without any valid key.
    """
    if bool(valid.all()):  # without a mask the faster kernels apply
        found = F.scaled_dot_product_attention(queries, keys, values)
    else:
        something = valid.any(dim=1)[:, None, None, None]
        # An item without keys attends to all of them, which is then struck out: no NaN, also not
        # in the gradient.
        mask = valid[:, None, None, :] | ~something
        found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        found = torch.where(something, found, 0.0)
    return found.transpose(1, 2).flatten(2)


def similarities(queries: Tensor, keys: Tensor, valid: Tensor) -> Tensor:
    """Compute the attention map: how much of each query's attention goes to each key.

    Args:
        queries: ``(batch, heads, steps, size)``.
        keys: ``(batch, heads, time, size)``.
        valid: ``(batch, time)`` bool, which keys there are.

    Returns:
        ``(batch, heads, steps, time)``; sums to one over time, or is zero for an item without any
        valid key.
    """
    products = queries @ keys.transpose(2, 3) * queries.shape[-1] ** -0.5
    mask = valid[:, None, None, :]
    lowest = torch.finfo(products.dtype).min
    return torch.where(mask, products.masked_fill(~mask, lowest).softmax(dim=-1), 0.0)


class CrossModalAttention(nn.Module):
    """Attention of one sequence to another, with projections that have no bias.

    Args:
        width: of the queries' sequence, and of the result.
        other: width of the sequence attended to.
        heads: into which the width is divided.

    Raises:
        OptionError: the width does not divide into heads.
    """

    def __init__(self, width: int, other: int, heads: int = 1) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.queries = nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(other, 2 * width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, sequence: Tensor, other: Tensor, valid: Tensor) -> Tensor:
        """Attend.

        Args:
            sequence: ``(batch, steps, width)``.
            other: ``(batch, time, other)``.
            valid: ``(batch, time)`` bool, of the other sequence.

        Returns:
            ``(batch, steps, width)``.
        """
        keys, values = self.keys_values(other).chunk(2, dim=-1)
        split = [split_heads(part, self.heads) for part in (self.queries(sequence), keys, values)]
        out: Tensor = self.output(attend(split[0], split[1], split[2], valid))
        return out


class CrossBlock(nn.Module):
    """A transformer block as far as its perceptron: one sequence attends to another.

    Both sequences are normalised first, each by its own layer. A kind of block adds its perceptron
    on what `normalise` makes of the result.

    Args:
        width: of the queries' sequence, and of the result.
        other: width of the sequence attended to.
        heads: of the attention.
        residual: add the queries' sequence to what attention gives.

    Raises:
        OptionError: the width does not divide into heads.
    """

    def __init__(self, width: int, other: int, *, heads: int = 1, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.normalise_queries = nn.LayerNorm(width)
        self.normalise_keys = nn.LayerNorm(other)
        self.attention = CrossModalAttention(width, other, heads)
        self.normalise = nn.LayerNorm(width)

    def attend(self, sequence: Tensor, other: Tensor, valid: Tensor) -> Tensor:
        """Attend as `CrossModalAttention`, normalised before and with the residual if it is on."""
        found = self.attention(self.normalise_queries(sequence), self.normalise_keys(other), valid)
        return sequence + found if self.residual else cast(Tensor, found)


class CrossTransformer(CrossBlock):
    """`CrossBlock` with a perceptron and a residual around it: ``y = a + MLP(LN(a))``.

    Args:
        width: of the queries' sequence, and of the result.
        other: width of the sequence attended to.
        heads: of the attention.
        ratio: width of the perceptron's hidden layer as a multiple of `width`.
        residual: add the queries' sequence to what attention gives.

    Raises:
        OptionError: the width does not divide into heads.
    """

    def __init__(
        self, width: int, other: int, *, heads: int = 1, ratio: int = 2, residual: bool = False
    ) -> None:
        super().__init__(width, other, heads=heads, residual=residual)
        self.perceptron = nn.Sequential(
            nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
        )

    def forward(self, sequence: Tensor, other: Tensor, valid: Tensor) -> Tensor:
        """Transform; arguments as of `CrossModalAttention.forward`."""
        found = self.attend(sequence, other, valid)
        out: Tensor = found + self.perceptron(self.normalise(found))
        return out


class MutualAttention(nn.Module):
    """How much attention each step of a sequence gets from all steps of another.

    The map of attention is averaged over heads and summed over the queries (SFAV, equation 3 and
    below): what a step is worth to the other modality.

    Args:
        width: of the queries' sequence.
        other: width of the sequence attended to.
        heads: into which the width is divided.

    Raises:
        OptionError: the width does not divide into heads.
    """

    def __init__(self, width: int, other: int, *, heads: int = 1) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.queries = nn.Linear(width, width, bias=False)
        self.keys = nn.Linear(other, width, bias=False)

    def forward(
        self, sequence: Tensor, valid: Tensor, other: Tensor, other_valid: Tensor
    ) -> Tensor:
        """Weigh.

        Args:
            sequence: ``(batch, steps, width)``, which attends.
            valid: ``(batch, steps)`` bool.
            other: ``(batch, time, other)``, which is attended to.
            other_valid: ``(batch, time)`` bool.

        Returns:
            ``(batch, time)``, weights of the other's steps, which sum to the number of valid steps.
        """
        queries = split_heads(self.queries(sequence), self.heads)
        weights = similarities(queries, split_heads(self.keys(other), self.heads), other_valid)
        asked = torch.where(valid.unsqueeze(-1), weights.mean(dim=1), 0.0)
        return asked.sum(dim=1)
