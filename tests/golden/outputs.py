"""What mien's modules give for the inputs of the golden vectors, by the names that those have.

The name of an output in a file is ``logits``, or ``output_repo/sum`` for a reading of the paper;
``input/…`` for a table among the inputs that mien computes itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.layers.conformer import ConformerBlock, sinusoids
from mien.layers.steps import Steps
from mien.layers.tcn import TCN
from mien.models import Prediction
from mien.models.cross_attention import READINGS, cross_correlate
from mien.models.efficientface import EfficientFace
from mien.models.i3d import InceptionI3d
from mien.models.mater import Mater
from mien.models.mult import MulT
from mien.schema import AUDIO, VIDEO
from mien.signals import Sequence, Signals

Tensors = Mapping[str, Tensor]
_HOPS = {AUDIO: 512 / 22_050, VIDEO: 3.6 / 15}  # of SFAV, seconds


def compute_outputs(name: str, module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    """Run a module of `mien.models.from_official` on inputs of the golden vectors.

    Args:
        name: of the official implementation.
        module: with its weights.
        inputs: by the names of the golden vectors.
    """
    return _OUTPUTS[name](module, inputs)


def complete(sequences: Tensors, hops: Mapping[str, float] | None = None) -> Signals:
    """Signals with everything observed from ``(batch, time, features)`` by modality."""
    return Signals(
        {
            name: Sequence(x, x.new_ones(x.shape[:2], dtype=torch.bool), (hops or {}).get(name, 1))
            for name, x in sequences.items()
        }
    )


def _of_i3d(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    """Every layer's output for every clip, and what the golden vectors keep of the stem."""
    assert isinstance(module, InceptionI3d)
    short = {"Conv3d_1a_7x7": "stem", "Conv3d_2c_3x3": "conv2c"}
    found: dict[str, Tensor] = {}
    for name, clip in inputs.items():
        suffix = name.removeprefix("clip")
        maps = clip
        for layer, run in module.layers.items():
            maps = run(maps)
            found[f"{layer}{suffix}"] = maps
            found[f"{short.get(layer, layer)}_mean{suffix}"] = maps.mean(dim=(2, 3, 4))
        kind = "features" if module.logits is None else "logits"
        described = module.describe(maps)
        found[f"{kind}{suffix}"] = described.mean(dim=1)
    return found


def _of_efficientface(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    assert isinstance(module, EfficientFace)
    found = module.maps(inputs["image"])
    return {**found, "logits": module.classifier(found["features"])}


def _of_mater(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    assert isinstance(module, Mater)
    given = {m: x for m, x in inputs.items() if m in module.modalities}
    prediction = module(complete(given))
    return {
        **_position_table(module, inputs),
        **prediction.embeddings,
        **prediction.attention,
        **{f"{m}_logits": scores for m, scores in prediction.by_modality.items()},
        "logits": prediction.scores,
        "probabilities": prediction.probabilities(),
    }


def _position_table(model: Mater, inputs: Tensors) -> dict[str, Tensor]:
    """Ours, for as many steps as are given and at least as many as are needed."""
    name = "position_table"
    if name not in inputs:
        return {}
    given = [inputs[m] for m in model.modalities if m in inputs]
    steps = max(len(inputs[name]), *(x.shape[1] for x in given))
    places = torch.arange(steps, dtype=given[0].dtype, device=given[0].device)
    return {f"input/{name}": sinusoids(places, given[0].shape[2])}


def _of_uavm(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    names = (AUDIO, VIDEO)
    said: Prediction = module(complete({name: inputs[name] for name in names}))
    found = {"logits_mean": said.scores}
    for name in names:
        found[f"logits_{name}"] = said.by_modality[name]
        found[f"specific_{name}"] = said.embeddings[f"specific_{name}"]
    return found


def _of_tcn(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    assert isinstance(module, TCN)
    levels = module.levels(inputs["x"].transpose(1, 2))
    outputs = {f"block{index}": level.transpose(1, 2) for index, level in enumerate(levels)}
    return outputs | {"y": levels[-1].transpose(1, 2)}


def _of_cross_attention(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    """All outputs of the golden vectors, which have features before time."""
    audio, video = inputs["X_a"].mT, inputs["X_v"].mT
    weight = module.get_parameter("weight")
    text, printed, released = (
        cross_correlate(audio, video, weight, reading=reading) for reading in READINGS
    )
    attended = {"a": torch.tanh(audio + text.audio), "v": torch.tanh(video + text.video)}
    return {
        "Z": text.correlation,
        "A_a": text.audio_weights,
        "A_v": text.video_weights,
        "Xhat_a": text.audio.mT,
        "Xhat_v": text.video.mT,
        "X_att_a": attended["a"].mT,
        "X_att_v": attended["v"].mT,
        "X_concat": torch.cat([attended["v"], attended["a"]], dim=-1).mT,
        "output_printed/A_v": printed.video_weights,
        "output_printed/X_att_v": torch.tanh(video + printed.video).mT,
        "output_repo/X_a_norm": F.normalize(audio, dim=-1).mT,
        "output_repo/X_v_norm": F.normalize(video, dim=-1).mT,
        "output_repo/Z": released.correlation,
        "output_repo/A_a": released.audio_weights,
        "output_repo/A_v": released.video_weights,
        "output_repo/att_a": released.audio.mT,
        "output_repo/att_v": released.video.mT,
        "output_repo/sum": (released.audio + released.video).mT,
    }


def _of_conformer(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    assert isinstance(module, ConformerBlock)
    return module.stages(inputs["x"])


def _of_sfav(
    module: nn.Module, inputs: Tensors, *, stage1: bool, fusion: bool
) -> dict[str, Tensor]:
    values = {AUDIO: inputs["audio"].transpose(1, 2), VIDEO: inputs["video"]}
    said = module(complete(values, _HOPS))
    found = {"logits": said.scores, "pooled": said.embeddings["pooled"]}
    for name in (AUDIO, VIDEO):
        if stage1:
            found[f"{name}_stage1"] = said.embeddings[f"{name}_stage1"].transpose(1, 2)
            found[f"{name}_weights"] = said.attention[name]
        if fusion:
            found[f"fusion_{name}"] = said.embeddings[f"fusion_{name}"]
    return found


def _of_mult(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    assert isinstance(module, MulT)
    found: dict[str, Tensor] = {}
    for ending in ("", "_zero"):
        names = [name + ending for name in module.modalities]
        if not all(name in inputs for name in names):
            continue
        said = module(complete({name: inputs[name + ending] for name in module.modalities}))
        found[f"prediction{ending}"] = said.scores
        found[f"last_hs{ending}"] = said.embeddings["readout"]
        for pair, values in said.embeddings.items():
            if pair != "readout":
                target, source = (name[0].replace("t", "l") for name in pair.split("_with_"))
                found[f"h_{target}_with_{source}{ending}"] = values.transpose(0, 1)
    return found


def _of_crossmodal(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    def steps(name: str) -> Steps:
        values = inputs[name].transpose(0, 1)  # official tensors are time first
        valid = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        return Steps(values, valid, valid, valid.new_ones(len(valid), dtype=torch.float64))

    found = {"cross": module(steps("query"), steps("key")), "self": module(steps("query"))}
    if "query_zero" in inputs and "key_zero" in inputs:
        found["cross_zero"] = module(steps("query_zero"), steps("key_zero"))
    return {name: values.transpose(0, 1) for name, values in found.items()}


def _of_auxformer(module: nn.Module, inputs: Tensors) -> dict[str, Tensor]:
    whole: Prediction = module(complete({n: inputs[n] for n in ("audio", "video")}))
    found = {"mean": whole.scores, **_heads(whole)}
    if "audio_keep" in inputs and "video_zero" in inputs:
        # Kept or zeroed, as the official module was run: these zeros are values, not a mask.
        audio = inputs["audio"] * inputs["audio_keep"].unsqueeze(-1).to(inputs["audio"].dtype)
        part: Prediction = module(complete({"audio": audio, "video": inputs["video_zero"]}))
        found |= {f"{name}_zero": scores for name, scores in _heads(part).items()}
        found["mean_zero"] = part.scores
    return found


def _heads(prediction: Prediction) -> dict[str, Tensor]:
    auxiliary = {f"aux_{name}": scores for name, scores in prediction.by_modality.items()}
    return {"main": prediction.embeddings["fusion"], **auxiliary}


_OUTPUTS: Mapping[str, Callable[[nn.Module, Tensors], dict[str, Tensor]]] = {
    "auxformer": _of_auxformer,
    "ca_fusion": _of_cross_attention,
    "conformer_block": _of_conformer,
    "conformer_block_vavl": _of_conformer,
    "efficientface": _of_efficientface,
    "i3d": _of_i3d,
    "i3d_stem": _of_i3d,
    "mater": _of_mater,
    "mult": _of_mult,
    "mult_av": _of_mult,
    "mult_crossmodal": _of_crossmodal,
    "sfav_ia": partial(_of_sfav, stage1=True, fusion=False),
    "sfav_it": partial(_of_sfav, stage1=False, fusion=True),
    "sfav_lt": partial(_of_sfav, stage1=False, fusion=True),
    "tcn": _of_tcn,
    "uavm": _of_uavm,
}
