"""MMTE + AMMTD: multimodal transformer encoder with an autoregressive decoder, and two baselines.

Vazquez-Rodriguez, Lefebvre, Cumin and Crowley (2023), "Accommodating missing modalities in
time-continuous multimodal emotion recognition", ACII. `MMTE` represents each modality at each step
(section 3.1), `AMMTD` goes through the steps one by one (3.2), and a small network reads the answer
off its outputs. ``mmte_fc`` and ``mmte_lstm`` put that network alone, or an LSTM, on the
concatenated modalities instead (6.1). The loss is one minus the concordance coefficient (12).

A missing modality is left out: of the encoder's sequence and of the decoder's cross-attention, here
for each item and each step. The two baselines cannot leave out, by the paper's own argument; they
get zeros in place of the representation.

Where the paper is silent:

- Positions: more steps than were learned go through windows that overlap by 200 of 250 steps, as
  the training segments of section 5.3 do, and are averaged.
- The concordance is taken for each segment and averaged over the batch, as in the challenge whose
  data it uses, and per clip over the batch; `Model.criterion` may be set to another one.
- No activation bounds the output: the paper names none. A linear map follows the LSTM.
- Per clip, categories, and hops that differ are not in the paper. A clip's scores are the mean over
  the steps at which anything of it was observed; categories are learned by cross-entropy; a coarser
  modality is held over the finer steps, on the finest grid that the item itself has.

Parameters at the paper's sizes, one dimension, features of 88, 20 and 3: 463,424 + 419,904 +
409,024 in the TCNs, 99,968 in the encoder, 16,000 + 16,000 positions, 192 modality encodings, 64 +
66,752 in the decoder, 2,113 in the regression; 1,493,441 in all. ``mmte_fc`` has 6,209 and
``mmte_lstm`` 54,272 (and 33 for its output) after the encoder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mien.errors import OptionError
from mien.layers.losses import criterion
from mien.layers.tcn import TCN
from mien.layers.time import align
from mien.models._base import Model, Prediction
from mien.models._official import OFFICIAL, Official, Tensors
from mien.models._registry import register_model
from mien.models._task import Task
from mien.models._windows import predict_in_windows
from mien.models.ammtd import AMMTD
from mien.models.mmte_encoder import MMTE, EncodedSteps
from mien.models.streaming import MMTEStream, check_stride
from mien.signals import PlainSignals, Signals, as_signals


class Regression(nn.Sequential):
    """ERN, the emotion regression network: one hidden layer with a rectifier.

    Args:
        inputs: width of each step.
        hidden: width of the hidden layer.
        names: number of outputs.
    """

    def __init__(self, inputs: int, hidden: int, names: int) -> None:
        super().__init__(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, names))


class _OverMMTE(Model):
    """What the three models share: encoder, windows, pooling of clips, loss.

    Args:
        task: any.
        modalities: feature sizes; any number of modalities.
        overlap: steps that windows share where a sequence is longer than the positions; nothing for
            four fifths of them.
        encoder: the options of `MMTE`.
    """

    hands_options_to = (MMTE,)

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        overlap: int | None = None,
        **encoder: object,
    ) -> None:
        super().__init__(task, modalities)
        self.encoder = MMTE(modalities, **encoder)  # type: ignore[arg-type]
        self.width = self.encoder.positions.shape[1]
        self.window = len(self.encoder.positions)
        self.overlap = self.window * 4 // 5 if overlap is None else overlap
        if not 0 <= self.overlap < self.window:
            raise OptionError(
                f"an overlap of {self.overlap} of {self.window} steps",
                advice="overlap by less than the positions",
            )
        if task.kind == "dimensions":  # equation 12
            self.criterion = criterion("ccc", over="batch" if task.per == "clip" else "sequence")

    def decode(self, encoded: EncodedSteps) -> Prediction:
        """Score per frame representations of at most `window` steps."""
        raise NotImplementedError

    def forward(self, signals: Signals) -> Prediction:
        """Predict; see `Model.forward`.

        Returns:
            Scores per frame are on the finest hop of the signals, as many as the longest modality
            has there. ``mmte_ammtd`` adds ``attention["modalities"]`` ``(batch, time,
            modalities)``, on each item's own grid and in the order of the model's modalities,
            unless the sequence had to be cut into windows.

        Raises:
            NothingPresent: somebody in the batch has no observed modality.
        """
        self.require_anything(signals)
        aligned = align(signals, self.modalities)
        on_one_grid, observed = aligned.signals, aligned.observed
        if observed.shape[1] > self.window:
            frames = predict_in_windows(
                self._frames, on_one_grid, self.window, self.overlap, fill=0.0
            )
        else:
            frames = self._frames(on_one_grid)
        if self.task.per == "frame":
            return Prediction(aligned.spread(frames.scores), attention=frames.attention)
        weight = observed.unsqueeze(-1) / observed.sum(dim=1).clamp(min=1)[:, None, None]
        return Prediction((frames.scores * weight).sum(dim=1), attention=frames.attention)

    def _frames(self, signals: Signals) -> Prediction:
        return self.decode(self.encoder(signals))


@register_model(
    "mmte_ammtd", paper="Vazquez-Rodriguez et al. 2023", missing="left out of all attention"
)
class MMTEWithAMMTD(_OverMMTE):
    """Encoder and autoregressive decoder; the paper's own model.

    Args:
        task: any.
        modalities: feature sizes; any number of modalities.
        decoder_layers: transformer decoder layers.
        decoder_heads: of their attentions.
        truncate: steps after which the gradient through earlier outputs is cut; nothing for never.
        options: of `MMTE`, and the ``overlap`` of windows.
    """

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        decoder_layers: int = 1,
        decoder_heads: int = 1,
        truncate: int | None = None,
        **options: object,
    ) -> None:
        super().__init__(task, modalities, **options)  # type: ignore[arg-type]
        self.decoder = AMMTD(
            self.width,
            layers=decoder_layers,
            heads=decoder_heads,
            hidden=self.encoder.stack[0].feed_in.out_features,
            dropout=self.encoder.dropout.p,
            positions=self.window,
            truncate=truncate,
        )
        self.regression = Regression(self.width, self.width // 2, len(task.names))

    def decode(self, encoded: EncodedSteps) -> Prediction:
        """Decode step by step and regress; see `AMMTD`."""
        decoded, weights = self.decoder(encoded.values, encoded.valid)
        absent = torch.zeros_like(weights[:, :, 0])
        columns = [
            weights[:, :, encoded.names.index(name)] if name in encoded.names else absent
            for name in self.modalities
        ]
        weights = torch.stack(columns, dim=-1)
        return Prediction(self.regression(decoded), attention={"modalities": weights})

    def stream(self, batch: int = 1, *, stride: int | None = None) -> MMTEStream:
        """Begin to predict step by step, with a state; see `MMTEStream`.

        The answer to a step comes `MMTEStream.delay` steps later: the encoder's layers times how
        far ahead each sees. Set ``look_ahead`` to bound it.

        By default the answers are those of `forward` for as many steps as there are learned
        positions. A longer stream goes through other windows than `forward` does, because it does
        not know its end; `streamed` gives its answers for any length and stride.

        Args:
            batch: how many streams go side by side.
            stride: steps after which a new window of the learned positions begins, so that a
                stream may go on for ever; nothing for as many as there are positions. With fewer,
                windows overlap and are averaged, and each step costs as many of them.

        Raises:
            OptionError: the TCN looks ahead, the stride is longer than the positions, or the model
                is in training mode.
        """
        return MMTEStream(self.encoder, self.decoder, self.regression, batch, stride=stride)

    def predict_as_stream(
        self, signals: Signals | PlainSignals, *, stride: int | None = None
    ) -> Prediction:
        """Predict what `stream` answers to a whole sequence, of any length, in one go.

        The windows are those of a stream: they begin at fixed steps and go to the end, wherever it
        is. Gradients flow.

        Args:
            signals: with any hops; a stream itself takes one.
            stride: as of the stream.

        Returns:
            Scores per frame, whatever the task, as `forward` gives them; no attention.

        Raises:
            NothingPresent: somebody in the batch has no observed modality.
            OptionError: the stride is longer than the positions.
        """
        signals = as_signals(signals)
        self.require_anything(signals)
        overlap = self.window - check_stride(self.window, stride)
        aligned = align(signals, self.modalities)
        frames = predict_in_windows(self._frames, aligned.signals, self.window, overlap, fixed=True)
        return Prediction(aligned.spread(frames.scores))


@register_model(
    "mmte_fc", paper="Vazquez-Rodriguez et al. 2023, 6.1", missing="left out, then zeros"
)
class MMTEWithFC(_OverMMTE):
    """Encoder and the regression network alone; the paper's "MMTE + FC (ERN)".

    Args:
        task: any.
        modalities: feature sizes; any number of modalities.
        options: of `MMTE`, and the ``overlap`` of windows.
    """

    def __init__(self, task: Task, modalities: Mapping[str, int], **options: object) -> None:
        super().__init__(task, modalities, **options)  # type: ignore[arg-type]
        inputs = self.width * len(modalities)
        self.regression = Regression(inputs, self.width // 2, len(task.names))

    def decode(self, encoded: EncodedSteps) -> Prediction:
        """Regress the concatenated modalities of each step."""
        return Prediction(self.regression(encoded.complete(self.modalities)))


@register_model(
    "mmte_lstm", paper="Vazquez-Rodriguez et al. 2023, 6.1", missing="left out, then zeros"
)
class MMTEWithLSTM(_OverMMTE):
    """Encoder and LSTM; the paper's "MMTE + LSTM".

    Args:
        task: any.
        modalities: feature sizes; any number of modalities.
        lstm_layers: of the LSTM, which sees the past only.
        lstm_width: its hidden width.
        options: of `MMTE`, and the ``overlap`` of windows.
    """

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        lstm_layers: int = 4,
        lstm_width: int = 32,
        **options: object,
    ) -> None:
        super().__init__(task, modalities, **options)  # type: ignore[arg-type]
        dropout = self.encoder.dropout.p if lstm_layers > 1 else 0.0
        self.lstm = nn.LSTM(
            self.width * len(modalities),
            lstm_width,
            lstm_layers,
            batch_first=True,
            dropout=dropout,
        )
        self.output = nn.Linear(lstm_width, len(task.names))

    def decode(self, encoded: EncodedSteps) -> Prediction:
        """Run the LSTM over the concatenated modalities; a linear map follows."""
        return Prediction(self.output(self.lstm(encoded.complete(self.modalities))[0]))


def _official_tcn(parameters: Tensors) -> TCN:
    depth = len({block[1] for name in parameters if (block := re.match(r"network\.(\d+)\.", name))})
    first = parameters["network.0.conv1.weight_v"]
    widths = [len(parameters[f"network.{i}.conv1.weight_v"]) for i in range(depth)]
    return TCN(first.shape[1], widths, kernel=first.shape[2])


def _convert_tcn(parameters: Tensors) -> dict[str, Tensor]:
    """Names of locuslab/TCN to ours; ``net`` there holds the two convolutions a second time."""
    parts = {"weight_g": "parametrizations.weight.original0"}
    parts |= {"weight_v": "parametrizations.weight.original1", "bias": "bias"}
    state = {}
    for name, value in parameters.items():
        if re.fullmatch(r"network\.\d+\.net\.(0|4)\.(weight_g|weight_v|bias)", name):
            continue
        if found := re.fullmatch(r"network\.(\d+)\.(conv[12])\.(weight_g|weight_v|bias)", name):
            state[f"blocks.{found[1]}.{found[2]}.{parts[found[3]]}"] = value
        elif found := re.fullmatch(r"network\.(\d+\.downsample\.(?:weight|bias))", name):
            state[f"blocks.{found[1]}"] = value
        else:
            raise KeyError(f"no parameter {name} is known")
    return state


OFFICIAL.register("tcn", Official(_official_tcn, _convert_tcn))
