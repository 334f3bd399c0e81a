"""Late fusion by LSTMs: one per modality, and one over their predictions.

The baseline of the MuSe challenges: Christ et al. (2022), "The MuSe 2022 multimodal sentiment
analysis challenge", section 4, approach 1 of Table 1 in Vazquez-Rodriguez et al. (2023). A network
projects the features of a step, runs an LSTM, and regresses with one hidden layer. One network for
each modality is trained by itself; the predictions of all of them, side by side, are the features
from which a network of the same kind makes the answer.

The paper trains in two stages and writes predictions to files in between. Here both stages learn
together, with the same gradients: no gradient passes from the second to the first (``staged``), and
the loss is the sum of all their own.

Where the paper is silent or we depart:

- A missing modality predicts zero, for each item and each step: the challenge has none missing, and
  zero is the middle of its scale. Steps without it are zeros to its LSTM.
- Widths and layers are those of the arousal models of the challenge's scripts for audio, video and
  physiology, and 64 x 2 for any other modality and for the fusion.
- Dimensions end in a hyperbolic tangent, as there, stretched to the range of the task.
- Per clip the answer is the mean over the steps at which anything was observed; categories are
  learned by cross-entropy; a coarser modality is held over the finer steps of the item.

Parameters for one dimension, features of 88, 20 and 3: 547,969, 72,065, 25,777 and 70,977 in the
fusion, as there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mien.layers.dropout import Dropout
from mien.layers.losses import criterion
from mien.layers.masked import masked_mean, zero_missing
from mien.layers.time import align
from mien.models._base import Model, Prediction
from mien.models._registry import register_model
from mien.models._task import Task
from mien.signals import Signals

WIDTHS = MappingProxyType({"audio": 128, "video": 64, "physiology": 16})
LAYERS = MappingProxyType({"audio": 4, "video": 2, "physiology": 4})
USUAL_WIDTH, USUAL_LAYERS = 64, 2


@dataclass(frozen=True)
class LatePrediction(Prediction):
    """Also where each modality had anything to predict from.

    Attributes:
        observed: by modality, the shape of its scores without names; bool.
    """

    observed: Mapping[str, Tensor] = field(default_factory=dict)


class Recurrent(nn.Module):
    """Projection, LSTM and regression of each step.

    Args:
        inputs: features of a step.
        outputs: numbers for each step.
        width: of the projection and of the LSTM.
        layers: of the LSTM.
        bidirectional: whether it sees the future.
        hidden: width of the regression's hidden layer.
        dropout: between the layers of the LSTM.
        dropout_hidden: after the hidden layer.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = USUAL_WIDTH,
        layers: int = USUAL_LAYERS,
        bidirectional: bool = False,
        hidden: int = 64,
        dropout: float = 0.2,
        dropout_hidden: float = 0.5,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width, bias=False)
        self.lstm = nn.LSTM(
            width,
            width,
            layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.regress = nn.Sequential(
            nn.Linear(width * (1 + bidirectional), hidden),
            nn.ReLU(),
            Dropout(dropout_hidden),
            nn.Linear(hidden, outputs),
        )

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        """Regress numbers for each step.

        Args:
            values: ``(batch, time, inputs)``, zero where not valid.
            valid: ``(batch, time)`` bool; what lies behind the last valid step is not looked at.

        Returns:
            ``(batch, time, outputs)``.
        """
        projected = self.project(values)
        if self.lstm.bidirectional:  # only then does padding reach back
            steps = torch.arange(1, valid.shape[1] + 1, device=valid.device)
            lengths = (valid * steps).amax(dim=1).clamp(min=1).cpu()
            packed = pack_padded_sequence(
                projected, lengths, batch_first=True, enforce_sorted=False
            )
            states, _ = pad_packed_sequence(
                self.lstm(packed)[0], batch_first=True, total_length=valid.shape[1]
            )
        else:
            states = self.lstm(projected)[0]
        regressed: Tensor = self.regress(states)
        return regressed


@register_model("late_lstm", paper="Christ et al. 2022 (MuSe)", missing="predicts zero, the middle")
class LateLSTM(Model):
    """See the module docstring.

    Args:
        task: any.
        modalities: feature sizes; any number of modalities.
        widths: of the LSTM, by modality.
        layers: of the LSTM, by modality.
        bidirectional: modalities whose LSTM sees the future.
        fusion_width: of the LSTM over the predictions.
        fusion_layers: of the same.
        hidden: width of the hidden layer of each regression.
        dropout: between layers of an LSTM.
        dropout_hidden: after the hidden layer of a regression.
        staged: keep the fusion's gradient away from the modalities' networks.
    """

    def __init__(  # noqa: PLR0913
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        widths: Mapping[str, int] = WIDTHS,
        layers: Mapping[str, int] = LAYERS,
        bidirectional: Collection[str] = ("physiology",),
        fusion_width: int = USUAL_WIDTH,
        fusion_layers: int = USUAL_LAYERS,
        hidden: int = 64,
        dropout: float = 0.2,
        dropout_hidden: float = 0.5,
        staged: bool = True,
    ) -> None:
        super().__init__(task, modalities)
        if task.kind == "dimensions":
            self.criterion = criterion("ccc", over="batch" if task.per == "clip" else "sequence")
        outputs = len(task.names)
        make = partial(
            Recurrent,
            outputs=outputs,
            hidden=hidden,
            dropout=dropout,
            dropout_hidden=dropout_hidden,
        )
        self.networks = nn.ModuleDict()
        for name, size in self.modalities.items():
            self.networks[name] = make(
                size,
                width=widths.get(name, USUAL_WIDTH),
                layers=layers.get(name, USUAL_LAYERS),
                bidirectional=name in bidirectional,
            )
        joined = outputs * len(modalities)
        self.fusion = make(joined, width=fusion_width, layers=fusion_layers)
        self.staged = staged

    def forward(self, signals: Signals) -> LatePrediction:
        """Predict; see `Model.forward`.

        Returns:
            Scores and scores by modality, zero where that has nothing; per frame on the finest hop
            of the signals, as many as the longest modality has there.
        """
        self.require_anything(signals)
        aligned = align(signals, self.modalities)
        observed = aligned.observed
        by_modality: dict[str, Tensor] = {}
        for name in aligned.values:
            scores = self._bound(self.networks[name](aligned.values[name], aligned.valid[name]))
            by_modality[name] = zero_missing(scores, aligned.valid[name])
        nothing = torch.zeros_like(next(iter(by_modality.values())))
        side_by_side = [by_modality.get(name, nothing) for name in self.modalities]
        features = torch.cat(side_by_side, dim=-1)
        features = features.detach() if self.staged else features
        scores = self._bound(self.fusion(features, observed))
        if self.task.per == "frame":
            return LatePrediction(
                aligned.spread(scores),
                {name: aligned.spread(found) for name, found in by_modality.items()},
                observed={name: aligned.spread(valid) for name, valid in aligned.valid.items()},
            )
        return LatePrediction(
            masked_mean(scores, observed),
            {name: masked_mean(found, aligned.valid[name]) for name, found in by_modality.items()},
            observed={name: valid.any(dim=1) for name, valid in aligned.valid.items()},
        )

    def _bound(self, scores: Tensor) -> Tensor:
        if self.task.kind == "categories":
            return scores
        low, high = scores.new_tensor([self.task.ranges[name] for name in self.task.names]).T
        bounded: Tensor = (high + low) / 2 + (high - low) / 2 * scores.tanh()
        return bounded

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """Sum the losses of the fusion and of each modality, where it is there.

        By default cross-entropy for categories, and for dimensions one minus the concordance over
        the time of a segment or, per clip, over the batch.
        """
        whole = self.criterion(prediction.scores, target, None)
        observed = prediction.observed if isinstance(prediction, LatePrediction) else {}
        for name, scores in prediction.by_modality.items():
            whole = whole + self.criterion(scores, target, observed.get(name))
        return whole
