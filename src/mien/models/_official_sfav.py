"""Checkpoints of the released SFAV in mien, with or without their EfficientFace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from mien.models import efficientface
from mien.models._official import OFFICIAL, Official, batches_tracked
from mien.models._registry import create_model
from mien.models._task import Task
from mien.schema import AUDIO, EMOTIONS, VIDEO

BLOCKS = {"sfav_lt": ("av", "va"), "sfav_it": ("av1", "va1"), "sfav_ia": ("av1", "va1")}
DEPTH = 4

# The unimodal classifiers, which nothing uses, and the counters of batch normalisation; of
# attention fusion also the output projections. The value half of its `kv` is cut off.
_DEAD = re.compile(r"(audio|visual)_model\.classifier_1\.0\.(weight|bias)|.*\.num_batches_tracked")
_DEAD_IN_ATTENTION_FUSION = re.compile(r"(av1|va1)\.proj\.(weight|bias)")
_BRANCH = re.compile(r"(audio|visual)_model\.conv1d_([0-3])\.([01])\.(\w+)")
_BACKBONE = re.compile(r"visual_model\.((?:conv1|conv5|stage[234]|local|modulator)\..+)")
_WITHIN_BLOCK = {
    "norm1_q": "normalise_queries",
    "norm1_k": "normalise_keys",
    "attn.q": "attention.queries",
    "attn.kv": "attention.keys_values",
    "attn.proj": "attention.output",
    "norm2": "normalise",
    "mlp.fc1": "perceptron.0",
    "mlp.fc2": "perceptron.2",
}


def _build(name: str, parameters: Mapping[str, Tensor], num_heads: int = 1) -> nn.Module:
    branches = {AUDIO: "audio_model", VIDEO: "visual_model"}
    weights = {
        modality: [parameters[f"{branch}.conv1d_{i}.0.weight"] for i in range(DEPTH)]
        for modality, branch in branches.items()
    }
    options: dict[str, object] = {
        "heads": num_heads,
        "widths": {modality: tuple(len(w) for w in layers) for modality, layers in weights.items()},
    }
    faces = _faces(parameters)
    if faces:
        backbone = efficientface.EfficientFace(**efficientface.sizes(faces))  # type: ignore[arg-type]
        options |= {"backbone": backbone, "missing_frame": "black"}
    if name != "sfav_ia":
        hidden, width = parameters[f"{BLOCKS[name][0]}.mlp.fc1.weight"].shape
        options["ratio"] = hidden // width
    classes = len(parameters["classifier_1.0.weight"])
    sizes = {modality: layers[0].shape[1] for modality, layers in weights.items()}
    return create_model(name, task=_task(classes), modalities=sizes, **options)


def _task(classes: int) -> Task:
    """RAVDESS's eight in the order of the code, which is that of the vocabulary, or any others."""
    names = EMOTIONS[:classes] if classes == 8 else tuple(f"class {i}" for i in range(classes))
    return Task("categories", names)


def _faces(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Select the parameters of EfficientFace, by their names there; empty if it is not included."""
    matches = ((_BACKBONE.fullmatch(key), value) for key, value in parameters.items())
    return {match[1]: value for match, value in matches if match}


def _convert(name: str, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for key, value in parameters.items():
        dead = _DEAD.fullmatch(key) or (
            name == "sfav_ia" and _DEAD_IN_ATTENTION_FUSION.fullmatch(key)
        )
        if not dead and not _BACKBONE.fullmatch(key):
            state |= _convert_parameter(name, key, value)
    state |= batches_tracked(state)
    faces = _faces(parameters)
    if faces:
        converted = efficientface.convert(faces)
        state |= {f"backbone.{key}": value for key, value in converted.items()}
    return state


def _convert_parameter(name: str, key: str, value: Tensor) -> dict[str, Tensor]:
    branch = _BRANCH.fullmatch(key)
    if branch:
        modality = {"audio": AUDIO, "visual": VIDEO}[branch[1]]
        layer = ("convolution", "normalise")[int(branch[3])]
        stage, place = divmod(int(branch[2]), 2)
        return {f"stages.{stage}.{modality}.{place}.{layer}.{branch[4]}": value}
    if key in {"classifier_1.0.weight", "classifier_1.0.bias"}:
        return {key.replace("classifier_1.0", "classifier"): value}
    block, _, rest = key.partition(".")
    inner, _, kind = rest.rpartition(".")
    if block in BLOCKS[name]:
        modality = (AUDIO, VIDEO)[BLOCKS[name].index(block)]  # the one that asks
        if name != "sfav_ia" and inner in _WITHIN_BLOCK:
            return {f"fusion.{modality}.{_WITHIN_BLOCK[inner]}.{kind}": value}
        if name == "sfav_ia" and rest == "q.weight":
            return {f"fusion.{modality}.queries.weight": value}
        if name == "sfav_ia" and rest == "kv.weight":
            return {f"fusion.{modality}.keys.weight": value[: len(value) // 2]}
    raise KeyError(f"unknown parameter {key}")


for _name in BLOCKS:
    OFFICIAL.register(_name, Official(partial(_build, _name), partial(_convert, _name)))
