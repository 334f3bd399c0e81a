"""Feature-level fusion: concatenation, LSTM and self-attention, the rivals of cross-attention.

The compared systems of Table II in Praveen, Granger and Cardinal (2021), "Cross attentional
audio-visual fusion for dimensional emotion recognition", IEEE FG. They share everything with the
proposed model of that paper (`mien.models.cross_attention`) except the fusion, so that a comparison
is one of fusions. With X_v, X_a the features of L sub-sequences:

- ``concat``: [X_v; X_a], straight to the fully connected layers.
- ``lstm_fusion``: LSTM([X_v; X_a]), then the fully connected layers.
- ``self_attention``: softmax(Q K^T / sqrt(d)) V over the L sub-sequences, with Q, K, V linear maps
  of [X_v; X_a]; the paper refers to Tzirakis et al. (2021), Information Fusion 68, and through it
  to Vaswani et al. (2017), equation 1.

A missing modality: the paper has none. Here its features are zero, per item and per step, so that
the features of the other one pass through alone; a step at which nothing at all was observed is
never attended to and never pooled. A model may be made for one modality only.

Modalities of different hop are brought to the finest hop among those that the item has, by nearest
step (`mien.layers.time.align`): linear interpolation would mix what was observed with what was not.
Answers per frame come on the finest hop of the batch; attention and embeddings stay on the item's.

Where the paper is silent:

- Two fully connected layers (its conclusion) with 512 hidden units, as the first hidden layer of
  the released code; ReLU between them, as in its audio network.
- Order [video; audio], its own for the attended features.
- Per clip, features are averaged over the observed steps before the fully connected layers: in the
  released code the label of a sequence is the mean over its frames, and a mean does not grow with
  length. ``pooling="max"`` is what that code does. Per frame, each step goes through them.
- The LSTM has one layer ("LSTM layer"), 512 wide as in the released code, and runs forward.
- Self-attention has one head, 512 wide as the LSTM, without residual, as in the equation.
- The loss (equation 6) takes the concordance over everything in the batch, population moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.dropout import Dropout
from mien.layers.losses import criterion
from mien.layers.masked import masked_mean
from mien.layers.time import Aligned, align
from mien.models._base import Model, Prediction
from mien.models._registry import register_model
from mien.models._task import Task
from mien.models.i3d import InceptionI3d
from mien.models.spectrogram_cnn import SpectrogramCNN
from mien.signals import Sequence, Signals

Pooling = Literal["mean", "max"]
Encoder = Literal["spectrogram_cnn", "i3d"]

_ENCODERS: Mapping[str, type[SpectrogramCNN] | type[InceptionI3d]] = {
    "spectrogram_cnn": SpectrogramCNN,
    "i3d": InceptionI3d,
}


@dataclass(frozen=True)
class FusedFeatures:
    """What a fusion hands to the fully connected layers.

    Attributes:
        values: ``(batch, time, width)``.
        attention: weights by name, as in `Prediction`.
    """

    values: Tensor
    attention: Mapping[str, Tensor] = field(default_factory=dict)


class FusionOptions(TypedDict, total=False):
    """Options that all fusions of the paper share.

    Attributes:
        hidden: units of the first fully connected layer; 512.
        dropout: fraction of fused features dropped before it; the paper's 0.5.
        pooling: per clip, ``mean`` or ``max`` over the observed steps; ``mean``.
        encoders: networks of the paper to train along, by modality; the modality's size is then
            their width, 1024, and each step of the signals one of their inputs. None: the paper
            trains them beforehand and fuses their features.
    """

    hidden: int
    dropout: float
    pooling: Pooling
    encoders: Mapping[str, Encoder] | None


def encode(encoder: nn.Module, sequence: Sequence, features: int) -> Sequence:
    """Describe each observed step of a sequence by a network; the others are never computed.

    Args:
        encoder: maps ``(steps, *feature)`` to ``(steps, features)``.
        sequence: one spectrogram, or clip of frames, at each step.
        features: width of what the encoder returns.

    Returns:
        A sequence of ``(batch, time, features)``, zero where nothing was observed.
    """
    observed = sequence.values[sequence.valid]
    if not len(observed):
        empty = sequence.values.new_zeros(*sequence.valid.shape, features)
        return Sequence(empty, sequence.valid, sequence.hop)
    described = encoder(observed)
    values = described.new_zeros(*sequence.valid.shape, features)
    values = values.masked_scatter(sequence.valid.unsqueeze(-1), described)
    return Sequence(values, sequence.valid, sequence.hop)


def complete(aligned: Aligned, sizes: Mapping[str, int]) -> Aligned:
    """Complete with zeros, never observed, for modalities that no item of the batch has.

    Args:
        aligned: some of the modalities.
        sizes: features of each modality.

    Raises:
        OptionError: a modality has another number of features.
    """
    example, observed = next(iter(aligned.values.values())), aligned.observed
    values, valid = {}, {}
    for name, size in sizes.items():
        found = aligned.values.get(name)
        if found is None:
            found = example.new_zeros(*observed.shape, size)
        elif found.shape[-1] != size:
            raise OptionError(f"{name} has {found.shape[-1]} features, the model expects {size}")
        values[name] = found
        valid[name] = aligned.valid.get(name, torch.zeros_like(observed))
    return replace(aligned, values=values, valid=valid)


class FeatureFusion(Model):
    """Features on one time axis, fused, through two fully connected layers.

    Args:
        task: what to say; all four kinds.
        modalities: feature size of one or two modalities.
        fused: width of what `fuse` returns.
        hidden: see `FusionOptions`.
        dropout: see `FusionOptions`.
        pooling: see `FusionOptions`.
        encoders: see `FusionOptions`.

    Raises:
        OptionError: no or more than two modalities, or an option out of its range.
    """

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        fused: int,
        hidden: int = 512,
        dropout: float = 0.5,
        pooling: Pooling = "mean",
        encoders: Mapping[str, Encoder] | None = None,
    ) -> None:
        super().__init__(task, modalities)
        if task.kind == "dimensions":  # equations 6 and 7
            self.criterion = criterion("ccc", over="batch")
        if len(modalities) not in {1, 2}:
            raise OptionError(
                f"{len(modalities)} modalities given", advice="it fuses two, or reads one"
            )
        if pooling not in {"mean", "max"}:
            raise OptionError(f"unknown pooling {pooling}", advice="choose mean or max")
        self.pooling = pooling
        self.encoders = nn.ModuleDict(_make_encoders(encoders or {}, modalities))
        self.head = nn.Sequential(
            Dropout(dropout),
            nn.Linear(fused, hidden),
            nn.ReLU(),
            nn.Linear(hidden, len(task.names)),
        )

    def feature_size(self, modality: str) -> int | None:
        """Tell how many features a step has, as `Model`; an encoder's input has axes of its own."""
        return None if modality in self.encoders else super().feature_size(modality)

    def fuse(self, aligned: Aligned) -> FusedFeatures:
        """Fuse the modalities, step by step on one time axis."""
        raise NotImplementedError

    def forward(self, signals: Signals) -> Prediction:
        """Encode, align, fuse, pool per clip, and score; see `Model.forward`."""
        self.require_anything(signals)
        aligned = complete(align(self._encode(signals), tuple(self.modalities)), self.modalities)
        fused = self.fuse(aligned)
        if self.task.per == "clip":
            scores: Tensor = self.head(self._pool(fused.values, aligned.observed))
        else:
            scores = aligned.spread(self.head(fused.values))
        return Prediction(scores, attention=fused.attention, embeddings={"fused": fused.values})

    def _encode(self, signals: Signals) -> Signals:
        described = dict(signals)
        for name, encoder in self.encoders.items():
            if name in signals:
                described[name] = encode(encoder, signals[name], self.modalities[name])
        return Signals(described)

    def _pool(self, values: Tensor, observed: Tensor) -> Tensor:
        if self.pooling == "max":
            return values.masked_fill(~observed.unsqueeze(-1), -torch.inf).amax(dim=1)
        return masked_mean(values, observed)


def concatenate(values: Mapping[str, Tensor]) -> Tensor:
    """Put features side by side, [video; audio]: the last name of the alphabet first."""
    return torch.cat([values[name] for name in sorted(values, reverse=True)], dim=-1)


def _make_encoders(
    encoders: Mapping[str, Encoder], modalities: Mapping[str, int]
) -> dict[str, SpectrogramCNN | InceptionI3d]:
    made = {}
    for name, encoder in encoders.items():
        if name not in modalities or encoder not in _ENCODERS:
            raise OptionError(
                f"no encoder {encoder} for {name}",
                advice=f"choose from {', '.join(_ENCODERS)}, for {', '.join(modalities)}",
            )
        made[name] = _ENCODERS[encoder]()
        if made[name].features != modalities[name]:
            raise OptionError(f"{encoder} gives {made[name].features} features of {name}")
    return made


@register_model("concat", paper="Praveen et al. 2021, baseline", missing="zeros in its place")
class Concatenation(FeatureFusion):
    """[X_v; X_a]: concatenated features to the fully connected layers.

    Args:
        task: what to say.
        modalities: feature size of one or two modalities.
        options: see `FusionOptions`.
    """

    def __init__(
        self, task: Task, modalities: Mapping[str, int], **options: Unpack[FusionOptions]
    ) -> None:
        super().__init__(task, modalities, fused=sum(modalities.values()), **options)

    def fuse(self, aligned: Aligned) -> FusedFeatures:
        """Concatenate; see `FeatureFusion.fuse`."""
        return FusedFeatures(concatenate(aligned.values))


@register_model("lstm_fusion", paper="Praveen et al. 2021, baseline", missing="zeros in its place")
class LstmFusion(FeatureFusion):
    """LSTM([X_v; X_a]), then the fully connected layers.

    Args:
        task: what to say.
        modalities: feature size of one or two modalities.
        width: units of the LSTM.
        layers: of the LSTM, with `dropout` between them.
        options: see `FusionOptions`.
    """

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 512,
        layers: int = 1,
        **options: Unpack[FusionOptions],
    ) -> None:
        super().__init__(task, modalities, fused=width, **options)
        between = options.get("dropout", 0.5) if layers > 1 else 0.0
        self.lstm = nn.LSTM(
            sum(modalities.values()), width, layers, batch_first=True, dropout=between
        )

    def fuse(self, aligned: Aligned) -> FusedFeatures:
        """Run over time, zeros going in where nothing was observed; see `FeatureFusion.fuse`."""
        return FusedFeatures(self.lstm(concatenate(aligned.values))[0])


@register_model(
    "self_attention", paper="Praveen et al. 2021, baseline", missing="zeros in its place"
)
class SelfAttention(FeatureFusion):
    """softmax(Q K^T / sqrt(d)) V over the steps of [X_v; X_a], then the fully connected layers.

    Args:
        task: what to say.
        modalities: feature size of one or two modalities.
        width: of queries, keys and values, d.
        options: see `FusionOptions`.
    """

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 512,
        **options: Unpack[FusionOptions],
    ) -> None:
        super().__init__(task, modalities, fused=width, **options)
        self.projection = nn.Linear(sum(modalities.values()), 3 * width)

    def fuse(self, aligned: Aligned) -> FusedFeatures:
        """Attend to the steps at which anything was observed; see `FeatureFusion.fuse`."""
        query, key, value = self.projection(concatenate(aligned.values)).chunk(3, dim=-1)
        mask = None if bool(aligned.observed.all()) else aligned.observed.unsqueeze(1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return FusedFeatures(attended)
