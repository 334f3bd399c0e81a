"""Reading a recording: decoding, faces and voice side by side, each at its own pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

import cv2
import torch

from mien.errors import NothingPresent
from mien.features.faces import FaceReader
from mien.features.observation import Observation
from mien.features.voice import VoiceReader
from mien.media import Decoder, Frame, Probe, Samples
from mien.schema import AUDIO, VIDEO

SAMPLE_HZ = 16000
SHORTEST_FRAME_S = 0.001

Stage = Callable[[Iterator[Frame | Samples]], Iterator[Frame | Samples]]


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
        self, observation: Observation, face: FaceReader | None, voice: VoiceReader | None
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
) -> Observation:
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
        observation = undo.enter_context(Observation(path))
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
    observation: Observation,
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
