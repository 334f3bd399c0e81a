"""VAVL (Goncalves et al. 2023): conformers as released, over time as the paper has them.

The release attends over the batch, for which there is nothing to compare; so this has no official
names, but mien's order of parameters (`benchmarks.plain.copy_in_order`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DROPOUT = 0.1
HEAD_DROPOUT = 0.2
ALPHA = 2.0  # weight of the reconstruction, for categories


class Attention(nn.Module):
    """Relative attention; as released, the table of positions is projected for each item."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.position = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.u = nn.Parameter(torch.zeros(heads, width // heads))
        self.v = nn.Parameter(torch.zeros(heads, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of x."""
        batch, steps, width = x.shape
        table = _table(steps, width).repeat(batch, 1, 1)
        query = self.query(x).view(batch, steps, self.heads, -1)
        key, value, place = (
            part.view(batch, -1, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.key(x), self.value(x), self.position(table))
        )
        content = (query + self.u).transpose(1, 2) @ key.transpose(2, 3)
        by_place = (query + self.v).transpose(1, 2) @ place.transpose(2, 3)
        padded = torch.cat((by_place.new_zeros(batch, self.heads, steps, 1), by_place), dim=-1)
        shifted = padded.view(batch, self.heads, 2 * steps, steps)[:, :, 1:]
        shifted = shifted.view_as(by_place)[..., :steps]
        scores = (content + shifted) / math.sqrt(width // self.heads)
        weights = F.dropout(F.softmax(scores, dim=-1), DROPOUT, self.training)
        found = (weights @ value).transpose(1, 2).contiguous().view(batch, steps, width)
        return F.dropout(self.out(found), DROPOUT, self.training)


def _table(steps: int, width: int) -> Tensor:
    places = torch.arange(steps - 1, -steps, -1.0).unsqueeze(1)
    angles = places * torch.exp(torch.arange(0, width, 2) * -(math.log(10000) / width))
    table = torch.zeros(2 * steps - 1, width)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()
    return table


def _feed_forward(width: int) -> nn.Sequential:
    wide, narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
    return nn.Sequential(wide, nn.SiLU(), nn.Dropout(DROPOUT), narrow, nn.Dropout(DROPOUT))


class Block(nn.Module):
    """A conformer block; its pointwise convolutions are convolutions."""

    def __init__(self, width: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.before = _feed_forward(width)
        self.attention = Attention(width, heads)
        self.convolution = nn.Sequential(
            nn.Conv1d(width, 2 * width, 1),
            nn.GLU(dim=1),
            nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Conv1d(width, width, 1),
            nn.Dropout(DROPOUT),
        )
        self.after = _feed_forward(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of x."""
        x = x + 0.5 * self.before(self.norms[0](x))
        x = x + self.attention(self.norms[1](x))
        x = x + self.convolution(self.norms[2](x).transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.norms[4](x + 0.5 * self.after(self.norms[3](x)))
        return out


class Conformer(nn.Sequential):
    """A linear map, dropout and blocks."""

    def __init__(self, features: int, width: int, heads: int, kernel: int, layers: int) -> None:
        blocks = (Block(width, heads, kernel) for _ in range(layers))
        super().__init__(nn.Linear(features, width), nn.Dropout(DROPOUT), *blocks)


def _mlp(features: int, out: int, hidden: tuple[int, int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, inner in zip((features, hidden[0]), hidden, strict=True):
        layers += [nn.Linear(width, inner), nn.ReLU(), nn.Dropout(HEAD_DROPOUT)]
    return nn.Sequential(*layers, nn.Linear(hidden[1], out))


class Vavl(nn.Module):
    """``(batch, steps, features)`` of each modality to scores."""

    def __init__(
        self,
        sizes: Mapping[str, int],
        names: int = 6,
        *,
        width: int = 512,
        heads: int = 8,
        kernel: int = 31,
        layers: int = 3,
        shared_layers: int = 2,
        hidden: tuple[int, int] = (512, 256),
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict()
        for name, size in sizes.items():
            project = nn.Conv1d(size, 50, 5, padding=2, bias=False)
            conformer = Conformer(50, width, heads, kernel, layers)
            self.encoders[name] = nn.ModuleList([project, conformer])
        self.shared = Conformer(width, width, heads, kernel, shared_layers)
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: _mlp(width, names, hidden) for name in sizes})
        self.rebuild = nn.ModuleDict({n: _mlp(width, size, hidden) for n, size in sizes.items()})
        self.joint = _mlp(len(sizes) * width, names, hidden)

    def forward(self, **sequences: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores of the audio-visual head, and what the shared layers made of each modality."""
        pooled = {}
        for name, (project, conformer) in self.encoders.items():
            own = conformer(project(sequences[name].transpose(1, 2)).transpose(1, 2))
            pooled[name] = self.norm(self.shared(own) + own).mean(dim=1)
        return self.joint(torch.cat([z.detach() for z in pooled.values()], dim=-1)), pooled

    def loss(self, target: Tensor, **sequences: Tensor) -> Tensor:
        """Equation 1 of both modalities, and the term of the audio-visual head."""
        scores, pooled = self(**sequences)
        total = F.cross_entropy(scores, target)
        for name, z in pooled.items():
            rebuilt = F.mse_loss(self.rebuild[name](z), sequences[name].mean(dim=1))
            total = total + F.cross_entropy(self.heads[name](z), target) + ALPHA * rebuilt
        return total
