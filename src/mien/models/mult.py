"""MulT: crossmodal transformers for sequences that need not be aligned.

Tsai, Y.-H. H., Bai, S., Liang, P. P., Kolter, J. Z., Morency, L.-P. and Salakhutdinov, R. (2019).
Multimodal Transformer for Unaligned Multimodal Language Sequences. ACL, 6558-6569.

Each modality is projected by a convolution over time (section 3.1); each is then the target of one
crossmodal transformer per other modality, the source (section 3.2, layers/crossmodal.py); a
target's results are concatenated and pass through a self-attention transformer (section 3.3), whose
last step is read out. The readouts are concatenated and scored by
``W h', h' = h + W2 relu(W1 h)``. With three modalities (text, audio, video) this is the paper's
model, with two its audio-visual form (Chumachenko et al. 2022, section IV), with one only the
self-attention transformer is left.

A missing modality is replaced by zeros, item by item (Chumachenko et al. 2022, section III-C).

Parameters: 1,073,731 for text, audio and video of CMU-MOSEI (300, 74, 35) and one output, as the
released code; 234,691 for audio and video alone, 234,996 with six outputs. Goncalves et al. (2023)
count 749,000 for features of size 1024 and 1408: width 50 with ten heads and six classes, 755,806,
comes nearest to that.

Where the paper is silent, the defaults are those of the released code, with which its numbers were
made: width 30, five heads, five layers, convolutions of one step, a causal mask. Besides:
- "Last step" is the last observed one of each item, so that padding changes nothing.
- Per frame: each step of the self-attention transformers is scored; modalities of different hop are
  brought to the finest one by the step that lies under its middle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from mien.errors import OptionError
from mien.layers.crossmodal import (
    CrossmodalTransformer,
    Dropouts,
)
from mien.layers.dropout import dropout
from mien.layers.output_block import OutputBlock
from mien.layers.steps import Steps, fill_with_zeros, resample_to_grid
from mien.models._base import Model, Prediction
from mien.models._registry import register_model
from mien.models._task import Task
from mien.signals import Signals

# Sources of which the released code drops out no attention weights.
QUIET = frozenset({"audio", "video"})


@register_model("mult", paper="Tsai et al. 2019", missing="zeros in its place")
class MulT(Model):
    """See the module docstring.

    Args:
        task: what to say.
        modalities: feature sizes; one, two or more modalities of any name.
        width: of the projected features.
        heads: of each attention; must divide the width.
        layers: of each crossmodal transformer.
        memory_layers: of each self-attention transformer; None: as many, but at least three.
        kernel: steps of the projecting convolutions, odd.
        causal: whether a step sees only what is not later.
        output_block: whether the dense layers before the output are there.
        unposition_zeros: as the released code, no position where the first channel is zero.
        dropouts: changes to `mien.layers.crossmodal.Dropouts`, by name.

    Raises:
        OptionError: the heads do not divide the width, the kernel is even, or a dropout's name is
            unknown.
    """

    def __init__(  # noqa: PLR0913
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 30,
        heads: int = 5,
        layers: int = 5,
        memory_layers: int | None = None,
        kernel: int = 1,
        causal: bool = True,
        output_block: bool = True,
        unposition_zeros: bool = False,
        dropouts: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(task, modalities)
        if kernel % 2 == 0:
            raise OptionError(f"a kernel of {kernel} steps has no middle", advice="choose odd")
        self.dropouts = Dropouts.of(dropouts)
        make = partial(
            CrossmodalTransformer, heads=heads, causal=causal, unposition_zeros=unposition_zeros
        )
        self.project = nn.ModuleDict()
        for name, size in self.modalities.items():
            self.project[name] = nn.Conv1d(size, width, kernel, padding=kernel // 2, bias=False)
        self.crossmodal = _pairs(
            self.modalities, partial(make, width, layers=layers), self.dropouts
        )
        inner = width * max(1, len(modalities) - 1)
        depth = max(3, layers) if memory_layers is None else memory_layers
        self.memory = nn.ModuleDict(
            {name: make(inner, layers=depth, dropouts=self.dropouts) for name in self.modalities}
        )
        joined = inner * len(modalities)
        self.head = head(joined, len(task.names), output_block, self.dropouts.output)

    def forward(self, signals: Signals) -> Prediction:
        """Predict; see `Model.forward`.

        Returns:
            With ``embeddings``: ``readout``, what the scores are made of, and for each pair
            ``<target>_with_<source>`` ``(batch, time, width)``.
        """
        self.require_anything(signals)
        steps = {
            name: self._project(name, part)
            for name, part in fill_with_zeros(signals, self.modalities).items()
        }
        pairs: dict[str, Tensor] = {}
        hidden: dict[str, Tensor] = {}
        for target, query in steps.items():
            found = []
            for source, transformer in cast(nn.ModuleDict, self.crossmodal[target]).items():
                found.append(transformer(query, steps[source]))
                pairs[f"{target}_with_{source}"] = found[-1]
            informed = torch.cat(found, dim=-1) if found else query.values
            clip = self.task.per == "clip"
            remembered = self.memory[target](query.of(informed, positioned=True), last=clip)
            hidden[target] = remembered.squeeze(1) if clip else remembered
        parts = list(hidden.values())
        if self.task.per == "frame":
            parts = resample_to_grid(hidden, steps, signals)
        readout = torch.cat(parts, dim=-1)
        return Prediction(self.head(readout), embeddings={"readout": readout, **pairs})

    def _project(self, name: str, steps: Steps) -> Steps:
        values = steps.values
        if name == "text":  # the released code drops out nothing but words before the projection
            values = dropout(values, self.dropouts.embedding, self.training)
        projected = self.project[name](values.transpose(1, 2)).transpose(1, 2)
        return steps.of(projected)


def _pairs(
    names: Collection[str], make: Callable[..., CrossmodalTransformer], dropouts: Dropouts
) -> nn.ModuleDict:
    """By target the transformers of all other modalities."""
    quiet = replace(dropouts, attention=0.0)
    made = nn.ModuleDict()
    for target in names:
        others = {name: quiet if name in QUIET else dropouts for name in names if name != target}
        made[target] = nn.ModuleDict({name: make(dropouts=d) for name, d in others.items()})
    return made


def head(width: int, names: int, block: bool, dropout: float = 0.0) -> nn.Module:
    """Build an `OutputBlock`, or where there is none a linear layer."""
    output = nn.Linear(width, names)
    return nn.Sequential(OutputBlock(width, dropout), output) if block else output
