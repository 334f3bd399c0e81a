"""From signals to scores: a trained model runs over the steps of one person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from mien.features.reader import Observation
from mien.layers.time import grid_of
from mien.models import Prediction
from mien.recognition.windows import Grid, Person, cut_whole, cut_windows
from mien.signals import Signals
from mien.trained import TrainedModel
from mien.training.standardisation import PersonOffset

BATCH = 16  # windows at once: larger ones are no faster and cost memory
Scores = NDArray[np.float64]


def score(
    trained: TrainedModel,
    seen: Observation,
    person: Person,
    grid: Grid,
    offset: PersonOffset | None = None,
) -> Scores:
    """Score the steps of one person.

    A model per clip sees the window around each step. A model per frame reads the whole recording;
    a step's score is the average over the frames whose middle lies in it.

    Args:
        trained: the model.
        seen: the recording.
        person: whose steps.
        grid: steps and windows.
        offset: what is known of the person, for a model that takes offsets off.

    Returns:
        ``(rows, names)``: probabilities of categories, values of dimensions within their range; NaN
        where nothing was observed.
    """
    if trained.task.per == "frame":
        scores = _score_frames(trained, seen, person, grid, offset)
    else:
        scores = np.full((len(person.steps), len(trained.task.names)), np.nan)
        for rows, signals in iterate_windows(seen, person, grid, tuple(trained.model.modalities)):
            scores[rows] = _values(trained, trained.predict(signals, offset))
    scores[~person.anything] = np.nan
    return scores


def iterate_windows(
    seen: Observation, person: Person, grid: Grid, modalities: tuple[str, ...]
) -> Iterator[tuple[NDArray[np.int64], Signals]]:
    """Cut batches of windows of which anything was observed.

    Args:
        seen: the recording.
        person: whose windows.
        grid: steps and windows.
        modalities: those that the model can use.

    Yields:
        Numbers of the rows, and the windows around them.
    """
    for first in range(0, len(person.steps), BATCH):
        rows = slice(first, first + BATCH)
        signals = cut_windows(seen, person, grid, rows)
        there = torch.stack([signals.present(name) for name in modalities]).any(dim=0)
        chosen = there.nonzero().flatten()
        if len(chosen):
            yield chosen.numpy() + first, signals.select(chosen)


def learn_offset(offset: PersonOffset, seen: Observation, person: Person, grid: Grid) -> None:
    """Add what one recording tells of a person."""
    offset.add(cut_whole(seen, person, grid))


def _score_frames(
    trained: TrainedModel,
    seen: Observation,
    person: Person,
    grid: Grid,
    offset: PersonOffset | None,
) -> Scores:
    signals = cut_whole(seen, person, grid)
    known = [signals[name] for name in trained.model.modalities if name in signals]
    scores = np.full((len(person.steps), len(trained.task.names)), np.nan)
    if not any(bool(sequence.valid.any()) for sequence in known):
        return scores
    frames = _values(trained, trained.predict(signals, offset))[0]
    hop, _ = grid_of(known)
    steps = grid.step_of((np.arange(len(frames)) + 0.5) * hop) - person.steps[0]
    used = (steps >= 0) & (steps < len(person.steps)) & ~np.isnan(frames).any(axis=1)
    sums = np.zeros_like(scores)
    np.add.at(sums, steps[used], frames[used])
    count = np.bincount(steps[used], minlength=len(scores))
    scores[count > 0] = sums[count > 0] / count[count > 0, None]
    return _hold(scores, count > 0, hop / grid.hop)


def _hold(scores: Scores, known: NDArray[np.bool_], ratio: float) -> Scores:
    """Where frames are longer than steps, a step without a middle takes the frame before it."""
    if ratio <= 1:
        return scores
    last = np.maximum.accumulate(np.where(known, np.arange(len(scores)), -1))
    near = (last >= 0) & (np.arange(len(scores)) - last < ratio + 1)
    scores[near] = scores[last[near]]
    return scores


def _values(trained: TrainedModel, prediction: Prediction) -> Scores:
    task = trained.task
    if task.kind == "categories":
        return prediction.probabilities().double().numpy()
    return prediction.scores.double().clamp(task.low, task.high).numpy()
