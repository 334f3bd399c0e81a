"""MATER (Ghaleb et al. 2022) by PyTorch's own transformer, which MMTE's encoder shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def transformer(
    width: int, heads: int, hidden: int, layers: int, *, dropout: float, activation: str
) -> nn.TransformerEncoder:
    """PyTorch's encoder, normalised after each sub-layer; it drops out what sub-layers add.

    PyTorch also drops out weights of attention and inside the feed-forward network: not here, so
    that a training step does the same work on both sides.
    """
    layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, activation, batch_first=True)
    layer.self_attn.dropout = 0.0
    layer.dropout.p = 0.0
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


def sinusoids(steps: int, width: int) -> Tensor:
    """Return ``(steps, width)``: sines and cosines in turn."""
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(steps).unsqueeze(1) * rate
    table = torch.zeros(steps, width)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()
    return table


class Mater(nn.Module):
    """``(batch, steps, width)`` of each modality to the mean of their logits."""

    def __init__(
        self,
        modalities: tuple[str, ...],
        names: int,
        *,
        width: int = 512,
        heads: int = 8,
        hidden: int = 2048,
        layers: int = 6,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.modalities, self.dropout = modalities, dropout
        for name in modalities:
            encoder = transformer(width, heads, hidden, layers, dropout=dropout, activation="relu")
            self.add_module(name, encoder)
            self.add_module(f"{name}_head", nn.Linear(width, names))

    def forward(self, sequences: Mapping[str, Tensor]) -> Tensor:
        """``(batch, names)``."""
        logits = []
        for name in self.modalities:
            x = sequences[name]
            x = F.dropout(x + sinusoids(*x.shape[1:]), self.dropout, self.training)
            encoded = self.get_submodule(name)(x)
            logits.append(cast(Tensor, self.get_submodule(f"{name}_head")(encoded.mean(dim=1))))
        return torch.stack(logits).mean(dim=0)
