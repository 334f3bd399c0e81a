"""Fitting the heads: logistic regression, strength and calibration chosen over training people."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from mien.models import LinearProbe, Task, create_model

Array = NDArray[np.float64]
STRENGTHS = (1e-3, 1e-2, 1e-1)  # inverse L2 penalty


@dataclass(frozen=True)
class Rows:
    """Described clips and windows of one modality.

    Attributes:
        values: ``(rows, numbers)``.
        label: ``(rows,)`` index of the emotion.
        person: ``(rows,)`` who.
        weight: ``(rows,)`` how much each counts in training.
        judged: ``(rows,)`` bool, the whole clips of the target corpus, by which choices are made.
        clip: ``(rows,)`` number of the clip in the target corpus, -1 elsewhere.
    """

    values: NDArray[np.float32]
    label: NDArray[np.int64]
    person: NDArray[np.str_]
    weight: Array
    judged: NDArray[np.bool_]
    clip: NDArray[np.int64]

    def pick(self, chosen: NDArray[np.bool_]) -> Rows:
        """The rows where ``chosen`` is True."""
        return Rows(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def without(self, people: Collection[str]) -> Rows:
        """The rows of everybody else."""
        return self.pick(~np.isin(self.person, list(people)))

    def of(self, people: Collection[str]) -> Rows:
        """The rows of some people."""
        return self.pick(np.isin(self.person, list(people)))


@dataclass(frozen=True)
class Head:
    """Standardisation and a linear map to logits."""

    centre: Array
    scale: Array
    weight: Array
    bias: Array

    def logits(self, values: NDArray[np.float32]) -> Array:
        """``(rows, emotions)``."""
        return ((values - self.centre) / self.scale) @ self.weight.T + self.bias

    def cooled(self, temperature: float) -> Head:
        """The same head with its logits divided by a temperature."""
        return replace(self, weight=self.weight / temperature, bias=self.bias / temperature)


def fit_head(rows: Rows, strength: float, emotions: int) -> Head:
    """Weighted multinomial logistic regression; an emotion without a row gets no chance."""
    share = rows.weight / rows.weight.sum()
    centre = share @ rows.values
    scale = np.sqrt(share @ np.square(rows.values - centre)) + 1e-6
    regression = LogisticRegression(C=strength, max_iter=300)
    regression.fit((rows.values - centre) / scale, rows.label, sample_weight=rows.weight)
    weight = np.zeros((emotions, rows.values.shape[1]))
    bias = np.full(emotions, -20.0)
    slopes, offsets = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:  # scikit-learn then gives the log odds of the second only
        slopes, offsets = np.concatenate([-slopes, slopes]) / 2, np.array([-0.5, 0.5]) * offsets
    weight[regression.classes_], bias[regression.classes_] = slopes, offsets
    return Head(centre, scale, weight, bias)


def held_out(
    rows: Rows, strength: float, emotions: int
) -> Iterator[tuple[NDArray[np.int64], Array, NDArray[np.int64]]]:
    """Clip numbers, logits and labels of each target person by a head that never saw them."""
    for person in np.unique(rows.person[rows.judged]):
        head = fit_head(rows.without({person}), strength, emotions)
        own = rows.of({person})
        own = own.pick(own.judged)
        yield own.clip, head.logits(own.values), own.label


def negative_log_likelihood(logits: Array, labels: NDArray[np.int64]) -> float:
    """Mean over clips, in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


@dataclass(frozen=True)
class Fitted:
    """A calibrated head, with what it says of people that it was not fitted on."""

    head: Head
    clip: NDArray[np.int64]
    logits: Array
    label: NDArray[np.int64]


def fit_calibrated(choices: Sequence[Rows], emotions: int) -> Fitted:
    """Choose rows, strength and temperature by leaving out each target person in turn.

    Args:
        choices: the same rows with other weights; one of them is chosen.
        emotions: how many.
    """
    found = []
    for rows, strength in itertools.product(choices, STRENGTHS):
        parts = list(held_out(rows, strength, emotions))
        clip, logits, label = (np.concatenate(column) for column in zip(*parts, strict=True))
        temperature = _temperature(logits, label)
        loss = negative_log_likelihood(logits / temperature, label)
        found.append((loss, rows, strength, temperature, clip, logits / temperature, label))
    _, rows, strength, temperature, clip, logits, label = min(found, key=lambda one: one[0])
    head = fit_head(rows, strength, emotions).cooled(temperature)
    return Fitted(head, clip, logits, label)


def _temperature(logits: Array, labels: NDArray[np.int64]) -> float:
    found = minimize(
        lambda log_t: negative_log_likelihood(logits / np.exp(log_t[0]), labels),
        x0=[0.0],
        method="Nelder-Mead",
    )
    return float(np.exp(found.x[0]))


def fit_probe(by_modality: Mapping[str, Sequence[Rows]], emotions: tuple[str, ...]) -> LinearProbe:
    """Heads for each modality, and the trust in each when both are there.

    Args:
        by_modality: training rows to choose from; nobody who will be tested may be in them.
        emotions: names of the labels.
    """
    fitted = {m: fit_calibrated(choices, len(emotions)) for m, choices in by_modality.items()}
    sizes = {m: choices[0].values.shape[1] // 2 for m, choices in by_modality.items()}
    probe = create_model("linear_probe", task=Task.emotions(emotions), modalities=sizes)
    assert isinstance(probe, LinearProbe)
    state = {"trust": torch.tensor(_trust(list(fitted.values())))}
    for modality, one in fitted.items():
        state |= {
            f"heads.{modality}.centre": torch.tensor(one.head.centre),
            f"heads.{modality}.scale": torch.tensor(one.head.scale),
            f"heads.{modality}.linear.weight": torch.tensor(one.head.weight),
            f"heads.{modality}.linear.bias": torch.tensor(one.head.bias),
        }
    probe.load_state_dict({key: value.float() for key, value in state.items()})
    return probe.eval()


def _trust(fitted: list[Fitted]) -> Array:
    """Weights of the experts that fit the clips in which all are present best."""
    common = fitted[0].clip
    for one in fitted[1:]:
        common = np.intersect1d(common, one.clip)
    aligned = [one.logits[np.searchsorted(one.clip, common)] for one in map(_in_order, fitted)]
    label = _in_order(fitted[0]).label[np.searchsorted(_in_order(fitted[0]).clip, common)]

    def loss(weights: Array) -> float:
        return negative_log_likelihood(
            sum(w * logits for w, logits in zip(weights, aligned, strict=True)), label
        )

    return np.abs(minimize(loss, x0=np.full(len(fitted), 0.8), method="Nelder-Mead").x)


def _in_order(one: Fitted) -> Fitted:
    order = np.argsort(one.clip)
    return replace(one, clip=one.clip[order], logits=one.logits[order], label=one.label[order])
