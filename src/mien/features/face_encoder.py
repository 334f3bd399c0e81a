"""The face encoder: one aligned grey crop in, an embedding and an emotion distribution out.

A residual network (He et al. 2016, "Deep residual learning for image recognition", basic blocks) of
four stages over 48x48 pixels, trained by ``tools/face_encoder.py`` on the vote
distributions of FER+ (Barsoum et al. 2016, "Training deep networks for facial expression
recognition with crowd-sourced label distribution"). Grey on purpose: FER+ is grey, and a colour
crop loses nothing that could be learned from it. Each crop is standardised by its own mean and
standard deviation inside the network, so exposure and contrast do not matter.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mien import weights
from mien.features.extractor import Dtype, FaceExtractor, FaceImage, register_extractor

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

    @classmethod
    def pretrained(cls) -> FaceEncoder:
        """Load the encoder that comes with mien, in float32.

        Raises:
            WeightError: its weights are not in the package.
        """
        encoder = cls()
        tensors = weights.load("face_encoder")
        encoder.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        return encoder.eval()

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


@register_extractor("face_ferplus")
class FaceFerPlus(FaceExtractor):
    """The face as mien's encoder sees it: its embedding (256), then the logits of FER+ (8).

    Attributes:
        hop: seconds between two looks at the face.
    """

    edition: ClassVar[int] = 1
    weights: ClassVar[tuple[str, ...]] = ("face_encoder",)
    dtype: ClassVar[Dtype] = "float16"
    hop: float = 0.2

    @property
    def shape(self) -> tuple[int, ...]:
        """264 features."""
        return (EMBEDDING + len(FERPLUS_EMOTIONS),)

    @torch.inference_mode()
    def encode(self, faces: Sequence[FaceImage]) -> NDArray[np.float32]:
        """Encode the aligned grey crops; ``(n, 264)``."""
        crops = torch.from_numpy(np.stack([face.crop for face in faces]))
        code = _inference_network()(crops[:, None].float() / 255)
        return torch.cat([code.embedding, code.logits], dim=1).numpy()


@cache
def _inference_network() -> FaceEncoder:
    """Return the network of this process, loaded when first needed."""
    return fold_normalisation(FaceEncoder.pretrained())


def fold_normalisation(encoder: FaceEncoder) -> FaceEncoder:
    """Copy an encoder for inference, its batch norms folded into the convolutions before."""
    fused = copy.deepcopy(encoder).eval()
    for chain in [module for module in fused.modules() if isinstance(module, nn.Sequential)]:
        for index in range(len(chain) - 1):
            first, second = chain[index], chain[index + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                chain[index] = fuse_conv_bn_eval(first, second)
                chain[index + 1] = nn.Identity()
    for parameter in fused.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return fused
