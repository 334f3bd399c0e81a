"""Conformer: self-attention with relative positions beside a depthwise convolution, with masks.

Gulati, Qin, Chiu, Parmar, Zhang, Yu, Han, Wang, Zhang, Wu and Pang (2020), "Conformer:
Convolution-augmented transformer for speech recognition", Interspeech, section 2, with the relative
positions of Dai, Yang, Yang, Carbonell, Le and Salakhutdinov (2019), "Transformer-XL", ACL,
section 3.3. For an input x, section 2.4 and equation 1:

    a = x + FFN(x) / 2        b = a + MHSA(a)        c = b + Conv(b)
    y = LayerNorm(c + FFN(c) / 2)

What is ours: the masks. Steps that were not observed are no keys of the attention, are zero before
the depthwise convolution (as its padding is) and do not count in the batch norm's statistics. So
neither padding nor what stands in a hole changes the result.

Left open by the paper, and what we do:

- Biases: everywhere but in the position projection and the depthwise convolution, which the vectors
  u and v and the batch norm shift anyway.
- Attention dropout: on the weights and on the output, the usual place.
- Time at which a step of padding is answered: none, the output there is zero.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.dropout import Dropout, attention, dropout
from mien.layers.masked import MaskedBatchNorm

Positions = Literal["relative", "absolute"]
Scale = Literal["head", "width"]


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Compute sines and cosines of positions, interleaved (Vaswani et al. 2017, section 3.5).

    Args:
        positions: ``(steps,)`` floating point; may be negative.
        width: number of columns.

    Returns:
        ``(steps, width)`` of the same type: column 2i is ``sin(position / 10000^(2i / width))``,
        column 2i + 1 the cosine of the same angle.
    """
    even = torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device)
    angles = positions.unsqueeze(1) * torch.exp(even * (-math.log(10000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


def shift_to_keys(scores: Tensor) -> Tensor:
    """Turn scores by distance into scores by key (Transformer-XL, appendix B).

    Args:
        scores: ``(…, steps, rows)``, for each query one score for each row of a position table.
            With ``rows = 2 * steps - 1`` the rows are the distances ``steps - 1`` down to
            ``1 - steps``.

    Returns:
        ``(…, steps, steps)``: for query i and key j the score of distance i - j.
    """
    *lead, steps, rows = scores.shape
    padded = F.pad(scores, (1, 0)).reshape(*lead, rows + 1, steps)
    return padded[..., 1:, :].reshape(*lead, steps, rows)[..., :steps]


class RelativeAttention(nn.Module):
    """Multi-head self-attention with relative sinusoidal positions (Transformer-XL, equation 5).

    The score of query i and key j is ``((q_i + u) k_j + (q_i + v) W r_(i-j)) / sqrt(scale)``, u and
    v being learned per head.

    Args:
        width: feature size.
        heads: number of heads; divides the width.
        dropout: on the weights and on the output.
        positions: ``relative``, the paper's, or ``absolute``: a table of only ``steps`` rows from 0
            up, shifted the same way, so that keys after the query get scores of other queries'
            rows. That is what the block inside the released VAVL does; there padding matters.
        scale: divide by the root of a head's size, the paper's, or of the whole ``width``, which
            the released VAVL does.

    Raises:
        OptionError: the heads do not divide the width.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        dropout: float = 0.1,
        positions: Positions = "relative",
        scale: Scale = "head",
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise OptionError(f"{heads} heads do not divide a width of {width}")
        self.heads = heads
        self.dropout = dropout
        self.positions = positions
        self.scale = 1 / math.sqrt(width // heads if scale == "head" else width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.position = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.u = nn.Parameter(torch.empty(heads, width // heads))
        self.v = nn.Parameter(torch.empty(heads, width // heads))
        nn.init.xavier_uniform_(self.u)
        nn.init.xavier_uniform_(self.v)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Attend.

        Args:
            x: ``(batch, time, width)``, finite.
            valid: ``(batch, time)`` bool: which steps are keys. Somebody without any valid step
                gets finite, meaningless values.

        Returns:
            The shape of x.
        """
        query = self._split(self.query(x))
        key = self._split(self.key(x))
        value = self._split(self.value(x))
        rows = self._split(self.position(self._table(x)).unsqueeze(0))
        by_row = (query + self.v.unsqueeze(1)) @ rows.transpose(-2, -1)
        keys = valid | ~valid.any(dim=1, keepdim=True)
        bias = (shift_to_keys(by_row) * self.scale).masked_fill(~keys[:, None, None], -math.inf)
        rate = self.dropout if self.training else 0.0
        asking = query + self.u.unsqueeze(1)
        out = attention(asking, key, value, bias=bias, rate=rate, scale=self.scale)
        return dropout(self.out(out.transpose(1, 2).flatten(2)), self.dropout, self.training)

    def _split(self, x: Tensor) -> Tensor:
        """``(batch, time, width)`` to ``(batch, heads, time, width / heads)``."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _table(self, x: Tensor) -> Tensor:
        steps = x.shape[1]
        first, last, by = (steps - 1, -steps, -1) if self.positions == "relative" else (0, steps, 1)
        # Half precision does not tell 2048 from 2049.
        precise = torch.promote_types(x.dtype, torch.float32)
        places = torch.arange(first, last, by, dtype=precise, device=x.device)
        return sinusoids(places, x.shape[2]).to(x.dtype)


class FeedForward(nn.Sequential):
    """Two linear maps with a swish between them (Conformer, section 2.3), without its norm.

    Args:
        width: feature size.
        expansion: how much wider the inner layer is.
        dropout: after each of the two maps.
    """

    def __init__(self, width: int, *, expansion: int = 4, dropout: float = 0.1) -> None:
        super().__init__(
            nn.Linear(width, expansion * width),
            nn.SiLU(),
            Dropout(dropout),
            nn.Linear(expansion * width, width),
            Dropout(dropout),
        )


class ConvolutionModule(nn.Module):
    """Gated pointwise, depthwise and pointwise convolution (Conformer, section 2.2), without norm.

    Args:
        width: feature size.
        kernel_size: of the depthwise convolution, in steps; odd, so that it is centred.
        dropout: on the output.

    Raises:
        OptionError: the kernel size is even.
    """

    def __init__(self, width: int, *, kernel_size: int = 31, dropout: float = 0.1) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise OptionError(f"a centred convolution has an odd kernel size, not {kernel_size}")
        self.gated = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(
            width, width, kernel_size, padding=kernel_size // 2, groups=width, bias=False
        )
        self.norm = MaskedBatchNorm(width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Convolve.

        Args:
            x: ``(batch, time, width)``.
            valid: ``(batch, time)`` bool; other steps count as zeros.

        Returns:
            The shape of x.
        """
        gated = torch.where(valid.unsqueeze(-1), F.glu(self.gated(x), dim=-1), 0.0)
        mixed = self.norm(self.depthwise(gated.transpose(1, 2)), valid).transpose(1, 2)
        out: Tensor = self.dropout(self.out(F.silu(mixed)))
        return out


class ConformerBlock(nn.Module):
    """One block, equation 1 of the paper; see the module docstring.

    Args:
        width: feature size.
        heads: of the attention.
        kernel_size: of the depthwise convolution, in steps.
        expansion: of the feed-forward layers.
        dropout: in all four modules.
        positions: see `RelativeAttention`.
        scale: see `RelativeAttention`.
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        *,
        kernel_size: int = 31,
        expansion: int = 4,
        dropout: float = 0.1,
        positions: Positions = "relative",
        scale: Scale = "head",
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.before = FeedForward(width, expansion=expansion, dropout=dropout)
        self.attention = RelativeAttention(
            width, heads, dropout=dropout, positions=positions, scale=scale
        )
        self.convolution = ConvolutionModule(width, kernel_size=kernel_size, dropout=dropout)
        self.after = FeedForward(width, expansion=expansion, dropout=dropout)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Encode.

        Args:
            x: ``(batch, time, width)``, finite.
            valid: ``(batch, time)`` bool; all steps if left out.

        Returns:
            The shape of x, zero where not valid.
        """
        return self.stages(x, valid)["y"]

    def stages(self, x: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
        """Compute the output ``y`` and everything on the way to it, each of the shape of x.

        Args:
            x: as in `forward`.
            valid: as in `forward`.
        """
        if valid is None:
            valid = x.new_ones(x.shape[:2], dtype=torch.bool)
        norms = self.norms
        after_ffn1 = x + 0.5 * self.before(norms[0](x))
        attention = self.attention(norms[1](after_ffn1), valid)
        after_attention = after_ffn1 + attention
        after_conv = after_attention + self.convolution(norms[2](after_attention), valid)
        after_ffn2 = after_conv + 0.5 * self.after(norms[3](after_conv))
        return {
            "after_ffn1": after_ffn1,
            "attention_branch": attention,
            "after_attention": after_attention,
            "after_conv": after_conv,
            "after_ffn2": after_ffn2,
            "y": torch.where(valid.unsqueeze(-1), norms[4](after_ffn2), 0.0),
        }


class ConformerEncoder(nn.Module):
    """A linear map to the width of the blocks, dropout, and a stack of them.

    Args:
        features: input size.
        width: feature size of the blocks.
        layers: number of blocks.
        heads: of the attention.
        kernel_size: of the depthwise convolutions, in steps.
        dropout: everywhere.
    """

    def __init__(
        self,
        features: int,
        width: int = 512,
        *,
        layers: int = 3,
        heads: int = 8,
        kernel_size: int = 31,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(features, width)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            ConformerBlock(width, heads, kernel_size=kernel_size, dropout=dropout)
            for _ in range(layers)
        )

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Encode.

        Args:
            x: ``(batch, time, features)``; may be anything, even NaN, where not valid.
            valid: ``(batch, time)`` bool.

        Returns:
            ``(batch, time, width)``, zero where not valid.
        """
        mask = valid.unsqueeze(-1)
        x = self.dropout(self.project(torch.where(mask, x, 0.0)))
        x = torch.where(mask, x, 0.0)
        for block in self.blocks:
            x = block(x, valid)
        return x
