"""From what was observed to what a model sees: people, steps and the windows around them."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mien.errors import OptionError
from mien.features.observation import FaceTrack, Observation
from mien.features.voice import VOICE_HOP
from mien.schema import AUDIO, VIDEO, VOICE_PERSON
from mien.signals import Sequence, Signals

LEAST_VOICE_S = 0.1


@dataclass(frozen=True)
class Grid:
    """The steps of a timeline and the window around each.

    Attributes:
        window: seconds that a model sees, centred on a step.
        hop: seconds of a step.
        face_hz: frames a second in which faces were looked for.
    """

    window: float = 3.0
    hop: float = 0.5
    face_hz: float = 5.0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("hop", self.hop, 0.04, 600.0),
            ("window", self.window, self.hop, 600.0),
            ("face_hz", self.face_hz, 0.1, 60.0),
        ):
            if not low <= value <= high:
                raise OptionError(
                    f"{name} is {value}", advice=f"give a number from {low} to {high}"
                )

    def steps(self, duration: float) -> int:
        """How many steps cover a duration; the last may be cut short, but not to a thousandth."""
        return max(math.ceil(round(duration / self.hop, 3)), 1 if duration > 0 else 0)

    def step_of(self, times: NDArray[np.floating]) -> NDArray[np.int64]:
        """The step that each time falls into."""
        steps: NDArray[np.int64] = np.floor(times / self.hop + 1e-9).astype(np.int64)
        return steps

    def window_steps(self, step_s: float) -> int:
        """How many steps of a modality a window holds."""
        return max(1, round(self.window / step_s))

    def window_starts(self, steps: NDArray[np.int64], step_s: float) -> NDArray[np.int64]:
        """The first step of a modality in the window around each step of the timeline."""
        middles = (steps + 0.5) * self.hop / step_s
        return np.round(middles - self.window_steps(step_s) / 2).astype(np.int64)


@dataclass(frozen=True)
class Role:
    """One person of a recording: which steps are theirs and what of them was observed in each.

    Attributes:
        person: a number as text, or ``voice`` for a voice that is no visible person's.
        track: their face, None where it was never seen.
        steps: ``(n,)`` the steps of the timeline that they have a row for.
        audio: ``(n,)`` whether there was voice of theirs.
        video: ``(n,)`` whether their face was seen.
    """

    person: str
    track: FaceTrack | None
    steps: NDArray[np.int64]
    audio: NDArray[np.bool_]
    video: NDArray[np.bool_]


def roles(observation: Observation, grid: Grid) -> list[Role]:
    """Who is in a recording, and whose the voice is in each step.

    One face, or none: the whole recording is one person's. Several: a voice belongs to the one
    person whose face is visible in that step; where nobody or more than one is, it is left to a
    person called ``voice``, since nothing tells who spoke. A person's rows reach from the first to
    the last step in which they were observed.
    """
    count = grid.steps(observation.duration)
    voice = _voice_steps(observation, grid, count)
    every = np.arange(count)
    if len(observation.tracks) < 2:
        track = next(iter(observation.tracks.values()), None)
        video = np.zeros(count, dtype=bool) if track is None else _seen(track, grid, count)
        return [Role("1", track, every, voice, video)]
    seen = {number: _seen(track, grid, count) for number, track in observation.tracks.items()}
    alone = np.sum(list(seen.values()), axis=0) == 1
    cast: list[tuple[str, FaceTrack | None, NDArray[np.bool_], NDArray[np.bool_]]] = [
        (str(number), observation.tracks[number], voice & video & alone, video)
        for number, video in seen.items()
    ]
    cast.append((VOICE_PERSON, None, voice & ~alone, np.zeros(count, dtype=bool)))
    out = []
    for person, track, audio, video in cast:
        used = np.flatnonzero(audio | video)
        if len(used):
            span = every[used[0] : used[-1] + 1]
            out.append(Role(person, track, span, audio[span], video[span]))
    return out


def _voice_steps(observation: Observation, grid: Grid, count: int) -> NDArray[np.bool_]:
    voiced = np.flatnonzero(observation.voiced)
    steps = grid.step_of((voiced + 0.5) * VOICE_HOP)
    seconds = np.bincount(steps[steps < count], minlength=count) * VOICE_HOP
    return seconds >= min(LEAST_VOICE_S, grid.hop) - 1e-9


def _seen(track: FaceTrack, grid: Grid, count: int) -> NDArray[np.bool_]:
    seen = np.zeros(count, dtype=bool)
    steps = grid.step_of(np.array(track.times))
    seen[steps[steps < count]] = True
    return seen


def main_role(people: list[Role]) -> Role:
    """The person whose face was seen longest, and of equals the one who was heard longest."""
    return max(people, key=lambda role: (int(role.video.sum()), int(role.audio.sum())))


def face_steps(role: Role, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean box ``(rows, 4)`` and quality ``(rows,)`` of a face in each step; NaN where unseen."""
    boxes, quality = np.full((len(role.steps), 4), np.nan), np.full(len(role.steps), np.nan)
    if role.track is not None:
        steps = grid.step_of(np.array(role.track.times)) - role.steps[0]
        known = steps < len(role.steps)
        seen = np.column_stack([role.track.boxes, role.track.quality])[known]
        sums = np.zeros((len(role.steps), 5))
        np.add.at(sums, steps[known], seen)
        count = np.bincount(steps[known], minlength=len(role.steps))
        means = sums[role.video] / count[role.video, None]
        boxes[role.video], quality[role.video] = means[:, :4], means[:, 4]
    return boxes, quality


def window_signals(observation: Observation, role: Role, grid: Grid, rows: slice) -> Signals:
    """The windows around some rows of a person.

    Args:
        observation: where the features are.
        role: the person.
        grid: steps and windows.
        rows: which of the person's rows.

    Returns:
        Signals whose batch is the rows. A modality that was not observed in the step itself is
        masked in all of its window: what the neighbours say is context, not evidence.
    """
    steps = role.steps[rows]
    sequences = {AUDIO: _voice_windows(observation, grid, steps, role.audio[rows])}
    if role.track is not None:
        sequences[VIDEO] = _face_windows(observation, role.track, grid, steps, role.video[rows])
    return Signals(sequences)


def _voice_windows(
    observation: Observation, grid: Grid, steps: NDArray[np.int64], there: NDArray[np.bool_]
) -> Sequence:
    length = grid.window_steps(VOICE_HOP)
    starts = grid.window_starts(steps, VOICE_HOP)
    low, high = int(starts[0]), int(starts[-1]) + length
    block = observation.voice.read(low, high)
    index = (starts - low)[:, None] + np.arange(length)
    mask = observation.voiced_between(low, high)
    return Sequence(
        torch.from_numpy(block[index]),
        torch.from_numpy(mask[index] & there[:, None]),
        VOICE_HOP,
    )


def _face_windows(
    observation: Observation,
    track: FaceTrack,
    grid: Grid,
    steps: NDArray[np.int64],
    there: NDArray[np.bool_],
) -> Sequence:
    hop = 1 / grid.face_hz
    length = grid.window_steps(hop)
    starts = grid.window_starts(steps, hop)
    low, high = int(starts[0]), int(starts[-1]) + length
    # Times rise, so only the few around these windows are looked at, not the whole recording.
    first = bisect_left(track.times, (low - 1) * hop)
    last = bisect_left(track.times, (high + 1) * hop)
    slots = np.floor(np.array(track.times[first:last]) / hop + 1e-6).astype(np.int64)
    chosen = np.flatnonzero((slots >= low) & (slots < high))
    block = np.zeros((high - low, observation.faces.width), dtype=np.float32)
    mask = np.zeros(high - low, dtype=bool)
    if len(chosen):
        where = np.array(track.rows[first:last])[chosen]
        features = observation.faces.read(int(where[0]), int(where[-1]) + 1)
        block[slots[chosen] - low] = features[where - where[0]]
        mask[slots[chosen] - low] = True
    index = (starts - low)[:, None] + np.arange(length)
    return Sequence(
        torch.from_numpy(block[index]), torch.from_numpy(mask[index] & there[:, None]), hop
    )
