"""MATER: a transformer encoder per modality over time windows, fused by averaging predictions.

Ghaleb, Niehues and Asteriadis (2022), "Joint modelling of audio-visual cues using attention
mechanisms for emotion recognition", Multimedia Tools and Applications. For modality m with one
embedding a window, pe of equation 1, and six layers:

    h_0 = x + pe        a = LayerNorm(h + MHSA(h))        h' = LayerNorm(a + FFN(a))   (section 3.2)
    prediction = mean over m of (W_m mean_t(h_6) + b_m)                                (4, 5)

The average of the logits is what is trained, by cross-entropy. The embeddings are to be scaled to
unit length beforehand (section 3.1); that is the business of the features, not of the model.

A missing modality: the other branch answers alone, per item; with one modality the mean over m has
one term. A window that was not observed is never attended to and never pooled.

For the entropies of section 4.2 (equation 6), a prediction carries the output of each layer in
``embeddings`` and each layer's attention in ``attention``.

37,836,816 parameters for eight classes: twelve layers of 3,152,384 and two heads.

Where the paper is silent or contradicts itself:

- FFN 2,048 wide with ReLU, dropout 0.1 on each sublayer's output and on x + pe: Vaswani et al.
  (2017), which it follows. They also scale their learned embeddings; x is none and is not scaled.
- Equation 4 sums T + 1 windows and divides by T; a mean is meant.
- "Two fully connected layers": one for each modality, as equation 5 has it.
- Baselines without attention (section 4.2) lose the whole sublayer, its residual and its LayerNorm
  too, since normalising twice in a row does nothing; the feed-forward layers stay.
- Embeddings that are not as wide as the model (it has 512 for both) pass one linear map first.
- Dimensions are trained by squared error, as no loss is given for them.
- Per frame, each window goes to the heads in place of the mean.
- No published code exists; the official name ``mater`` loads the layout of
  torch.nn.TransformerEncoder, one for each modality, with ``{modality}_head``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.conformer import sinusoids
from mien.layers.dropout import Dropout, dropout
from mien.layers.masked import zero_missing
from mien.models._base import Prediction
from mien.models._branches import (
    Branches,
    BranchPrediction,
    Encoded,
    Representation,
    average_scores,
    find_answering,
)
from mien.models._official import OFFICIAL, Official, Tensors
from mien.models._registry import register_model
from mien.models._task import Task
from mien.signals import Signals


class _MaterAttention(nn.Module):
    """Equations 2 and 3, with the weights on request."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise OptionError(f"{heads} heads do not divide a width of {width}")
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, valid: Tensor, maps: bool) -> tuple[Tensor, Tensor | None]:
        parts = self.project(x).chunk(3, dim=-1)
        query, key, value = (
            part.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2) for part in parts
        )
        keys = (valid | ~valid.any(dim=1, keepdim=True))[:, None, None]
        weights = None
        if maps:
            scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
            weights = scores.masked_fill(~keys, -math.inf).softmax(dim=-1)
            seen = weights @ value
        else:
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=keys)
        return self.out(seen.transpose(1, 2).flatten(2)), weights


class _MaterLayer(nn.Module):
    """One encoder layer, normalised after each sublayer (figure 2a)."""

    def __init__(
        self, width: int, heads: int, feedforward: int, dropout: float, attention: bool
    ) -> None:
        super().__init__()
        self.attention = _MaterAttention(width, heads) if attention else None
        self.norm1 = nn.LayerNorm(width) if attention else None
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor, maps: bool) -> tuple[Tensor, Tensor | None]:
        weights = None
        if self.attention is not None and self.norm1 is not None:
            seen, weights = self.attention(x, valid, maps)
            x = self.norm1(x + self.dropout(seen))
        x = self.norm2(x + self.dropout(self.linear2(F.relu(self.linear1(x)))))
        return x, weights


class _TransformerEncoder(nn.Module):
    """The encoder of one modality."""

    def __init__(
        self, features: int, width: int, layers: list[_MaterLayer], positions: bool
    ) -> None:
        super().__init__()
        self.project = nn.Identity() if features == width else nn.Linear(features, width)
        self.layers = nn.ModuleList(layers)
        self.positions = positions

    def forward(self, values: Tensor, valid: Tensor, rate: float, maps: bool) -> Encoded:
        x = self.project(values)
        if self.positions:
            precise = torch.promote_types(x.dtype, torch.float32)
            steps = torch.arange(x.shape[1], dtype=precise, device=x.device)
            x = x + sinusoids(steps, x.shape[2]).to(x.dtype)
        x = dropout(x, rate, self.training)
        extras = {}
        for number, layer in enumerate(self.layers):
            x, weights = layer(x, valid, maps)
            extras[f"layer{number}"] = zero_missing(x, valid)
            if weights is not None:
                extras[f"attention{number}"] = torch.where(valid[:, None, :, None], weights, 0.0)
        return Encoded(x, extras)


@register_model("mater", paper="Ghaleb et al. 2022", missing="the other branch alone")
class Mater(Branches):
    """See the module docstring. Times of several modalities: see `mien.models._branches`.

    Args:
        task: categories or dimensions, per clip or per frame (window).
        modalities: feature size of each; the paper's are as wide as the model.
        width: of the encoders.
        layers: of each encoder.
        heads: of their attention.
        feedforward: width of the inner feed-forward layer.
        dropout: see the module docstring.
        positions: add positions (False: the paper's baseline without).
        attention: attend over the windows (False: the paper's baseline without).
        maps: return attention weights; without, attention is fused and needs less memory.

    Raises:
        OptionError: sizes that do not go together.
    """

    def __init__(  # noqa: PLR0913, each is a quantity of the paper
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 512,
        layers: int = 6,
        heads: int = 8,
        feedforward: int = 2048,
        dropout: float = 0.1,
        positions: bool = True,
        attention: bool = True,
        maps: bool = True,
    ) -> None:
        super().__init__(task, modalities)
        if layers < 1:
            raise OptionError(f"an encoder needs a layer, not {layers}")
        self.dropout = dropout
        self.maps = maps

        def stack() -> list[_MaterLayer]:
            return [
                _MaterLayer(width, heads, feedforward, dropout, attention) for _ in range(layers)
            ]

        self.encoders = nn.ModuleDict(
            {
                m: _TransformerEncoder(size, width, stack(), positions)
                for m, size in self.modalities.items()
            }
        )
        self.heads = nn.ModuleDict({m: nn.Linear(width, len(task.names)) for m in self.modalities})

    def encode(self, modality: str, values: Tensor, valid: Tensor) -> Encoded:
        """Encode one modality; see `Branches.encode`."""
        encoded: Encoded = self.encoders[modality](values, valid, self.dropout, self.maps)
        return encoded

    def forward(self, signals: Signals) -> BranchPrediction:
        """Answer by the branches of what is observed; see `Model.forward`.

        Returns:
            Scores, each modality's own in ``by_modality``. For each modality and layer, in
            ``embeddings`` ``audio_layer0`` and so on, ``(batch, time, width)`` at the modality's
            own steps, and ``audio_pooled``, ``(batch, width)``; in ``attention``
            ``audio_attention0`` and so on, ``(batch, heads, queries, keys)``, unless ``maps`` is
            off. All are zero where nothing was observed.
        """
        found = self.represent(signals)
        by_modality = self.score_by_modality(found)
        pooled = {f"{m}_pooled": r.pooled for m, r in found.items()}
        return BranchPrediction(
            average_scores(by_modality, find_answering(found)),
            by_modality=by_modality,
            embeddings=_collect(found, "layer") | pooled,
            attention=_collect(found, "attention"),
            observed={m: r.observed for m, r in found.items()},
        )

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """Compute the loss of the average; per frame over the windows with any observation.

        Raises:
            OptionError: the prediction is another model's.
        """
        if not isinstance(prediction, BranchPrediction):
            raise OptionError("this is no prediction of MATER")
        anywhere = torch.stack(list(prediction.observed.values())).any(dim=0)
        return self.criterion(prediction.scores, target, anywhere)


def _collect(found: Mapping[str, Representation], kind: str) -> dict[str, Tensor]:
    return {
        f"{modality}_{key}": value
        for modality, representation in found.items()
        for key, value in representation.extras.items()
        if key.startswith(kind)
    }


_LAYER = re.compile(
    r"(?P<modality>\w+)\.layers\.(?P<layer>\d+)\."
    r"(?P<part>self_attn\.in_proj_|self_attn\.out_proj\.|(?:linear|norm)[12]\.)(?P<of>weight|bias)"
)
_HEAD = re.compile(r"(?P<modality>\w+)_head\.(?P<of>weight|bias)")
_PARTS = {"self_attn.in_proj_": "attention.project.", "self_attn.out_proj.": "attention.out."}


def _ours(theirs: str) -> str:
    """Our name of an official parameter."""
    layer, head = _LAYER.fullmatch(theirs), _HEAD.fullmatch(theirs)
    if layer:
        part = _PARTS.get(layer["part"], layer["part"])
        return f"encoders.{layer['modality']}.layers.{layer['layer']}.{part}{layer['of']}"
    if head:
        return f"heads.{head['modality']}.{head['of']}"
    raise KeyError(f"unknown parameter {theirs}")


def _convert(parameters: Tensors) -> dict[str, Tensor]:
    return {_ours(name): value for name, value in parameters.items()}


def _build(parameters: Tensors, num_heads: int = 8) -> nn.Module:
    heads = {m["modality"]: name for name in parameters if (m := _HEAD.fullmatch(name))}
    if not heads:
        raise KeyError("no modality has a head")
    modalities = sorted(heads)
    classes, width = parameters[f"{modalities[0]}_head.weight"].shape
    inner = parameters[f"{modalities[0]}.layers.0.linear1.weight"]
    numbers = {int(m["layer"]) for name in parameters if (m := _LAYER.fullmatch(name))}
    model = Mater(
        Task("categories", tuple(f"class {number}" for number in range(classes))),
        dict.fromkeys(modalities, width),
        width=width,
        layers=len(numbers),
        heads=num_heads,
        feedforward=inner.shape[0],
    )
    return model.to(torch.float64 if inner.dtype == torch.float64 else torch.float32)


OFFICIAL.register("mater", Official(_build, _convert))
