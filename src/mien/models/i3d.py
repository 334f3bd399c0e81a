"""I3D: Inception-v1 inflated to three dimensions, the visual network of cross-attentional fusion.

Carreira and Zisserman (2017), "Quo vadis, action recognition? A new model and the Kinetics
dataset", CVPR, Figure 3; used by Praveen, Granger and Cardinal (2021), IEEE FG, Section III-A, on
sub-sequences of 16 faces of 224 by 224 pixels, each of which becomes 1024 features. Names of layers
are those of the paper's authors, so that their checkpoints, converted to PyTorch, fit. 12,287,264
parameters without logits, 12,697,264 with 400 of them.

- A unit is a convolution without bias, batch normalisation (epsilon 1e-3) and ReLU.
- Padding is TensorFlow's SAME, per axis and call: enough for ceil(size / stride) outputs, the odd
  step behind. Pools are padded with zeros, which changes nothing after a ReLU.
- The features are averaged over 2 x 7 x 7 (time, height, width), all there is left of 16 x 224 x
  224. Of larger clips the windows are averaged, of smaller ones the pool covers what there is.

Where the papers are silent or differ:

- Dropout before the logits is 0.8, as in the cross-attention paper; nothing depends on it without.
- Batch normalisation moves by 0.01 a step: batches of 8 clips are noisy, and the weights to start
  from carry good statistics.
- First weights are PyTorch's, for the paper inflates weights trained on pictures.

Unobserved frames: `split_subsequences` blackens them to zero, the middle of the range, and calls a
sub-sequence observed where one of its frames was. Sub-sequences without any are for the caller to
leave out, as `mien.models.feature_fusion.encode` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.dropout import Dropout
from mien.models._official import OFFICIAL, Official, Tensors
from mien.signals import Sequence

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class ConvolutionSpec:
    """A unit: channels, kernel and stride, the same along all axes."""

    channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class PoolSpec:
    """Maximum over a kernel of (time, height, width)."""

    kernel: Triple
    stride: Triple


@dataclass(frozen=True)
class MixedSpec:
    """An inception module: channels of its units, by branch (0 to 3) and order (a, b)."""

    b0: int
    b1a: int
    b1b: int
    b2a: int
    b2b: int
    b3b: int

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return self.b0 + self.b1b + self.b2b + self.b3b


Layer = ConvolutionSpec | PoolSpec | MixedSpec

I3D: Mapping[str, Layer] = {
    "Conv3d_1a_7x7": ConvolutionSpec(64, 7, 2),
    "MaxPool3d_2a_3x3": PoolSpec((1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": ConvolutionSpec(64, 1, 1),
    "Conv3d_2c_3x3": ConvolutionSpec(192, 3, 1),
    "MaxPool3d_3a_3x3": PoolSpec((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": MixedSpec(64, 96, 128, 16, 32, 32),
    "Mixed_3c": MixedSpec(128, 128, 192, 32, 96, 64),
    "MaxPool3d_4a_3x3": PoolSpec((3, 3, 3), (2, 2, 2)),
    "Mixed_4b": MixedSpec(192, 96, 208, 16, 48, 64),
    "Mixed_4c": MixedSpec(160, 112, 224, 24, 64, 64),
    "Mixed_4d": MixedSpec(128, 128, 256, 24, 64, 64),
    "Mixed_4e": MixedSpec(112, 144, 288, 32, 64, 64),
    "Mixed_4f": MixedSpec(256, 160, 320, 32, 128, 128),
    "MaxPool3d_5a_2x2": PoolSpec((2, 2, 2), (2, 2, 2)),
    "Mixed_5b": MixedSpec(256, 160, 320, 32, 128, 128),
    "Mixed_5c": MixedSpec(384, 192, 384, 48, 128, 128),
}


class InceptionI3d(nn.Module):
    """Features, or logits, of clips; see the module docstring.

    Args:
        outputs: number of logits; None for features.
        layers: by name; the paper's, or a beginning of them, or other widths.
        colours: channels of a frame.
        dropout: before the logits.

    Attributes:
        features: width of the features, the paper's 1024.
    """

    def __init__(
        self,
        outputs: int | None = None,
        *,
        layers: Mapping[str, Layer] = I3D,
        colours: int = 3,
        dropout: float = 0.8,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        channels = colours
        for name, layer in layers.items():
            self.layers[name] = _module(channels, layer)
            channels = channels if isinstance(layer, PoolSpec) else layer.channels
        self.features = channels
        self.dropout = Dropout(dropout)
        self.logits = None if outputs is None else nn.Linear(channels, outputs)

    def forward(self, clips: Tensor) -> Tensor:
        """Describe clips.

        Args:
            clips: ``(batch, 3, time, height, width)``, red, green and blue from -1 to 1.

        Returns:
            ``(batch, features)``, or ``(batch, outputs)``.

        Raises:
            OptionError: the input has other axes.
        """
        if clips.ndim != 5:
            raise OptionError(
                f"not a batch of clips: {tuple(clips.shape)}",
                advice="give (batch, 3, time, height, width)",
            )
        for layer in self.layers.values():
            clips = layer(clips)
        return self.describe(clips).mean(dim=1)

    def describe(self, maps: Tensor) -> Tensor:
        """Describe the last layer's maps ``(batch, features, time, height, width)``.

        Returns:
            ``(batch, windows, features)`` or, where there are logits, ``(batch, windows,
            outputs)``; windows of two steps of time, one of the map's step apart.
        """
        time, height, width = maps.shape[2:]
        window = (min(time, 2), min(height, 7), min(width, 7))
        pooled = F.avg_pool3d(maps, window, stride=1).mean(dim=(3, 4)).mT
        if self.logits is None:
            return pooled
        logits: Tensor = self.logits(self.dropout(pooled))
        return logits


def split_subsequences(frames: Sequence, length: int = 16) -> Sequence:
    """Cut frames into clips for `InceptionI3d`, one after the other.

    Args:
        frames: ``(batch, time, 3, height, width)``, from -1 to 1.
        length: frames of a sub-sequence, the paper's 16; the last one is filled up.

    Returns:
        ``(batch, time / length, 3, length, height, width)``, observed where any of the frames was;
        unobserved frames are zero.
    """
    mask = frames.valid[..., None, None, None]
    behind = -frames.valid.shape[1] % length
    values = F.pad(torch.where(mask, frames.values, 0.0), (0, 0, 0, 0, 0, 0, 0, behind))
    valid = F.pad(frames.valid, (0, behind))
    clips = values.shape[1] // length
    values = values.reshape(len(values), clips, length, *values.shape[2:]).transpose(2, 3)
    valid = valid.reshape(len(valid), clips, length).any(dim=2)
    return Sequence(values, valid, frames.hop * length)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Count steps to pad before and behind, the odd one behind (TensorFlow's SAME).

    Example:
        >>> same_padding(224, 7, 2), same_padding(225, 7, 2)
        ((2, 3), (3, 3))
    """
    rest = size % stride or stride
    total = max(kernel - rest, 0)
    return total // 2, total - total // 2


def _pad(maps: Tensor, kernel: Triple, stride: Triple) -> tuple[Tensor, Triple]:
    """Pad maps where it must be explicit; return them and what the operation itself can pad."""
    pairs = [same_padding(*axis) for axis in zip(maps.shape[2:], kernel, stride, strict=True)]
    if all(before == behind for before, behind in pairs):
        return maps, (pairs[0][0], pairs[1][0], pairs[2][0])  # no copy
    return F.pad(maps, [steps for pair in reversed(pairs) for steps in pair]), (0, 0, 0)


class _Unit(nn.Module):
    def __init__(self, channels: int, filters: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.shape = ((kernel, kernel, kernel), (stride, stride, stride))
        self.conv = nn.Conv3d(channels, filters, kernel, stride, bias=False)
        self.norm = nn.BatchNorm3d(filters, eps=1e-3, momentum=0.01)

    def forward(self, maps: Tensor) -> Tensor:
        maps, padding = _pad(maps, *self.shape)
        maps = F.conv3d(maps, self.conv.weight, None, self.shape[1], padding)
        return F.relu(self.norm(maps), inplace=True)


class _MaxPool(nn.Module):
    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        maps, padding = _pad(maps, self.kernel, self.stride)
        return F.max_pool3d(maps, self.kernel, self.stride, padding)


class _Inception(nn.Module):
    def __init__(self, channels: int, sizes: MixedSpec) -> None:
        super().__init__()
        self.b0 = _Unit(channels, sizes.b0, 1)
        self.b1a = _Unit(channels, sizes.b1a, 1)
        self.b1b = _Unit(sizes.b1a, sizes.b1b, 3)
        self.b2a = _Unit(channels, sizes.b2a, 1)
        self.b2b = _Unit(sizes.b2a, sizes.b2b, 3)
        self.b3a = _MaxPool((3, 3, 3), (1, 1, 1))
        self.b3b = _Unit(channels, sizes.b3b, 1)

    def forward(self, maps: Tensor) -> Tensor:
        branches = (
            self.b0(maps),
            self.b1b(self.b1a(maps)),
            self.b2b(self.b2a(maps)),
            self.b3b(self.b3a(maps)),
        )
        return torch.cat(branches, dim=1)


def _module(channels: int, layer: Layer) -> nn.Module:
    if isinstance(layer, ConvolutionSpec):
        return _Unit(channels, layer.channels, layer.kernel, layer.stride)
    if isinstance(layer, PoolSpec):
        return _MaxPool(layer.kernel, layer.stride)
    return _Inception(channels, layer)


def _layers_of(parameters: Tensors) -> dict[str, Layer]:
    """Build the layers that a checkpoint holds, the beginning of `I3D`, with its own widths."""
    here = {key.split(".")[0] for key in parameters} - {"logits"}
    last = max(number for number, name in enumerate(I3D) if name in here)
    found: dict[str, Layer] = {}
    for name, layer in list(I3D.items())[: last + 1]:
        if isinstance(layer, ConvolutionSpec):
            filters, _, kernel = parameters[f"{name}.conv3d.weight"].shape[:3]
            found[name] = ConvolutionSpec(filters, kernel, layer.stride)
        elif isinstance(layer, MixedSpec):
            branches = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
            widths = (len(parameters[f"{name}.{branch}.conv3d.weight"]) for branch in branches)
            found[name] = MixedSpec(*widths)
        else:
            found[name] = layer
    return found


def _build(parameters: Tensors) -> InceptionI3d:
    first = parameters["Conv3d_1a_7x7.conv3d.weight"]
    logits = parameters.get("logits.conv3d.weight")
    outputs = None if logits is None else len(logits)
    return InceptionI3d(outputs, layers=_layers_of(parameters), colours=first.shape[1])


def _convert(parameters: Tensors) -> dict[str, Tensor]:
    converted = {}
    for key, value in parameters.items():
        layer, _, rest = key.partition(".")
        if key.endswith(".num_batches_tracked"):
            continue
        if layer == "logits" and rest in {"conv3d.weight", "conv3d.bias"}:
            converted[key.replace(".conv3d", "")] = value.flatten(1) if value.ndim == 5 else value
        elif layer in I3D:
            ours = rest.replace("conv3d.", "conv.").replace("bn.", "norm.")
            converted[f"layers.{layer}.{ours}"] = value
        else:
            raise KeyError(f"superfluous: {key}")
    return converted


OFFICIAL.register("i3d", Official(_build, _convert))
OFFICIAL.register("i3d_stem", Official(_build, _convert))
