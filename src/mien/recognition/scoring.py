"""From windows to probabilities: a model runs over the steps of one person, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from mien.features.observation import Observation
from mien.models import LinearProbe, Model, PersonBaseline
from mien.recognition.windows import Grid, Role, window_signals
from mien.signals import Sequence, Signals

BATCH = 16  # windows at once: larger ones are no faster and cost memory


def _batches(
    observation: Observation, role: Role, grid: Grid
) -> Iterator[tuple[NDArray[np.int64], Signals]]:
    """Rows in which anything was observed, with the signals around them."""
    for first in range(0, len(role.steps), BATCH):
        rows = slice(first, first + BATCH)
        observed = np.flatnonzero(role.audio[rows] | role.video[rows])
        if len(observed):
            signals = window_signals(observation, role, grid, rows)
            yield observed + first, _pick(signals, torch.from_numpy(observed))


def _pick(signals: Signals, items: torch.Tensor) -> Signals:
    return Signals(
        {name: Sequence(s.values[items], s.valid[items], s.hop) for name, s in signals.items()}
    )


@torch.inference_mode()
def score(
    model: Model,
    observation: Observation,
    role: Role,
    grid: Grid,
    baseline: PersonBaseline | None = None,
) -> NDArray[np.float64]:
    """Probabilities ``(rows, names)`` of one person; NaN where nothing was observed.

    Args:
        model: categories per clip.
        observation: the recording.
        role: the person.
        grid: steps and windows.
        baseline: what is known of the person, for a model that standardises by it.
    """
    out = np.full((len(role.steps), len(model.task.names)), np.nan)
    for rows, signals in _batches(observation, role, grid):
        if baseline is not None and isinstance(model, LinearProbe):
            prediction = model.fuse(baseline.apply(model.describe(signals)))
        else:
            prediction = model(signals)
        out[rows] = prediction.probabilities().double().numpy()
    return out


@torch.inference_mode()
def learn_baseline(
    baseline: PersonBaseline, model: Model, observation: Observation, role: Role, grid: Grid
) -> None:
    """Add what one recording tells of a person.

    Args:
        baseline: is added to.
        model: describes the windows; one that cannot leaves the baseline as it is.
        observation: the recording.
        role: the person.
        grid: steps and windows.
    """
    if isinstance(model, LinearProbe):
        for _, signals in _batches(observation, role, grid):
            baseline.add(model.describe(signals))
