"""What the child says to its parent, as bytes on a pipe.

A message is a fixed header (kind, time, height, width, size) and ``size`` bytes. Nothing is
pickled: the child has touched hostile data, so it is believed numbers and text, never objects.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien import errors
from mien.errors import MienError
from mien.media.records import AudioTrack, Probe, VideoTrack
from mien.stream import Frame, Samples

FRAME: Final = b"F"  # height × width × 3 bytes
SAMPLES: Final = b"S"  # float32, native byte order
ALIVE: Final = b"A"  # nothing: decoding has come as far as ``time``
PROBE: Final = b"P"  # JSON: the fields of a Probe
END: Final = b"E"  # JSON: the warnings
ERROR: Final = b"X"  # JSON: the error

HEADER: Final = struct.Struct("=cdIIQ")
_MOST_TEXT_BYTES: Final = 1 << 20
_MOST_SAMPLES_BYTES: Final = 1 << 28
_ERRORS: Final = {
    kind.__name__: kind
    for kind in (
        errors.InputError,
        errors.FormatError,
        errors.DamagedError,
        errors.LimitError,
        errors.DecoderCrash,
    )
}


class MessageHeader(NamedTuple):
    """The fixed part of a message; ``size`` counts the bytes that follow it."""

    kind: bytes
    time: float = 0.0
    height: int = 0
    width: int = 0
    size: int = 0

    def pack(self) -> bytes:
        """Encode the header."""
        return HEADER.pack(*self)

    @classmethod
    def unpack(cls, data: bytes, max_pixels: int) -> MessageHeader:
        """Decode a header.

        Raises:
            ValueError: it makes no sense, or announces more than it may.
        """
        header = cls(*HEADER.unpack(data))
        most = {FRAME: max_pixels * 3, SAMPLES: _MOST_SAMPLES_BYTES, ALIVE: 0}
        most |= dict.fromkeys((PROBE, END, ERROR), _MOST_TEXT_BYTES)
        shape_fits = header.kind != FRAME or header.size == header.height * header.width * 3
        if not (
            header.size <= most.get(header.kind, -1) and shape_fits and math.isfinite(header.time)
        ):
            raise ValueError(f"a message that makes no sense: {header}")
        return header


@dataclass(frozen=True)
class Alive:
    """The child is at work and has come this many seconds into the recording."""

    time: float


@dataclass(frozen=True)
class Ended:
    """The file is done."""

    warnings: list[str]


@dataclass(frozen=True)
class Failed:
    """The file cannot be decoded (further); a spent child must not be used again."""

    error: MienError
    spent: bool


Message = Frame | Samples | Probe | Alive | Ended | Failed


def write_all(descriptor: int, parts: Sequence[bytes | memoryview]) -> None:
    """Write every byte of every part, waiting as long as the reader needs."""
    for part in parts:
        view = memoryview(part).cast("B")
        while view:
            view = view[os.write(descriptor, view) :]


def to_json(value: object) -> bytes:
    """Encode as compact JSON in ASCII, so that odd file names survive."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def from_bytes(header: MessageHeader, payload: NDArray[np.uint8], path: str) -> Message:
    """Read the message in a header and its payload.

    Args:
        header: a checked header.
        payload: ``(size,)``.
        path: the file it is about, as the caller named it.

    Raises:
        KeyError, TypeError, ValueError: it makes no sense.
    """
    if header.kind == FRAME:
        return Frame(header.time, payload.reshape(header.height, header.width, 3))
    if header.kind == SAMPLES:
        return Samples(header.time, payload.view(np.float32))
    if header.kind == ALIVE:
        return Alive(header.time)
    content = json.loads(payload.tobytes())
    if header.kind == END:
        return Ended([str(warning) for warning in content])
    return _probe(content, path) if header.kind == PROBE else _failed(content, path)


def _probe(fields: dict[str, Any], path: str) -> Probe:
    audio, video = fields["audio"], fields["video"]
    return Probe(
        path=path,
        container=fields["container"],
        duration=fields["duration"],
        audio=None if audio is None else AudioTrack(**audio),
        video=None if video is None else VideoTrack(**video),
    )


def _failed(fields: dict[str, Any], path: str) -> Failed:
    kind = _ERRORS[fields["error"]]
    error = kind(str(fields["problem"]), path=path, advice=str(fields["advice"]))
    return Failed(error, bool(fields["spent"]))
