"""From an open file to decoded frames in the child, whatever is damaged on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias, cast

from av import AudioFrame, Packet, VideoFrame
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.stream import Discard
from av.video.stream import VideoStream

from mien.media.container import Recording
from mien.media.pictures import Ticks
from mien.media.records import Limits

_PEEK_PACKETS: Final = 400
_PEEK_BYTES: Final = 8 << 20
_MOST_REORDERED: Final = 16  # frames that H.264 and H.265 may hold back

MediaStream: TypeAlias = AudioStream | VideoStream
MediaPacket: TypeAlias = "Packet[Any]"
MediaFrame: TypeAlias = AudioFrame | VideoFrame


class Step(NamedTuple):
    """A packet to be decoded, or, on None, the time to get what is still inside the decoder."""

    stream: MediaStream
    packet: MediaPacket | None


class Decoded(NamedTuple):
    """A decoded frame, when it is due and how long it lasts, in seconds (None, 0: unknown)."""

    frame: MediaFrame
    time: float | None
    length: float


class Demuxer:
    """Reads one recording once, from its beginning.

    The picture's orientation is known only from a decoded frame, so the reader looks ahead to the
    first one and keeps what it met on the way.

    Args:
        recording: the open file.
        limits: how late a stamp is still believed.
        wanted: of ``audio`` and ``video``, what to decode.
        ticks: which frames will be chosen; others are not decoded where that does no harm.
        between: called before each packet.

    Attributes:
        recording: as given.
        kinds: what is both wanted and there.
        ticks: as given.
        origin: the file's own stamp of time 0, in seconds.
        first_frame: the first decoded picture, None where there is none near the beginning.
        damaged: packets so far that are cut off or cannot be decoded.
        cut: did reading stop at an error rather than at the end of the file.
    """

    def __init__(
        self,
        recording: Recording,
        limits: Limits,
        wanted: frozenset[str],
        ticks: Ticks,
        between: Callable[[], None],
    ) -> None:
        self.recording = recording
        self.ticks = ticks
        self.damaged = 0
        self.cut = False
        self.first_frame: VideoFrame | None = None
        self._between = between
        self._decode_stamps: deque[int] = deque(maxlen=_MOST_REORDERED + 1)
        self.longest = limits.max_duration_s
        self._streams = [s for s in (recording.audio, recording.video) if s is not None]
        self.origin = self._earliest_start()
        self.kinds = frozenset(stream.type for stream in self._streams) & wanted
        self._switch_off("audio", wanted)
        self._steps = self._demux()
        self._ahead = list(self._look_ahead())
        self._switch_off("video", wanted)

    @property
    def pixel_aspect(self) -> Fraction | None:
        """Width over height of a stored pixel, None where unknown."""
        video = self.recording.video
        return None if video is None else video.sample_aspect_ratio

    def seconds(self, stamp: int | None, base: Fraction | None) -> float | None:
        """Convert a stamp to seconds from time 0; None if missing or beyond belief."""
        if stamp is None or base is None:
            return None
        time = float(stamp * base - self.origin)
        return time if abs(time) <= self.longest else None

    def believable(self, duration: Fraction | None) -> float | None:
        """Convert a duration to seconds; None if missing, not positive or beyond belief."""
        return float(duration) if duration is not None and 0 < duration <= self.longest else None

    def frames(self) -> Iterator[Decoded]:
        """Decode the frames of the wanted streams, in the order of the file."""
        for item in chain(self._ahead, self._steps):
            if isinstance(item, Decoded):
                if "video" in self.kinds:
                    yield item
            elif item.stream.type in self.kinds:
                yield from self._decode(item)

    def _earliest_start(self) -> Fraction:
        starts = [
            stream.start_time * stream.time_base
            for stream in self._streams
            if stream.start_time is not None and stream.time_base is not None
        ]
        earliest = min(starts, default=Fraction(0))
        return earliest if abs(earliest) <= self.longest else Fraction(0)

    def _switch_off(self, kind: str, wanted: frozenset[str]) -> None:
        for stream in self._streams:
            if stream.type == kind and kind not in wanted:
                stream.discard = Discard.all

    def _demux(self) -> Iterator[Step]:
        """Packets with something in them, up to the end or to where reading fails; then flushes."""
        try:
            for packet in self.recording.container.demux(*self._streams):
                self._between()
                self.damaged += packet.is_corrupt
                if packet.size:
                    yield Step(cast(MediaStream, packet.stream), packet)
        except MemoryError:
            raise
        except (FFmpegError, OSError):
            self.cut = True
        for stream in self._streams:
            yield Step(stream, None)

    def _look_ahead(self) -> Iterator[Step | Decoded]:
        """Return what lies before and up to the first decoded picture, sound left undecoded."""
        if self.recording.video is None:
            return
        size = 0
        for count, step in enumerate(self._steps):
            if isinstance(step.stream, VideoStream):
                for decoded in self._decode(step):
                    if self.first_frame is None and isinstance(decoded.frame, VideoFrame):
                        self.first_frame = decoded.frame
                    yield decoded
            else:
                yield step
            size += 0 if step.packet is None else step.packet.size
            if self.first_frame or count >= _PEEK_PACKETS or size >= _PEEK_BYTES:
                return

    def _decode(self, step: Step) -> list[Decoded]:
        stream, packet = step
        if isinstance(stream, VideoStream) and packet is not None:
            self._prepare(stream, packet)
        try:
            frames: list[MediaFrame] = list(stream.codec_context.decode(packet))
        except MemoryError:
            raise
        except FFmpegError:
            self.damaged += packet is None or not packet.is_corrupt
            return []
        return [self._stamp(stream, frame) for frame in frames]

    def _prepare(self, stream: VideoStream, packet: MediaPacket) -> None:
        """Skip a picture that nobody wants and none builds on; keep stamps for the unstamped."""
        due = self.seconds(packet.pts, stream.time_base)
        needed = due is None or self.ticks.may_want(due)
        stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
        if packet.pts is None and packet.dts is not None:
            self._decode_stamps.append(packet.dts)

    def _stamp(self, stream: MediaStream, frame: MediaFrame) -> Decoded:
        """Put times into order: some containers (AVI) stamp pictures in the order of decoding only.

        As many come out as go in, only in another order, so the earliest stamp waiting belongs to
        the next picture to be shown.
        """
        stamp, base = frame.pts, stream.time_base
        if stamp is None and isinstance(frame, VideoFrame) and self._decode_stamps:
            stamp = self._decode_stamps.popleft()
        duration = frame.duration * base if frame.duration and base else None
        return Decoded(frame, self.seconds(stamp, base), self.believable(duration) or 0.0)
