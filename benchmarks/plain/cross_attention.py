"""Cross-attentional fusion (Praveen et al. 2021), features before time as released."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """``(batch, 1024, steps)`` of audio and video to scores, equations 1 to 5."""

    def __init__(self, size: int = 1024, hidden: int = 512, names: int = 1) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(2 * size, hidden), nn.ReLU(), nn.Linear(hidden, names)
        )
        weight = nn.Parameter(torch.empty(size, size))
        nn.init.xavier_normal_(weight)
        self.correlate = nn.ParameterList([weight])

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """``(batch, names)``."""
        correlation = torch.bmm(audio.transpose(1, 2) @ self.correlate[0], video)
        for_audio = torch.softmax(correlation, dim=1)
        for_video = torch.softmax(correlation.transpose(1, 2), dim=1)
        audio = torch.tanh(audio + torch.bmm(audio, for_audio))
        video = torch.tanh(video + torch.bmm(video, for_video))
        scores: Tensor = self.head(torch.cat((video, audio), dim=1).mean(dim=2))
        return scores
