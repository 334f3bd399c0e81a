"""SFAV (Chumachenko et al. 2022) from face crops, and its fourfold step of modality dropout."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plain.faces import WIDTHS, Faces

Fusion = Literal["lt", "it", "ia"]
AUDIO = (10, 64, 128, 256, 128)
VIDEO = (WIDTHS[4], 64, 64, 128, 128)


class Attention(nn.Module):
    """Attention of one sequence to another with its map in memory."""

    def __init__(self, width: int, other: int) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(other, 2 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, steps, width)`` and the map, ``(batch, steps, time)``."""
        query, (key, value) = self.q(x), self.kv(other).chunk(2, dim=-1)
        weights = (query @ key.transpose(1, 2) * self.scale).softmax(dim=-1)
        return self.proj(weights @ value), weights


class Perceptron(nn.Module):
    """Two linear maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * width)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of x."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Transformer block without a residual around its attention."""

    def __init__(self, width: int, other: int) -> None:
        super().__init__()
        self.norm1_q, self.norm1_k = nn.LayerNorm(width), nn.LayerNorm(other)
        self.attn = Attention(width, other)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Perceptron(width)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """``(batch, steps, width)``."""
        x = self.attn(self.norm1_q(x), self.norm1_k(other))[0]
        return x + self.mlp(self.norm2(x))


def _convolutions(branch: nn.Module, widths: tuple[int, ...], *, pools: bool) -> None:
    for i, (width, out) in enumerate(pairwise(widths)):
        layers = [nn.Conv1d(width, out, 3, padding=0 if pools else 1), nn.BatchNorm1d(out)]
        pool = [nn.MaxPool1d(2, 1)] if pools else []
        branch.add_module(f"conv1d_{i}", nn.Sequential(*layers, nn.ReLU(inplace=True), *pool))


class Sfav(nn.Module):
    """``(batch, 10, 156)`` and ``(batch, 15, 3, 224, 224)`` to scores."""

    def __init__(self, fusion: Fusion, names: int = 8) -> None:
        super().__init__()
        self.fusion = fusion
        self.audio_model, self.visual_model = nn.Module(), Faces()
        _convolutions(self.audio_model, AUDIO, pools=True)
        _convolutions(self.visual_model, VIDEO, pools=False)
        place, ending = (4, "") if fusion == "lt" else (2, "1")
        kind = Attention if fusion == "ia" else Block
        self.add_module(f"av{ending}", kind(AUDIO[place], VIDEO[place]))
        self.add_module(f"va{ending}", kind(VIDEO[place], AUDIO[place]))
        self.classifier_1 = nn.Sequential(nn.Linear(AUDIO[4] + VIDEO[4], names))

    def forward(self, audio: Tensor, crops: Tensor) -> Tensor:
        """``(batch, names)``."""
        features = self.visual_model.describe(crops.flatten(0, 1))
        return self.of_features(audio, features.view(*crops.shape[:2], -1))

    def of_features(self, audio: Tensor, features: Tensor) -> Tensor:
        """Return the same from features of faces, ``(batch, 15, 1024)``."""
        video = features.permute(0, 2, 1)
        audio, video = self._stage(audio, video, (0, 1))
        if self.fusion != "lt":
            audio, video = self._fuse_target(audio, video)
        audio, video = self._stage(audio, video, (2, 3))
        if self.fusion == "lt":
            steps = audio.transpose(1, 2), video.transpose(1, 2)
            av, va = self.get_submodule("av"), self.get_submodule("va")
            pooled = [av(*steps).mean(dim=1), va(*reversed(steps)).mean(dim=1)]
        else:
            pooled = [audio.mean(dim=-1), video.mean(dim=-1)]
        scores: Tensor = self.classifier_1(torch.cat(pooled, dim=-1))
        return scores

    def _stage(self, audio: Tensor, video: Tensor, layers: tuple[int, int]) -> tuple[Tensor, ...]:
        for i in layers:
            audio = self.audio_model.get_submodule(f"conv1d_{i}")(audio)
            video = self.visual_model.get_submodule(f"conv1d_{i}")(video)
        return audio, video

    def _fuse_target(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        steps = audio.transpose(1, 2), video.transpose(1, 2)
        av, va = self.get_submodule("av1"), self.get_submodule("va1")
        to_audio, to_video = av(*steps), va(*reversed(steps))
        if self.fusion == "it":
            return audio + to_audio.transpose(1, 2), video + to_video.transpose(1, 2)
        return audio * to_video[1].sum(dim=1, keepdim=True), video * to_audio[1].sum(
            dim=1, keepdim=True
        )


def fourfold(audio: Tensor, crops: Tensor, fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Build the batch of modality dropout: full, attenuated, without audio, without video.

    Args:
        audio: ``(batch, 10, 156)``.
        crops: ``(batch, 15, 3, 224, 224)``.
        fraction: ``(batch,)`` how much of the audio is left where both are attenuated.

    Returns:
        Four times the batch of both.
    """
    of_audio, of_crops = fraction[:, None, None], (1 - fraction)[:, None, None, None, None]
    nothing = torch.zeros_like(audio), torch.zeros_like(crops)
    return (
        torch.cat((audio, audio * of_audio, nothing[0], audio)),
        torch.cat((crops, crops * of_crops, crops, nothing[1])),
    )
