"""The branches of SFAV: convolutions over time that know where nothing was observed.

Chumachenko, Iosifidis and Gabbouj (2022), table I. Invalid steps are zero before each convolution,
are no part of batch statistics, and stay invalid: what lies behind the end of a recording cannot be
told from the zeros that convolutions add themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.layers.masked import MaskedBatchNorm, masked_mean, zero_missing
from mien.layers.steps import length

KERNEL = 3
POOL = 2
SHRINK = KERNEL - 1 + POOL - 1  # steps that a convolution without padding and its pooling take


@dataclass(frozen=True)
class Track:
    """One modality on its way through its branch.

    Attributes:
        values: ``(batch, time, width)``; meaningless where not valid.
        valid: ``(batch, time)`` bool.
        lengths: ``(batch,)`` steps of each item, holes included.
    """

    values: Tensor
    valid: Tensor
    lengths: Tensor

    @staticmethod
    def of(values: Tensor, valid: Tensor, shortest: int = 1) -> Track:
        """Make a track of at least some steps; shorter items are filled up with zeros, which count.

        Args:
            values: ``(batch, time, width)``, zero where not valid.
            valid: ``(batch, time)`` bool.
            shortest: number of steps that every item has at least.
        """
        lacking = max(0, shortest - valid.shape[1])
        if lacking:
            values, valid = F.pad(values, (0, 0, 0, lacking)), F.pad(valid, (0, lacking))
        own = length(valid).unsqueeze(1)
        index = torch.arange(valid.shape[1], device=valid.device)
        filled = (own > 0) & (index >= own) & (index < shortest)
        return Track(values, valid | filled, own.squeeze(1).clamp(min=shortest))

    @property
    def mean(self) -> Tensor:
        """``(batch, width)``: mean over the valid steps; zero where there is none."""
        return masked_mean(self.values, self.valid)

    @property
    def cleaned(self) -> Tensor:
        """The values, zero where not valid."""
        return zero_missing(self.values, self.valid)

    def of_values(self, values: Tensor) -> Track:
        """Replace the values."""
        return Track(values, self.valid, self.lengths)

    def window(self, size: int) -> tuple[Tensor, Tensor]:
        """Compute valid and lengths after an operation on `size` steps at a time without padding.

        A window counts if it lies inside the recording and anything in it was observed: a hole is
        zeros, as the paper has it, but the end is the end.
        """
        lengths = self.lengths - size + 1
        if bool(self.valid.all()):
            return self.valid[:, size - 1 :], lengths
        seen = F.max_pool1d(self.valid.float().unsqueeze(1), size, 1).squeeze(1) > 0
        index = torch.arange(seen.shape[1], device=seen.device)
        return seen & (index < lengths.unsqueeze(1)), lengths


class Convolution(nn.Module):
    """Convolution over three steps, batch normalisation, ReLU and, if it pools, a maximum.

    Args:
        width: input channels.
        out: output channels.
        pools: for audio: without padding, followed by the maximum of two steps at stride one;
            otherwise, for video: as many steps as before.
    """

    def __init__(self, width: int, out: int, *, pools: bool) -> None:
        super().__init__()
        self.pools = pools
        self.convolution = nn.Conv1d(width, out, KERNEL, padding=0 if pools else KERNEL // 2)
        self.normalise = MaskedBatchNorm(out)

    def forward(self, track: Track) -> Track:
        """Run one block of table I."""
        maps = self.convolution(track.cleaned.transpose(1, 2))
        if not self.pools:
            return track.of_values(self.normalise(maps, track.valid).relu_().transpose(1, 2))
        valid, lengths = track.window(KERNEL)
        rectified = self.normalise(maps, valid).relu_().transpose(1, 2)
        inner = Track(rectified, valid, lengths)
        # Where not valid, zero: the least that ReLU gives.
        largest = F.max_pool1d(inner.cleaned.transpose(1, 2), POOL, 1).transpose(1, 2)
        return Track(largest, *inner.window(POOL))


class Stage(nn.Sequential):
    """Two convolutions; fusion happens between the two stages of a branch or behind them."""

    def __init__(self, width: int, out: tuple[int, int], *, pools: bool) -> None:
        super().__init__(
            Convolution(width, out[0], pools=pools), Convolution(out[0], out[1], pools=pools)
        )
