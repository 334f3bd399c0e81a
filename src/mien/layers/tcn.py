"""Temporal convolutional network.

Bai, Kolter and Koltun (2018), "An empirical evaluation of generic convolutional and recurrent
networks for sequence modeling", arXiv:1803.01271, section 3 and figure 1. A stack of residual
blocks; block ``i`` holds two convolutions of dilation ``base ** i``, each with weight
normalisation, a rectifier and dropout, and adds its input (through a 1 x 1 convolution where widths
differ).

Where the paper is silent or we depart:

- Initialisation: the usual one of a convolution. The paper's N(0, 0.01) has no effect in its code,
  because weight normalisation rebuilds the weight from its two factors.
- Steps that were not observed are zero before every convolution, not only before the first one, so
  that they equal the zero padding of the borders; the paper knows no holes.
- ``causal=False`` centres the kernels instead (not in the paper): the same reach, half of it ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from mien.errors import OptionError
from mien.layers.dropout import Dropout


def receptive_field(layers: int, kernel: int, base: int = 2) -> int:
    """Count the steps that one output step depends on.

    ``1 + 2 (kernel - 1) (1 + base + ... + base ** (layers - 1))``: 1009 for six layers of kernel 9.
    """
    dilations: list[int] = [base**layer for layer in range(layers)]
    return 1 + 2 * (kernel - 1) * sum(dilations)


class TemporalBlock(nn.Module):
    """Two dilated convolutions and a residual connection; channels first.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: steps that one convolution sees.
        dilation: distance between two of them.
        dropout: probability.
        causal: see the past only; otherwise as much ahead as behind.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 9,
        dilation: int = 1,
        dropout: float = 0.2,
        causal: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = weight_norm(nn.Conv1d(inputs, outputs, kernel, dilation=dilation))
        self.conv2 = weight_norm(nn.Conv1d(outputs, outputs, kernel, dilation=dilation))
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.dropout = Dropout(dropout)
        reach = (kernel - 1) * dilation
        self.dilation = dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach - reach // 2)

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Transform a sequence.

        Args:
            values: ``(batch, inputs, time)``, zero where ``mask`` is False.
            mask: ``(batch, 1, time)`` bool, or nothing where every step was observed.

        Returns:
            ``(batch, outputs, time)``, zero where ``mask`` is False.
        """
        hidden = self.dropout(self.conv1(F.pad(values, self.padding)).relu())
        hidden = self.conv2(F.pad(_cover(hidden, mask), self.padding)).relu()
        return _cover((self.dropout(hidden) + self.downsample(values)).relu(), mask)

    def step(self, values: Tensor, mask: Tensor, history: list[Tensor]) -> Tensor:
        """Take one step of a causal block; ``history`` holds the recent inputs of its convolutions.

        Args:
            values: ``(batch, inputs, 1)``.
            mask: ``(batch, 1, 1)`` bool.
            history: two tensors ``(batch, channels, reach)``, replaced in place.
        """
        hidden = values
        for index, convolution in enumerate((self.conv1, self.conv2)):
            seen = torch.cat([history[index], hidden], dim=2)
            history[index] = seen[:, :, 1:]
            hidden = _cover(self.dropout(convolution(seen).relu()), mask)
        return _cover((hidden + self.downsample(values)).relu(), mask)


class TCN(nn.Module):
    """Stack of `TemporalBlock`, time second.

    Args:
        features: width of the input.
        channels: width of each block.
        kernel: steps that one convolution sees.
        dropout: probability, after each convolution.
        causal: see the past only, as in the paper.
        base: block ``i`` has dilation ``base ** i``.

    Raises:
        OptionError: no block, or no step.
    """

    def __init__(
        self,
        features: int,
        channels: Sequence[int] = (64,) * 6,
        *,
        kernel: int = 9,
        dropout: float = 0.2,
        causal: bool = True,
        base: int = 2,
    ) -> None:
        super().__init__()
        if not channels or kernel < 1 or base < 1:
            raise OptionError(
                f"a TCN of {len(channels)} blocks, kernel {kernel}, dilation {base}",
                advice="give one of each at least",
            )
        self.features = features
        self.causal = causal
        self.receptive_field = receptive_field(len(channels), kernel, base)
        self.blocks = nn.ModuleList(
            TemporalBlock(
                before, after, kernel=kernel, dilation=base**level, dropout=dropout, causal=causal
            )
            for level, (before, after) in enumerate(
                zip((features, *channels[:-1]), channels, strict=True)
            )
        )

    def forward(self, values: Tensor, valid: Tensor | None = None) -> Tensor:
        """Transform a sequence.

        Args:
            values: ``(batch, time, features)``.
            valid: ``(batch, time)`` bool; nothing means that every step was observed.

        Returns:
            ``(batch, time, channels[-1])``, zero where not observed.
        """
        return self.levels(values, valid)[-1]

    def levels(self, values: Tensor, valid: Tensor | None = None) -> list[Tensor]:
        """Compute the output of every block, as `forward`."""
        mask = None if valid is None or bool(valid.all()) else valid.unsqueeze(1)
        hidden = _cover(values.transpose(1, 2), mask)
        outputs = []
        for block in self.blocks:
            hidden = block(hidden, mask)
            outputs.append(hidden.transpose(1, 2))
        return outputs

    def start(self, batch: int) -> list[list[Tensor]]:
        """Make the state of `step` before the first one: silence.

        Raises:
            OptionError: the network looks ahead, so that it has no next step.
        """
        if not self.causal:
            raise OptionError("a TCN that looks ahead cannot go step by step")
        states = []
        for block in map(_as_block, self.blocks):
            convolutions = (block.conv1, block.conv2)
            weights = [cast(Tensor, convolution.weight) for convolution in convolutions]
            states.append([w.new_zeros(batch, w.shape[1], block.padding[0]) for w in weights])
        return states

    def step(self, values: Tensor, valid: Tensor, state: list[list[Tensor]]) -> Tensor:
        """Take one step; the same numbers as `forward`.

        Args:
            values: ``(batch, features)``.
            valid: ``(batch,)`` bool.
            state: from `start`, brought forward in place.

        Returns:
            ``(batch, channels[-1])``.
        """
        mask = valid[:, None, None]
        hidden = _cover(values.unsqueeze(2), mask)
        for block, history in zip(map(_as_block, self.blocks), state, strict=True):
            hidden = block.step(hidden, mask, history)
        return hidden.squeeze(2)


def _as_block(module: nn.Module) -> TemporalBlock:
    return cast(TemporalBlock, module)


def _cover(values: Tensor, mask: Tensor | None) -> Tensor:
    """Zero where not observed; the value there may even be NaN."""
    return values if mask is None else torch.where(mask, values, 0.0)
