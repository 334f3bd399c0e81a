"""UAVM: one model for sound and picture, averaged where both are there.

Gong, Y., Liu, A. H., Rouditchenko, A. and Glass, J. (2022). UAVM: Towards Unifying Audio and Visual
Models. IEEE Signal Processing Letters 29, 2437-2441; a comparison system of VAVL (Goncalves et al.
2023, section 4.5.1).

Each modality passes its own transformer, then one that is shared, with a shared classifier on the
mean over time. There is no joint head: the audio-visual prediction is the mean of the two logits.
A missing modality is therefore simply not averaged, item by item. The paper trains on batches of
one modality, each drawn with probability one half; `UAVM.loss` is the expectation of that.

A transformer normalises its input, projects it if its size is not the inner width, adds learned
positions, and applies ``x + attention(LN x)``, ``x + W2 gelu(W1 LN x)`` (projections of queries,
keys and values without bias).

Parameters: the paper's comparison counts 117,065,490 with six classes, 50 steps and features of
size 1024 and 1408. Of these 2,115,596 are never used and left out here: classifiers of the two
modality-specific transformers (2 x 8,198) and the projections of those whose input already has the
inner width (audio's and the shared one, 2 x 1,049,600). 114,949,894 remain.

Where the paper is silent:
- Clips of another length than the learned positions: a shorter one uses the first positions; a
  longer one goes through windows of `predict_in_windows` that overlap by half, each modality
  on its own steps, so that no position is used that was never trained. Scores per frame are
  averaged where windows overlap, and zero in one in which the modality was not observed at all; a
  clip's mean over time is that of the averaged hidden states.
- Steps that were not observed are no keys and do not enter the mean.
- Per frame the classifier reads each step; modalities of different hop are brought to the finest
  one by the step under its middle, and those observed at that moment are averaged.
- A learned position begins normally distributed with standard deviation 0.02, as is usual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.masked import masked_mean, zero_missing
from mien.layers.steps import Steps, clean_values, find_observed, resample_to_grid
from mien.models._base import Model, Prediction
from mien.models._official import OFFICIAL, Official, Tensors
from mien.models._registry import register_model
from mien.models._task import Task
from mien.models._windows import predict_in_windows
from mien.signals import Sequence, Signals

EPSILON = 1e-6  # of the normalisations outside the blocks; those inside have torch's 1e-5


class Block(nn.Module):
    """A pre-normalised transformer layer.

    Args:
        width: of its input and output.
        heads: must divide the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.project_in = nn.Linear(width, 3 * width, bias=False)
        self.project_out = nn.Linear(width, width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, keys: Tensor | None) -> Tensor:
        """Transform ``(batch, time, width)``; the shape stays.

        Args:
            x: ``(batch, time, width)``.
            keys: ``(batch, 1, 1, time)`` bool, which steps may be attended to, at least one of
                each item; None: all.
        """
        batch, time, width = x.shape
        fused = self.project_in(self.attention_norm(x)).reshape(batch, time, 3, self.heads, -1)
        q, k, v = fused.permute(2, 0, 3, 1, 4).unbind(0)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        x = x + self.project_out(found.transpose(1, 2).reshape(batch, time, width))
        inner = F.gelu(self.widen(self.feedforward_norm(x)))
        return x + cast(Tensor, self.narrow(inner))


class Transformer(nn.Module):
    """Normalisation, projection where it is needed, positions and blocks.

    Args:
        features: size of the input.
        width: inner width; a projection is made only where it is not the size of the input.
        heads: of each attention.
        layers: number of blocks.
        steps: number of learned positions.
    """

    def __init__(self, features: int, width: int, heads: int, layers: int, steps: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, eps=EPSILON)
        self.project = nn.Linear(features, width) if features != width else None
        self.positions = nn.Parameter(torch.zeros(1, steps, width))
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, x: Tensor, keys: Tensor | None) -> Tensor:
        """Transform ``(batch, time, features)`` to ``(batch, time, width)``; time up to `steps`."""
        x = self.norm(x)
        if self.project is not None:
            x = self.project(x)
        x = x + self.positions[:, : x.shape[1]]
        for block in self.blocks:
            x = block(x, keys)
        return x


@register_model("uavm", paper="Gong et al. 2022", missing="left out of the mean")
class UAVM(Model):
    """See the module docstring.

    Args:
        task: what to say.
        modalities: feature size of each modality.
        width: of the modality-specific transformers.
        heads: of each attention; must divide both widths.
        layers: of each modality-specific transformer.
        shared_layers: of the shared transformer.
        shared_width: of the shared transformer; None: the same.
        steps: number of learned positions.

    Raises:
        OptionError: the heads do not divide the widths.
    """

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 1024,
        heads: int = 4,
        layers: int = 3,
        shared_layers: int = 3,
        shared_width: int | None = None,
        steps: int = 50,
    ) -> None:
        super().__init__(task, modalities)
        shared = shared_width or width
        if width % heads or shared % heads:
            raise OptionError(f"{heads} heads do not divide widths of {width} and {shared}")
        self.steps = steps
        self.specific = nn.ModuleDict(
            {n: Transformer(size, width, heads, layers, steps) for n, size in modalities.items()}
        )
        self.shared = Transformer(width, shared, heads, shared_layers, steps)
        self.head_norm = nn.LayerNorm(shared, eps=EPSILON)
        self.head = nn.Linear(shared, len(task.names))

    def forward(self, signals: Signals) -> Prediction:
        """Predict; see `Model.forward`.

        Returns:
            With the scores ``by_modality``: where an item lacks the modality, the mean of what it
            has. ``embeddings`` hold, by modality, the mean over time of what the shared
            transformer makes of it, ``(batch, width)``, and ``specific_<modality>``,
            ``(batch, time, width)``; both are zero where nothing was observed.
        """
        present = self.require_anything(signals)
        given = [name for name in self.modalities if bool(present[name].any())]
        steps = {name: _steps(signals[name]) for name in self.modalities if name in signals}
        frames: dict[str, Tensor] = {}
        embeddings: dict[str, Tensor] = {}
        for name in given:
            frames[name], specific, shared = self._frames(name, signals[name], present[name])
            valid = steps[name].valid
            embeddings[f"specific_{name}"] = zero_missing(specific, valid)
            embeddings[name] = masked_mean(shared, valid)
        if self.task.per == "frame":
            observed = find_observed(steps, signals)
            here = [observed[name].unsqueeze(-1).float() for name in given]
            scores = torch.stack(resample_to_grid(frames, steps, signals))
        else:
            here = [present[name].unsqueeze(-1).float() for name in given]
            scores = torch.stack([self.head(self.head_norm(embeddings[name])) for name in given])
        weight = torch.stack(here)
        nowhere = weight.sum(dim=0) == 0  # a moment that nobody observed: whoever is there at all
        everywhere = torch.stack([_like(present[name], weight[0]) for name in given])
        weight = torch.where(nowhere, everywhere, weight)
        mean = (weight * scores).sum(dim=0) / weight.sum(dim=0)
        by_modality = {
            name: torch.where(_like(present[name], mean) > 0, alone, mean)
            for name, alone in zip(given, scores, strict=True)
        }
        return Prediction(mean, by_modality, embeddings=embeddings)

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """Average the criterion over the modalities, an item counting only what it has."""
        losses = [self.criterion(alone, target, None) for alone in prediction.by_modality.values()]
        return torch.stack(losses).mean()

    def _frames(self, name: str, sequence: Sequence, who: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores per frame and both transformers' results, zero for who lacks the modality."""
        rows = who.nonzero().squeeze(1)
        values = clean_values(name, sequence, self.modalities[name])[rows]
        own = Signals({name: replace(sequence, values=values, valid=sequence.valid[rows])})
        run, time = partial(self._window, name), sequence.valid.shape[1]
        if time > self.steps:
            said = predict_in_windows(
                run, own, self.steps, self.steps // 2, fill=0.0, embeddings=("specific", "shared")
            )
        else:
            said = run(own)
        found = (said.scores, said.embeddings["specific"], said.embeddings["shared"])
        scores, specific, shared = (_spread(part, rows, (len(who), time)) for part in found)
        return scores, specific, shared

    def _window(self, name: str, signals: Signals) -> Prediction:
        """At most `steps` steps of those who have the modality."""
        valid = signals[name].valid
        keys = None if bool(valid.all()) else valid[:, None, None]
        specific = self.specific[name](signals[name].values, keys)
        shared = self.shared(specific, keys)
        states = {"specific": specific, "shared": shared}
        return Prediction(self.head(self.head_norm(shared)), embeddings=states)


def _steps(sequence: Sequence) -> Steps:
    hop = torch.full(
        sequence.valid.shape[:1], sequence.hop, dtype=torch.float64, device=sequence.valid.device
    )
    return Steps(sequence.values, sequence.valid, sequence.valid, hop)


def _spread(values: Tensor, rows: Tensor, whole: tuple[int, int]) -> Tensor:
    if len(rows) == whole[0]:
        return values
    return values.new_zeros(*whole, values.shape[-1]).index_copy(0, rows, values)


def _like(who: Tensor, shape: Tensor) -> Tensor:
    """``(batch,)`` bool as ones and zeros that go with a tensor, its last axis being one."""
    return who.to(torch.float32).reshape(-1, *[1] * (shape.ndim - 1)).expand(*shape.shape[:-1], 1)


_SHARED = {"a_trans": "specific.audio", "v_trans": "specific.video", "s_trans": "shared"}
_PARTS = {
    "pos_embed": "positions",
    "in_layernorm.weight": "norm.weight",
    "in_layernorm.bias": "norm.bias",
    "in_proj.weight": "project.weight",
    "in_proj.bias": "project.bias",
}
_BLOCK_PARTS = {
    "norm1": "attention_norm",
    "attn.qkv": "project_in",
    "attn.proj": "project_out",
    "norm2": "feedforward_norm",
    "mlp.fc1": "widen",
    "mlp.fc2": "narrow",
}
_HEAD = {"mlp_head.0": "head_norm", "mlp_head.1": "head"}


def _build(official: Tensors, *, num_heads: int) -> UAVM:
    def depth(name: str) -> int:
        return len({k.split(".")[2] for k in official if k.startswith(f"{name}.blocks.")})

    _, steps, width = official["a_trans.pos_embed"].shape
    names = len(official["s_trans.mlp_head.1.weight"])
    return UAVM(
        Task("categories", tuple(map(str, range(names)))),
        {
            "audio": len(official["a_trans.in_layernorm.weight"]),
            "video": len(official["v_trans.in_layernorm.weight"]),
        },
        width=width,
        heads=num_heads,
        layers=depth("a_trans"),
        shared_layers=depth("s_trans"),
        shared_width=official["s_trans.pos_embed"].shape[2],
        steps=steps,
    )


def _convert(official: Tensors) -> dict[str, Tensor]:
    state = {}
    for key, value in official.items():
        transformer, _, part = key.partition(".")
        if not _dead(official, transformer, part):
            state[_our_name(transformer, part)] = value
    return state


def _dead(official: Tensors, transformer: str, part: str) -> bool:
    """Classifiers of the specific transformers, and projections that are skipped."""
    if part in {"mlp_head.0.weight", "mlp_head.0.bias", "mlp_head.1.weight", "mlp_head.1.bias"}:
        return transformer in {"a_trans", "v_trans"}
    if part in {"in_proj.weight", "in_proj.bias"}:
        features = len(official[f"{transformer}.in_layernorm.weight"])
        return features == official[f"{transformer}.pos_embed"].shape[2]
    return False


def _our_name(transformer: str, part: str) -> str:
    place = _SHARED[transformer]
    if part in _PARTS:
        return f"{place}.{_PARTS[part]}"
    head = re.fullmatch(r"(mlp_head\.[01])\.(weight|bias)", part)
    if head:
        return f"{_HEAD[head[1]]}.{head[2]}"
    block = re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", part)
    if not block:
        raise KeyError(f"{transformer}.{part}")
    return f"{place}.blocks.{block[1]}.{_BLOCK_PARTS[block[2]]}.{block[3]}"


OFFICIAL.register("uavm", Official(_build, _convert))
