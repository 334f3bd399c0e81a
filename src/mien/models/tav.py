"""TAV and TVA: SFAV's branches with one transformer on top, in one direction.

Chumachenko, K., Iosifidis, A. and Gabbouj, M. (2022). Self-attention fusion for audiovisual emotion
recognition with incomplete data. ICPR, section IV and table II: how they compare themselves with
Huang et al. (ICASSP 2020, see models/tlstm.py), "a transformer block on top of our two
convolutional branches that performs fusion either from audio to video, or in the opposite
direction", in which 1-D convolutions replace linear layers. Branches, missing modalities and
readout are those of models/sfav.py; with `output_block` MulT's dense layers come before the output.

Where the paper is silent:
- Which way is which. "From audio to video" is read as: video asks, audio gives keys and values. In
  table II TAV without audio is at 13.33 % without and with modality dropout, and at 12.83 % with
  dropout and noise; 13.33 % is one class of eight: its answer is constant, as it must
  be if all values come from audio, whose convolutions have no padding and make a constant of zeros.
  TVA without video is not constant, since those of video are padded and their zeros differ at both
  ends.
- That constant also shows that no residual goes around the attention, as in SFAV's own blocks.
- The replaced layers are the two of the perceptron, over three steps with zeros at both ends, as a
  switch of the released code does that its own models leave off.
- With one modality alone its branch is scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Unpack, cast

from torch import Tensor, nn
from torch.nn import functional as F

from mien.layers.attention import CrossBlock
from mien.layers.output_block import OutputBlock
from mien.models._base import Prediction
from mien.models._registry import register_model
from mien.models._sfav_branches import Track
from mien.models._task import Task
from mien.models.sfav import SFAV, FusedTracks, SFAVOptions, Tracks
from mien.schema import AUDIO, VIDEO
from mien.signals import Signals

KERNEL = 3


class ConvolutionalTransformer(CrossBlock):
    """SFAV's transformer block (its figure 2) with convolutions for the perceptron's layers.

    Args:
        width: of the queries' sequence, and of the result.
        other: width of the sequence attended to.
        heads: of the attention.
        ratio: width of the perceptron's hidden layer as a multiple of `width`.
        residual: add the queries' sequence to what attention gives.

    Raises:
        OptionError: the width does not divide into heads.
    """

    def __init__(
        self, width: int, other: int, *, heads: int = 1, ratio: int = 2, residual: bool = False
    ) -> None:
        super().__init__(width, other, heads=heads, residual=residual)
        self.widen = nn.Conv1d(width, ratio * width, KERNEL, padding=KERNEL // 2)
        self.narrow = nn.Conv1d(ratio * width, width, KERNEL, padding=KERNEL // 2)

    def forward(self, asking: Track, asked: Track) -> Tensor:
        """Attend: ``(batch, time, width)`` on steps of who asks; meaningless where not valid."""
        found = self.attend(asking.cleaned, asked.cleaned, asked.valid)
        # Steps that are not there are zero before each convolution, as those behind the ends.
        normal = asking.of_values(self.normalise(found)).cleaned
        inner = asking.of_values(F.gelu(_over_time(self.widen, normal))).cleaned
        out: Tensor = found + _over_time(self.narrow, inner)
        return out


def _over_time(convolution: nn.Module, values: Tensor) -> Tensor:
    return cast(Tensor, convolution(values.transpose(1, 2))).transpose(1, 2)


class OneDirection(SFAV):
    """Base of both; see the module docstring.

    Args:
        task: see `SFAV`.
        modalities: see `SFAV`.
        heads: of the attention.
        residual: add the queries to what attention gives.
        ratio: hidden width of the block's perceptron as a multiple.
        options: of `SFAV`.

    Raises:
        OptionError: as `SFAV`, or the width does not divide into heads.
    """

    asking: ClassVar[str]
    asked: ClassVar[str]

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
        self.block: ConvolutionalTransformer | None = None
        if len(self.names) == 2:
            width, other = self.widths[self.asking][3], self.widths[self.asked][3]
            self.block = ConvolutionalTransformer(
                width, other, heads=heads, ratio=ratio, residual=residual
            )
            # Only who asks is scored, not both branches.
            if options.get("output_block"):
                self.output_block = OutputBlock(width)
            self.classifier = nn.Linear(width, len(task.names))

    def forward(self, signals: Signals) -> Prediction:
        """Predict from audio, video or both.

        ``embeddings`` holds ``pooled`` ``(batch, width)``, what goes into the classifier per clip,
        and ``fusion``, the block's output, ``(batch, time, width)``.

        Raises:
            NothingPresent: somebody in the batch has neither audio nor video.
            OptionError: a modality has another number of features than the model was made for.
        """
        present = self.require_anything(signals)
        fused = self._fuse(self._tracks(self.describe(signals), present))
        ((name, track),) = fused.tracks.items()
        pooled = joined = track.mean
        if self.task.per == "frame":
            joined = self._frames(signals, name, fused, present[name])
        scores = self.classifier(self.output_block(joined))
        return Prediction(scores, embeddings={"pooled": pooled, **fused.embeddings})

    def _fuse(self, tracks: Tracks) -> FusedTracks:
        tracks = self._through(self._through(tracks, 0), 1)
        if self.block is None:
            return FusedTracks(tracks, {})
        asking = tracks[self.asking]
        block = self.block(asking, tracks[self.asked])
        return FusedTracks({self.asking: asking.of_values(block)}, {"fusion": block})


@register_model("tav", paper="Chumachenko et al. 2022, Table II", missing="zeros in its place")
class TAV(OneDirection):
    """Fusion from audio to video: video asks, audio gives keys and values."""

    asking, asked = VIDEO, AUDIO


@register_model("tva", paper="Chumachenko et al. 2022, Table II", missing="zeros in its place")
class TVA(OneDirection):
    """Fusion from video to audio: audio asks, video gives keys and values."""

    asking, asked = AUDIO, VIDEO
