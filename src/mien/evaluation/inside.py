"""Protocols that look inside: entropies, distances, response times, latency.

`AnyProtocol` is every protocol there is, told apart by its name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mien.errors import OptionError
from mien.evaluation.categories import accuracy
from mien.evaluation.inspection import (
    cosine_distance,
    prediction_entropy,
    representation_entropy,
    response_time,
)
from mien.evaluation.predict import Answers, predict
from mien.evaluation.protocols import (
    NO_LEVEL,
    Bursts,
    Condition,
    FirstWindows,
    MaskedFrames,
    Modalities,
    NoisyWindows,
    Protocol,
    Recordings,
    ReplacedByNoise,
    Row,
    Subject,
    WithoutEach,
    both,
    each_alone,
)
from mien.layers.losses import UNLABELLED
from mien.missing import KeepFirst, Operation
from mien.signals import Signals
from mien.training import collate


class PredictionEntropy(Protocol):
    """How sure each modality's own head is, and the difference (MATER, Table 1)."""

    name: Literal["prediction_entropy"] = "prediction_entropy"

    def measure(self, subject: Subject) -> list[Row]:
        """Mean entropy and accuracy of each head, in nats; the gap between the first two.

        Raises:
            OptionError: the model has no heads of single modalities.
        """
        answers = predict(subject.model, subject.examples)
        if not answers.by_modality:
            raise OptionError(
                "prediction_entropy needs a model with a head for each modality",
                advice="choose mater, vavl, uavm or auxformer",
            )
        rows, means = [], []
        for name, scores in answers.by_modality.items():
            known = ~scores.isnan().any(dim=-1)
            means.append(float(np.mean(prediction_entropy(scores[known]))))
            told = accuracy(scores[known], answers.target[known])
            rows.append(Row(self.name, name, NO_LEVEL, "entropy", means[-1]))
            rows.append(Row(self.name, name, NO_LEVEL, "accuracy", told))
        for one, other in pairwise(means):
            rows.append(Row(self.name, "difference", NO_LEVEL, "entropy", abs(one - other)))
        return rows


class LayerEntropy(Protocol):
    """Entropy of each layer's representation by modality (MATER, equation 6 and Figure 4)."""

    name: Literal["layer_entropy"] = "layer_entropy"

    def measure(self, subject: Subject) -> list[Row]:
        """Mean entropy over the clips, in nats; the level is the layer.

        Raises:
            OptionError: the model keeps no layers.
        """
        answers = predict(subject.model, subject.examples, embeddings=True)
        rows = []
        for modality in subject.modalities:
            for layer in range(len(answers.embeddings)):
                hidden = answers.embeddings.get(f"{modality}_layer{layer}")
                if hidden is not None:
                    valid = ~hidden.isnan().any(dim=-1) & (hidden != 0).any(dim=-1)
                    entropy = representation_entropy(hidden.nan_to_num(), valid)
                    mean = float(np.nanmean(entropy))
                    rows.append(Row(self.name, modality, float(layer), "entropy", mean))
        if not rows:
            raise OptionError("layer_entropy needs a model that keeps its layers", advice="mater")
        return rows


class EmbeddingDistance(Protocol):
    """Cosine distance between what shared layers make of voice and face (VAVL, Figure 4).

    Attributes:
        of: by model the two embeddings to compare; those over time are meant over it first.
    """

    name: Literal["embedding_distance"] = "embedding_distance"
    of: tuple[str, str] = ("audio", "video")

    def measure(self, subject: Subject) -> list[Row]:
        """The mean over the clips that have both.

        Raises:
            OptionError: the model has no such embeddings.
        """
        found = predict(subject.model, subject.examples, embeddings=True).embeddings
        pair = [found.get(name, found.get(f"shared_{name}")) for name in self.of]
        if any(part is None for part in pair):
            raise OptionError(
                f"no embeddings {' and '.join(self.of)}", advice=f"choose from {sorted(found)}"
            )
        a, b = (_pooled(part) for part in pair if part is not None)
        distance = float(np.nanmean(cosine_distance(a, b)))
        return [Row(self.name, "shared layers", NO_LEVEL, "cosine_distance", distance)]


def _pooled(values: Tensor) -> Tensor:
    return values.nanmean(dim=1) if values.ndim == 3 else values


class ResponseTime(Protocol):
    """When the first right answer comes as a clip is presented bit by bit (MATER, Figure 11).

    Attributes:
        seconds: of a window.
        windows: how many there are at most.
    """

    name: Literal["response_time"] = "response_time"
    seconds: Annotated[float, Field(gt=0)] = 0.5
    windows: Annotated[int, Field(ge=1)] = 8

    def measure(self, subject: Subject) -> list[Row]:
        """Mean seconds over the clips that are told right, and the share told first at each."""
        ends = np.arange(1, self.windows + 1) * self.seconds
        rows = []
        for name, alone in each_alone(subject):
            answers = [self._first(subject, alone, end) for end in ends]
            scores = torch.stack([answer.scores for answer in answers], dim=1)
            times = response_time(scores, answers[-1].target, ends)
            right = times[~np.isnan(times)]
            mean = float(right.mean()) if len(right) else NO_LEVEL
            known = answers[-1].target != UNLABELLED
            told = len(right) / max(int(known.sum()), 1)
            rows.append(Row(self.name, name, NO_LEVEL, "seconds", mean))
            rows.append(Row(self.name, name, NO_LEVEL, "told right", told))
            for end in ends:
                share = float(np.isclose(right, end).mean()) if len(right) else NO_LEVEL
                rows.append(Row(self.name, name, float(end), "share", share))
        return rows

    @staticmethod
    def _first(subject: Subject, alone: Operation | None, end: float) -> Answers:
        operation = both(alone, KeepFirst(end))
        return predict(subject.model, subject.examples, operation=operation)


class Latency(Protocol):
    """Seconds for one clip, with everything and with each modality alone (VAVL, section 3.5).

    Attributes:
        repeats: timed calls; the median counts.
    """

    name: Literal["latency"] = "latency"
    repeats: Annotated[int, Field(ge=1)] = 20

    def measure(self, subject: Subject) -> list[Row]:
        """Median seconds a clip and, by its length, the real-time factor."""
        signals, _ = collate(subject.examples[:1])
        length = max(s.valid.shape[1] * s.hop for s in signals.values())
        rows = []
        for name, alone in each_alone(subject):
            given = signals if alone is None else alone(signals, torch.Generator())
            seconds = median(self._times(subject, given))
            rows.append(Row(self.name, name, NO_LEVEL, "seconds", seconds))
            rows.append(Row(self.name, name, NO_LEVEL, "real_time_factor", seconds / length))
        return rows

    def _times(self, subject: Subject, given: Signals) -> Iterator[float]:
        with torch.inference_mode():
            for _ in range(self.repeats):
                began = time.perf_counter()
                subject.model(given)
                yield time.perf_counter() - began


AnyProtocol = Annotated[
    Modalities
    | WithoutEach
    | ReplacedByNoise
    | MaskedFrames
    | NoisyWindows
    | FirstWindows
    | Bursts
    | Recordings
    | PredictionEntropy
    | LayerEntropy
    | EmbeddingDistance
    | ResponseTime
    | Latency,
    Field(discriminator="name"),
]
__all__ = ["AnyProtocol", "Condition"]
