"""Late fusion by LSTMs (Christ et al. 2022) and TLSTM (Huang et al. 2020), in mien's order."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmarks.plain.concordance import concordance_loss
from benchmarks.plain.crossmodal import Encoder


class Recurrent(nn.Module):
    """Projection, LSTM, and a regression of each step between minus one and one."""

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width, bias=False)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, dropout=0.2)
        self.regress = nn.Sequential(
            nn.Linear(width, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, steps, 1)``."""
        return torch.tanh(self.regress(self.lstm(self.project(x))[0]))


class LateLstm(nn.Module):
    """A network for each modality and one over their predictions, whose gradient ends there."""

    def __init__(self, networks: Mapping[str, tuple[int, int, int]]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict({n: Recurrent(*sizes) for n, sizes in networks.items()})
        self.fusion = Recurrent(len(networks), 64, 2)

    def forward(self, sequences: Mapping[str, Tensor]) -> list[Tensor]:
        """``(batch, steps, 1)`` each: the fusion's scores, then each modality's own."""
        own = [network(sequences[name]) for name, network in self.networks.items()]
        return [self.fusion(torch.cat(own, dim=2).detach()), *own]

    def loss(self, sequences: Mapping[str, Tensor], target: Tensor) -> Tensor:
        """Everybody's one minus concordance, summed."""
        losses = [concordance_loss(scores, target, dim=1) for scores in self(sequences)]
        return torch.stack(losses).sum()


class Tlstm(nn.Module):
    """Transformers of audio and video, one in which audio asks video, and an LSTM."""

    def __init__(
        self, sizes: Mapping[str, int], names: int, *, width: int = 64, heads: int = 4
    ) -> None:
        super().__init__()
        self.project = nn.ModuleDict({n: nn.Linear(size, width) for n, size in sizes.items()})
        self.encoders = nn.ModuleDict({n: Encoder(width, heads, 2, causal=False) for n in sizes})
        self.fusion = Encoder(width, heads, 2, causal=False)
        self.lstm = nn.LSTM(width, width)
        self.head = nn.Linear(width, names)

    def forward(self, sequences: Mapping[str, Tensor]) -> Tensor:
        """``(batch, names)``."""
        encoded = [
            encoder(self.project[name](sequences[name]).transpose(0, 1))
            for name, encoder in self.encoders.items()
        ]
        scores: Tensor = self.head(self.lstm(self.fusion(*encoded))[0][-1])
        return scores
