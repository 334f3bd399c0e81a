"""The pictures of one recording: faces are found, followed, and given to the face extractors."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien import weights
from mien.features.appearance import Look
from mien.features.crops import align, rate_quality
from mien.features.extractor import FaceExtractor, FaceImage, run_extractor
from mien.features.face_detector import FaceDetector
from mien.features.series import Medium, Series, count_steps, find_steps
from mien.features.store import RowStore
from mien.features.tracking import FaceTracker
from mien.features.tracks import FaceTrack

Floats = NDArray[np.float32]

_ROWS_AT_ONCE = 64  # rows of one person may have those of many others between them


class TimedImage(Protocol):
    """A picture and when it was taken, as `mien.media.Frame`."""

    @property
    def time(self) -> float:
        """Seconds from the start of the recording."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """``(height, width, 3)`` BGR."""


class FaceFinder:
    """Finds and follows the faces of one recording.

    Args:
        detector: finds the faces.
        tracker: says who they are; must not have seen another recording.
    """

    def __init__(self, detector: FaceDetector, tracker: FaceTracker | None = None) -> None:
        self._detector = detector
        self._tracker = tracker or FaceTracker()

    def find(self, frame: TimedImage) -> list[tuple[int, FaceImage]]:
        """Find the faces of the next picture.

        Args:
            frame: the picture; times must not fall.

        Returns:
            Number of the person, from 1 in order of appearance, and face.
        """
        image = frame.image
        faces = self._detector.detect(image)
        crops = [align(image, face.landmarks) for face in faces]
        looks = [Look.of(image, face.box, crop) for face, crop in zip(faces, crops, strict=True)]
        people = self._tracker.update(frame.time, faces, looks)
        return [
            (
                person,
                FaceImage(
                    frame.time,
                    image,
                    face.box,
                    face.landmarks,
                    crop,
                    rate_quality(image, face, crop),
                ),
            )
            for (person, face), crop in zip(people, crops, strict=True)
        ]


class SeenFeatures:
    """What one extractor made of the faces of one recording; lies in a temporary file.

    Of each person the first face in each step is read. Faces wait until there are as many as the
    extractor takes at once, whoever they are of: which share a batch changes nothing but the last
    bits, and depends on nothing but the recording and the hops.

    Args:
        modality: what the features are called.
        extractor: reads the faces.
    """

    def __init__(self, modality: str, extractor: FaceExtractor) -> None:
        self.modality, self.extractor = modality, extractor
        self._rows = RowStore(extractor.shape, extractor.dtype)
        self._waiting: list[FaceImage] = []
        self._taken = 0
        self._end = 0.0

    def close(self) -> None:
        """Remove the temporary file."""
        self._rows.close()

    def add(self, track: FaceTrack, face: FaceImage) -> None:
        """Take a face, unless the person has one in this step."""
        step = int(find_steps(face.time, self.extractor.hop))
        steps = track.steps.setdefault(self.modality, [])
        if steps and step <= steps[-1]:
            return
        steps.append(step)
        track.rows.setdefault(self.modality, []).append(self._taken)
        self._taken += 1
        self._waiting.append(face)
        if len(self._waiting) >= self.extractor.batch:
            self.finish()

    def finish(self) -> None:
        """Read the faces that wait."""
        if self._waiting:
            rows = run_extractor(self.extractor, self.extractor.encode, self._waiting)
            self._rows.write(self._rows.rows, rows)
            self._waiting = []

    def settle(self, end: float) -> None:
        """Note when the pictures ended, in seconds."""
        self._end = end

    def medium(self, track: FaceTrack | None) -> Medium:
        """Return the whole series of a person, up to the end of the pictures."""
        values, valid = self.read(track, 0, count_steps(self._end, self.extractor.hop))
        return Medium(Series(values, valid, self.extractor.hop), self._end)

    def read(
        self, track: FaceTrack | None, start: int, stop: int
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Cut steps ``start`` to ``stop`` of a person; zeros and False where they were not seen."""
        values = np.zeros((stop - start, *self.extractor.shape), dtype=np.float32)
        valid = np.zeros(stop - start, dtype=np.bool_)
        steps = [] if track is None else track.steps.get(self.modality, [])
        known = min(stop, count_steps(self._end, self.extractor.hop))
        first, last = bisect_left(steps, start), bisect_left(steps, known)
        if track is not None and last > first:
            where = np.array(steps[first:last]) - start
            rows = np.array(track.rows[self.modality][first:last])
            for begin in range(0, len(rows), _ROWS_AT_ONCE):
                part = slice(begin, begin + _ROWS_AT_ONCE)
                low, high = int(rows[part][0]), int(rows[part][-1]) + 1
                values[where[part]] = self._rows.read(low, high)[rows[part] - low]
            valid[where] = True
        return values, valid


class Looking:
    """Reads the pictures of one recording.

    Args:
        detector: finds the faces.
        features: by modality, what reads them.

    Attributes:
        tracks: faces by number of the person.
    """

    def __init__(self, detector: FaceDetector, features: Mapping[str, SeenFeatures]) -> None:
        self.tracks: dict[int, FaceTrack] = {}
        self._finder = FaceFinder(detector)
        self._features = tuple(features.values())

    def push(self, frame: TimedImage) -> None:
        """Look at the next picture."""
        for person, face in self._finder.find(frame):
            track = self.tracks.setdefault(person, FaceTrack())
            track.add(face)
            for features in self._features:
                features.add(track, face)

    def finish(self) -> None:
        """Read the faces that wait; the recording is over."""
        for features in self._features:
            features.finish()


def load_detector() -> FaceDetector:
    """Load YuNet with the default options, fetched on first use.

    Raises:
        WeightError: its weights cannot be had.
    """
    return FaceDetector(weights.locate("yunet"))
