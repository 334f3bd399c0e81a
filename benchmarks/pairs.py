"""mien and `benchmarks.plain`: the same weights, inputs and losses, to be run in turns."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.pairs_of_time import PAIRS_OF_TIME
from benchmarks.plain import copy_in_order
from benchmarks.plain.cross_attention import CrossAttention
from benchmarks.plain.crossmodal import AuxFormer, Mult
from benchmarks.plain.sfav import Fusion, Sfav, fourfold
from benchmarks.plain.uavm import Uavm
from benchmarks.plain.vavl import Vavl
from benchmarks.sides import (
    CLASSES,
    SECONDS,
    Pair,
    Side,
    classes,
    inputs,
    numbers,
    observed,
    ours,
)
from mien.layers.losses import squared_error
from mien.models import Model, Task, create_model, from_official
from mien.models.sfav import SFAV
from mien.signals import Sequence, Signals


def _sfav_inputs(batch: int) -> tuple[Tensor, Tensor, Tensor]:
    given = inputs(batch, {"audio": (10, 156), "video": (15, 3, 224, 224)})
    return given["audio"], given["video"].sigmoid(), classes(batch)


def sfav(batch: int, *, fusion: Fusion) -> tuple[Side, Side]:
    """SFAV from face crops, backbone and all."""
    audio, crops, target = _sfav_inputs(batch)
    plain = Sfav(fusion)
    model = cast(Model, from_official(f"sfav_{fusion}", plain.state_dict(), num_heads=1))
    signals = observed({"audio": audio.transpose(1, 2), "video": crops})
    other = Side(
        plain,
        lambda: plain(audio, crops),
        lambda: F.cross_entropy(plain(audio, crops), target),
    )
    return ours(model, signals, target), other


def sfav_dropout(batch: int, *, on_features: bool) -> tuple[Side, Side]:
    """Time the fourfold step: ours sees a picture once, the plain one every copy and black ones.

    Args:
        batch: clips, before they become four times as many.
        on_features: ours attenuates the features of faces, and has no second pictures to see; else
            the pictures, as the release does.
    """
    audio, crops, target = _sfav_inputs(batch)
    plain = Sfav("ia")
    model = from_official("sfav_ia", plain.state_dict(), num_heads=1)
    cast(SFAV, model).missing_frame = "zeros"  # official weights come with black pictures
    fraction = torch.rand(batch, generator=torch.Generator().manual_seed(3))
    four = target.repeat(4)
    voice = fourfold(audio, crops[:, :, :, :1, :1], fraction)[0].transpose(1, 2)
    heard, seen = torch.ones(2, 4 * batch, dtype=torch.bool)
    heard[2 * batch : 3 * batch] = False
    seen[3 * batch :] = False

    def mine() -> Tensor:
        left = (1 - fraction)[:, None, None]
        if on_features:
            full = _described(model, crops)
            weak = full * left
        else:
            both = torch.cat((crops, crops * left[..., None, None]))
            full, weak = _described(model, both).chunk(2)
        faces = torch.cat((full, weak, full, torch.zeros_like(full)))
        given = {"audio": (voice, heard), "video": (faces, seen)}
        signals = Signals(
            {
                n: Sequence(x, who.unsqueeze(1).expand(x.shape[:2]), SECONDS / x.shape[1])
                for n, (x, who) in given.items()
            }
        )
        return cast(Model, model).loss(model(signals), four)

    def theirs() -> Tensor:
        return F.cross_entropy(plain(*fourfold(audio, crops, fraction)), four)

    return Side(model, None, mine), Side(plain, None, theirs)


def _described(model: nn.Module, crops: Tensor) -> Tensor:
    return cast(SFAV, model).describe(observed({"video": crops}))["video"].values


def auxformer(batch: int) -> tuple[Side, Side]:
    """AuxFormer with 50 parameters of the face, as released."""
    given, target = inputs(batch, {"audio": (131, 1024), "video": (79, 50)}), numbers(batch, 6)
    plain = AuxFormer()
    model = cast(Model, from_official("auxformer", plain.state_dict(), num_heads=10))

    def loss() -> Tensor:
        heads = plain(**given)
        return torch.stack([F.mse_loss(scores, target) for scores in heads]).mean()

    other = Side(plain, lambda: torch.stack(plain(**given)).mean(dim=0), loss)
    return ours(model, observed(given), target), other


def mult(batch: int) -> tuple[Side, Side]:
    """MulT on text, audio and video of different lengths."""
    shapes = {"text": (50, 300), "audio": (500, 74), "video": (500, 35)}
    given, target = inputs(batch, shapes), numbers(batch, 1)
    plain = Mult({name: shape[1] for name, shape in shapes.items()})
    model = cast(Model, from_official("mult", plain.state_dict(), num_heads=5))
    other = Side(plain, lambda: plain(**given), lambda: F.mse_loss(plain(**given), target))
    return ours(model, observed(given), target), other


def uavm(batch: int) -> tuple[Side, Side]:
    """UAVM by both modalities."""
    given, target = inputs(batch, {"audio": (50, 1024), "video": (50, 1408)}), classes(batch)
    plain = Uavm()
    model = cast(Model, from_official("uavm", plain.state_dict(), num_heads=4))

    def loss() -> Tensor:
        return torch.stack([F.cross_entropy(x, target) for x in plain(**given)]).mean()

    other = Side(plain, lambda: torch.stack(plain(**given)).mean(dim=0), loss)
    return ours(model, observed(given), target), other


def vavl(batch: int) -> tuple[Side, Side]:
    """VAVL at the sizes of CREMA-D."""
    shapes = {"audio": (131, 1024), "video": (79, 1408)}
    given, target = inputs(batch, shapes), classes(batch)
    sizes = {name: shape[1] for name, shape in shapes.items()}
    task = Task("categories", tuple(map(str, range(CLASSES))))
    model, plain = create_model("vavl", task=task, modalities=sizes), Vavl(sizes, CLASSES)
    copy_in_order(model, plain)
    other = Side(plain, lambda: plain(**given)[0], lambda: plain.loss(target, **given))
    return ours(model, observed(given), target), other


def cross_attention(batch: int) -> tuple[Side, Side]:
    """Cross-attentional fusion of eight sub-sequences."""
    shapes = {"audio": (8, 1024), "video": (8, 1024)}
    given, target = inputs(batch, shapes), numbers(batch, 1)
    sizes = dict.fromkeys(shapes, 1024)
    model = create_model("cross_attention", task=Task("dimensions", ("a",)), modalities=sizes)
    model.criterion = squared_error
    plain = CrossAttention()
    copy_in_order(model, plain)
    turned = [x.transpose(1, 2).contiguous() for x in given.values()]
    other = Side(plain, lambda: plain(*turned), lambda: F.mse_loss(plain(*turned), target))
    return ours(model, observed(given), target), other


PAIRS = (
    *(
        Pair(f"sfav_{fusion}", "RAVDESS, from crops", 8, partial(sfav, fusion=fusion))
        for fusion in ("lt", "it", "ia")
    ),
    Pair(
        "sfav_ia",
        "modality dropout, 4 x batch; ours: pictures attenuated",
        8,
        partial(sfav_dropout, on_features=False),
    ),
    Pair(
        "sfav_ia",
        "modality dropout, 4 x batch; ours: features attenuated",
        8,
        partial(sfav_dropout, on_features=True),
    ),
    Pair("auxformer", "CREMA-D, 2.6 s", 32, auxformer),
    Pair("vavl", "CREMA-D, 2.6 s", 32, vavl),
    Pair("mult", "MOSEI unaligned, three modalities", 24, mult),
    Pair("uavm", "50 steps", 32, uavm),
    Pair("cross_attention", "RECOLA, 8 sub-sequences", 16, cross_attention),
    *PAIRS_OF_TIME,
)
