"""SFAV: self-attention fusion of voice and face, with three places and ways of fusion.

Chumachenko, K., Iosifidis, A. and Gabbouj, M. (2022). Self-attention fusion for audiovisual emotion
recognition with incomplete data. ICPR. Table I: the branches; equation 2 and figure 2: the
transformer block; section III-B: late transformer (`sfav_lt`), intermediate transformer (`sfav_it`)
and intermediate attention fusion (`sfav_ia`, equation 3).

Missing modality (section III-C): zeros in its place, `missing_steps` of them, as long as the clips
of the paper. How long is our choice: it must not depend on what else is in the batch. Holes in time
are zeros for the convolutions, no keys for attention, and no part of means over time; the same goes
for padding. Audio shorter than 13 steps, which the convolutions need, is filled up with zeros.

Where the paper is silent or its code (MIT) differs:

- Figure 2 shows "standard processing"; the released block has no residual connection around
  attention, and in intermediate fusion the branch is added outside the block. We follow the code,
  else the branch would be added twice; `residual=True` gives the other reading.
- Equation 3 has one map for both directions; the code has one per direction, since the widths of
  the branches differ. We follow the code. Weights are sums over queries and not divided by their
  number, as equation and code say. The code's unused value and output projections (39,120
  parameters with the unimodal classifiers) are not carried: 547,528 remain of 586,648.
- Table I gives no padding: none for audio (156 MFCC steps become 144), "same" for video, as in the
  code; pooling moves by one step.
- The paper writes seven classes, its code and data have eight: the task decides.
- `output_block` puts the two dense layers of MulT, added to their input, before the output layer
  (table III).

A face crop that is missing is never shown to the backbone: its features are zeros. The released
code shows it a black picture; `missing_frame="black"`, which loaded checkpoints have, does so once
for all missing clips, with running statistics. Training with a batch in which one modality is
dropped in turn need not describe faces again: `SFAV.describe` gives signals with features.

Per frame (our choice, as the paper has none): the classifier sees both branches at each step
instead of their means. A branch's value at a step of the answers' grid is the one that lies under
the middle of the step (nearest), zero in a hole, and held after its end. A missing modality gives
its mean everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.attention import CrossTransformer, MutualAttention
from mien.layers.output_block import OutputBlock
from mien.layers.steps import clean_values, length
from mien.layers.time import grid_of, select_present, step_under, take
from mien.models._backbones import Backbone, Name, black
from mien.models._backbones import backbone as chosen_backbone
from mien.models._base import Model, Prediction
from mien.models._registry import register_model
from mien.models._sfav_branches import SHRINK, Stage, Track
from mien.models._task import Task
from mien.schema import AUDIO, VIDEO
from mien.signals import Signals

Widths = tuple[int, int, int, int]
WIDTHS: Mapping[str, Widths] = {AUDIO: (64, 128, 256, 128), VIDEO: (64, 64, 128, 128)}
# 3.6 s: MFCC of sound at 22,050 Hz every 512 samples, and 15 face crops.
MISSING_STEPS: Mapping[str, int] = {AUDIO: 156, VIDEO: 15}
TAKEN = len(WIDTHS[AUDIO]) * SHRINK  # steps that the audio branch takes off

OTHER: Mapping[str, str] = {AUDIO: VIDEO, VIDEO: AUDIO}

Tracks = dict[str, Track]


class SFAVOptions(TypedDict, total=False):
    """Keyword options of `SFAV`, which all fusions share."""

    backbone: Name | Backbone | None
    output_block: bool
    widths: Mapping[str, Widths]
    missing_steps: Mapping[str, int]
    missing_frame: Literal["zeros", "black"]


@dataclass(frozen=True)
class FusedTracks:
    """Both branches after fusion, and what is worth looking at on the way."""

    tracks: Tracks
    embeddings: Mapping[str, Tensor]
    attention: Mapping[str, Tensor] = field(default_factory=dict)


class SFAV(Model):
    """Base of the three fusions; see the module docstring.

    Args:
        task: categories or dimensions, per clip or per frame.
        modalities: feature sizes of ``audio``, ``video`` or both; with one alone, its branch of
            table I with a classifier. With a backbone, ``video`` is its number of features.
        backbone: None for features per frame; ``efficientface`` for face crops
            ``(batch, time, 3, 224, 224)``, or ``face_encoder``, mien's own with its trained
            weights, for grey ones ``(batch, time, 1, 48, 48)``; features are taken as well.
        output_block: MulT's dense layers before the output layer.
        widths: by modality, channels of the four convolutions.
        missing_steps: by modality, length of the zeros in place of one that is missing.
        missing_frame: with a backbone, whether crops of a missing clip are zero features or black.

    Raises:
        OptionError: the modalities are others, or the backbone is unknown or does not fit.
    """

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        backbone: Name | Backbone | None = None,
        output_block: bool = False,
        widths: Mapping[str, Widths] = WIDTHS,
        missing_steps: Mapping[str, int] = MISSING_STEPS,
        missing_frame: Literal["zeros", "black"] = "zeros",
    ) -> None:
        super().__init__(task, modalities)
        if set(self.modalities) - {AUDIO, VIDEO}:
            raise OptionError(
                f"SFAV has no branch for {', '.join(self.modalities)}",
                advice="give audio, video or both",
            )
        self.names = tuple(self.modalities)
        self.widths = dict(widths)
        self.missing_steps, self.missing_frame = dict(missing_steps), missing_frame
        self.backbone = chosen_backbone(backbone, self.modalities)
        self.stages = nn.ModuleList(self._stage(index) for index in range(2))
        joined = sum(self.widths[name][3] for name in self.names)
        self.output_block = OutputBlock(joined) if output_block else nn.Identity()
        self.classifier = nn.Linear(joined, len(task.names))

    def forward(self, signals: Signals) -> Prediction:
        """Predict from audio, video or both.

        ``embeddings`` holds ``pooled`` ``(batch, width)``, what goes into the classifier per clip,
        and both branches at the place of fusion, ``(batch, time, width)``; ``attention`` of
        `sfav_ia` the weights of audio and video steps, ``(batch, time)``.

        Raises:
            NothingPresent: somebody in the batch has neither audio nor video.
            OptionError: a modality has another number of features than the model was made for.
        """
        present = self.require_anything(signals)
        fused = self._fuse(self._tracks(self.describe(signals), present))
        pooled = torch.cat([fused.tracks[name].mean for name in self.names], dim=-1)
        joined = pooled
        if self.task.per == "frame":
            frames = [self._frames(signals, name, fused, present[name]) for name in self.names]
            joined = torch.cat(frames, dim=-1)
        scores = self.classifier(self.output_block(joined))
        return Prediction(
            scores, attention=fused.attention, embeddings={"pooled": pooled, **fused.embeddings}
        )

    def feature_size(self, modality: str) -> int | None:
        """Tell how many features a step has; video is checked when its crops are described."""
        return None if modality == VIDEO else super().feature_size(modality)

    def describe(self, signals: Signals) -> Signals:
        """Put features in place of face crops, invalid crops not looked at."""
        if self.backbone is None or VIDEO not in signals or signals[VIDEO].values.ndim == 3:
            return signals
        faces = signals[VIDEO]
        shape = (*faces.valid.shape, self.backbone.features)
        if faces.valid.numel() and bool(faces.valid.all()):  # no copy of all pictures to pick them
            features = self.backbone.describe(faces.values.flatten(0, 1)).view(shape)
        else:
            features = faces.values.new_zeros(shape)
            if bool(faces.valid.any()):
                described = self.backbone.describe(faces.values[faces.valid])
                features = features.masked_scatter(faces.valid.unsqueeze(-1), described)
        return Signals({**signals, VIDEO: replace(faces, values=features)})

    def _stage(self, index: int) -> nn.ModuleDict:
        stages = nn.ModuleDict()
        for name in self.names:
            path = (self.modalities[name], *self.widths[name])
            width, *out = path[2 * index : 2 * index + 3]
            stages[name] = Stage(width, (out[0], out[1]), pools=name == AUDIO)
        return stages

    def _fuse(self, tracks: Tracks) -> FusedTracks:
        raise NotImplementedError

    def _through(self, tracks: Tracks, stage: int) -> Tracks:
        stages = self.stages[stage]
        assert isinstance(stages, nn.ModuleDict)
        return {name: stages[name](track) for name, track in tracks.items()}

    def _tracks(self, signals: Signals, present: Mapping[str, Tensor]) -> Tracks:
        tracks = {}
        for name in self.names:
            values, valid = self._fill(name, signals, present[name])
            tracks[name] = Track.of(values, valid, 1 + TAKEN if name == AUDIO else 1)
        return tracks

    def _fill(self, name: str, signals: Signals, present: Tensor) -> tuple[Tensor, Tensor]:
        """Features and their mask, with valid zeros for who lacks the modality."""
        size, steps = self.modalities[name], self.missing_steps[name]
        like = next(iter(self.parameters()))
        sequence = signals.get(name)
        if sequence is None:
            values = like.new_zeros(len(present), steps, size)
            valid = torch.zeros(values.shape[:2], dtype=torch.bool, device=like.device)
        else:
            values = clean_values(name, sequence, size, "for face crops choose a backbone")
            valid = sequence.valid
        if bool(present.all()):
            return values, valid
        lacking = max(0, steps - valid.shape[1])
        values, valid = F.pad(values, (0, 0, 0, lacking)), F.pad(valid, (0, lacking))
        missing = ~present.to(valid.device).unsqueeze(1)
        stand_in = missing & (torch.arange(valid.shape[1], device=valid.device) < steps)
        if name == VIDEO and self.backbone is not None and self.missing_frame == "black":
            values = torch.where(stand_in.unsqueeze(-1), black(self.backbone, like), values)
        return values, valid | stand_in

    def _frames(self, signals: Signals, name: str, fused: FusedTracks, present: Tensor) -> Tensor:
        """``(batch, time, width)`` of a branch on the grid of the batch."""
        known, track = select_present(signals, self.names), fused.tracks[name]
        hop, steps = grid_of(known.values())
        mean = track.mean.unsqueeze(1).expand(-1, steps, -1)
        if name not in known:
            return mean
        index = step_under(steps, hop, known[name].hop).to(mean.device)
        if name == AUDIO:  # a step of the branch has seen TAKEN more: it stands for their middle
            index = index - TAKEN // 2
        last = (length(track.valid) - 1).unsqueeze(1)
        index = index.unsqueeze(0).minimum(last).clamp(min=0)
        frames = take(track.cleaned, index)
        return torch.where(present.to(mean.device)[:, None, None], frames, mean)


class _TransformerFusion(SFAV):
    """A transformer block per direction, by the modality that asks."""

    layer: int  # behind which convolution

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        heads: int = 1,
        residual: bool = False,
        ratio: int = 2,
        **options: Unpack[SFAVOptions],
    ) -> None:
        super().__init__(task, modalities, **options)
        self.fusion = nn.ModuleDict()
        for name, other in OTHER.items() if len(self.names) == 2 else ():
            self.fusion[name] = CrossTransformer(
                self.widths[name][self.layer],
                self.widths[other][self.layer],
                heads=heads,
                ratio=ratio,
                residual=residual,
            )

    def _attend(self, tracks: Tracks) -> dict[str, Tensor]:
        """Return what the blocks give, by the modality that asks."""
        clean = {name: track.cleaned for name, track in tracks.items()}
        return {
            name: block(clean[name], clean[OTHER[name]], tracks[OTHER[name]].valid)
            for name, block in self.fusion.items()
        }


@register_model("sfav_lt", paper="Chumachenko et al. 2022", missing="zeros in its place")
class LateTransformer(_TransformerFusion):
    """Late transformer fusion: a block per direction behind both branches (equation 2).

    Args:
        task: see `SFAV`.
        modalities: see `SFAV`.
        heads: of the attention.
        residual: add the queries to what attention gives.
        ratio: hidden width of the blocks' perceptron as a multiple.
        options: of `SFAV`.

    Raises:
        OptionError: as `SFAV`, or the widths do not divide into heads.
    """

    layer = 3

    def _fuse(self, tracks: Tracks) -> FusedTracks:
        tracks = self._through(self._through(tracks, 0), 1)
        blocks = self._attend(tracks)
        fused = {name: track.of_values(blocks[name]) for name, track in tracks.items() if blocks}
        return FusedTracks(
            fused or tracks, {f"fusion_{name}": block for name, block in blocks.items()}
        )


@register_model("sfav_it", paper="Chumachenko et al. 2022", missing="zeros in its place")
class IntermediateTransformer(_TransformerFusion):
    """Intermediate transformer fusion: blocks between the stages, added to their branches.

    Args:
        task: see `SFAV`.
        modalities: see `SFAV`.
        heads: of the attention.
        residual: add the queries to what attention gives, inside the block as well.
        ratio: hidden width of the blocks' perceptron as a multiple.
        options: of `SFAV`.

    Raises:
        OptionError: as `SFAV`, or the widths do not divide into heads.
    """

    layer = 1

    def _fuse(self, tracks: Tracks) -> FusedTracks:
        tracks = self._through(tracks, 0)
        blocks = self._attend(tracks)
        for name, block in blocks.items():
            tracks[name] = tracks[name].of_values(tracks[name].values + block)
        named = {f"fusion_{name}": block for name, block in blocks.items()}
        return FusedTracks(self._through(tracks, 1), named)


@register_model("sfav_ia", paper="Chumachenko et al. 2022", missing="zeros in its place")
class IntermediateAttention(SFAV):
    """Intermediate attention fusion: each branch weighted by the other's attention (equation 3).

    Args:
        task: see `SFAV`.
        modalities: see `SFAV`.
        heads: of the attention.
        options: of `SFAV`.

    Raises:
        OptionError: as `SFAV`, or the widths do not divide into heads.
    """

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        heads: int = 1,
        **options: Unpack[SFAVOptions],
    ) -> None:
        super().__init__(task, modalities, **options)
        self.fusion = nn.ModuleDict()
        for name, other in OTHER.items() if len(self.names) == 2 else ():
            widths = self.widths[name][1], self.widths[other][1]
            self.fusion[name] = MutualAttention(*widths, heads=heads)

    def _fuse(self, tracks: Tracks) -> FusedTracks:
        tracks = self._through(tracks, 0)
        weights = {}
        for asking, attention in self.fusion.items():
            mine, other = tracks[asking], tracks[OTHER[asking]]
            weights[OTHER[asking]] = attention(mine.cleaned, mine.valid, other.cleaned, other.valid)
        stages = {f"{name}_stage1": track.values for name, track in tracks.items()}
        for name, each in weights.items():
            tracks[name] = tracks[name].of_values(tracks[name].values * each.unsqueeze(-1))
        return FusedTracks(self._through(tracks, 1), stages, weights)
