"""What an open file says about itself, as a `Probe`."""

from __future__ import annotations

from fractions import Fraction

from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from mien.media.pictures import Orientation, compute_shown_size, read_orientation
from mien.media.reading import Demuxer
from mien.media.records import AudioTrack, Probe, VideoTrack


def describe(path: str, reader: Demuxer) -> Probe:
    """Make the probe of an open recording whose reader has looked at the first frame."""
    recording = reader.recording
    container = recording.container
    duration = None if container.duration is None else Fraction(container.duration, 1_000_000)
    return Probe(
        path=path,
        container=container.format.name,
        duration=reader.believable(duration),
        audio=None if recording.audio is None else _audio_track(recording.audio, reader),
        video=None if recording.video is None else _video_track(recording.video, reader),
    )


def _span(stream: AudioStream | VideoStream, reader: Demuxer) -> tuple[float, float | None]:
    """Start and duration in seconds."""
    start = reader.seconds(stream.start_time, stream.time_base) or 0.0
    if stream.duration is None or stream.time_base is None:
        return start, None
    return start, reader.believable(stream.duration * stream.time_base)


def _audio_track(stream: AudioStream, reader: Demuxer) -> AudioTrack:
    start, duration = _span(stream, reader)
    context = stream.codec_context
    return AudioTrack(start, duration, context.sample_rate, context.channels, context.codec.name)


def _video_track(stream: VideoStream, reader: Demuxer) -> VideoTrack:
    start, duration = _span(stream, reader)
    context, first = stream.codec_context, reader.first_frame
    stored, turned = (context.width, context.height), Orientation()
    if first is not None:
        stored, turned = (first.width, first.height), read_orientation(first)
    width, height = compute_shown_size(*stored, reader.pixel_aspect)
    if turned.transpose:
        width, height = height, width
    rate = float(stream.average_rate) if stream.average_rate else None
    return VideoTrack(start, duration, width, height, turned.rotation_deg, rate, context.codec.name)
