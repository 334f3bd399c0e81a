"""The rivals of cross-attentional fusion (Praveen et al. 2021), in mien's order of parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SIZE = 1024
HIDDEN = 512


def _head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(0.5), nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


class Concatenation(nn.Module):
    """``(batch, steps, 1024)`` of audio and video, side by side, to scores."""

    def __init__(self, width: int = 2 * SIZE) -> None:
        super().__init__()
        self.head = _head(width)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """``(batch, 1)``."""
        scores: Tensor = self.head(self.fused(torch.cat((video, audio), dim=2)).mean(dim=1))
        return scores

    def fused(self, x: Tensor) -> Tensor:
        """``(batch, steps, width)`` of both side by side."""
        return x


class LstmFusion(Concatenation):
    """An LSTM over both."""

    def __init__(self) -> None:
        super().__init__(HIDDEN)
        self.lstm = nn.LSTM(2 * SIZE, HIDDEN, batch_first=True)

    def fused(self, x: Tensor) -> Tensor:
        """``(batch, steps, width)``."""
        states: Tensor = self.lstm(x)[0]
        return states


class SelfAttention(Concatenation):
    """Attention of both to both, with its map in memory."""

    def __init__(self) -> None:
        super().__init__(HIDDEN)
        self.project = nn.Linear(2 * SIZE, 3 * HIDDEN)

    def fused(self, x: Tensor) -> Tensor:
        """``(batch, steps, width)``."""
        query, key, value = self.project(x).chunk(3, dim=2)
        weights = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(HIDDEN), dim=2)
        found: Tensor = weights @ value
        return found


class TwoStages(nn.Module):
    """Cross-attention, and once more over what it gave (Lee et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = _head(2 * SIZE)
        self.correlate = nn.ParameterList(
            nn.init.xavier_normal_(torch.empty(SIZE, SIZE)) for _ in range(2)
        )

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """``(batch, 1)``."""
        heard, seen = audio, video
        for stage, weight in enumerate(self.correlate):
            correlation = heard @ weight @ seen.transpose(1, 2)
            for_audio = torch.softmax(correlation, dim=1)
            for_video = torch.softmax(correlation.transpose(1, 2), dim=1)
            if stage:
                audio, video = audio + heard, video + seen
            heard, seen = (
                torch.tanh(audio + for_audio.transpose(1, 2) @ heard),
                torch.tanh(video + for_video.transpose(1, 2) @ seen),
            )
        scores: Tensor = self.head(torch.cat((seen, heard), dim=2).mean(dim=1))
        return scores
