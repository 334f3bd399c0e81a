"""Opening a file in the child, with everything that a hostile file might want switched off."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, NoReturn, TypeVar, cast

import av
from av.audio.stream import AudioStream
from av.container import Flags, InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from mien.errors import DamagedError, FormatError, InputError, LimitError, MienError
from mien.media.records import Limits
from mien.media.sound import FASTEST_HZ, SLOWEST_HZ

# Containers that keep everything in one file. Playlists and lists of images (concat, hls, dash,
# image2 and the like) are what is being kept out: they make FFmpeg open other files.
FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,wav,mp3,ogg,flac,"
    "flv,aac,mpegts,mpeg,asf,aiff,w64,caf,amr"
)
_SIGNATURES: Final = (
    (0, b"\x1aE\xdf\xa3"),
    (0, b"OggS"),
    (0, b"fLaC"),
    (0, b"FLV\x01"),
    (0, b"ID3"),
    (0, b"\x00\x00\x01\xba"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    (0, b"caff"),
    (0, b"#!AMR"),
    (8, b"WAVE"),
    (8, b"AVI "),
    (8, b"AIF"),
    *((4, atom) for atom in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")),
)
KNOWN_FORMATS: Final = "mp4, mov, mkv, webm, avi, flv, wav, mp3, ogg, flac, aac, ts, mpg, wmv, aiff"
_Kind = TypeVar("_Kind", AudioStream, VideoStream)
_PICTURES_IN_PASSING: Final = Disposition.attached_pic | Disposition.timed_thumbnails
_MAKE_UP_STAMPS: Final = cast(int, Flags.gen_pts.value)
_TOO_LARGE: Final = re.compile(r"size (\d+)x(\d+) exceeds specified max pixel count")
_GUESSED: Final = "Estimating duration from bitrate"
_STAMPED_FROM_OUTSIDE: Final = frozenset({"mpeg", "mpegts"})  # broadcasts, whose clock may jump
_UNKNOWN_SIZE: Final = 0xFFFF_FFFF  # a recorder that was never told to stop leaves this
_CONVERT: Final = "convert it with: ffmpeg -i IN OUT.mp4"


class Recording(NamedTuple):
    """An open file and the streams of it that are worth decoding.

    ``guessed`` says that its duration follows from the bit rate, so that ending earlier means
    nothing.
    """

    container: InputContainer
    audio: AudioStream | None
    video: VideoStream | None
    guessed: bool
    warnings: list[str]


@contextmanager
def open_recording(path: str, limits: Limits) -> Iterator[Recording]:
    """Open a file and choose its streams; nothing of it has been decoded for good yet.

    FFmpeg reads through a file object of ours, so no file name is ever taken for a protocol, and is
    refused every other file.

    Raises:
        InputError: it cannot be read.
        FormatError: no known format, or neither sound nor picture in it.
        DamagedError: a known format, but its header is beyond reading.
        LimitError: the picture is too large.
    """
    with os.fdopen(_open_file(path), "rb", buffering=0) as file:
        container, complaints = _open_container(file, path, limits)
        if container.format.name == "avi":
            # It stamps the order of decoding only; what FFmpeg makes of that is wrong for H.264.
            container.flags &= ~_MAKE_UP_STAMPS
        with container:
            recording = _choose(container, path, limits, complaints)
            recording.warnings.extend(_shorter_than_announced(file.fileno()))
            yield recording


def _open_container(file: io.FileIO, path: str, limits: Limits) -> tuple[InputContainer, list[str]]:
    """Open the container; say what FFmpeg had to complain of while looking at its streams."""
    options = {
        "format_whitelist": FORMATS,
        "protocol_whitelist": "file",
        "max_pixels": str(limits.max_pixels),
    }
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as logs:
            container = av.open(
                file, mode="r", options=options, io_open=_refuse, metadata_errors="replace"
            )
    except MemoryError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        _explain(file.fileno(), path, error)
    finally:
        av.logging.set_level(None)
    return container, [message for _, _, message in logs]


def _open_file(path: str) -> int:
    """Open a regular file; checked again here, as it may have been swapped meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = f"the file cannot be opened ({error.strerror})"
        raise InputError(reason, path=path, advice="check its permissions") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError("it is not a file", path=path, advice="save the recording to a file")
    return descriptor


def _shorter_than_announced(descriptor: int) -> Iterator[str]:
    """Return a warning for a cut WAV or AVI file, of which FFmpeg says nothing."""
    head = os.pread(descriptor, 8, 0)
    announced = int.from_bytes(head[4:], "little") + 8
    if head.startswith(b"RIFF") and os.fstat(descriptor).st_size < announced < _UNKNOWN_SIZE:
        yield "the file is shorter than its header says: its end is missing"


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise FormatError(f"it refers to another file ({url})", advice=f"make it one file, {_CONVERT}")


def _explain(descriptor: int, path: str, error: Exception) -> NoReturn:
    """Raise what a failure to open means, by the first bytes of the file."""
    if not isinstance(error, FFmpegError) and isinstance(error, OSError):
        raise InputError(
            f"the file cannot be read ({error.strerror})", path=path, advice="copy it again"
        ) from None
    head = os.pread(descriptor, 16, 0)
    if any(head.startswith(signature, at) for at, signature in _SIGNATURES):
        raise _explain_damage(path) from None
    raise FormatError(
        "it is no recording of a known format",
        path=path,
        advice=f"known are {KNOWN_FORMATS}; {_CONVERT}",
    ) from None


def _choose(
    container: InputContainer, path: str, limits: Limits, complaints: list[str]
) -> Recording:
    """Choose the best stream of each kind; all others are switched off."""
    warnings: list[str] = []
    audio = _best(container.streams.audio, container.streams.best("audio"), "sound", warnings)
    moving = [s for s in container.streams.video if not s.disposition & _PICTURES_IN_PASSING]
    video = _best(moving, container.streams.best("video"), "picture", warnings)
    if audio is not None and not SLOWEST_HZ <= audio.sample_rate <= FASTEST_HZ:
        warnings.append(f"the sound claims {audio.sample_rate} samples a second and was left out")
        audio = None
    if audio is None and video is None:
        raise _nothing_to_decode(container, path, warnings)
    kept = {stream.index for stream in (audio, video) if stream is not None}
    for stream in container.streams:
        if stream.index not in kept:
            stream.discard = Discard.all
    if video is not None:
        _restrict(video, path, limits, complaints)
    guessed = container.format.name in _STAMPED_FROM_OUTSIDE or any(
        _GUESSED in complaint for complaint in complaints
    )
    return Recording(container, audio, video, guessed, warnings)


def _nothing_to_decode(container: InputContainer, path: str, warnings: list[str]) -> MienError:
    found = {stream.type for stream in container.streams} - {"data", "unknown"}
    if not found:
        return _explain_damage(path)
    details = "; ".join([f"found: {', '.join(sorted(found))}", *warnings])
    return FormatError(
        f"there is neither sound nor picture to decode in it ({details})",
        path=path,
        advice="give a recording of a voice or a face",
    )


def _explain_damage(path: str) -> DamagedError:
    return DamagedError(
        "the file is damaged or cut off where it describes itself, nothing can be decoded",
        path=path,
        advice="copy or record it again",
    )


def _best(
    candidates: Sequence[_Kind], best: Stream | None, kind: str, warnings: list[str]
) -> _Kind | None:
    """FFmpeg's choice if it can be decoded, else the first that can."""
    usable = [stream for stream in candidates if stream.codec_context is not None]
    if candidates and not usable:
        warnings.append(f"the {kind} is in a codec that cannot be decoded")
    preferred = [stream for stream in usable if best is not None and stream.index == best.index]
    return next(iter(preferred or usable), None)


def _restrict(video: VideoStream, path: str, limits: Limits, complaints: list[str]) -> None:
    """Refuse too large a picture now, and let the decoder refuse one that grows later.

    FFmpeg needs the limit twice: given to the container it holds while streams are looked at, given
    to the codec it holds while frames are decoded.
    """
    context = video.codec_context
    width, height = context.width, context.height
    if not width * height:
        # Having refused the size, FFmpeg reports none; only its complaint tells it.
        refused = filter(None, map(_TOO_LARGE.search, complaints))
        width, height = next((map(int, match.groups()) for match in refused), (0, 0))
    if width * height > limits.max_pixels:
        raise LimitError(
            f"the picture is too large ({width} × {height} pixels; the limit is "
            f"{limits.max_pixels} in all)",
            path=path,
            advice="scale it down with: ffmpeg -i IN -vf scale=1280:-2 OUT.mp4",
        )
    context.options = {"max_pixels": str(limits.max_pixels)}
    # One thread: the parent needs the other core, and threads make damaged files decode differently
    # from run to run.
    context.thread_count = 1
