"""What every model is: a task, sizes of its modalities, signals in, a prediction out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from mien.errors import NothingPresent, OptionError
from mien.layers.losses import Criterion, cross_entropy, squared_error
from mien.layers.time import select_present
from mien.models._task import Task
from mien.schema import AUDIO, VIDEO
from mien.signals import PlainSignals, Signals, as_signals

# What comes first where the order of modalities has no meaning: that of MulT's released code, and
# of the corpora. Others follow by the alphabet.
_ORDER = ("text", AUDIO, VIDEO, "physiology")
_TAKEN = frozenset(dir(nn.ModuleDict())) | frozenset(dir(nn.ParameterDict()))


@dataclass(frozen=True)
class Prediction:
    """What a model says.

    Attributes:
        scores: ``(batch, names)`` per clip or ``(batch, time, names)`` per frame; logits for
            categories, values for dimensions.
        by_modality: the same from one modality alone, where the model has that.
        attention: weights by name, where the model has them.
        embeddings: inner representations by name, where the model offers them.
    """

    scores: Tensor
    by_modality: Mapping[str, Tensor] = field(default_factory=dict)
    attention: Mapping[str, Tensor] = field(default_factory=dict)
    embeddings: Mapping[str, Tensor] = field(default_factory=dict)

    def probabilities(self) -> Tensor:
        """Compute the softmax of the scores over the names; only meaningful for categories."""
        return self.scores.softmax(dim=-1)


class Model(nn.Module):
    """Base of all models.

    Args:
        task: what to say.
        modalities: feature size of each modality that the model can use. In which order they are
            given means nothing, unless the model says otherwise.

    Attributes:
        modalities: the same; in an order of its own where that given means nothing, so that weights
            fit whatever the order.
        criterion: how far scores are from a target, wherever the model compares the two; may be
            set to another one of `mien.layers.losses`. Cross-entropy for categories and squared
            error for dimensions, unless the model's paper says otherwise.
        ordered: whether the order of the modalities means something.
        hands_options_to: modules whose keyword options are the model's as well.

    Raises:
        OptionError: there is no modality, or its name or size is none.
    """

    ordered: ClassVar[bool] = False
    hands_options_to: ClassVar[tuple[type[nn.Module], ...]] = ()

    def __init__(self, task: Task, modalities: Mapping[str, int]) -> None:
        super().__init__()
        check_modalities(modalities)
        self.task = task
        names = modalities if self.ordered else sorted(modalities, key=_place)
        self.modalities = {name: modalities[name] for name in names}
        self.criterion: Criterion = squared_error if task.kind == "dimensions" else cross_entropy

    def __call__(self, signals: Signals | PlainSignals) -> Prediction:
        """Predict from whatever is observed; see `forward`.

        Args:
            signals: what `forward` takes, or plain tensors ``(batch, time, *feature)`` by modality,
                in which a step that holds a NaN is missing; see `mien.signals.as_signals`.
        """
        prediction: Prediction = super().__call__(as_signals(signals))
        return prediction

    def forward(self, signals: Signals) -> Prediction:
        """Predict from whatever is observed.

        Args:
            signals: with any hops, lengths and durations; all modalities start together. One that
                the model does not know, or that has no step, is as if it were not there.

        Returns:
            Per frame, every model answers on one grid: steps of the finest hop among the model's
            modalities in the signals, as many as have their middle within the longest of them in
            seconds; see `mien.layers.time.grid_of`. What a coarser step says holds for all steps
            whose middle lies in it.

        Raises:
            NothingPresent: somebody in the batch has no observed modality.
            OptionError: a modality has another number of features than the model was made for.
        """
        raise NotImplementedError

    def feature_size(self, modality: str) -> int | None:
        """Tell how many features a step has; None where the model itself describes steps."""
        return self.modalities[modality]

    def loss(self, prediction: Prediction, target: Tensor) -> Tensor:
        """Compute what training minimises: the criterion of the scores, unless the paper has more.

        Args:
            prediction: what `forward` returned.
            target: for categories ``(batch,)`` class indices or ``(batch, names)`` soft
                labels (with a time axis per frame); for dimensions the shape of the scores. A
                missing label is the index -100 or the number NaN; see `mien.layers.losses`.
        """
        return self.criterion(prediction.scores, target, None)

    def require_anything(self, signals: Signals) -> dict[str, Tensor]:
        """Find who has which of the model's modalities: ``(batch,)`` bool by modality.

        Raises:
            NothingPresent: somebody in the batch has none.
            OptionError: a modality has another number of features than the model was made for.
        """
        for name, sequence in select_present(signals, self.modalities).items():
            size, expected = sequence.values.shape[2:].numel(), self.feature_size(name)
            if expected is not None and size != expected:
                raise OptionError(f"{name} has {size} features, the model was made for {expected}")
        present = {name: signals.present(name) for name in self.modalities}
        anything = torch.stack(list(present.values())).any(dim=0)
        if not bool(anything.all()):
            lost = (~anything).nonzero().flatten().tolist()
            raise NothingPresent(
                f"no observed modality for items {lost} of the batch",
                advice=f"this model can use {' and '.join(self.modalities)}",
            )
        return present


def check_modalities(modalities: Mapping[str, int]) -> None:
    """Check that there is something to make a model of.

    Raises:
        OptionError: there is no modality, or its name or size is none.
    """
    if not modalities:
        raise OptionError("a model needs a modality", advice="give audio, video or both")
    for name, size in modalities.items():
        if not re.fullmatch(r"\w[\w-]*", name) or name in _TAKEN:
            raise OptionError(
                f"a modality cannot be called {name!r}",
                advice="give letters, digits, - and _, but no word of Python's dictionaries or of "
                "torch's modules such as values or type",
            )
        if size < 1:
            raise OptionError(f"{name} has {size} features", advice="give at least one")


def _place(modality: str) -> tuple[int, str]:
    """Where a modality stands among others if their order means nothing."""
    known = modality in _ORDER
    return (_ORDER.index(modality) if known else len(_ORDER), modality)
