"""TLSTM: transformers of each modality, one that fuses them, and an LSTM over time.

Huang, J., Tao, J., Liu, B., Lian, Z. and Niu, M. (2020). Multimodal Transformer Fusion for
Continuous Emotion Recognition. ICASSP, 3507-3511; a comparison system of VAVL (Goncalves et al.
2023, section 4.5.5), which calls it TLSTM, and of SFAV (Chumachenko et al. 2022), whose reference
16 it is.

Each modality is projected to one width and encoded by its own self-attention transformer; one is
then fused into the other by a crossmodal transformer, whose queries come from one modality and
whose keys and values come from the other ("only one modality is fused into the other one",
Chumachenko et al., section II); an LSTM runs over the result. There is no decoder.

The paper gives no sizes ("does not provide details on specific hyperparameters", Chumachenko et
al., section IV) and no code was released. What is ours, with its reason:
- Layers are MulT's (layers/crossmodal.py), without causal mask: the paper's transformers are plain
  encoders, and those are what the other comparison systems are made of.
- Width 64 throughout, four heads, two layers per transformer and one of the LSTM: 489,734
  parameters with features of size 1024 and 1408 and six classes, the round sizes that come nearest
  to the 485,000 that Goncalves et al. count.
- The first modality asks; its steps are those of the LSTM. The residual keeps both modalities. Who
  asks is kept with the weights, since they load into either order and mean something else there.
- Per clip the LSTM's state at the last observed step is scored, per frame each of its steps; a step
  holds for the moments of the finest hop whose middle it spans.
- A missing modality is replaced by zeros, item by item, as in the other comparison systems; they
  carry positions here, since queries without any would all ask the same.
- With one modality alone its transformer feeds the LSTM.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mien.errors import OptionError, WeightError
from mien.layers.crossmodal import CrossmodalTransformer, Dropouts
from mien.layers.steps import at, fill_with_zeros, resample_to_grid
from mien.models._base import Model, Prediction
from mien.models._registry import register_model
from mien.models._task import Task
from mien.signals import Signals


@register_model("tlstm", paper="Huang et al. 2020", missing="zeros in its place")
class TLSTM(Model):
    """See the module docstring.

    Args:
        task: what to say.
        modalities: feature sizes of one or two modalities; the first one asks.
        width: of the transformers.
        heads: of each attention; must divide the width.
        layers: of each transformer.
        recurrent_width: of the LSTM.
        recurrent_layers: of the LSTM.
        dropouts: changes to `mien.layers.crossmodal.Dropouts`, by name.

    Raises:
        OptionError: more than two modalities, heads that do not divide the width, or an unknown
            dropout.
    """

    ordered = True
    asking: Tensor  # place in the alphabet of the modality that asks

    def __init__(
        self,
        task: Task,
        modalities: Mapping[str, int],
        *,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        recurrent_width: int = 64,
        recurrent_layers: int = 1,
        dropouts: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(task, modalities)
        if len(modalities) > 2:
            raise OptionError("one modality is fused into one other", advice="choose mult for more")
        rates = Dropouts.of(dropouts)

        def transformer() -> CrossmodalTransformer:
            return CrossmodalTransformer(width, heads, layers, causal=False, dropouts=rates)

        self.project = nn.ModuleDict({n: nn.Linear(s, width) for n, s in modalities.items()})
        self.encoders = nn.ModuleDict({name: transformer() for name in modalities})
        self.fusion = transformer() if len(modalities) == 2 else None
        self.lstm = nn.LSTM(width, recurrent_width, recurrent_layers, batch_first=True)
        self.head = nn.Linear(recurrent_width, len(task.names))
        first = next(iter(modalities))
        self.register_buffer("asking", torch.tensor(sorted(modalities).index(first)))
        self.register_load_state_dict_pre_hook(_same_asks)  # type: ignore[no-untyped-call]

    def forward(self, signals: Signals) -> Prediction:
        """Predict; see `Model.forward`.

        Returns:
            With ``embeddings``: ``fused``, what enters the LSTM, ``(batch, time, width)`` of the
            first modality's steps.
        """
        self.require_anything(signals)
        steps = {}
        for name, part in fill_with_zeros(signals, self.modalities).items():
            projected = part.of(self.project[name](part.values), positioned=True)
            steps[name] = projected.of(self.encoders[name](projected))
        asking, *answering = steps.values()
        fused = self.fusion(asking, answering[0]) if self.fusion is not None else asking.values
        hidden: Tensor = self.lstm(fused)[0]  # forward in time only: padding comes after it all
        if self.task.per == "frame":
            hidden = resample_to_grid({next(iter(steps)): hidden}, steps, signals)[0]
        else:
            hidden = at(hidden, asking.last)
        return Prediction(self.head(hidden), embeddings={"fused": fused})


def _same_asks(model: TLSTM, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Refuse weights in which the other modality asks; older ones do not say who does."""
    saved = state.setdefault(f"{prefix}asking", model.asking)
    names = sorted(model.modalities)
    if int(saved) != int(model.asking):
        raise WeightError(
            f"in these weights {names[int(saved)]} asks, in the model {names[int(model.asking)]}",
            advice="give the modalities in the order that they were trained with",
        )
