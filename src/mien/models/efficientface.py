"""EfficientFace, the network that describes single faces in SFAV.

Zhao, Z., Liu, Q. and Zhou, F. (2021). Robust lightweight facial expression recognition network with
label distribution training. AAAI Conference on Artificial Intelligence 35, 3510-3519: figure 2
(network), section 3.2 (local-feature extractor) and 3.3 (channel-spatial modulator). Backbone:
ShuffleNet V2 (Ma et al. 2018, figure 3 c and d).

Where we depart, and choices:

- The four patches of the local-feature extractor go through one grouped convolution instead of
  four, with the same numbers: four short ones leave the processor waiting.
- Any face crop whose sides are multiples of 16 px is taken, patches being quarters of the map; the
  released code counts pixels and takes 224 px only.
- The modulator multiplies its channel and spatial branches before the sigmoid, and the second
  convolution of a patch is depth-wise, as in the released code: the paper's figure does not say.
- Crops are red, green and blue from 0 to 1. Normalise them as your weights were trained: the
  released weights used mean and standard deviation of AffectNet, SFAV feeds the plain range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mien.errors import OptionError
from mien.models._official import OFFICIAL, Official, batches_tracked

PATCHES = 4
AT_ONCE = 24  # faces without gradients: more leave the cache, fewer get a slower convolution
STRIDE = 16  # a crop's sides must be multiples of it, so that quarters of stage 2 have equal size


def _normalise_after(convolution: nn.Conv2d, *, relu: bool = True) -> list[nn.Module]:
    norm: list[nn.Module] = [convolution, nn.BatchNorm2d(convolution.out_channels)]
    return [*norm, nn.ReLU(inplace=True)] if relu else norm


def _depthwise(width: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False)


def _pointwise(width: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(width, out, 1, bias=False)


def shuffle(channels: Tensor) -> Tensor:
    """Interleave the two halves of the channels: ``(batch, channels, height, width)``."""
    batch, width, height, breadth = channels.shape
    last = channels.permute(0, 2, 3, 1)  # free of charge in the layout that the network works in
    halves = last.reshape(batch, height, breadth, 2, width // 2)
    return halves.transpose(3, 4).reshape(last.shape).permute(0, 3, 1, 2)


class ShuffleUnit(nn.Module):
    """A unit of ShuffleNet V2 (figure 3 c; with stride two, figure 3 d).

    Args:
        width: input channels.
        out: output channels.
        stride: one, where half of the channels passes through, or two.
    """

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        half = out // 2
        self.branch1 = nn.Sequential()
        if stride == 2:
            self.branch1 = nn.Sequential(
                *_normalise_after(_depthwise(width, 2), relu=False),
                *_normalise_after(_pointwise(width, half)),
            )
        self.branch2 = nn.Sequential(
            *_normalise_after(_pointwise(width if stride == 2 else half, half)),
            *_normalise_after(_depthwise(half, stride), relu=False),
            *_normalise_after(_pointwise(half, half)),
        )
        self.stride = stride

    def forward(self, maps: Tensor) -> Tensor:
        """Turn ``(batch, width, height, width)`` to ``out`` channels, the sides over the stride."""
        kept, changed = (maps, maps) if self.stride == 2 else maps.chunk(2, dim=1)
        return shuffle(torch.cat([self.branch1(kept), self.branch2(changed)], dim=1))


class LocalFeatures(nn.Module):
    """Local-feature extractor: a small network of its own for each quarter of the map.

    Quarters are ordered top left, bottom left, top right, bottom right.

    Args:
        width: input channels.
        out: output channels, a multiple of `width`.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        first = nn.Conv2d(
            PATCHES * width, PATCHES * out, 3, 2, 1, groups=PATCHES * width, bias=False
        )
        self.layers = nn.Sequential(
            *_normalise_after(first), *_normalise_after(_depthwise(PATCHES * out, stride=1))
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Turn ``(batch, width, height, width)`` to ``out`` channels at half height and width."""
        batch, width, height, breadth = maps.shape
        quarters = maps.reshape(batch, width, 2, height // 2, 2, breadth // 2)
        stacked = quarters.permute(0, 4, 2, 1, 3, 5).reshape(batch, -1, height // 2, breadth // 2)
        local: Tensor = self.layers(stacked)
        _, _, rows, columns = local.shape
        local = local.reshape(batch, 2, 2, -1, rows, columns).permute(0, 3, 2, 4, 1, 5)
        return local.reshape(batch, -1, 2 * rows, 2 * columns)


class Modulator(nn.Module):
    """Channel-spatial modulator: ``sigmoid(channel(x) * spatial(x)) * x``.

    Args:
        width: channels.
        hidden: channels of both bottlenecks; the paper's reduction is 16.
        dilated: dilated convolutions in the spatial branch.
    """

    def __init__(self, width: int, hidden: int, dilated: int) -> None:
        super().__init__()
        self.channel = nn.Sequential(
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, width),
        )
        layers = _normalise_after(nn.Conv2d(width, hidden, 1))
        for _ in range(dilated):
            layers += _normalise_after(nn.Conv2d(hidden, hidden, 3, padding=4, dilation=4))
        self.spatial = nn.Sequential(*layers, nn.Conv2d(hidden, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Weigh ``(batch, width, height, width)``; the shape stays."""
        channel = self.channel(maps.mean(dim=(2, 3)))[:, :, None, None]
        return torch.sigmoid(channel * self.spatial(maps)) * maps


class EfficientFace(nn.Module):
    """See the module docstring.

    Args:
        classes: expressions that it scores; None to describe faces only, as SFAV does.
        widths: channels of the stem, of stages 2 to 4 and of the last convolution.
        units: units of stages 2 to 4.
        hidden: channels of the modulator's bottlenecks.
        dilated: dilated convolutions of the modulator.
    """

    def __init__(
        self,
        *,
        classes: int | None = 7,
        widths: tuple[int, int, int, int, int] = (29, 116, 232, 464, 1024),
        units: tuple[int, int, int] = (4, 8, 4),
        hidden: int = 7,
        dilated: int = 2,
    ) -> None:
        super().__init__()
        self.features = widths[-1]
        self.stem = nn.Sequential(
            *_normalise_after(nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)), nn.MaxPool2d(3, 2, 1)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                ShuffleUnit(width, out, 2), *(ShuffleUnit(out, out, 1) for _ in range(count - 1))
            )
            for width, out, count in zip(widths, widths[1:4], units, strict=False)
        )
        self.local = LocalFeatures(widths[0], widths[1])
        self.modulator = Modulator(widths[1], hidden, dilated)
        self.last = nn.Sequential(*_normalise_after(_pointwise(widths[3], widths[4])))
        self.classifier = nn.Linear(widths[4], classes) if classes else nn.Identity()

    def describe(self, images: Tensor) -> Tensor:
        """Describe faces: ``(batch, 3, height, width)`` to ``(batch, features)``.

        Raises:
            OptionError: the images are not three-coloured or not a multiple of 16 px.
        """
        if self.training or torch.is_grad_enabled() or not len(images):
            return self.maps(images)["features"]
        return torch.cat([self.maps(part)["features"] for part in torch.split(images, AT_ONCE)])

    def forward(self, images: Tensor) -> Tensor:
        """Score the expressions: ``(batch, 3, height, width)`` to ``(batch, classes)``.

        Without classes, the features.
        """
        scores: Tensor = self.classifier(self.describe(images))
        return scores

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features, and the means of the maps on the way to them.

        Args:
            images: as for `forward`.

        Returns:
            ``stage2_mean``, ``modulator_mean``, ``local_mean``, … and ``features``, each ``(batch,
            channels)``.

        Raises:
            OptionError: the images have another shape.
        """
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % STRIDE:
            raise OptionError(
                f"faces have the shape {tuple(images.shape[1:])}",
                advice=f"give (3, height, width), multiples of {STRIDE} px, best 224",
            )
        if images.shape[3] % STRIDE:
            raise OptionError(f"faces are {images.shape[3]} px wide, no multiple of {STRIDE}")
        stem = self.stem(images.contiguous(memory_format=torch.channels_last))
        stage2 = self.stages[0](stem)
        modulated, local = self.modulator(stage2), self.local(stem)
        last = self.last(self.stages[2](self.stages[1](modulated + local)))
        return {
            "stage2_mean": stage2.mean(dim=(2, 3)),
            "modulator_mean": modulated.mean(dim=(2, 3)),
            "local_mean": local.mean(dim=(2, 3)),
            "features": last.mean(dim=(2, 3)),
        }


# ------------------------------------------------------------------ official checkpoints

_RENAMED = (
    (r"conv1\.", "stem."),
    (r"stage([234])\.", lambda m: f"stages.{int(m[1]) - 2}."),
    (r"conv5\.", "last."),
    (r"fc\.", "classifier."),
    (r"modulator\.channel_att\.gate_c\.gate_c_fc_0\.", "modulator.channel.0."),
    (r"modulator\.channel_att\.gate_c\.gate_c_bn_1\.", "modulator.channel.1."),
    (r"modulator\.channel_att\.gate_c\.gate_c_fc_final\.", "modulator.channel.3."),
    (r"modulator\.spatial_att\.gate_s\.gate_s_conv_reduce0\.", "modulator.spatial.0."),
    (r"modulator\.spatial_att\.gate_s\.gate_s_bn_reduce0\.", "modulator.spatial.1."),
    (
        r"modulator\.spatial_att\.gate_s\.gate_s_conv_di_(\d+)\.",
        lambda m: f"modulator.spatial.{3 * int(m[1]) + 3}.",
    ),
    (
        r"modulator\.spatial_att\.gate_s\.gate_s_bn_di_(\d+)\.",
        lambda m: f"modulator.spatial.{3 * int(m[1]) + 4}.",
    ),
)
_LOCAL = re.compile(r"local\.(conv|bn)[1-4]_[12]\.(\w+)")
_DILATED = "modulator.spatial_att.gate_s.gate_s_conv_di_"
_LAST_OF_GATE = "modulator.spatial_att.gate_s.gate_s_conv_final."


def sizes(parameters: Mapping[str, Tensor]) -> dict[str, object]:
    """Find the options of `EfficientFace` from the shapes of official parameters."""
    names = ("conv1.0", "stage2.0.branch1.2", "stage3.0.branch1.2", "stage4.0.branch1.2", "conv5.0")
    out = [len(parameters[f"{name}.weight"]) for name in names]
    counts = [
        len({key.split(".")[1] for key in parameters if key.startswith(f"{stage}.")})
        for stage in ("stage2", "stage3", "stage4")
    ]
    reduced = parameters["modulator.channel_att.gate_c.gate_c_fc_0.weight"]
    return {
        "classes": len(parameters["fc.weight"]) if "fc.weight" in parameters else None,
        "widths": (out[0], 2 * out[1], 2 * out[2], 2 * out[3], out[4]),  # units concatenate halves
        "units": tuple(counts),
        "hidden": len(reduced),
        "dilated": _count_dilated(parameters),
    }


def convert(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert official parameters to our state.

    Raises:
        KeyError: one is missing, or unknown.
    """
    state: dict[str, Tensor] = {}
    depth = _count_dilated(parameters)
    for key, value in parameters.items():
        if not _LOCAL.fullmatch(key) and not key.endswith("num_batches_tracked"):
            state[_rename(key, depth)] = value
    for layer, place in ((1, 0), (2, 3)):
        names = [f"local.conv{patch}_{layer}" for patch in range(1, PATCHES + 1)]
        state[f"local.layers.{place}.weight"] = torch.cat(
            [parameters[f"{n}.weight"] for n in names]
        )
        norms = [name.replace("conv", "bn") for name in names]
        for kind in ("weight", "bias", "running_mean", "running_var"):
            whole = torch.cat([parameters[f"{norm}.{kind}"] for norm in norms])
            state[f"local.layers.{place + 1}.{kind}"] = whole
    return state | batches_tracked(state)


def _count_dilated(parameters: Mapping[str, Tensor]) -> int:
    return sum(key.startswith(_DILATED) and key.endswith(".weight") for key in parameters)


def _rename(key: str, dilated: int) -> str:
    if key.startswith(_LAST_OF_GATE):
        return key.replace(_LAST_OF_GATE, f"modulator.spatial.{3 * dilated + 3}.")
    for pattern, replacement in _RENAMED:
        if re.match(pattern, key):
            return re.sub(pattern, replacement, key, count=1)
    raise KeyError(f"unknown parameter {key}")


def _build(parameters: Mapping[str, Tensor]) -> EfficientFace:
    return EfficientFace(**sizes(parameters))  # type: ignore[arg-type]


OFFICIAL.register("efficientface", Official(_build, convert))
