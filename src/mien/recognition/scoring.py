"""From signals to scores: a trained model runs over the steps of one person."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from mien.errors import ModelFileError
from mien.features.reader import Observation
from mien.layers.time import grid_of
from mien.models import Prediction
from mien.recognition.windows import Grid, Person, cut_whole, cut_windows
from mien.signals import Signals
from mien.standardisation import PersonOffset
from mien.trained import TrainedModel

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
        ``(rows, names)``: probabilities of categories, or values of dimensions as the model gives
        them; NaN where nothing was observed.

    Raises:
        ModelFileError: the model answered with what is no number.
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
    """Add what the whole of one recording tells of a person."""
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
    return _average_frames(frames, hop, person.steps, grid)


def _average_frames(frames: Scores, hop: float, rows: NDArray[np.int64], grid: Grid) -> Scores:
    """Average the frames whose middle lies in each step; where none does, the step is in one."""
    scores = frames[grid.middle_frames(rows, hop, len(frames))]
    steps = grid.step_of((np.arange(len(frames)) + 0.5) * hop) - rows[0]
    used = (steps >= 0) & (steps < len(rows)) & ~np.isnan(frames).any(axis=1)
    sums = np.zeros_like(scores)
    np.add.at(sums, steps[used], frames[used])
    count = np.bincount(steps[used], minlength=len(rows))
    scores[count > 0] = sums[count > 0] / count[count > 0, None]
    return scores


def _values(trained: TrainedModel, prediction: Prediction) -> Scores:
    """Read what a timeline says; NaN for frames that were not observed.

    Raises:
        ModelFileError: the model answered with what is no number.
    """
    task, scores = trained.task, prediction.scores
    if bool(scores.isinf().any()) or (task.per == "clip" and bool(scores.isnan().any())):
        raise ModelFileError(
            f"{trained.name} answered with numbers that are not finite", advice="train it again"
        )
    values = prediction.probabilities() if task.kind == "categories" else scores
    return values.double().numpy()
