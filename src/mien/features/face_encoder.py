"""The face encoder: one aligned grey crop in, an embedding and an emotion distribution out.

A residual network (He et al. 2016, "Deep residual learning for image recognition", basic blocks) of
four stages over 48x48 pixels, trained by ``experiments/face_encoder/train.py`` on the vote
distributions of FER+ (Barsoum et al. 2016, "Training deep networks for facial expression
recognition with crowd-sourced label distribution"). Grey on purpose: FER+ is grey, and a colour
crop loses nothing that the training data could have taught. Each crop is standardised by its own
mean and deviation inside the network, so exposure and contrast of the recording do not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

CROP_PX = 48
EMBEDDING = 256
FERPLUS_EMOTIONS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)


class FaceCode(NamedTuple):
    """What the encoder says about a batch of crops.

    Attributes:
        embedding: ``(batch, 256)``, non-negative activations before the classifier.
        logits: ``(batch, 8)``, unnormalised log-probabilities in the order of ``FERPLUS_EMOTIONS``.
    """

    embedding: Tensor
    logits: Tensor


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.skip = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.skip(x))


class FaceEncoder(nn.Module):
    """Residual network over aligned grey face crops.

    Args:
        dropout: probability of dropping an embedding unit before the classifier, in training.
    """

    def __init__(self, *, dropout: float = 0.3) -> None:
        super().__init__()
        stages = ((32, 1), (64, 2), (128, 2), (EMBEDDING, 2))
        layers: list[nn.Module] = [
            nn.Conv2d(1, 32, 3, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
        ]
        width = 32
        for stage, (channels, blocks) in enumerate(stages):
            for block in range(blocks):
                stride = 2 if block == 0 and stage > 0 else 1
                layers.append(_Residual(width, channels, stride))
                width = channels
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(EMBEDDING, len(FERPLUS_EMOTIONS))

    def forward(self, crops: Tensor) -> FaceCode:
        """Encode crops.

        Args:
            crops: ``(batch, 1, 48, 48)`` grey values on any linear scale.
        """
        mean = crops.mean(dim=(1, 2, 3), keepdim=True)
        deviation = crops.std(dim=(1, 2, 3), keepdim=True, correction=0)
        standard = (crops - mean) / (deviation + 1e-3 * (1 + mean.abs()))
        embedding = self.trunk(standard.to(memory_format=torch.channels_last))
        return FaceCode(embedding, self.classifier(self.dropout(embedding)))
