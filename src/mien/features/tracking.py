"""Who is who from picture to picture: faces get the number of the person that they belong to.

A face is compared with everyone seen before by where it is and by how it looks, and each picture
is matched as a whole (Kuhn 1955, "The Hungarian method for the assignment problem"). There are two
ways to be somebody: to be *followed*, near enough to where the person was a moment ago and not
looking like somebody else, or to be *recognised*, of the same colours, wherever and however much
later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from mien.errors import OptionError
from mien.features.appearance import Look
from mien.features.face_detector import Box, Face

# In face sizes (the root of the area of the box): how far a face may get.
_REACH = 0.6
_REACH_PER_SECOND = 1.5
_FARTHEST_REACH = 3.0
_LARGEST_ZOOM = 2.0
_PREDICTED_S = 0.6
_MOST_REMEMBERED = 200
_IMPOSSIBLE = 1e6


@dataclass
class _OpenTrack:
    person: int
    time: float
    box: Box
    look: Look | None
    velocity: tuple[float, float] = (0.0, 0.0)

    def move(self, time: float, box: Box, look: Look | None) -> None:
        elapsed = time - self.time
        here, there = _centre(box), _centre(self.box)
        if elapsed > 0:
            self.velocity = ((here[0] - there[0]) / elapsed, (here[1] - there[1]) / elapsed)
        self.time, self.box = time, box
        if look is not None:
            self.look = look if self.look is None else self.look.followed_by(look)


class FaceTracker:
    """Gives the faces of one recording the numbers of the people they belong to, from 1.

    Args:
        patience: seconds for which somebody out of sight is waited for near the last place. Later
            only the look brings the number back.

    Raises:
        OptionError: patience is negative.
    """

    def __init__(self, *, patience: float = 2.0) -> None:
        if not patience >= 0:
            raise OptionError(f"patience must not be negative, got {patience}")
        self.patience = patience
        self._tracks: list[_OpenTrack] = []
        self._people = 0

    def update(
        self, time: float, faces: Sequence[Face], looks: Sequence[Look] | None = None
    ) -> list[tuple[int, Face]]:
        """Say who the faces of the next picture are.

        Args:
            time: seconds; must not fall from call to call.
            faces: all faces of the picture.
            looks: how each of them looks; without looks people are only followed.

        Returns:
            Number of the person and face, in the order given. No number comes twice.
        """
        known_looks = [None] * len(faces) if looks is None else list(looks)
        known = self._match(time, faces, known_looks)
        people = []
        for index, (face, look) in enumerate(zip(faces, known_looks, strict=True)):
            track = known.get(index) or self._newcomer(time, face)
            track.move(time, face.box, look)
            people.append((track.person, face))
        self._forget()
        return people

    def _match(
        self, time: float, faces: Sequence[Face], looks: Sequence[Look | None]
    ) -> dict[int, _OpenTrack]:
        """Match tracks, by index of the face that goes on with them."""
        costs = np.full((len(self._tracks), len(faces)), _IMPOSSIBLE)
        for row, track in enumerate(self._tracks):
            for column, (face, look) in enumerate(zip(faces, looks, strict=True)):
                costs[row, column] = self._cost(track, time, face.box, look)
        pairs = zip(*linear_sum_assignment(costs), strict=True)
        return {int(c): self._tracks[r] for r, c in pairs if costs[r, c] < _IMPOSSIBLE}

    def _cost(self, track: _OpenTrack, time: float, box: Box, look: Look | None) -> float:
        """From 0 (same place, same look) to 3; `_IMPOSSIBLE` where it cannot be that person."""
        absence = time - track.time
        place = _displacement(track, absence, box) if absence <= self.patience else math.inf
        if look is None or track.look is None:
            return place if place <= 1 else _IMPOSSIBLE
        change = track.look.change(look)
        followed = place <= 1 and change <= 1 - place / 2
        if not followed and not track.look.resembles(look):
            return _IMPOSSIBLE
        return min(place, 1.0) + 2 * min(change, 1.0)

    def _newcomer(self, time: float, face: Face) -> _OpenTrack:
        self._people += 1
        track = _OpenTrack(self._people, time, face.box, None)
        self._tracks.append(track)
        return track

    def _forget(self) -> None:
        """Keep the number of people to compare with, and so time and memory, bounded."""
        if len(self._tracks) > _MOST_REMEMBERED:
            self._tracks.sort(key=lambda track: (track.time, track.person))
            del self._tracks[:-_MOST_REMEMBERED]


def _displacement(track: _OpenTrack, absence: float, box: Box) -> float:
    """How far a face is from where the person may be: 0 is the same box, over 1 is out of reach."""
    size, former = math.sqrt(box[2] * box[3]), math.sqrt(track.box[2] * track.box[3])
    if max(size, former) > _LARGEST_ZOOM * min(size, former):
        return math.inf
    reach = min(_REACH + _REACH_PER_SECOND * absence, _FARTHEST_REACH) * (size + former) / 2
    last, ahead = _centre(track.box), min(absence, _PREDICTED_S)
    expected = (last[0] + track.velocity[0] * ahead, last[1] + track.velocity[1] * ahead)
    distance = min(math.dist(_centre(box), expected), math.dist(_centre(box), last)) / reach
    if distance > 1:
        return math.inf
    return (distance + 1 - _overlap(track.box, box)) / 2


def _centre(box: Box) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
