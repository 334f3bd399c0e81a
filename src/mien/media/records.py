"""What a file says about itself, and the limits under which it is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioTrack:
    """The sound of a file, as stored.

    Attributes:
        start: seconds from the file's time 0 to the first sample.
        duration: seconds, or None where the file does not say.
        rate_hz: samples a second.
        channels: number of channels.
        codec: FFmpeg's name of the decoder, as ``aac``.
    """

    start: float
    duration: float | None
    rate_hz: int
    channels: int
    codec: str


@dataclass(frozen=True)
class VideoTrack:
    """The picture of a file, as shown: upright and with square pixels.

    Attributes:
        start: seconds from the file's time 0 to the first frame.
        duration: seconds, or None where the file does not say.
        width_px: width after rotation, before any scaling down.
        height_px: height after rotation, before any scaling down.
        rotation_deg: clockwise turn from the stored to the shown picture: 0, 90, 180 or 270.
        rate_hz: mean frames a second, or None where the file does not say.
        codec: FFmpeg's name of the decoder, as ``h264``.
    """

    start: float
    duration: float | None
    width_px: int
    height_px: int
    rotation_deg: int
    rate_hz: float | None
    codec: str


@dataclass(frozen=True)
class Probe:
    """What a file says about itself.

    Time 0 is the earliest start of its sound and its picture, whichever of them is asked for.

    Attributes:
        path: the file as it was given.
        container: FFmpeg's name of the format, as ``matroska,webm``.
        duration: seconds from time 0 to the end, or None where the file does not say.
        audio: the best sound track that can be decoded, or None.
        video: the best moving picture that can be decoded, or None; cover art does not count.
    """

    path: str
    container: str
    duration: float | None
    audio: AudioTrack | None
    video: VideoTrack | None


@dataclass(frozen=True)
class Limits:
    """What one file may cost. Beyond it decoding ends with a `LimitError`.

    The time that a file may take is ``deadline_s + slowness × position``, where position is how far
    into the recording decoding has come: a recording of an hour is fine, one that comes to nothing
    is not. Only time spent waiting for the decoder counts, not the caller's own work.

    Attributes:
        max_pixels: width times height of the largest picture to open.
        memory_bytes: address space of the decoder's process (RLIMIT_AS), libraries and threads
            included.
        deadline_s: seconds without a sign of life from the decoder.
        slowness: seconds of decoding granted for each second of recording.
        max_duration_s: stamps beyond this many seconds are taken for damage.
    """

    max_pixels: int = 8192 * 4320
    memory_bytes: int = 2 * 1024**3
    deadline_s: float = 20.0
    slowness: float = 10.0
    max_duration_s: float = 24 * 3600.0
