"""UAVM (Gong et al. 2022): a transformer for each modality, one for both, a mean of logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Self-attention with its map in memory."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of x."""
        batch, steps, width = x.shape
        qkv = self.qkv(x).reshape(batch, steps, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(dim=-1)
        out: Tensor = self.proj((weights @ v).transpose(1, 2).reshape(batch, steps, width))
        return out


class Perceptron(nn.Module):
    """Two linear maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of x."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Pre-normalised layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, heads), Perceptron(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of x."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Norm, projection where the input has another width, positions, blocks."""

    def __init__(self, features: int, width: int, heads: int, layers: int, steps: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, steps, width) * 0.02)
        self.in_layernorm = nn.LayerNorm(features, eps=1e-6)
        self.in_proj = nn.Linear(features, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.projects = features != width

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, steps, width)``."""
        x = self.in_layernorm(x)
        x = (self.in_proj(x) if self.projects else x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return x


class Uavm(nn.Module):
    """``(batch, 50, 1024)`` and ``(batch, 50, 1408)`` to the scores of each."""

    def __init__(
        self,
        audio: int = 1024,
        video: int = 1408,
        *,
        width: int = 1024,
        heads: int = 4,
        layers: int = 3,
        steps: int = 50,
        names: int = 6,
    ) -> None:
        super().__init__()
        self.a_trans = Transformer(audio, width, heads, layers, steps)
        self.v_trans = Transformer(video, width, heads, layers, steps)
        self.s_trans = Transformer(width, width, heads, layers, steps)
        head = nn.Sequential(nn.LayerNorm(width, eps=1e-6), nn.Linear(width, names))
        self.s_trans.mlp_head = head

    def forward(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, names)`` by audio and by video; the prediction is their mean."""
        head = self.s_trans.get_submodule("mlp_head")
        alone = self.a_trans(audio), self.v_trans(video)
        return tuple(head(self.s_trans(x).mean(dim=1)) for x in alone)  # type: ignore[return-value]
