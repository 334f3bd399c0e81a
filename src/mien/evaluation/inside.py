"""Protocols that look inside: entropies, distances, response times, latency."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from mien.datasets import Example
from mien.errors import OptionError
from mien.evaluation._arrays import to_floats
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
    Protocol,
    Row,
    Subject,
    chain_both,
    isolate_each,
    register_protocol,
)
from mien.layers.losses import UNLABELLED
from mien.missing import KeepFirst, Operation
from mien.models import Model
from mien.signals import Signals
from mien.training import collate

WARM_UP = 2  # calls before the clock is looked at


@register_protocol("prediction_entropy")
class PredictionEntropy(Protocol):
    """How sure each modality's own head is, and the difference (MATER, Table 1)."""

    def measure(self, subject: Subject) -> list[Row]:
        """Measure mean entropy (nats) and accuracy of each head; the gap between the first two.

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
            # A head says something even of a modality that a clip does not have.
            has = torch.cat([example.signals.present(name) for example in subject.examples])
            known = has & ~scores.isnan().any(dim=-1)
            means.append(float(np.mean(prediction_entropy(scores[known]))))
            correct = accuracy(scores[known], answers.target[known])
            rows.append(Row(self.name, name, NO_LEVEL, "entropy", means[-1]))
            rows.append(Row(self.name, name, NO_LEVEL, "accuracy", correct))
        for one, other in pairwise(means):
            rows.append(Row(self.name, "difference", NO_LEVEL, "entropy", abs(one - other)))
        return rows


@register_protocol("layer_entropy")
class LayerEntropy(Protocol):
    """Entropy of each layer's representation by modality (MATER, equation 6 and Figure 4)."""

    def measure(self, subject: Subject) -> list[Row]:
        """Measure the mean entropy over the clips, in nats; the level is the layer.

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


@register_protocol("embedding_distance")
class EmbeddingDistance(Protocol):
    """Cosine distance between what shared layers make of voice and face (VAVL, Figure 4).

    Attributes:
        of: names of the two embeddings of whole clips to compare.
    """

    of: tuple[str, str] = ("audio", "video")

    def measure(self, subject: Subject) -> list[Row]:
        """Return the mean over the clips that have both.

        Raises:
            OptionError: the model has no such embeddings.
        """
        answers = predict(subject.model, subject.examples, embeddings=True)
        # One over time has padding, which only its model can tell from what was observed.
        found = {name: value for name, value in answers.embeddings.items() if value.ndim == 2}
        if not found.keys() >= {*self.of}:
            raise OptionError(
                f"the model has no embeddings of whole clips called {' and '.join(self.of)}",
                advice=f"choose from {sorted(found)}" if found else "choose vavl or uavm",
            )
        distance = cosine_distance(*(found[name] for name in self.of))
        mean = float(np.nanmean(distance))
        return [Row(self.name, "shared layers", NO_LEVEL, "cosine_distance", mean)]


@register_protocol("response_time")
class ResponseTime(Protocol):
    """Time of the first correct answer as a clip is presented bit by bit (MATER, Figure 11).

    A clip of which nothing was observed so far has no answer yet.

    Attributes:
        seconds: of a window.
        windows: how many there are at most.
    """

    seconds: Annotated[float, Field(gt=0)] = 0.5
    windows: Annotated[int, Field(ge=1)] = 8

    def measure(self, subject: Subject) -> list[Row]:
        """Measure the mean seconds of correctly classified clips, and their fraction by window."""
        ends = to_floats(np.arange(1, self.windows + 1) * self.seconds)
        rows = []
        for name, alone in isolate_each(subject):
            answers = [self._predict_first(subject, alone, end) for end in ends]
            scores = torch.stack([answer.scores for answer in answers], dim=1)
            times = response_time(scores, answers[-1].target, ends)
            right = times[~np.isnan(times)]
            mean = float(right.mean()) if len(right) else NO_LEVEL
            known = answers[-1].target != UNLABELLED
            correct = len(right) / max(int(known.sum()), 1)
            rows.append(Row(self.name, name, NO_LEVEL, "seconds", mean))
            rows.append(Row(self.name, name, NO_LEVEL, "correct", correct))
            for end in ends:
                fraction = float(np.isclose(right, end).mean()) if len(right) else NO_LEVEL
                rows.append(Row(self.name, name, float(end), "fraction", fraction))
        return rows

    @staticmethod
    def _predict_first(subject: Subject, alone: Operation | None, end: float) -> Answers:
        operation = chain_both(alone, KeepFirst(end, sparing=False))
        return predict(subject.model, subject.examples, operation=operation)


@register_protocol("latency")
class Latency(Protocol):
    """Seconds for one clip, with everything and with each modality alone (VAVL, section 3.5).

    Computed where the model is, on a clip that lies there already.

    Attributes:
        repeats: timed calls, after two that are not; the median counts.
    """

    repeats: Annotated[int, Field(ge=1)] = 20

    def measure(self, subject: Subject) -> list[Row]:
        """Measure the median of seconds a clip and, by its length, the real-time factor."""
        device = next(subject.model.parameters()).device
        signals, _ = collate([max(subject.examples, key=_count_modalities)])
        length = max(s.valid.shape[1] * s.hop for s in signals.values())
        rows = []
        for name, alone in isolate_each(subject):
            given = signals if alone is None else alone(signals, torch.Generator())
            seconds = median(self._time_calls(subject.model, given.to(device), device))
            rows.append(Row(self.name, name, NO_LEVEL, "seconds", seconds))
            rows.append(Row(self.name, name, NO_LEVEL, "real_time_factor", seconds / length))
        return rows

    def _time_calls(self, model: Model, given: Signals, device: torch.device) -> Iterator[float]:
        with torch.inference_mode():
            for _ in range(WARM_UP):
                model(given)
            for _ in range(self.repeats):
                _wait(device)
                began = time.perf_counter()
                model(given)
                _wait(device)
                yield time.perf_counter() - began


def _count_modalities(example: Example) -> int:
    """How many a clip has."""
    return sum(bool(sequence.present.any()) for sequence in example.signals.values())


def _wait(device: torch.device) -> None:
    """Until a GPU has done what it was asked: its calls return before."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
