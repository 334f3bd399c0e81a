"""One update: what a strategy does with a batch.

``joint`` moves all weights along the gradient of `Model.loss`. ``alternating`` is Algorithm 1 of
Goncalves et al. (VAVL): the acoustic loss moves the acoustic and the shared weights, then the
visual loss the visual and the shared ones, then, all those frozen, the audio-visual loss moves the
audio-visual head. Each step sees only the items that have its modality, so that
unpaired clips are learned from as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from mien.errors import OptionError
from mien.models import Model, Prediction
from mien.signals import Sequence, Signals
from mien.training.optimizers import build_optimizer
from mien.training.settings import Training

AUDIO_VISUAL = "audio_visual"
EVERYTHING = "everything"


class LossModule(nn.Module):
    """A model and its loss as one module of plain tensors, as Fabric and its processes want it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model: Model = model

    def forward(
        self,
        values: Mapping[str, Tensor],
        valid: Mapping[str, Tensor],
        hops: Mapping[str, float],
        target: Tensor,
        term: str,
    ) -> Tensor:
        """Compute the loss of a batch: a term of `loss_terms`, or everything."""
        signals = Signals({n: Sequence(values[n], valid[n], hops[n]) for n in values})
        prediction: Prediction = self.model(signals)
        if term == EVERYTHING:
            return self.model.loss(prediction, target)
        terms = require_parts(self.model).loss_terms(prediction, target)
        return terms.get(term, 0 * prediction.scores.sum())


@runtime_checkable
class ModelInParts(Protocol):
    """A model whose parts are trained by losses of their own, as `mien.models.vavl.Vavl`."""

    def loss_terms(self, prediction: Prediction, target: Tensor) -> dict[str, Tensor]:
        """Compute a loss for each modality and ``audio_visual``."""

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Return the weights of each modality, ``shared`` and ``audio_visual``."""


def require_parts(model: Model) -> ModelInParts:
    """Return the same model, known to have parts.

    Raises:
        OptionError: it has none.
    """
    if not isinstance(model, ModelInParts):
        raise OptionError(
            "alternating updates need a model with a loss for each part",
            advice="train it jointly, or choose vavl",
        )
    return model


class LossFunction(Protocol):
    """A module after `Fabric.setup`: called with what `LossModule.forward` takes."""

    def __call__(self, *args: object) -> Tensor:
        """Compute the loss."""


class Strategy(Protocol):
    """How a batch becomes updates; `optimizers` are what it moves weights with."""

    optimizers: dict[str, Optimizer]

    def update(self, loss: LossFunction, signals: Signals, target: Tensor) -> float:
        """Update the weights from a batch and return its loss."""


def build_strategy(training: Training, model: Model, fabric: Fabric) -> Strategy:
    """Build the strategy that the settings name.

    Raises:
        OptionError: the model is not made for it.
    """
    if training.strategy == "joint":
        return _Joint(training, model, fabric)
    if fabric.world_size > 1:
        raise OptionError(
            "alternating updates run in one process", advice="train jointly, or on one device"
        )
    return _Alternating(training, model, fabric)


class _Joint:
    def __init__(self, training: Training, model: Model, fabric: Fabric) -> None:
        self._clip, self._fabric, self._model = training.clip, fabric, model
        self.optimizers = {EVERYTHING: build_optimizer(training.optimizer, model.parameters())}

    def update(self, loss: LossFunction, signals: Signals, target: Tensor) -> float:
        optimizer = self.optimizers[EVERYTHING]
        optimizer.zero_grad()
        value = _compute_loss(loss, signals, target, EVERYTHING)
        self._fabric.backward(value)
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._clip)
        optimizer.step()
        return float(value.detach())


class _Alternating:
    def __init__(self, training: Training, model: Model, fabric: Fabric) -> None:
        self._clip, self._fabric, self._model = training.clip, fabric, model
        self._parts = require_parts(model).parts()
        self.optimizers = {
            name: build_optimizer(training.optimizer, weights)
            for name, weights in self._parts.items()
            if weights
        }

    def update(self, loss: LossFunction, signals: Signals, target: Tensor) -> float:
        total = 0.0
        present = {name: signals.present(name) for name in self._model.modalities}
        for name, who in present.items():
            if bool(who.any()):
                alone = Signals({name: signals[name].select(who)})
                total += self._step(loss, alone, target[who], name, (name, "shared"))
        both = torch.stack(list(present.values())).all(dim=0)
        if AUDIO_VISUAL in self.optimizers and bool(both.any()):
            paired = signals.select(both)
            with self._train_only(AUDIO_VISUAL):
                total += self._step(loss, paired, target[both], AUDIO_VISUAL, (AUDIO_VISUAL,))
        return total

    def _step(
        self,
        loss: LossFunction,
        signals: Signals,
        target: Tensor,
        term: str,
        moved: tuple[str, ...],
    ) -> float:
        for name in moved:
            self.optimizers[name].zero_grad()
        value = _compute_loss(loss, signals, target, term)
        if value.requires_grad:
            self._fabric.backward(value)
            if self._clip is not None:
                weights = [weight for name in moved for weight in self._parts[name]]
                nn.utils.clip_grad_norm_(weights, self._clip)
            for name in moved:
                self.optimizers[name].step()
        return float(value.detach())

    @contextmanager
    def _train_only(self, part: str) -> Iterator[None]:
        """Freeze all weights outside a part: no gradient, no dropout."""
        outside = [w for name, weights in self._parts.items() if name != part for w in weights]
        self._model.eval()
        for weight in outside:
            weight.requires_grad_(False)
        joint: nn.Module | None = getattr(self._model, "joint", None)
        if joint is not None:
            joint.train()
        try:
            yield
        finally:
            for weight in outside:
                weight.requires_grad_(True)
            self._model.train()


def _compute_loss(loss: LossFunction, signals: Signals, target: Tensor, term: str) -> Tensor:
    values = {name: sequence.values for name, sequence in signals.items()}
    valid = {name: sequence.valid for name, sequence in signals.items()}
    hops = {name: sequence.hop for name, sequence in signals.items()}
    return loss(values, valid, hops, target, term)
