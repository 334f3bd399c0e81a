"""EfficientFace (Zhao, Liu and Zhou 2021) as it is released: four patches, one network for each."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

WIDTHS = (29, 116, 232, 464, 1024)
UNITS = (4, 8, 4)
HIDDEN = 7
QUARTER_PX = 28


def _depthwise(width: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False)


def _pointwise(width: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


class Unit(nn.Module):
    """A unit of ShuffleNet V2."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        half = out // 2
        if stride == 2:
            first = [_depthwise(width, 2), nn.BatchNorm2d(width)]
            self.branch1 = nn.Sequential(*first, *_pointwise(width, half))
        self.branch2 = nn.Sequential(
            *_pointwise(width if stride == 2 else half, half),
            _depthwise(half, stride),
            nn.BatchNorm2d(half),
            *_pointwise(half, half),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(images, width, height, width)`` to ``out`` channels."""
        if self.stride == 2:
            x = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        else:
            kept, changed = x.chunk(2, dim=1)
            x = torch.cat((kept, self.branch2(changed)), dim=1)
        images, width, rows, columns = x.shape
        halves = x.view(images, 2, width // 2, rows, columns)
        return halves.transpose(1, 2).contiguous().view(images, width, rows, columns)


class Local(nn.Module):
    """A small network for each quarter of the map."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        for patch in range(1, 5):
            grouped = nn.Conv2d(width, out, 3, 2, 1, groups=width, bias=False)
            self.add_module(f"conv{patch}_1", grouped)
            self.add_module(f"bn{patch}_1", nn.BatchNorm2d(out))
            self.add_module(f"conv{patch}_2", _depthwise(out, 1))
            self.add_module(f"bn{patch}_2", nn.BatchNorm2d(out))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(images, width, 56, 56)`` to ``(images, out, 28, 28)``."""
        near, far = slice(0, QUARTER_PX), slice(QUARTER_PX, None)
        places = ((near, near), (far, near), (near, far), (far, far))
        found = []
        for patch, (rows, columns) in enumerate(places, start=1):
            part = x[:, :, rows, columns]
            for layer in (1, 2):
                part = self.get_submodule(f"conv{patch}_{layer}")(part)
                part = self.relu(self.get_submodule(f"bn{patch}_{layer}")(part))
            found.append(part)
        left, right = torch.cat(found[:2], dim=2), torch.cat(found[2:], dim=2)
        return torch.cat((left, right), dim=3)


class Modulator(nn.Module):
    """Channel and spatial attention, multiplied before the sigmoid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channel = OrderedDict[str, nn.Module](
            gate_c_fc_0=nn.Linear(width, HIDDEN),
            gate_c_bn_1=nn.BatchNorm1d(HIDDEN),
            gate_c_relu_1=nn.ReLU(),
            gate_c_fc_final=nn.Linear(HIDDEN, width),
        )
        spatial = OrderedDict[str, nn.Module](
            gate_s_conv_reduce0=nn.Conv2d(width, HIDDEN, 1),
            gate_s_bn_reduce0=nn.BatchNorm2d(HIDDEN),
            gate_s_relu_reduce0=nn.ReLU(),
        )
        for i in range(2):
            dilated = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=4, dilation=4)
            spatial[f"gate_s_conv_di_{i}"] = dilated
            spatial[f"gate_s_bn_di_{i}"] = nn.BatchNorm2d(HIDDEN)
            spatial[f"gate_s_relu_di_{i}"] = nn.ReLU()
        spatial["gate_s_conv_final"] = nn.Conv2d(HIDDEN, 1, 1)
        self.channel_att = nn.Module()
        self.channel_att.gate_c = nn.Sequential(channel)
        self.spatial_att = nn.Module()
        self.spatial_att.gate_s = nn.Sequential(spatial)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of x."""
        channel = self.channel_att.get_submodule("gate_c")(x.mean(dim=(2, 3)))
        spatial = self.spatial_att.get_submodule("gate_s")(x)
        weights = channel[:, :, None, None].expand_as(x) * spatial.expand_as(x)
        return torch.sigmoid(weights) * x


class Faces(nn.Module):
    """The network without its classifier: ``(images, 3, 224, 224)`` to ``(images, 1024)``."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(3, WIDTHS[0], 3, 2, 1, bias=False)
        self.conv1 = nn.Sequential(first, nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for number, count in enumerate(UNITS):
            width, out = WIDTHS[number : number + 2]
            units = [Unit(width, out, 2), *(Unit(out, out, 1) for _ in range(count - 1))]
            self.add_module(f"stage{number + 2}", nn.Sequential(*units))
        self.local = Local(WIDTHS[0], WIDTHS[1])
        self.modulator = Modulator(WIDTHS[1])
        self.conv5 = nn.Sequential(*_pointwise(WIDTHS[3], WIDTHS[4]))

    def describe(self, images: Tensor) -> Tensor:
        """Features of faces."""
        x = self.maxpool(self.conv1(images))
        x = self.modulator(self.get_submodule("stage2")(x)) + self.local(x)
        x = self.get_submodule("stage4")(self.get_submodule("stage3")(x))
        features: Tensor = self.conv5(x).mean(dim=(2, 3))
        return features
