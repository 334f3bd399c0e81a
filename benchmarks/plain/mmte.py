"""MMTE and its decoders (Vazquez-Rodriguez et al. 2023): a loop that keeps nothing but its outputs.

The convolutions are padded at both ends and what reaches ahead is cut off, as in the released code
of the temporal convolutional network (Bai et al. 2018). The order of parameters is mien's, but for
the encoder's layers, which are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from benchmarks.plain.encoders import transformer

DROPOUT = 0.2
REACH = 100  # steps that a step of the encoder sees to either side


class TemporalBlock(nn.Module):
    """Two dilated convolutions and a residual; channels first."""

    def __init__(self, inputs: int, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.ahead = (kernel - 1) * dilation
        self.conv1, self.conv2 = (
            weight_norm(nn.Conv1d(size, width, kernel, padding=self.ahead, dilation=dilation))
            for size in (inputs, width)
        )
        self.downsample = nn.Conv1d(inputs, width, 1) if inputs != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, width, steps)``."""
        inner = x
        for convolution in (self.conv1, self.conv2):
            inner = convolution(inner)[:, :, : -self.ahead].contiguous()
            inner = F.dropout(F.relu(inner), DROPOUT, self.training)
        return F.relu(inner + self.downsample(x))


class Mmte(nn.Module):
    """``(batch, steps, features)`` of each modality to ``(batch, steps, modalities, width)``."""

    def __init__(
        self,
        sizes: Mapping[str, int],
        *,
        width: int = 64,
        heads: int = 2,
        hidden: int = 256,
        layers: int = 2,
        steps: int = 250,
        blocks: int = 6,
        kernel: int = 9,
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(steps, width) * 0.02)
        self.tcns = nn.ModuleDict()
        for name, size in sizes.items():
            inputs = (size, *[width] * (blocks - 1))
            self.tcns[name] = nn.Sequential(
                *(TemporalBlock(n, width, kernel, 2**level) for level, n in enumerate(inputs))
            )
        self.kinds = nn.ParameterDict({name: torch.randn(width) * 0.02 for name in sizes})
        self.encoder = transformer(width, heads, hidden, layers, dropout=DROPOUT, activation="gelu")

    def forward(self, sequences: Mapping[str, Tensor]) -> Tensor:
        """``(batch, steps, modalities, width)``."""
        embedded = []
        for name, tcn in self.tcns.items():
            x = tcn(sequences[name].transpose(1, 2)).transpose(1, 2)
            x = x + self.positions[: x.shape[1]] + self.kinds[name]
            embedded.append(F.dropout(x, DROPOUT, self.training))
        steps = torch.arange(embedded[0].shape[1]).repeat(len(embedded))
        hidden = (steps - steps.unsqueeze(1)).abs() > REACH
        encoded = self.encoder(torch.cat(embedded, dim=1), mask=hidden)
        return torch.stack(encoded.chunk(len(embedded), dim=1), dim=2)


class Decoder(nn.Module):
    """AMMTD: each step attends to what was said and to the modalities of its instant."""

    def __init__(self, width: int = 64, hidden: int = 256, steps: int = 250) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(width))
        self.positions = nn.Parameter(torch.randn(steps, width) * 0.02)
        self.past, self.cross = (
            nn.MultiheadAttention(width, 1, batch_first=True) for _ in range(2)
        )
        self.feed = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, representations: Tensor) -> Tensor:
        """``(batch, steps, width)``."""
        last = self.start.expand(len(representations), -1)
        given: list[Tensor] = []
        said = []
        for time, modalities in enumerate(representations.unbind(dim=1)):
            given.append(self._drop(last + self.positions[time]))
            past = torch.stack(given, dim=1)
            x = past[:, -1:]
            found = self.past(x, past, past, need_weights=False)[0]
            x = self.norms[0](x + self._drop(found))
            found = self.cross(x, modalities, modalities, need_weights=False)[0]
            x = self.norms[1](x + self._drop(found))
            x = self.norms[2](x + self._drop(self.feed(x)))
            last = x.squeeze(1)
            said.append(last)
        return torch.stack(said, dim=1)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, DROPOUT, self.training)


def _regression(inputs: int, hidden: int = 32) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))


class WithDecoder(nn.Module):
    """MMTE + AMMTD: ``(batch, steps, features)`` of each modality to ``(batch, steps, 1)``."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.encoder, self.decoder, self.regression = Mmte(sizes), Decoder(), _regression(64)

    def forward(self, sequences: Mapping[str, Tensor]) -> Tensor:
        """``(batch, steps, 1)``."""
        scores: Tensor = self.regression(self.decoder(self.encoder(sequences)))
        return scores


class WithDense(nn.Module):
    """MMTE + FC, over the modalities of each step side by side."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.encoder, self.regression = Mmte(sizes), _regression(64 * len(sizes))

    def forward(self, sequences: Mapping[str, Tensor]) -> Tensor:
        """``(batch, steps, 1)``."""
        scores: Tensor = self.regression(self.encoder(sequences).flatten(2))
        return scores


class WithLstm(nn.Module):
    """MMTE + LSTM, over the modalities of each step side by side."""

    def __init__(self, sizes: Mapping[str, int], width: int = 32, layers: int = 4) -> None:
        super().__init__()
        self.encoder, inputs = Mmte(sizes), 64 * len(sizes)
        self.lstm = nn.LSTM(inputs, width, layers, batch_first=True, dropout=DROPOUT)
        self.output = nn.Linear(width, 1)

    def forward(self, sequences: Mapping[str, Tensor]) -> Tensor:
        """``(batch, steps, 1)``."""
        scores: Tensor = self.output(self.lstm(self.encoder(sequences).flatten(2))[0])
        return scores
