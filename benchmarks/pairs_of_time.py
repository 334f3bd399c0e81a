"""Pairs of the models that go over time, and of what RECOLA's and RAVDESS' features are given to.

Sizes and batches are those of `benchmarks.models`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plain import copy_in_order
from benchmarks.plain.concordance import concordance_loss
from benchmarks.plain.encoders import Mater
from benchmarks.plain.fusion import Concatenation, LstmFusion, SelfAttention, TwoStages
from benchmarks.plain.mmte import WithDecoder, WithDense, WithLstm
from benchmarks.plain.recurrent import LateLstm, Tlstm
from benchmarks.plain.tav import OneDirection
from benchmarks.sides import CLASSES, Pair, Side, classes, inputs, numbers, observed, ours
from mien.models import Model, Task, create_model, from_official

EIGHT = Task("categories", tuple("abcdefgh"))
SIX = Task("categories", tuple("abcdef"))
AROUSAL = Task("dimensions", ("arousal",))
AROUSAL_FRAME = Task("dimensions", ("arousal",), "frame")
TSST = {"audio": (250, 88), "video": (250, 20)}
CREMA = {"audio": (131, 1024), "video": (79, 1408)}
RAVDESS = {"audio": (156, 10), "video": (15, 1024)}
RECOLA = {"audio": (8, 1024), "video": (8, 1024)}
LIVELY = 3.0

# Parts of mien's layers in the order in which the plain ones hold them.
ENCODER_LAYER = (
    "attention_in", "attention_out", "feed_in", "feed_out", "norm_attention", "norm_feed",
)  # fmt: skip
CROSSMODAL_LAYER = ("attention", "widen", "narrow", "attention_norm", "feedforward_norm")


def _sizes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    return {name: shape[-1] for name, shape in shapes.items()}


def _of(module: nn.Module, *names: str) -> Iterator[nn.Parameter]:
    for name in names:
        yield from module.get_submodule(name).parameters()


def _layers(module: nn.Module, names: tuple[str, ...]) -> Iterator[nn.Parameter]:
    for layer in module.get_submodule("layers").children():
        yield from _of(layer, *names)


def _fill(plain: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
    copy_in_order(nn.ParameterList(parameters), plain)


def _lively(model: nn.Module) -> None:
    """Make weights so large that what goes in moves the scores, else equal scores say little."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.LSTM | nn.Linear | nn.Conv1d):
                for name, parameter in module.named_parameters(recurse=False):
                    if name.startswith("weight"):
                        parameter.mul_(LIVELY)


def mater(batch: int) -> tuple[Side, Side]:
    """MATER on embeddings of eight windows."""
    given = inputs(batch, {"audio": (8, 512), "video": (8, 512)})
    target = classes(batch, len(EIGHT.names))
    plain = Mater(tuple(given), len(EIGHT.names))
    model = cast(Model, from_official("mater", plain.state_dict(), num_heads=8))
    other = Side(plain, lambda: plain(given), lambda: F.cross_entropy(plain(given), target))
    return ours(model, observed(given), target), other


def mmte(
    batch: int, *, name: str, make: Callable[[Mapping[str, int]], nn.Module], rest: tuple[str, ...]
) -> tuple[Side, Side]:
    """MMTE with what follows it.

    Args:
        batch: segments.
        name: of the model.
        make: the plain one, from the sizes of the features.
        rest: the model's parts behind its encoder.
    """
    given, target = inputs(batch, TSST), numbers(batch, 250, 1)
    model = create_model(name, task=AROUSAL_FRAME, modalities=_sizes(TSST))
    encoder, plain = model.get_submodule("encoder"), make(_sizes(TSST))
    _lively(model.get_submodule(rest[0]))
    embedding = (encoder.get_parameter("positions"), *_of(encoder, "tcns", "kinds"))
    _fill(plain, (*embedding, *_layers(encoder, ENCODER_LAYER), *_of(model, *rest)))
    other = Side(plain, lambda: plain(given), lambda: concordance_loss(plain(given), target, dim=1))
    return ours(model, observed(given), target), other


def late_lstm(batch: int) -> tuple[Side, Side]:
    """Late fusion by LSTMs."""
    given, target = inputs(batch, TSST), numbers(batch, 250, 1)
    model = create_model("late_lstm", task=AROUSAL_FRAME, modalities=_sizes(TSST))
    plain = LateLstm({"audio": (88, 128, 4), "video": (20, 64, 2)})
    _lively(model)
    copy_in_order(model, plain)
    other = Side(plain, lambda: plain(given)[0], lambda: plain.loss(given, target))
    return ours(model, observed(given), target), other


def tlstm(batch: int) -> tuple[Side, Side]:
    """TLSTM, audio asking."""
    given, target = inputs(batch, CREMA), classes(batch)
    model = create_model("tlstm", task=SIX, modalities=_sizes(CREMA))
    plain = Tlstm(_sizes(CREMA), CLASSES)
    transformers = ("encoders.audio", "encoders.video", "fusion")
    parts = [*_of(model, "project")]
    for transformer in map(model.get_submodule, transformers):
        parts += (*_layers(transformer, CROSSMODAL_LAYER), *_of(transformer, "norm"))
    _fill(plain, (*parts, *_of(model, "lstm", "head")))
    other = Side(plain, lambda: plain(given), lambda: F.cross_entropy(plain(given), target))
    return ours(model, observed(given), target), other


def one_direction(batch: int, *, name: str) -> tuple[Side, Side]:
    """TAV or TVA on features; the plain side has audio's before time, as released."""
    given, target = inputs(batch, RAVDESS), classes(batch, len(EIGHT.names))
    model = create_model(name, task=EIGHT, modalities=_sizes(RAVDESS))
    plain = OneDirection(len(EIGHT.names), audio_asks=name == "tva")
    _lively(model)
    stages = (f"stages.{stage}.{side}" for side in ("audio", "video") for stage in (0, 1))
    _fill(plain, _of(model, *stages, "classifier", "block"))
    turned = given["audio"].transpose(1, 2).contiguous(), given["video"]
    other = Side(plain, lambda: plain(*turned), lambda: F.cross_entropy(plain(*turned), target))
    return ours(model, observed(given), target), other


def fusion(batch: int, *, name: str, make: Callable[[], nn.Module]) -> tuple[Side, Side]:
    """Fusion of eight sub-sequences.

    Args:
        batch: recordings.
        name: of the model.
        make: the plain one.
    """
    given, target = inputs(batch, RECOLA), numbers(batch, 1)
    model = create_model(name, task=AROUSAL, modalities=_sizes(RECOLA))
    plain = make()
    copy_in_order(model, plain)

    def scores() -> Tensor:
        found: Tensor = plain(**given)
        return found

    other = Side(plain, scores, lambda: concordance_loss(scores(), target, dim=0))
    return ours(model, observed(given), target), other


PAIRS_OF_TIME = (
    Pair("mater", "RAVDESS, 8 windows", 64, mater),
    *(
        Pair(name, "Ulm-TSST segments", 64, partial(mmte, name=name, make=make, rest=rest))
        for name, make, rest in (
            ("mmte_ammtd", WithDecoder, ("decoder", "regression")),
            ("mmte_fc", WithDense, ("regression",)),
            ("mmte_lstm", WithLstm, ("lstm", "output")),
        )
    ),
    Pair("late_lstm", "Ulm-TSST segments", 64, late_lstm),
    Pair("tlstm", "CREMA-D, 2.6 s", 32, tlstm),
    *(
        Pair(name, "RAVDESS, features", 8, partial(one_direction, name=name))
        for name in ("tav", "tva")
    ),
    *(
        Pair(name, "RECOLA, 8 sub-sequences", 16, partial(fusion, name=name, make=make))
        for name, make in (
            ("cross_attention_2stage", TwoStages),
            ("concat", Concatenation),
            ("lstm_fusion", LstmFusion),
            ("self_attention", SelfAttention),
        )
    ),
)
