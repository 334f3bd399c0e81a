"""AuxFormer: crossmodal transformers with auxiliary networks of one modality each.

Goncalves, L. and Busso, C. (2022). AuxFormer: Robust Approach to Audiovisual Emotion Recognition.
ICASSP, 7357-7361; a comparison system of VAVL (Goncalves et al. 2023, section 4.5.2).

The fusion network is MulT's for two modalities (models/mult.py), but the self-attention
transformers have no positions and residuals ``alpha x + (1 - alpha) f(x)`` with a learned alpha per
layer. Each auxiliary network passes its modality three times through one self-attention
transformer with the same weights and reads the last step through three dense layers that both
modalities share. All three heads are trained with weight one third each, and the prediction is the
mean of their scores, in which dimensions are averaged like logits.

A missing modality is replaced by zeros, item by item, as the paper's modality dropout does in
training. Its auxiliary head then says what it has learned to say of zeros, and stays in the mean.

Parameters: 1,162,712 with 1024 features of audio, 50 of video and six classes, as the released
code; 1,233,112 with 1408 of video, which need a projection (Goncalves et al. 2023 count 1,226,000).

Where the paper is silent:
- Width 50, ten heads, five layers, a causal mask: the defaults of the released code, with which its
  numbers were made. Dropout as MulT's, whose code it is built on.
- A modality of the inner width enters without projection, as the 50 facial parameters there do.
- ``alpha`` begins at one half: both ways alike.
- "Last step" is the last observed one of each item. Per frame every step is read out, modalities of
  different hop being brought to the finest one by the step that lies under its middle.
- With one modality alone the fusion network is its self-attention transformer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.crossmodal import (
    CrossmodalTransformer,
    Dropouts,
)
from mien.layers.output_block import OutputBlock
from mien.layers.steps import Steps, fill_with_zeros, resample_to_grid
from mien.models._base import Model, Prediction
from mien.models._registry import register_model
from mien.models._task import Task
from mien.signals import Signals


class AuxiliaryHead(nn.Module):
    """``out(h + W3 relu(W2 relu(W1 h)))``, one for all modalities.

    Args:
        width: of ``h``.
        names: number of scores.
        hidden: widths between.
    """

    def __init__(self, width: int, names: int, hidden: tuple[int, int] = (512, 256)) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden[0])
        self.second = nn.Linear(hidden[0], hidden[1])
        self.third = nn.Linear(hidden[1], width)
        self.out = nn.Linear(width, names)

    def forward(self, h: Tensor) -> Tensor:
        """Score: ``(…, names)`` from ``(…, width)``."""
        inner = F.relu(self.second(F.relu(self.first(h))))
        scores: Tensor = self.out(self.third(inner) + h)
        return scores


@register_model("auxformer", paper="Goncalves and Busso 2022", missing="zeros in its place")
class AuxFormer(Model):
    """See the module docstring.

    Args:
        task: what to say.
        modalities: feature sizes of one or two modalities.
        width: of all transformers.
        heads: of each attention; must divide the width.
        layers: of each transformer.
        passes: through an auxiliary transformer.
        hidden: widths of the dense layers of the auxiliary head.
        causal: whether a step sees only what is not later.
        unposition_zeros: as the released code, no position where the first channel is zero.
        project: modalities that are projected; None: those whose size is not the width.
        dropouts: changes to `mien.layers.crossmodal.Dropouts`, by name.

    Raises:
        OptionError: more than two modalities, heads that do not divide the width, a modality of
            another size than the width that is not projected, or an unknown dropout.
    """

    def __init__(  # noqa: PLR0913
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 50,
        heads: int = 10,
        layers: int = 5,
        passes: int = 3,
        hidden: tuple[int, int] = (512, 256),
        causal: bool = True,
        unposition_zeros: bool = False,
        project: Collection[str] | None = None,
        dropouts: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(task, modalities)
        if len(modalities) > 2:
            raise OptionError("the paper pairs two modalities", advice="choose mult for more")
        rates = Dropouts.of(dropouts)
        self.passes = passes

        make = partial(
            CrossmodalTransformer,
            width,
            heads,
            layers,
            causal=causal,
            unposition_zeros=unposition_zeros,
            dropouts=rates,
        )
        pair = self.modalities if len(modalities) == 2 else ()
        self.project = _projections(self.modalities, width, project)
        self.crossmodal = nn.ModuleDict({name: make() for name in pair})
        self.memory = nn.ModuleDict({n: make(positions=False, blend=True) for n in self.modalities})
        self.auxiliary = nn.ModuleDict({name: make(positions=False) for name in self.modalities})
        names = len(task.names)
        joined = width * len(modalities)
        self.head = nn.Sequential(OutputBlock(joined, rates.output), nn.Linear(joined, names))
        self.auxiliary_head = AuxiliaryHead(width, names, hidden)

    def forward(self, signals: Signals) -> Prediction:
        """Predict; see `Model.forward`.

        Returns:
            The mean of all heads, each auxiliary head ``by_modality``, and as ``embeddings``
            ``fusion``, the scores of the fusion network, and ``readout``, what they are made of.
        """
        self.require_anything(signals)
        steps = {
            name: part.of(self._project(name, part.values))
            for name, part in fill_with_zeros(signals, self.modalities).items()
        }
        fused = {name: self._fuse_target(name, steps) for name in steps}
        alone = {name: self._alone(name, part) for name, part in steps.items()}
        if self.task.per == "frame":
            fused = dict(zip(fused, resample_to_grid(fused, steps, signals), strict=True))
            alone = dict(zip(alone, resample_to_grid(alone, steps, signals), strict=True))
        readout = torch.cat(list(fused.values()), dim=-1)
        main = self.head(readout)
        auxiliary = {name: self.auxiliary_head(h) for name, h in alone.items()}
        mean = torch.stack([main, *auxiliary.values()]).mean(dim=0)
        return Prediction(mean, auxiliary, embeddings={"fusion": main, "readout": readout})

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """Average the criterion over the heads, as the paper weights them."""
        heads = [prediction.embeddings["fusion"], *prediction.by_modality.values()]
        losses = [self.criterion(scores, target, None) for scores in heads]
        return torch.stack(losses).mean()

    def _project(self, name: str, values: Tensor) -> Tensor:
        found: Tensor = self.project[name](values) if name in self.project else values
        return found

    def _fuse_target(self, target: str, steps: Mapping[str, Steps]) -> Tensor:
        query = steps[target]
        sources = [part for name, part in steps.items() if name != target]
        informed = self.crossmodal[target](query, sources[0]) if sources else query.values
        return self._read(self.memory[target], query.of(informed))

    def _alone(self, name: str, part: Steps) -> Tensor:
        for _ in range(self.passes - 1):
            part = part.of(self.auxiliary[name](part))
        return self._read(self.auxiliary[name], part)

    def _read(self, transformer: nn.Module, steps: Steps) -> Tensor:
        if self.task.per == "frame":
            return cast(Tensor, transformer(steps))
        return cast(Tensor, transformer(steps, last=True)).squeeze(1)


def _projections(
    modalities: Mapping[str, int], width: int, project: Collection[str] | None
) -> nn.ModuleDict:
    wanted = [name for name, size in modalities.items() if size != width]
    if project is not None:
        lacking = sorted(set(wanted) - set(project))
        if lacking:
            raise OptionError(f"{', '.join(lacking)} must be projected to a width of {width}")
        wanted = list(project)
    return nn.ModuleDict({n: nn.Linear(modalities[n], width, bias=False) for n in wanted})
