"""The chain that predictions on RECOLA go through before they are scored.

Cross-attention (Praveen et al., 2021), section IV, after Tzirakis et al. (2017), "End-to-end
multimodal emotion recognition using deep neural networks": (i) a median filter of 0.4 to 20 s,
(ii) centring by the bias against the annotations, (iii) scaling by the ratio of standard
deviations, (iv) a shift in time of 0.04 to 10 s, for annotators lag behind what they see.

Each step is kept only if it raises the concordance. We depart from the paper in two places: the
steps change predictions only, never the annotations that are scored; and their parameters are
chosen on the training part, not on the annotations that are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from scipy.ndimage import median_filter

from mien.errors import OptionError
from mien.evaluation._arrays import Floats, Numbers, to_floats
from mien.layers.concordance import ccc

PostProcessingStep = Literal["median", "centre", "scale", "shift"]
STEPS: tuple[PostProcessingStep, ...] = ("median", "centre", "scale", "shift")
# The ends are the paper's; what lies between is ours.
MEDIAN_S = (0.4, 0.8, 1.2, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0)
SHORTEST_SHIFT_S, LONGEST_SHIFT_S = 0.04, 10.0


@dataclass(frozen=True)
class PostProcessor:
    """A chain with its parameters; one that does nothing until it is fitted.

    Attributes:
        hop: seconds between two steps.
        median: length of the median filter in seconds; 0 for none.
        middle: what deviations are taken from before they are scaled.
        bias: what is added.
        scale: what deviations from ``middle`` are multiplied with.
        shift: seconds by which the prediction is delayed.
    """

    hop: float
    median: float = 0.0
    middle: float = 0.0
    bias: float = 0.0
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not self.hop > 0 or self.median < 0 or self.shift < 0:
            raise OptionError("hop must be positive, and median and shift not negative")

    def apply(self, predictions: Sequence[Numbers]) -> list[Floats]:
        """Post-process the predictions of some recordings, each on its own.

        Args:
            predictions: for each recording ``(time,)`` values of one dimension, without holes.

        Returns:
            The same shapes. The first ``shift`` seconds hold the first value.

        Raises:
            ValueError: a prediction is no series of finite numbers.
        """
        return [self._apply_one(_check_series(prediction)) for prediction in predictions]

    def _apply_one(self, values: Floats) -> Floats:
        if self.median:
            # Odd, so that the filter does not itself shift; edges repeat their last value.
            size = 2 * round(self.median / self.hop / 2) + 1
            values = np.asarray(median_filter(values, size, mode="nearest"), dtype=np.float64)
        values = (values - self.middle) * self.scale + self.middle + self.bias
        steps = min(round(self.shift / self.hop), len(values) - 1)
        return np.concatenate([np.full(steps, values[0]), values[: len(values) - steps]])


def fit(
    predictions: Sequence[Numbers],
    gold: Sequence[Numbers],
    hop: float,
    *,
    steps: Sequence[PostProcessingStep] = STEPS,
) -> PostProcessor:
    """Choose the parameters on the training part, or on people held out of it; never on test.

    The steps are tried in the order of the chain, and each is kept if it raises the concordance of
    all recordings put end to end.

    Args:
        predictions: for each recording of the training part ``(time,)`` values of one dimension.
        gold: the annotations of the same shapes; NaN for a missing label.
        hop: seconds between two steps.
        steps: those that may be used.

    Raises:
        OptionError: an unknown step, or no recordings.
        ValueError: the shapes differ, or a prediction is no series of finite numbers.
    """
    unknown = sorted(set(steps) - set(STEPS))
    if unknown or not len(predictions):
        problem = f"no step is called {unknown[0]}" if unknown else "there are no recordings"
        raise OptionError(problem, advice=f"the steps are {', '.join(STEPS)}")
    series = [_check_series(prediction) for prediction in predictions]
    labels = [to_floats(each) for each in gold]
    if [len(each) for each in series] != [len(each) for each in labels]:
        raise ValueError("predictions and gold differ in number or length")
    chain = PostProcessor(hop)
    for step in STEPS:
        if step in steps:
            chain = _choose_best([chain, *_CANDIDATES[step](chain, series, labels)], series, labels)
    return chain


def _try_medians(
    chain: PostProcessor, series: list[Floats], labels: list[Floats]
) -> list[PostProcessor]:
    return [replace(chain, median=length) for length in MEDIAN_S if length >= 2 * chain.hop]


def _try_centring(
    chain: PostProcessor, series: list[Floats], labels: list[Floats]
) -> list[PostProcessor]:
    predicted, known = _join_labelled(chain, series, labels)
    return [replace(chain, bias=float(known.mean() - predicted.mean()))] if len(known) else []


def _try_scaling(
    chain: PostProcessor, series: list[Floats], labels: list[Floats]
) -> list[PostProcessor]:
    predicted, known = _join_labelled(chain, series, labels)
    if not len(known) or not predicted.std():
        return []
    middle = float(predicted.mean()) - chain.bias
    return [replace(chain, middle=middle, scale=float(known.std() / predicted.std()))]


def _try_shifts(
    chain: PostProcessor, series: list[Floats], labels: list[Floats]
) -> list[PostProcessor]:
    step = max(SHORTEST_SHIFT_S, chain.hop)
    count = int(LONGEST_SHIFT_S / step + 1e-9)
    return [replace(chain, shift=step * (index + 1)) for index in range(count)]


_CANDIDATES: dict[
    PostProcessingStep, Callable[[PostProcessor, list[Floats], list[Floats]], list[PostProcessor]]
] = {"median": _try_medians, "centre": _try_centring, "scale": _try_scaling, "shift": _try_shifts}


def _choose_best(
    chains: list[PostProcessor], series: list[Floats], labels: list[Floats]
) -> PostProcessor:
    """Choose the chain of highest concordance; of equals the first, which does least."""
    gold = torch.from_numpy(np.concatenate(labels))

    def concordance(chain: PostProcessor) -> float:
        predicted = torch.from_numpy(np.concatenate(chain.apply(series)))
        return float(ccc(predicted, gold, undefined=-1.0))

    return max(chains, key=concordance)


def _join_labelled(
    chain: PostProcessor, series: list[Floats], labels: list[Floats]
) -> tuple[Floats, Floats]:
    """Join what a chain says and the labels, where there are any; all recordings end to end."""
    gold = np.concatenate(labels)
    there = ~np.isnan(gold)
    return np.concatenate(chain.apply(series))[there], gold[there]


def _check_series(prediction: Numbers) -> Floats:
    values = to_floats(prediction)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError("a prediction must be a series (time,) of finite numbers")
    return values
