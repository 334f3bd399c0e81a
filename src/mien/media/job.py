"""One file in the child: read it to its end and send what comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, Self

from av import AudioFrame, VideoFrame

from mien.errors import DamagedError
from mien.media.container import open_recording
from mien.media.messages import ALIVE, END, FRAME, PROBE, SAMPLES, MessageHeader, to_json
from mien.media.pictures import Painter, Ticks
from mien.media.reading import Demuxer
from mien.media.records import Limits, Probe
from mien.media.sound import Clock
from mien.media.tracks import describe
from mien.stream import Samples

_BEAT: Final = 1.0  # seconds between signs of life
_SHORTFALL: Final = 0.5  # seconds that may be missing at the end without a warning


class Send(Protocol):
    """Sends a message to the parent, waiting while too much is on its way."""

    def __call__(self, header: MessageHeader, payload: bytes | memoryview = b"") -> None:
        """Send a header, its size filled in, and its payload."""


class StoppedError(Exception):
    """The parent wants no more of this file."""


@dataclass(frozen=True)
class DecodeJob:
    """What is wanted of a file: the arguments of `mien.media.Decoder.stream`, or only its probe."""

    path: str
    video_hz: float = 1.0
    max_side_px: int = 1
    audio: bool = False
    video: bool = False
    channel: int | None = None

    @classmethod
    def of(cls, command: dict[str, Any]) -> Self:
        """Return the job in a command."""
        return cls(
            **{key: value for key, value in command.items() if key not in ("verb", "number")}
        )


class Pulse:
    """Called between packets: says that work goes on, and ends it when it is called off.

    Args:
        send: to the parent.
        stopped: has the parent called the job off.
    """

    def __init__(self, send: Send, stopped: Callable[[], bool]) -> None:
        self._send = send
        self._stopped = stopped
        self._last = time.monotonic()
        self.position = 0.0

    def __call__(self) -> None:
        """Send a sign of life if one is due.

        Raises:
            StoppedError: the job was called off.
        """
        if self._stopped():
            raise StoppedError
        if time.monotonic() - self._last >= _BEAT:
            self._last = time.monotonic()
            self._send(MessageHeader(ALIVE, self.position))


def run(job: DecodeJob, send: Send, stopped: Callable[[], bool], limits: Limits) -> None:
    """Send a file's probe, then its frames and samples if they are wanted, then the end.

    Raises:
        InputError, FormatError, DamagedError, LimitError: as `mien.media.Decoder.stream` says.
        MemoryError: there is not enough.
    """
    warnings: list[str] = []
    pulse = Pulse(send, stopped)
    try:
        with open_recording(job.path, limits) as recording:
            wanted = frozenset(kind for kind in ("audio", "video") if getattr(job, kind))
            reader = Demuxer(recording, limits, wanted, Ticks(job.video_hz), pulse)
            probe = describe(job.path, reader)
            send(MessageHeader(PROBE), to_json(asdict(probe)))
            if reader.kinds:
                playback = Playback(job, reader, pulse, send)
                warnings += [*recording.warnings, *playback.run()]
                if not recording.guessed:
                    warnings += find_shortfall(playback, probe)
    except StoppedError:
        pass
    send(MessageHeader(END), to_json(warnings))


class Playback:
    """Turns what a reader gives into messages, and keeps account of what was wrong.

    Args:
        job: what is wanted.
        reader: reads the file.
        pulse: is told how far we are.
        send: to the parent.

    Attributes:
        ends: by kind (``audio``, ``video``), how many seconds into the recording it was decoded.
    """

    def __init__(self, job: DecodeJob, reader: Demuxer, pulse: Pulse, send: Send) -> None:
        self._job, self._reader = job, reader
        self._pulse, self._send = pulse, send
        self._painter = Painter(job.max_side_px, reader.pixel_aspect)
        self._clock = Clock(job.channel)
        self._unstamped = 0
        self.ends: dict[str, float] = {}

    def run(self) -> list[str]:
        """Read to the end.

        Returns:
            Warnings about damage.

        Raises:
            DamagedError: nothing that was wanted could be decoded.
        """
        for frame, due, length in self._reader.frames():
            if isinstance(frame, AudioFrame):
                self._send_sound(self._clock.push(frame, due))
            else:
                self._see(frame, due, length)
        self._send_sound(self._clock.finish())
        missing = [kind for kind in self._reader.kinds if kind not in self.ends]
        if missing and not self.ends:
            raise DamagedError(
                "none of it can be decoded", path=self._job.path, advice="copy or record it again"
            )
        names = {"audio": "sound", "video": "picture"}
        nothing = [f"none of the {names[kind]} could be decoded" for kind in missing]
        return [*nothing, *self._damage()]

    def _see(self, frame: VideoFrame, due: float | None, length: float) -> None:
        if due is None:
            self._unstamped += 1
            return
        if due < 0:
            return
        if self._reader.ticks.wants(due):
            image = self._painter.paint(frame)
            height, width, _ = image.shape
            self._send(MessageHeader(FRAME, due, height, width), image.data)
        self._reached("video", due + length)

    def _send_sound(self, chunks: Iterable[Samples]) -> None:
        for chunk in chunks:
            self._send(MessageHeader(SAMPLES, chunk.time), chunk.values.data)
            self._reached("audio", self._clock.end)

    def _reached(self, kind: str, end: float) -> None:
        self.ends[kind] = max(end, self.ends.get(kind, 0.0))
        self._pulse.position = max(self._pulse.position, end)

    def _damage(self) -> Iterable[str]:
        reader = self._reader
        counted = (
            (reader.damaged, "damaged packets were skipped or patched up"),
            (self._unstamped, "frames without a usable time stamp were skipped"),
            (reader.ticks.behind, "frames whose time stamps go backwards were skipped"),
            (self._clock.behind, "stretches of sound whose time stamps go backwards were skipped"),
        )
        for count, what in counted:
            if count:
                yield f"{count} {what}"
        if reader.cut:
            yield "reading stopped at a place that makes no sense"


def find_shortfall(playback: Playback, probe: Probe) -> Iterator[str]:
    """Warn of a recording that could be decoded less far than its header announces."""
    tracks = {"audio": probe.audio, "video": probe.video}
    there = {kind: track for kind, track in tracks.items() if track is not None}
    announced = [
        track.start + track.duration
        for kind, track in there.items()
        if kind in playback.ends and track.duration is not None
    ]
    if not announced and playback.ends.keys() == there.keys() and probe.duration is not None:
        announced = [probe.duration]
    decoded = max(playback.ends.values())
    slack = _SHORTFALL
    if probe.video is not None and probe.video.rate_hz:
        slack += 1 / probe.video.rate_hz
    if announced and decoded < max(announced) - slack:
        yield f"the file ends early: {decoded:.1f} s of {max(announced):.1f} s could be decoded"
