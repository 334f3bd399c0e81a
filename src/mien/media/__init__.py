"""A file to frames and samples with true timestamps, decoded in a child process.

Nothing here imports torch, and only the child imports the decoding libraries: a file from outside
is never parsed in the caller's own process.
"""

from __future__ import annotations

from mien.media.decoder import Decoder, Stream
from mien.media.records import AudioTrack, Limits, Probe, VideoTrack
from mien.stream import Frame, Samples

__all__ = [
    "AudioTrack",
    "Decoder",
    "Frame",
    "Limits",
    "Probe",
    "Samples",
    "Stream",
    "VideoTrack",
]
