"""Observations with known content: sound that counts its steps, faces that say when they were seen.

Also extractors that are quick.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.features.extractor import (
    FaceExtractor,
    FaceImage,
    SoundExtractor,
    register_extractor,
)
from mien.features.files import FeatureFile
from mien.features.observation import FaceTrack, Observation
from mien.features.series import Medium, Series
from mien.media.records import AudioTrack, Probe, VideoTrack

VOICE_HOP, FACE_HOP = 0.02, 0.2
FILE = FeatureFile(columns=("skin", "pulse"), hop=0.25)
LANDMARKS = np.array([[4, 4], [8, 4], [6, 6], [4, 8], [8, 8]], dtype=np.float32)


@register_extractor("test_loud")
class Loud(SoundExtractor):
    """Standard deviation of every 20 ms."""

    hop: float = VOICE_HOP
    shape = (1,)

    def extract(self, samples):
        return samples[: len(samples) // 320 * 320].reshape(-1, 320).std(axis=1, keepdims=True)


@register_extractor("test_faces_at")
class FacesAt(FaceExtractor):
    """When each face was seen, and how bright its crop is."""

    hop: float = FACE_HOP
    shape = (2,)

    def encode(self, faces):
        return np.array([[face.time, face.crop.mean() / 255] for face in faces])


def ticks(start: float, end: float) -> list[float]:
    """Every look for a face from a start to an end."""
    return [round(t, 3) for t in np.arange(start, end - 1e-9, FACE_HOP)]


def observation(
    duration: float,
    *,
    voiced: list[tuple[float, float]] = (),
    faces: dict[int, list[float]] | None = None,
    file: Series | None = None,
    sound: bool = True,
    extractors=None,
) -> Observation:
    """Observe a recording that never was.

    Args:
        duration: seconds of its sound and pictures.
        voiced: from when to when somebody spoke.
        faces: when each person's face was seen.
        file: a file of features ``body``; that modality is there only with one.
        sound: whether it has sound.
        extractors: by modality; those of this file where None.
    """
    if extractors is None:
        extractors = {"audio": Loud(), "video": FacesAt()} | ({"body": FILE} if file else {})
    seen = Observation(Path("made.mp4"), extractors)
    audio = AudioTrack(0.0, duration, 16_000, 1, "pcm") if sound else None
    video = VideoTrack(0.0, duration, 40, 40, 0, 30.0, "h264")
    seen.probe = Probe("made.mp4", "mp4", duration, audio, video)
    steps = round(duration / VOICE_HOP)
    mask = np.zeros(steps, dtype=bool)
    for start, end in voiced:
        mask[round(start / VOICE_HOP) : round(end / VOICE_HOP)] = True
    seen.voice.put(0, mask)
    for heard in seen.heard.values():
        heard.put(0, np.arange(steps, dtype=np.float32)[:, None])
    for person, times in (faces or {}).items():
        track = seen.tracks.setdefault(person, FaceTrack())
        for time in times:
            _see(seen, track, time, person)
    for features in seen.seen.values():
        features.finish()
    if file:
        seen.files["body"] = Medium(file, len(file) * file.hop, follows=True)
    seen.settle(duration if sound else 0.0, duration)
    return seen


def _see(seen: Observation, track: FaceTrack, time: float, person: int) -> None:
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    crop = np.full((48, 48), 10 * person, dtype=np.uint8)
    face = FaceImage(time, image, (4.0 * person, 8.0, 12.0, 16.0), LANDMARKS, crop, 0.5)
    track.add(face)
    for features in seen.seen.values():
        features.add(track, face)
