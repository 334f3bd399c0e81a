"""Recordings with known content: frames that say their number, sounds whose onset is known.

Every frame carries its number as eight black or white columns, which survive compression and
scaling; a bright block in the lower left corner tells how it is turned.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

BITS = 8
TIME_BASE = Fraction(1, 90_000)


def regular(count: int, rate_hz: float = 25.0, start: float = 0.0) -> list[float]:
    """Times of a constant frame rate, in seconds."""
    return [start + index / rate_hz for index in range(count)]


def draw(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A grey BGR picture that carries a number from 0 to 255."""
    image = np.full((height, width, 3), 128, np.uint8)
    edges = np.linspace(0, width, BITS + 1).astype(int)
    for bit in range(BITS):
        image[: height // 2, edges[bit] : edges[bit + 1]] = 255 * (number >> bit & 1)
    image[height // 2 :, : width // 4] = 220
    return image


def number_of(image: np.ndarray) -> int:
    """The number that a picture carries."""
    height, width, _ = image.shape
    edges = np.linspace(0, width, BITS + 1)
    middles = ((edges[:-1] + edges[1:]) / 2).astype(int)
    return sum(int(image[height // 4, x].mean() > 128) << bit for bit, x in enumerate(middles))


def tone(seconds: float, rate_hz: int, onset: float = 0.0, pitch_hz: float = 440.0) -> np.ndarray:
    """Silence up to the onset, then a sine of amplitude 0.5; ``(samples,)`` float32."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    sine = 0.5 * np.sin(2 * np.pi * pitch_hz * (time - onset))
    return np.where(time >= onset, sine, 0).astype(np.float32)


@dataclass
class Picture:
    """A video track: one frame at each of the times, numbered from 0."""

    times: Sequence[float]
    codec: str = "libx264"
    width: int = 64
    height: int = 48
    pixel_format: str = "yuv420p"
    matrix: Sequence[int] | None = None  # the nine numbers of a display matrix
    tint: tuple[int, int, int] | None = None  # BGR of the lower right corner
    options: dict[str, str] = field(default_factory=dict)


@dataclass
class Sound:
    """An audio track: the values on every channel, put at `start`, with a gap after a time."""

    values: np.ndarray
    rate_hz: int = 44_100
    codec: str = "aac"
    layout: str = "mono"
    start: float = 0.0
    gap_after: float | None = None
    gap: float = 0.0
    jitter: Sequence[float] = (0.0,)


def write(
    path: Path,
    picture: Picture | None = None,
    sound: Sound | None = None,
    *,
    cover: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a recording; the name's ending says the container."""
    # FFmpeg's m4a muxer takes no cover; its mp4 muxer writes the same file with one.
    form = "mp4" if path.suffix == ".m4a" else None
    with av.open(str(path), "w", form, options=options or {}) as container:
        streams = []
        if picture is not None:
            streams.append((_video_stream(container, picture), _frames(picture)))
        if sound is not None:
            streams.append((_audio_stream(container, sound), _chunks(sound)))
        if cover:
            streams.append((_cover_stream(container), iter([(0.0, _cover_frame())])))
        _mux(container, streams)
    return path


def _mux(container, streams) -> None:
    """Encode in the order of time, as a real recorder does."""
    heads = [(stream, frames, next(frames, None)) for stream, frames in streams]
    while any(head for _, _, head in heads):
        index = min(
            (i for i, (_, _, head) in enumerate(heads) if head), key=lambda i: heads[i][2][0]
        )
        stream, frames, (_, frame) = heads[index]
        container.mux(stream.encode(frame))
        heads[index] = (stream, frames, next(frames, None))
    for stream, _, _ in heads:
        container.mux(stream.encode(None))


def _video_stream(container, picture: Picture):
    stream = container.add_stream(picture.codec, rate=25, options=picture.options)
    stream.width, stream.height = picture.width, picture.height
    stream.pix_fmt = picture.pixel_format
    variable = container.format.name not in ("avi", "mpeg")
    stream.codec_context.time_base = TIME_BASE if variable else Fraction(1, 25)
    if picture.codec in ("mpeg4", "flv"):
        stream.codec_context.time_base = Fraction(1, 25)
    if picture.matrix is not None:
        stream.set_display_matrix(picture.matrix)
    return stream


def _frames(picture: Picture):
    for number, time in enumerate(picture.times):
        image = draw(number % 256, picture.width, picture.height)
        if picture.tint is not None:
            image[picture.height // 2 :, picture.width // 2 :] = picture.tint
        frame = av.VideoFrame.from_ndarray(image, "bgr24").reformat(format=picture.pixel_format)
        frame.pts, frame.time_base = round(time / TIME_BASE), TIME_BASE
        yield time, frame


def _audio_stream(container, sound: Sound):
    stream = container.add_stream(sound.codec, rate=sound.rate_hz, layout=sound.layout)
    stream.codec_context.time_base = Fraction(1, sound.rate_hz)
    return stream


def _chunks(sound: Sound, size: int = 1024):
    channels = av.AudioLayout(sound.layout).nb_channels
    kind = {"pcm_s16le": "s16", "pcm_s16be": "s16", "flac": "s16", "libopus": "flt", "pcm_u8": "u8"}
    sample_format = kind.get(sound.codec, "fltp")
    for count, first in enumerate(range(0, len(sound.values), size)):
        values = np.tile(sound.values[first : first + size], (channels, 1))
        if sample_format == "s16":
            values = (values * 32767).astype(np.int16)
        if sample_format == "u8":
            values = (values * 127 + 128).astype(np.uint8)
        if sample_format != "fltp":
            values = np.ascontiguousarray(values.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(values, sample_format, sound.layout)
        frame.sample_rate = sound.rate_hz
        time = sound.start + first / sound.rate_hz + sound.jitter[count % len(sound.jitter)]
        if sound.gap_after is not None and time >= sound.gap_after:
            time += sound.gap
        frame.pts, frame.time_base = round(time * sound.rate_hz), Fraction(1, sound.rate_hz)
        yield time, frame


def _cover_stream(container):
    stream = container.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    return stream


def _cover_frame() -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(draw(1), "bgr24").reformat(format="yuvj420p")
    frame.pts, frame.time_base = 0, Fraction(1, 1)
    return frame


def subtitles_only(path: Path) -> Path:
    """A Matroska file with one subtitle line and nothing else."""
    head = io.BytesIO(b"1\n00:00:00,000 --> 00:00:01,000\nhello\n\n")
    with av.open(head, format="srt") as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.subtitles[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


def bomb(path: Path, side_px: int = 16_000, pixel_format: str = "gray") -> Path:
    """A small MOV file whose only frame is a PNG picture of side × side pixels."""
    with av.open(str(path), "w", format="mov") as container:
        stream = container.add_stream("png", rate=25)
        stream.width = stream.height = side_px
        stream.pix_fmt = pixel_format
        frame = av.VideoFrame(side_px, side_px, pixel_format)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def wave(path: Path, values: np.ndarray, rate_hz: int, channels: int = 1) -> Path:
    """A 16-bit WAV file written byte by byte, without FFmpeg; the values on every channel."""
    data = np.repeat((values * 32767).astype("<i2")[:, None], channels, axis=1).tobytes()
    layout = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * channels * 2, channels * 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(data))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data)
    return path
