"""MMTE: multimodal transformer encoder.

Vazquez-Rodriguez, Lefebvre, Cumin and Crowley (2023), "Accommodating missing modalities in
time-continuous multimodal emotion recognition", ACII, section 3.1 and figure 1. Each modality goes
through its own temporal convolutional network (equation 1); learned positions and an encoding of
the modality are added (2, 3); the sequences of all modalities, one after the other (4), pass a
transformer encoder (5) whose mask hides what is more than ``mask_length`` steps away. A modality
that is missing is left out of the sequence, here for each item and each step.

Where the paper is silent:

- Normalisation follows each sub-layer (as in the papers that it builds on, Vaswani et al. 2017 and
  Gabeur et al. 2020); dropout acts on embeddings and on each sub-layer's output.
- The mask tiles: it hides by distance in time, whichever modalities the two steps belong to. A
  distance of exactly ``mask_length`` is seen, as the text says; the code it follows ends before.
- The TCN is causal and as wide as the model throughout, as in the paper it comes from. Six layers
  of kernel 9 reach back 1009 steps, further than the 250 of a training segment.
- ``look_ahead`` bounds how far ahead each layer sees (the paper: as far as back).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.dropout import Dropout
from mien.layers.masked import zero_missing
from mien.layers.tcn import TCN
from mien.signals import Signals


@dataclass(frozen=True)
class EncodedSteps:
    """Representations of the modalities that are in the signals.

    Attributes:
        values: ``(batch, time, modalities, width)``, finite everywhere.
        valid: ``(batch, time, modalities)`` bool.
        names: the modalities, in order.
    """

    values: Tensor
    valid: Tensor
    names: tuple[str, ...]

    def complete(self, modalities: Mapping[str, int]) -> Tensor:
        """Concatenate: ``(batch, time, all modalities * width)``, zero where one is missing."""
        clean = zero_missing(self.values, self.valid)
        parts = [
            clean[:, :, self.names.index(name)]
            if name in self.names
            else torch.zeros_like(clean[:, :, 0])
            for name in modalities
        ]
        return torch.cat(parts, dim=-1)


class EncoderLayer(nn.Module):
    """Transformer encoder layer, normalised after each sub-layer.

    Args:
        width: of the sequence.
        heads: of the attention.
        hidden: width inside the feed-forward network.
        dropout: probability.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.norm_attention = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, hidden)
        self.feed_out = nn.Linear(hidden, width)
        self.norm_feed = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, sequence: Tensor, mask: Tensor | None) -> Tensor:
        """Transform ``(batch, steps, width)``; the mask is True where a query may look."""
        query, key, value = self.project(sequence)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.finish(sequence, attended)

    def project(self, sequence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project to query, key and value, ``(batch, heads, steps, size)`` each."""
        batch, steps, width = sequence.shape
        parts = self.attention_in(sequence).view(batch, steps, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        return query, key, value

    def finish(self, sequence: Tensor, attended: Tensor) -> Tensor:
        """Do what follows the attention: ``attended`` is ``(batch, heads, steps, size)``."""
        joined = self.attention_out(attended.transpose(1, 2).flatten(2))
        hidden = self.norm_attention(sequence + self.dropout(joined))
        fed = self.feed_out(F.gelu(self.feed_in(hidden)))
        normal: Tensor = self.norm_feed(hidden + self.dropout(fed))
        return normal


def _check(
    width: int, layers: int, heads: int, positions: int, sight: tuple[int, int | None]
) -> None:
    if min(layers, heads, positions) < 1 or width % heads:
        raise OptionError(
            f"an encoder of width {width} with {heads} heads, {layers} layers and {positions} "
            "positions",
            advice="the width must be a multiple of the heads, and the rest at least one",
        )
    if min(sight[0], sight[1] or 0) < 0:
        raise OptionError(
            f"an encoder cannot see {sight[0]} steps back and {sight[1]} ahead",
            advice="neither may be negative",
        )


class MMTE(nn.Module):
    """Multimodal transformer encoder, figure 1. See the module docstring.

    Args:
        modalities: feature size by modality.
        width: of the representations, ``d_model``.
        layers: transformer encoder layers.
        heads: of their attention.
        hidden: width inside their feed-forward networks.
        dropout: probability.
        positions: most steps that can be encoded.
        mask_length: how many steps back a step sees.
        look_ahead: how many steps ahead a step sees in each layer; nothing for `mask_length`.
        tcn_layers: blocks of each TCN.
        tcn_kernel: steps that one of its convolutions sees.
        tcn_causal: whether it sees the past only.

    Raises:
        OptionError: the width is no multiple of the heads, or a size makes no sense.
    """

    def __init__(  # noqa: PLR0913
        self,
        modalities: Mapping[str, int],
        *,
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        hidden: int = 256,
        dropout: float = 0.2,
        positions: int = 250,
        mask_length: int = 100,
        look_ahead: int | None = None,
        tcn_layers: int = 6,
        tcn_kernel: int = 9,
        tcn_causal: bool = True,
    ) -> None:
        super().__init__()
        _check(width, layers, heads, positions, (mask_length, look_ahead))
        front = partial(
            TCN,
            channels=(width,) * tcn_layers,
            kernel=tcn_kernel,
            dropout=dropout,
            causal=tcn_causal,
        )
        self.tcns = nn.ModuleDict({name: front(size) for name, size in modalities.items()})
        self.kinds = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(width) * 0.02) for name in modalities}
        )
        self.positions = nn.Parameter(torch.randn(positions, width) * 0.02)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, hidden, dropout) for _ in range(layers)
        )
        self.mask_length = mask_length
        self.look_ahead = look_ahead

    @property
    def fronts(self) -> dict[str, TCN]:
        """The temporal networks by modality."""
        return {name: cast(TCN, module) for name, module in self.tcns.items()}

    @property
    def stack(self) -> list[EncoderLayer]:
        """The layers, in order."""
        return [cast(EncoderLayer, module) for module in self.layers]

    @property
    def ahead(self) -> int:
        """How many steps ahead each layer sees."""
        return self.mask_length if self.look_ahead is None else self.look_ahead

    def forward(self, signals: Signals) -> EncodedSteps:
        """Encode modalities on one grid.

        Args:
            signals: ``(batch, time, features)`` with equal times, finite where valid.
        """
        names = tuple(name for name in self.tcns if name in signals)
        valid = torch.stack([signals[name].valid for name in names], dim=1)
        embedded = torch.stack([self._embed(name, signals) for name in names], dim=1)
        batch, modalities, time, width = embedded.shape
        sequence = zero_missing(embedded, valid).flatten(1, 2)
        mask = self._mask(valid)
        for layer in self.stack:
            sequence = layer(sequence, mask)
        values = sequence.view(batch, modalities, time, width).transpose(1, 2)
        return EncodedSteps(values, valid.transpose(1, 2), names)

    def _embed(self, name: str, signals: Signals) -> Tensor:
        local = self.fronts[name](signals[name].values, signals[name].valid)
        embedded: Tensor = self.dropout(local + self.positions[: local.shape[1]] + self.kinds[name])
        return embedded

    def _mask(self, valid: Tensor) -> Tensor | None:
        """Which step sees which, over ``(modalities * time)`` steps; nothing if all see all."""
        batch, modalities, time = valid.shape
        steps = torch.arange(time, device=valid.device).repeat(modalities)
        ahead = steps - steps.unsqueeze(1)
        mask = None
        if time - 1 > min(self.mask_length, self.ahead):
            mask = (ahead <= self.ahead) & (-ahead <= self.mask_length)
        if bool(valid.all()):
            return mask
        seen = valid.view(batch, 1, 1, -1)
        # What is not there sees itself, so that its row, which nobody reads, stays finite.
        itself = torch.eye(len(steps), dtype=torch.bool, device=valid.device)
        return (seen if mask is None else seen & mask) | itself
