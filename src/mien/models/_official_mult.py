"""Checkpoints of the released MulT and AuxFormer, whose crossmodal transformers are one code."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import Tensor

from mien.layers.crossmodal import CrossmodalTransformer
from mien.models._official import OFFICIAL, Official, Tensors
from mien.models._task import Task
from mien.models.auxformer import AuxFormer
from mien.models.mult import MulT

_LETTERS = {"l": "text", "a": "audio", "v": "video"}
_MULT_DENSE = {"proj1": "head.0.first", "proj2": "head.0.second", "out_layer": "head.1"}
_AUXFORMER_DENSE = {
    "proj1": "head.0.first",
    "proj2": "head.0.second",
    "out_layer": "head.1",
    "proj_aux1": "auxiliary_head.first",
    "proj_aux2": "auxiliary_head.second",
    "proj_aux3": "auxiliary_head.third",
    "out_layer_aux": "auxiliary_head.out",
}

# What the released code of MulT, and AuxFormer after it, calls the parameters of a layer.
_LAYER_PARTS = {
    "self_attn.in_proj_weight": "attention.in_weight",
    "self_attn.in_proj_bias": "attention.in_bias",
    "alpha": "alpha",
} | {
    f"{official}.{part}": f"{ours}.{part}"
    for part in ("weight", "bias")
    for official, ours in (
        ("self_attn.out_proj", "attention.out"),
        ("fc1", "widen"),
        ("fc2", "narrow"),
        ("layer_norms.0", "attention_norm"),
        ("layer_norms.1", "feedforward_norm"),
    )
}
_DEAD_BUFFERS = frozenset({"version", "embed_positions._float_tensor"})  # empty, never used


def _layer_name(key: str) -> str | None:
    """Our name of a parameter of an official transformer; None for a dead buffer.

    Raises:
        KeyError: an official transformer has no such parameter.
    """
    if key in _DEAD_BUFFERS:
        return None
    if key in {"layer_norm.weight", "layer_norm.bias"}:
        return key.removeprefix("layer_")
    layer = re.fullmatch(r"layers\.(\d+)\.(.+)", key)
    if not layer:
        raise KeyError(key)
    return f"layers.{layer[1]}.{_LAYER_PARTS[layer[2]]}"


def _depth_of(keys: Iterable[str], prefix: str) -> int:
    """Count the layers of the official transformer whose parameters begin with `prefix`."""
    numbers = {
        key.removeprefix(f"{prefix}layers.").split(".")[0]
        for key in keys
        if key.startswith(f"{prefix}layers.")
    }
    return len(numbers)


def _build_mult(official: Tensors, *, num_heads: int) -> MulT:
    letters = [letter for letter in _LETTERS if f"proj_{letter}.weight" in official]
    if not letters:
        raise KeyError("no modality has a projection")
    first = letters[0]
    width, _, kernel = official[f"proj_{first}.weight"].shape
    if kernel != 1:
        raise ValueError(f"the released code projects single steps, not {kernel}")
    pair = f"trans_{first}_with_{letters[1]}." if letters[1:] else "none."
    return MulT(
        Task("dimensions", tuple(map(str, range(len(official["out_layer.weight"]))))),
        {_LETTERS[letter]: official[f"proj_{letter}.weight"].shape[1] for letter in letters},
        width=width,
        heads=num_heads,
        layers=_depth_of(official, pair),
        memory_layers=_depth_of(official, f"trans_{first}_mem."),
        unposition_zeros=True,
    )


def _convert_mult(official: Tensors) -> dict[str, Tensor]:
    state = {}
    for key, value in official.items():
        name = _mult_name(key)
        if name is not None:
            state[name] = value
    return state


def _mult_name(key: str) -> str | None:
    projection = re.fullmatch(r"proj_([lav])\.weight", key)
    if projection:
        return f"project.{_LETTERS[projection[1]]}.weight"
    dense = re.fullmatch(r"(proj1|proj2|out_layer)\.(weight|bias)", key)
    if dense:
        return f"{_MULT_DENSE[dense[1]]}.{dense[2]}"
    transformer = re.fullmatch(r"trans_([lav])_(?:with_([lav])|mem)\.(.+)", key)
    if not transformer:
        raise KeyError(key)
    inner = _layer_name(transformer[3])
    target, source = _LETTERS[transformer[1]], _LETTERS.get(transformer[2])
    place = f"crossmodal.{target}.{source}" if source else f"memory.{target}"
    return None if inner is None else f"{place}.{inner}"


def _build_transformer(official: Tensors, *, num_heads: int) -> CrossmodalTransformer:
    width = official["layer_norm.weight"].shape[0]
    depth = _depth_of(official, "")
    return CrossmodalTransformer(width, num_heads, depth, unposition_zeros=True)


def _convert_transformer(official: Tensors) -> dict[str, Tensor]:
    named = {_layer_name(key): value for key, value in official.items()}
    return {name: value for name, value in named.items() if name is not None}


def _build_auxformer(official: Tensors, *, num_heads: int) -> AuxFormer:
    width, audio, kernel = official["conv_1d_a.weight"].shape
    if kernel != 1:
        raise ValueError(f"the released code projects single steps, not {kernel}")
    return AuxFormer(
        Task("dimensions", tuple(map(str, range(len(official["out_layer.weight"]))))),
        {"audio": audio, "video": width},
        width=width,
        heads=num_heads,
        layers=_depth_of(official, "a_mem."),
        hidden=(len(official["proj_aux1.weight"]), len(official["proj_aux2.weight"])),
        unposition_zeros=True,
        project=("audio",),
    )


def _convert_auxformer(official: Tensors) -> dict[str, Tensor]:
    state = {}
    for key, value in official.items():
        if key == "conv_1d_a.weight":
            state["project.audio.weight"] = value.squeeze(-1)
            continue
        name = _auxformer_name(key)
        if name is not None:
            state[name] = value
    return state


def _auxformer_name(key: str) -> str | None:
    dense = re.fullmatch(r"(\w+)\.(weight|bias)", key)
    if dense and dense[1] in _AUXFORMER_DENSE:
        return f"{_AUXFORMER_DENSE[dense[1]]}.{dense[2]}"
    transformer = re.fullmatch(r"(trans_)?([av])_(with_[av]|mem)\.(.+)", key)
    if not transformer:
        raise KeyError(key)
    inner = _layer_name(transformer[4])
    kind = "auxiliary" if transformer[1] is None else "memory"
    if transformer[3] != "mem":
        kind = "crossmodal"
    return None if inner is None else f"{kind}.{_LETTERS[transformer[2]]}.{inner}"


for _name in ("mult", "mult_av"):
    OFFICIAL.register(_name, Official(_build_mult, _convert_mult))
OFFICIAL.register("mult_crossmodal", Official(_build_transformer, _convert_transformer))
OFFICIAL.register("auxformer", Official(_build_auxformer, _convert_auxformer))
