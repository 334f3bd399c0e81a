"""What was seen and heard in one recording: faces by person, voice by instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien._closing import Closing
from mien.features.faces import SeenFace, thumbnail
from mien.features.store import RowStore
from mien.features.voice import VOICE_FEATURES, VoiceSegment
from mien.media import Probe

FACE_FEATURES = 264  # the encoder's embedding, then its eight logits
THUMBNAILS = 12


@dataclass
class FaceTrack:
    """One person's face over a recording.

    Attributes:
        times: seconds at which the face was seen.
        rows: where its features lie in `Observation.faces`.
        boxes: x, y, width, height as shares of the frame, for each time.
        quality: visible quality from 0 to 1, for each time.
        thumbnails: seconds and JPEG bytes, spread evenly over the track.
    """

    times: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    quality: list[float] = field(default_factory=list)
    thumbnails: list[tuple[float, bytes]] = field(default_factory=list)
    _spacing: int = 1

    def wants_thumbnail(self) -> bool:
        """Whether the face that comes next should be kept as a picture."""
        return len(self.times) % self._spacing == 0

    def keep_thumbnail(self, time: float, jpeg: bytes) -> None:
        """Keep a picture; where there are too many, every second one goes."""
        self.thumbnails.append((time, jpeg))
        if len(self.thumbnails) > 2 * THUMBNAILS:
            self.thumbnails = self.thumbnails[::2]
            self._spacing *= 2


class Observation(Closing):
    """What was observed in one recording. A context manager: its features lie in temporary files.

    Attributes:
        path: the recording.
        probe: what its header says.
        duration: seconds up to the end of what could be decoded.
        warnings: what was wrong with the recording though it could be used.
        tracks: faces by number of the person, from 1 in order of appearance.
        faces: features of all faces, ``(seen, 264)``.
        voice: features of the sound at 50 Hz, ``(steps, VOICE_FEATURES)``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.probe: Probe | None = None
        self.duration = 0.0
        self.warnings: list[str] = []
        self.tracks: dict[int, FaceTrack] = {}
        self.faces = RowStore(FACE_FEATURES)
        self.voice = RowStore(VOICE_FEATURES)
        self._voiced = bytearray()

    def close(self) -> None:
        """Remove the temporary files."""
        self.faces.close()
        self.voice.close()

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """``(steps,)``: was there voice, at 50 Hz from the start of the recording."""
        return self.voiced_between(0, len(self._voiced))

    def voiced_between(self, start: int, stop: int) -> NDArray[np.bool_]:
        """``(stop - start,)``: some steps of `voiced`; False outside the recording."""
        known = bytes(self._voiced[max(start, 0) : max(stop, 0)])
        before = min(max(-start, 0), stop - start)
        padded = bytes(before) + known
        return np.frombuffer(padded.ljust(stop - start, b"\0"), dtype=np.bool_)

    def add_voice(self, segments: list[VoiceSegment]) -> None:
        """Keep what the voice reader gave."""
        for segment in segments:
            self.voice.write(segment.first, segment.values)
            gap = segment.first - len(self._voiced)
            self._voiced.extend(bytes(max(gap, 0)))
            self._voiced[segment.first :] = segment.voiced.astype(np.bool_).tobytes()

    def add_faces(self, seen: list[SeenFace]) -> None:
        """Keep what the face reader gave."""
        for face in seen:
            track = self.tracks.setdefault(face.person, FaceTrack())
            height, width = face.image.shape[:2]
            x, y, w, h = face.box
            share = np.clip((x / width, y / height, w / width, h / height), 0, 1)
            if track.wants_thumbnail():
                track.keep_thumbnail(face.time, thumbnail(face.image, face.box))
            track.times.append(face.time)
            track.rows.append(self.faces.rows)
            track.boxes.append(tuple(share.tolist()))
            track.quality.append(face.quality)
            features = np.concatenate([face.embedding, face.logits])
            self.faces.write(self.faces.rows, features[None])

    def settle(self) -> None:
        """Drop faces that flickered up once or twice, and number the rest again from 1."""
        longest = max((len(track.times) for track in self.tracks.values()), default=0)
        enough = min(3, longest)
        kept = [t for _, t in sorted(self.tracks.items()) if len(t.times) >= enough]
        self.tracks = dict(enumerate(kept, start=1))
        for track in kept:
            count = len(track.thumbnails)
            chosen = np.linspace(0, count - 1, min(count, THUMBNAILS)).round().astype(int)
            track.thumbnails = [track.thumbnails[i] for i in chosen]
