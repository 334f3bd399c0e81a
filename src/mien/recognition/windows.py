"""From what was observed to what a model sees: people, steps and the windows around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mien.errors import OptionError
from mien.features.hearing import VOICED_HOP
from mien.features.observation import Observation
from mien.features.series import count_steps, find_steps
from mien.features.tracks import FaceTrack
from mien.schema import VOICE_PERSON
from mien.signals import Sequence as Steps
from mien.signals import Signals

LEAST_VOICE_S = 0.1
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """The steps of a timeline and the window around each.

    Attributes:
        window: seconds that a model sees, centred on a step.
        hop: seconds of a step.
    """

    window: float = 3.0
    hop: float = 0.5

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("hop", self.hop, 0.04, 600.0),
            ("window", self.window, self.hop, 600.0),
        ):
            if not low <= value <= high:
                raise OptionError(
                    f"{name} is {value}", advice=f"give a number from {low} to {high}"
                )

    def steps(self, duration: float) -> int:
        """Count the steps that cover a duration; the last may be cut short, not to a thousandth."""
        return count_steps(duration, self.hop) if duration > 0 else 0

    def step_of(self, times: NDArray[np.floating]) -> NDArray[np.int64]:
        """Find the step that each time falls into."""
        return find_steps(times, self.hop)

    def middle_frames(self, steps: NDArray[np.int64], hop: float, count: int) -> NDArray[np.int64]:
        """Find the frame that spans the middle of each step, of so many frames of a hop."""
        return find_steps((steps + 0.5) * self.hop, hop).clip(max=count - 1)

    def window_steps(self, step_s: float) -> int:
        """Count the steps of a modality in a window."""
        return max(1, round(self.window / step_s))

    def window_starts(self, steps: NDArray[np.int64], step_s: float) -> NDArray[np.int64]:
        """Find the first step of a modality in the window around each step of the timeline."""
        middles = (steps + 0.5) * self.hop / step_s
        return np.round(middles - self.window_steps(step_s) / 2).astype(np.int64)


@dataclass(frozen=True)
class Person:
    """One person of a recording: which steps are theirs and what of them was observed in each.

    Attributes:
        name: a number as text, or ``voice`` for a voice that is no visible person's.
        track: their face, None where it was never seen.
        steps: ``(n,)`` the steps of the timeline that they have a row for.
        observed: by modality, ``(n,)`` whether it was observed of them.
        alone: whether nobody else is in the recording, so that all of its sound is theirs.
    """

    name: str
    track: FaceTrack | None
    steps: NDArray[np.int64]
    observed: Mapping[str, Mask]
    alone: bool

    @property
    def anything(self) -> Mask:
        """``(n,)``: was any modality of theirs observed."""
        found: Mask = np.logical_or.reduce(list(self.observed.values()))
        return found


def find_people(seen: Observation, grid: Grid) -> list[Person]:
    """Find who is in a recording, and whose the voice is in each step.

    One face, or none: the whole recording is one person's. Several: a voice belongs to the one
    person whose face is visible in that step; where nobody or more than one is, it is left to a
    person called ``voice``, since nothing tells who spoke. Files of features belong to the person
    whose face is seen most often. A person's rows reach from the first to the last step in which
    they were observed.
    """
    count = grid.steps(seen.duration)
    voice, files = _voice_steps(seen, grid, count), _file_steps(seen, grid, count)
    every, nothing = np.arange(count), np.zeros(count, dtype=bool)
    if len(seen.tracks) < 2:
        track = seen.main_track
        face = nothing if track is None else _face_steps(track, grid, count)
        observed = _by_modality(seen, voice, face, files)
        return [Person("1", track, every, observed, alone=True)]
    faces = {number: _face_steps(track, grid, count) for number, track in seen.tracks.items()}
    single = np.sum(list(faces.values()), axis=0) == 1
    no_files = dict.fromkeys(files, nothing)
    cast: list[tuple[str, FaceTrack | None, dict[str, Mask]]] = []
    for number, face in faces.items():
        track = seen.tracks[number]
        own = files if track is seen.main_track else no_files
        cast.append((str(number), track, _by_modality(seen, voice & face & single, face, own)))
    cast.append((VOICE_PERSON, None, _by_modality(seen, voice & ~single, nothing, no_files)))
    people = []
    for name, track, observed in cast:
        used = np.flatnonzero(np.any(list(observed.values()), axis=0))
        if len(used):
            span = slice(int(used[0]), int(used[-1]) + 1)
            cut = {modality: there[span] for modality, there in observed.items()}
            people.append(Person(name, track, every[span], cut, alone=False))
    return people


def _by_modality(
    seen: Observation, voice: Mask, face: Mask, files: Mapping[str, Mask]
) -> dict[str, Mask]:
    by_source = {"sound": voice, "face": face}
    return {
        modality: files[modality] if modality in files else by_source[extractor.source]
        for modality, extractor in seen.extractors.items()
    }


def _voice_steps(seen: Observation, grid: Grid, count: int) -> Mask:
    voiced = np.flatnonzero(seen.voiced)
    steps = grid.step_of((voiced + 0.5) * VOICED_HOP)
    seconds = np.bincount(steps[steps < count], minlength=count) * VOICED_HOP
    return seconds >= min(LEAST_VOICE_S, grid.hop) - 1e-9


def _file_steps(seen: Observation, grid: Grid, count: int) -> dict[str, Mask]:
    """List steps in which a file of features has anything, by modality."""
    found = {}
    for modality, extractor in seen.extractors.items():
        if extractor.source == "file":
            series = seen.series(modality, None)
            steps = grid.step_of((np.flatnonzero(series.valid) + 0.5) * series.hop)
            found[modality] = np.bincount(steps[steps < count], minlength=count) > 0
            if series.hop > grid.hop:  # a step of the file spans several of the timeline
                every = np.arange(count)
                inside = (every + 0.5) * grid.hop < len(series) * series.hop
                spanning = grid.middle_frames(every, series.hop, len(series))
                found[modality] |= series.valid[spanning] & inside
    return found


def _face_steps(track: FaceTrack, grid: Grid, count: int) -> Mask:
    seen = np.zeros(count, dtype=bool)
    steps = grid.step_of(np.array(track.times))
    seen[steps[steps < count]] = True
    return seen


def main_person(seen: Observation, people: Sequence[Person]) -> Person:
    """Find the person whose features training would see: of the face that was seen most often."""
    return next((one for one in people if one.track is seen.main_track), people[0])


def average_faces(person: Person, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average box ``(rows, 4)`` and quality ``(rows,)`` of a face by step; NaN where unseen."""
    boxes, quality = np.full((len(person.steps), 4), np.nan), np.full(len(person.steps), np.nan)
    if person.track is not None:
        steps = grid.step_of(np.array(person.track.times)) - person.steps[0]
        known = (steps >= 0) & (steps < len(person.steps))
        values = np.column_stack([person.track.boxes, person.track.quality])[known]
        sums = np.zeros((len(person.steps), 5))
        np.add.at(sums, steps[known], values)
        count = np.bincount(steps[known], minlength=len(person.steps))
        there = count > 0
        means = sums[there] / count[there, None]
        boxes[there], quality[there] = means[:, :4], means[:, 4]
    return boxes, quality


def cut_windows(seen: Observation, person: Person, grid: Grid, rows: slice) -> Signals:
    """Cut the windows around some rows of a person.

    Args:
        seen: where the features are.
        person: whose.
        grid: steps and windows.
        rows: which of the person's rows.

    Returns:
        Signals whose batch is the rows, of the modalities that were read. One that was not observed
        in the step itself is masked in all of its window: what the neighbours say is context, not
        evidence.
    """
    steps = person.steps[rows]
    sequences = {}
    for modality in seen.modalities:
        extractor = seen.extractors[modality]
        length = grid.window_steps(extractor.hop)
        starts = grid.window_starts(steps, extractor.hop)
        low, high = int(starts[0]), int(starts[-1]) + length
        values, valid = seen.read(modality, person.track, low, high)
        index = (starts - low)[:, None] + np.arange(length)
        there = person.observed[modality][rows]
        sequences[modality] = Steps(
            torch.from_numpy(values[index]),
            torch.from_numpy(valid[index] & there[:, None]),
            extractor.hop,
        )
    return Signals(sequences)


def cut_whole(seen: Observation, person: Person, grid: Grid) -> Signals:
    """Take everything that is known of a person, from the recording's start to its end.

    Of one who is alone, these are the numbers of `mien.extract`. Where several people are in the
    recording, sound and files count only in the steps that are this person's.

    Args:
        seen: where the features are.
        person: whose.
        grid: steps.

    Returns:
        Signals of batch one, of the modalities that were read.
    """
    sequences = {}
    for modality in seen.modalities:
        extractor, count = seen.extractors[modality], seen.steps(modality)
        values, valid = seen.read(modality, person.track, 0, count)
        if not person.alone:
            middles = (np.arange(count) + 0.5) * extractor.hop
            step = grid.step_of(middles) - person.steps[0]
            inside = (step >= 0) & (step < len(person.steps))
            own = person.observed[modality]
            valid = valid & inside & own[np.clip(step, 0, len(own) - 1)]
        sequences[modality] = Steps(
            torch.from_numpy(values)[None], torch.from_numpy(valid)[None], extractor.hop
        )
    return Signals(sequences)
