"""Cross-attentional fusion: each modality reweighted by its correlation with the other.

Praveen, Granger and Cardinal (2021), "Cross attentional audio-visual fusion for dimensional emotion
recognition", IEEE FG. Columns of X_a, X_v (features x L) describe L sub-sequences:

- (1) Z = X_a^T W X_v, the cross-correlation, L x L
- (2) A_a, A_v = column-wise softmax of Z / T and Z^T / T
- (3) Xhat_a = X_a A_a, Xhat_v = X_v A_v
- (4), (5) X_att = tanh(X + Xhat), for each modality
- Xhat = [X_att,v; X_att,a], dropped out, to the fully connected layers

``cross_attention_2stage`` is the second system of Table III, the iteration of Lee et al. (2021),
"Cross-attentional audio-visual fusion for weakly-supervised action localization", ICLR: stage s
attends to the features of the stage before, with a W of its own, and its tanh is over their sum
with everything so far, X_s = tanh(X_0 + … + X_{s-1} + Xhat_s).

Equation 2 can be read in three ways (``reading``):

- ``text``, the default: column-wise for both, as the text says; the sum runs over L, not K as
  printed. Column l of A_a then says which audio belongs to the video of sub-sequence l.
- ``printed``: the formula of A_v sums over its columns, which normalises rows.
- ``released``: as ``text``, but on features of unit length, Xhat in place of tanh(X + Xhat), and
  the sum of both modalities in place of their concatenation, as the released code intends (as
  shipped, it multiplies in an order that fails unless L equals K). Its maximum over L is
  ``pooling="max"``; we keep two fully connected layers, where it has three.

A missing modality: the paper has none. Z exists where both modalities were observed; every other
pair of sub-sequences gets no weight. Where audio is missing, Xhat_v is therefore zero and X_att,v =
tanh(X_v): the features of the other modality pass through alone, per item. Where audio is observed
elsewhere in the recording but not in sub-sequence l, X_att,a of l is tanh(Xhat_a), what the video
of l finds in the rest of the audio; X_att,v of l is tanh(X_v). A model of one modality is tanh(X).
(``released`` passes X itself where it has no Xhat.) Alignment in time, pooling, the fully connected
layers and the loss, 1 - CCC, are those of `mien.models.feature_fusion`, with the reasons there.

Where the paper is silent:

- T = 1, as in the released code, which has none.
- W is K_a x K_v: the paper has K = 1024 for both, and nothing but the released sum needs them
  equal. ``width`` maps both linearly to one size first, for features on which tanh saturates.
- "Xavier" is the normal variant, as in the released code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.time import Aligned
from mien.models._official import OFFICIAL, Official, Tensors
from mien.models._registry import register_model
from mien.models._task import Task
from mien.models.feature_fusion import FeatureFusion, FusedFeatures, FusionOptions, concatenate

Reading = Literal["text", "printed", "released"]
READINGS: tuple[Reading, ...] = ("text", "printed", "released")


@dataclass(frozen=True)
class Attended:
    """Equations 1 to 3.

    Attributes:
        correlation: Z, ``(batch, time, time)``; rows are audio, columns video.
        audio_weights: A_a, the same axes; a pair that was not observed has weight zero.
        video_weights: A_v, ``(batch, time, time)``; rows are video, columns audio.
        audio: Xhat_a, ``(batch, time, audio features)``.
        video: Xhat_v, ``(batch, time, video features)``.
    """

    correlation: Tensor
    audio_weights: Tensor
    video_weights: Tensor
    audio: Tensor
    video: Tensor


def cross_correlate(
    audio: Tensor,
    video: Tensor,
    weight: Tensor,
    *,
    temperature: float = 1.0,
    reading: Reading = "text",
    observed: Tensor | None = None,
) -> Attended:
    """Attend of each modality to itself, weighted by the other; equations 1 to 3.

    Args:
        audio: X_a transposed, ``(batch, time, audio features)``.
        video: X_v transposed, ``(batch, time, video features)``.
        weight: W, ``(audio features, video features)``.
        temperature: T.
        reading: of equation 2; ``released`` also scales features to unit length first.
        observed: ``(batch, time, time)`` bool, which pairs of an audio (row) and a video (column)
            step were observed; None for all.
    """
    if reading == "released":
        audio, video = F.normalize(audio, dim=-1), F.normalize(video, dim=-1)
    correlation = audio @ weight @ video.mT
    scaled = correlation / temperature
    audio_weights = _softmax(scaled, observed, dim=-2)
    turned = None if observed is None else observed.mT
    video_weights = _softmax(scaled.mT, turned, dim=-1 if reading == "printed" else -2)
    found_audio, found_video = audio_weights.mT @ audio, video_weights.mT @ video
    return Attended(correlation, audio_weights, video_weights, found_audio, found_video)


class CrossCorrelation(nn.Module):
    """`cross_correlate` with a W of its own.

    Args:
        audio: features of audio, rows of W.
        video: features of video, columns of W.
        temperature: T, above zero.
        reading: of equation 2.

    Raises:
        OptionError: an option out of its range.
    """

    def __init__(
        self, audio: int, video: int, *, temperature: float = 1.0, reading: Reading = "text"
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise OptionError(f"temperature must be positive, got {temperature}")
        if reading not in READINGS:
            raise OptionError(f"unknown reading {reading}", advice=f"choose from {READINGS}")
        self.temperature = temperature
        self.reading: Reading = reading
        self.weight = nn.Parameter(torch.empty(audio, video))
        nn.init.xavier_normal_(self.weight)

    def forward(self, audio: Tensor, video: Tensor, observed: Tensor | None = None) -> Attended:
        """Attend; see `cross_correlate`."""
        return cross_correlate(
            audio,
            video,
            self.weight,
            temperature=self.temperature,
            reading=self.reading,
            observed=observed,
        )


def _softmax(scores: Tensor, mask: Tensor | None, dim: int) -> Tensor:
    if mask is None:
        return scores.softmax(dim)
    # Not -inf: a column without any pair would be NaN, and so would be its gradient.
    lowest = torch.finfo(scores.dtype).min
    return torch.where(mask, scores.masked_fill(~mask, lowest).softmax(dim), 0.0)


@register_model(
    "cross_attention", paper="Praveen et al. 2021", missing="the other passes unattended"
)
class CrossAttention(FeatureFusion):
    """Cross-attentional fusion in a single iteration; see the module docstring.

    Args:
        task: what to say; all four kinds.
        modalities: feature size of one or two modalities. In the order of the alphabet the first is
            the paper's audio, the second its video.
        temperature: T of equation 2.
        reading: of equation 2 and what follows: ``text``, ``printed`` or ``released``.
        width: map each modality linearly to this size first; None takes features as they are.
        options: see `mien.models.feature_fusion.FusionOptions`.

    Raises:
        OptionError: an option out of its range, or sizes that differ with ``released``.
    """

    stages = 1

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        temperature: float = 1.0,
        reading: Reading = "text",
        width: int | None = None,
        **options: Unpack[FusionOptions],
    ) -> None:
        sizes = {name: width or size for name, size in modalities.items()}
        if reading == "released" and len(set(sizes.values())) > 1:
            raise OptionError(
                "the released code adds modalities, whose sizes differ here", advice="give a width"
            )
        fused = max(sizes.values(), default=0) if reading == "released" else sum(sizes.values())
        super().__init__(task, modalities, fused=fused, **options)
        self.reading = reading
        self.projections = nn.ModuleDict(
            {name: nn.Linear(size, width) for name, size in modalities.items()} if width else {}
        )
        pair = [sizes[name] for name in sorted(sizes)]
        self.attention = nn.ModuleList(
            CrossCorrelation(*pair, temperature=temperature, reading=reading)
            for _ in range(self.stages if len(pair) == 2 else 0)
        )

    def fuse(self, aligned: Aligned) -> FusedFeatures:
        """Attend by equations 1 to 5, once for each stage; see `FeatureFusion.fuse`."""
        values = {name: self._project(name, aligned) for name in self.modalities}
        if not self.attention:
            return FusedFeatures(concatenate(self._attend(values, {}, aligned)))
        audio, video = sorted(self.modalities)
        pairs = aligned.valid[audio].unsqueeze(2) & aligned.valid[video].unsqueeze(1)
        seen = None if bool(pairs.all()) else pairs
        sums, weights = values, {}
        for stage, attention in enumerate(self.attention, start=1):
            if stage > 1:
                sums = {name: sums[name] + values[name] for name in values}
            found = attention(values[audio], values[video], seen)
            values = self._attend(sums, {audio: found.audio, video: found.video}, aligned)
            suffix = f"_{stage}" if stage > 1 else ""
            weights[f"{audio}{suffix}"] = found.audio_weights
            weights[f"{video}{suffix}"] = found.video_weights
        if self.reading == "released":
            return FusedFeatures(values[audio] + values[video], weights)
        return FusedFeatures(concatenate(values), weights)

    def _project(self, name: str, aligned: Aligned) -> Tensor:
        values = aligned.values[name]
        if name in self.projections:
            # The bias would make something of nothing.
            valid = aligned.valid[name].unsqueeze(-1)
            values = torch.where(valid, self.projections[name](values), 0.0)
        return F.normalize(values, dim=-1) if self.reading == "released" else values

    def _attend(
        self, values: Mapping[str, Tensor], found: Mapping[str, Tensor], aligned: Aligned
    ) -> dict[str, Tensor]:
        """Equations 4 and 5 for each modality; `values` are the sums of what was before."""
        if self.reading != "released":
            return {name: (x + found.get(name, 0.0)).tanh_() for name, x in values.items()}
        guide = dict(zip(sorted(values), sorted(values, reverse=True), strict=True))
        return {
            name: torch.where(aligned.valid[guide[name]].unsqueeze(-1), found.get(name, x), x)
            for name, x in values.items()
        }


@register_model(
    "cross_attention_2stage",
    paper="Lee et al. 2021",
    missing="the other passes unattended",
)
class TwoStageCrossAttention(CrossAttention):
    """The same with two stages, of which the second attends to what the first one gave.

    Args:
        task: what to say; all four kinds.
        modalities: see `CrossAttention`.
        temperature: T of equation 2, in both stages.
        reading: ``text`` or ``printed``; the released code has a single stage only.
        width: see `CrossAttention`.
        options: see `mien.models.feature_fusion.FusionOptions`.

    Raises:
        OptionError: an option out of its range.
    """

    stages = 2

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        temperature: float = 1.0,
        reading: Literal["text", "printed"] = "text",
        width: int | None = None,
        **options: Unpack[FusionOptions],
    ) -> None:
        if reading not in {"text", "printed"}:
            raise OptionError(f"no two stages of reading {reading}", advice="text or printed")
        super().__init__(
            task, modalities, temperature=temperature, reading=reading, width=width, **options
        )


def _build(parameters: Tensors) -> CrossCorrelation:
    audio, video = parameters["W"].shape
    if audio != video:
        raise ValueError(f"W is {audio} x {video}, the paper's is square")
    return CrossCorrelation(audio, video).to(parameters["W"].dtype)


def _convert(parameters: Tensors) -> dict[str, Tensor]:
    unknown = sorted(set(parameters) - {"W"})
    if unknown:
        raise KeyError(f"superfluous: {', '.join(unknown)}")
    return {"weight": parameters["W"]}


OFFICIAL.register("ca_fusion", Official(_build, _convert))
