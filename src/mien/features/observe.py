# mypy: ignore-errors
"""Reading a recording: decoding, faces and voice side by side, each at its own pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mien.errors import NothingPresent
from mien.features.faces import FaceReader, SeenFace, thumbnail
from mien.features.observation import FACE_FEATURES, Observation
from mien.features.store import RowStore
from mien.features.voice import VOICE_FEATURES, VoiceReader, VoiceSegment
from mien.media import Decoder, Frame, Probe, Samples
from mien.schema import AUDIO, VIDEO

SAMPLE_HZ = 16000
SHORTEST_FRAME_S = 0.001

Stage = Callable[[Iterator[Frame | Samples]], Iterator[Frame | Samples]]


THUMBNAILS = 12


@dataclass
class OldFaceTrack:
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


class OldObservation(Observation):
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
        self.tracks: dict[int, OldFaceTrack] = {}
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
            track = self.tracks.setdefault(face.person, OldFaceTrack())
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


class Readers(Protocol):
    """What `observe` needs: a fresh reader of faces and one of voice for each recording."""

    def face(self) -> FaceReader:
        """A reader that has seen nothing yet."""

    def voice(self) -> VoiceReader:
        """A reader that has heard nothing yet."""


class _Lane:
    """Runs a function over items in a thread of its own, in order, a few items behind at most."""

    def __init__(self, name: str, depth: int) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._pending: deque[Future[None]] = deque()
        self._depth = depth

    def submit(self, work: Callable[[], None]) -> None:
        self._pending.append(self._pool.submit(work))
        while len(self._pending) > self._depth:
            self._pending.popleft().result()

    def drain(self) -> None:
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class _Collector:
    """Feeds the readers of one recording, each in a thread of its own, and keeps what they give."""

    def __init__(
        self, observation: OldObservation, face: FaceReader | None, voice: VoiceReader | None
    ) -> None:
        self.observation = observation
        self._face, self._voice = face, voice
        self._lanes = {VIDEO: _Lane("faces", 4), AUDIO: _Lane("voice", 4)}

    def take(self, item: Frame | Samples) -> None:
        if isinstance(item, Frame):
            self._lanes[VIDEO].submit(lambda: self._look(item))
        else:
            self._lanes[AUDIO].submit(lambda: self._listen(item))

    def finish(self) -> None:
        for lane in self._lanes.values():
            lane.drain()
        if self._voice:
            self.observation.add_voice(self._voice.finish())
        if self._face:
            self.observation.add_faces(self._face.finish())
        self.observation.settle()

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()

    def _look(self, frame: Frame) -> None:
        if self._face:
            self.observation.add_faces(self._face.push(frame))

    def _listen(self, samples: Samples) -> None:
        if self._voice:
            self.observation.add_voice(self._voice.push(samples))


def observe(
    path: Path,
    *,
    decoder: Decoder,
    readers: Readers,
    without: Collection[str] = (),
    face_hz: float = 5.0,
    through: Stage = iter,
    progress: Callable[[float], None] = lambda seconds: None,
) -> OldObservation:
    """Decode a recording and read its faces and its voice.

    Args:
        path: the recording.
        decoder: decodes it in a process of its own.
        readers: read it.
        without: modalities that are not even decoded.
        face_hz: frames a second in which faces are looked for.
        through: what decoded frames and samples pass before they are read, as a degradation of
            `mien.missing.raw` does. The duration is that of what went in.
        progress: called with the seconds that were decoded so far.

    Returns:
        The observation; close it when done.

    Raises:
        MienError: the recording cannot be used; `mien.media` says which kinds there are.
    """
    with _one_thread_each(), ExitStack() as undo:
        observation = undo.enter_context(OldObservation(path))
        wanted = {AUDIO: AUDIO not in without, VIDEO: VIDEO not in without}
        with decoder.stream(path, video_hz=face_hz, **wanted) as stream:
            observation.probe = stream.probe
            _require_anything(path, stream.probe, wanted)
            face = readers.face() if stream.probe.video and wanted[VIDEO] else None
            voice = readers.voice() if stream.probe.audio and wanted[AUDIO] else None
            with closing(_Collector(observation, face, voice)) as collector:
                timed = _timed(stream, stream.probe, face_hz, observation, progress)
                for item in through(timed):
                    collector.take(item)
                collector.finish()
            observation.warnings = list(stream.warnings)
        undo.pop_all()
    return observation


def _timed(
    items: Iterator[Frame | Samples],
    probe: Probe,
    face_hz: float,
    observation: OldObservation,
    progress: Callable[[float], None],
) -> Iterator[Frame | Samples]:
    """The same items; on the way the duration grows."""
    for item in items:
        observation.duration = max(observation.duration, _end(item, probe, face_hz))
        progress(observation.duration)
        yield item


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """One thread for each operation: faces, voice and decoding run beside each other anyhow."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _require_anything(path: Path, probe: Probe, wanted: Mapping[str, bool]) -> None:
    there = {AUDIO: probe.audio, VIDEO: probe.video}
    if not any(there[modality] for modality in there if wanted[modality]):
        held = ", ".join(modality for modality in there if there[modality])
        raise NothingPresent(
            f"holds only {held}, which is withheld", path=path, advice="withhold nothing from it"
        )


def _end(item: Frame | Samples, probe: Probe, face_hz: float) -> float:
    """When an item ends; a frame lasts until the next tick or the end, and never 0 s."""
    if isinstance(item, Samples):
        return item.time + len(item.values) / SAMPLE_HZ
    tick = item.time + 1 / face_hz
    return (
        tick
        if probe.duration is None
        else max(item.time + SHORTEST_FRAME_S, min(tick, probe.duration))
    )
