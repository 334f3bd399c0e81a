"""TAV and TVA (Chumachenko et al. 2022, Table II): one transformer in one direction, on features.

It takes as many parameters as mien in this order: the branches, the classifier, the block.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plain.sfav import AUDIO, VIDEO, Attention


def _branch(widths: tuple[int, ...], *, pools: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, out in pairwise(widths):
        layers += [nn.Conv1d(width, out, 3, padding=0 if pools else 1), nn.BatchNorm1d(out)]
        layers += [nn.ReLU(inplace=True), *([nn.MaxPool1d(2, 1)] if pools else [])]
    return nn.Sequential(*layers)


class Block(nn.Module):
    """SFAV's block with convolutions over time for the layers of its perceptron."""

    def __init__(self, width: int, other: int) -> None:
        super().__init__()
        self.norm1_q, self.norm1_k = nn.LayerNorm(width), nn.LayerNorm(other)
        self.attn = Attention(width, other)
        self.norm2 = nn.LayerNorm(width)
        self.conv1 = nn.Conv1d(width, 2 * width, 3, padding=1)
        self.conv2 = nn.Conv1d(2 * width, width, 3, padding=1)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """``(batch, steps, width)``."""
        x = self.attn(self.norm1_q(x), self.norm1_k(other))[0]
        inner: Tensor = self.conv2(F.gelu(self.conv1(self.norm2(x).transpose(1, 2))))
        return x + inner.transpose(1, 2)


class OneDirection(nn.Module):
    """``(batch, 10, 156)`` and ``(batch, 15, 1024)`` to scores; video asks in TAV, audio in TVA."""

    def __init__(self, names: int, *, audio_asks: bool) -> None:
        super().__init__()
        self.audio_asks = audio_asks
        self.audio, self.video = _branch(AUDIO, pools=True), _branch(VIDEO, pools=False)
        width, other = (AUDIO[4], VIDEO[4]) if audio_asks else (VIDEO[4], AUDIO[4])
        self.classifier = nn.Linear(width, names)
        self.block = Block(width, other)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """``(batch, names)``."""
        heard = self.audio(audio).transpose(1, 2)
        seen = self.video(video.permute(0, 2, 1)).transpose(1, 2)
        fused = self.block(heard, seen) if self.audio_asks else self.block(seen, heard)
        scores: Tensor = self.classifier(fused.mean(dim=1))
        return scores
