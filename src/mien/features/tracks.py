"""The faces of one recording by person: when, where and how well each was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mien.features.crops import cut_thumbnail
from mien.features.extractor import FaceImage

THUMBNAILS = 12
_FLICKERS = 3  # a face that was seen less often is dropped where another was seen more often


@dataclass
class FaceTrack:
    """One person's face over a recording.

    Attributes:
        times: seconds at which the face was seen.
        boxes: x, y, width, height as fractions of the frame, for each time.
        quality: visible quality from 0 to 1, for each time.
        thumbnails: seconds and JPEG bytes, spread evenly over the track.
        steps: by modality, the steps in which an extractor was given the face; rising.
        rows: by modality, where the features of these steps lie.
    """

    times: list[float] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    thumbnails: list[tuple[float, bytes]] = field(default_factory=list)
    steps: dict[str, list[int]] = field(default_factory=dict)
    rows: dict[str, list[int]] = field(default_factory=dict)
    _spacing: int = 1

    def add(self, face: FaceImage) -> None:
        """Add the face as it was seen once more."""
        if len(self.times) % self._spacing == 0:
            self._keep_thumbnail(face)
        height, width = face.image.shape[:2]
        x, y, w, h = face.box
        box = np.clip((x / width, y / height, w / width, h / height), 0, 1)
        self.times.append(face.time)
        self.boxes.append(tuple(box.tolist()))
        self.quality.append(face.quality)

    def thin_thumbnails(self) -> None:
        """Choose at most `THUMBNAILS` pictures."""
        count = len(self.thumbnails)
        chosen = np.linspace(0, count - 1, min(count, THUMBNAILS)).round().astype(int)
        self.thumbnails = [self.thumbnails[i] for i in chosen]

    def _keep_thumbnail(self, face: FaceImage) -> None:
        """Keep a picture; where there are too many, every second one goes."""
        self.thumbnails.append((face.time, cut_thumbnail(face.image, face.box)))
        if len(self.thumbnails) > 2 * THUMBNAILS:
            self.thumbnails = self.thumbnails[::2]
            self._spacing *= 2


def settle_tracks(tracks: dict[int, FaceTrack]) -> dict[int, FaceTrack]:
    """Drop faces that flickered up once or twice, and number the rest again from 1."""
    longest = max((len(track.times) for track in tracks.values()), default=0)
    enough = min(_FLICKERS, longest)
    kept = [track for _, track in sorted(tracks.items()) if len(track.times) >= enough]
    for track in kept:
        track.thin_thumbnails()
    return dict(enumerate(kept, start=1))
