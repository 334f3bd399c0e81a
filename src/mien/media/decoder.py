"""The door of the room: a `Decoder` that owns one child process, and the `Stream` of one file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final, Self

from mien._closing import Closing
from mien.errors import DecoderCrash, MienError, OptionError
from mien.media.messages import Alive, Ended, Failed, Message
from mien.media.paths import plain_file
from mien.media.process import Child, Patience
from mien.media.records import Limits, Probe
from mien.stream import Frame, Samples

_START_UP_S: Final = 60.0


class Stream(Closing, Iterator[Frame | Samples]):
    """Frames and samples of one file, roughly in the order of their times.

    Get one from `Decoder.stream`. Leaving it early (``close``, or a ``with`` block) leaves the
    decoder ready for the next file.

    Attributes:
        probe: what the file says about itself.
        warnings: what was wrong with the file without stopping it; complete once it has ended.
    """

    probe: Probe
    warnings: list[str]

    def __init__(self, decoder: Decoder, number: int, path: str) -> None:
        self._decoder = decoder
        self._number = number
        self._path = path
        self._patience = Patience(decoder.limits)
        self._open = True
        self._ended = False
        self.warnings = []
        first = self._receive()
        if not isinstance(first, Probe):
            raise self._out_of_turn(first)
        self.probe = first

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame | Samples:
        """Return the next frame or stretch of sound.

        Raises:
            DamagedError: nothing of what was asked for can be decoded.
            LimitError: too many pixels, too much memory, or too long.
            DecoderCrash: the child died; the decoder starts another for the next file.
            RuntimeError: the stream was closed before its end, by its user or because the decoder
                went on to another file.
        """
        if self._ended:
            raise StopIteration
        if not self._open:
            raise RuntimeError("this stream was closed before its end")
        message = self._receive()
        if isinstance(message, Ended):
            self._open, self._ended = False, True
            self.warnings = message.warnings
            raise StopIteration
        if isinstance(message, Frame | Samples):
            return message
        raise self._out_of_turn(message)

    def close(self) -> None:
        """Stop decoding. Harmless on a stream that has ended."""
        if not self._open:
            return
        self._decoder._stop(self._number)
        try:
            while not isinstance(self._receive(), Ended):
                pass
        except MienError:
            pass  # nobody wants this file any more, and a child in a bad state is gone already
        self._open = False

    def _receive(self) -> Message:
        """Receive the next message that is not just a sign of life."""
        try:
            while True:
                message = self._decoder._receive(self._path, self._patience)
                if isinstance(message, Failed):
                    raise message.error
                if not isinstance(message, Alive):
                    return message
        except MienError:
            self._open, self._ended = False, True
            raise

    def _out_of_turn(self, message: Message) -> DecoderCrash:
        self._decoder.close()
        name = type(message).__name__
        return DecoderCrash(f"the decoder answered out of turn ({name})", path=self._path)


class Decoder(Closing):
    """Decodes one file after the other in one child process, started when first needed.

    The child is confined in memory and in what it opens. If it crashes, overruns its deadline or
    runs out of memory, the file at hand ends with a typed error and the next file gets a new child.
    One decoder serves one thread; a second stream closes the first.

    Args:
        limits: what one file may cost.

    Attributes:
        limits: as given.
        starts: how many child processes have been started so far.
    """

    _child: Child | None = None
    _active: Stream | None = None

    def __init__(self, *, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.starts = 0
        self._numbers = count(1)

    def __del__(self) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """The process id of the child, None while there is none."""
        return None if self._child is None else self._child.pid

    def probe(self, path: str | Path) -> Probe:
        """Read what a file says about itself; its first frame is decoded, nothing more.

        Raises:
            InputError: the path is no plain, readable, non-empty file.
            FormatError: no known recording, or neither sound nor picture in it.
            DamagedError: a known format, but beyond opening.
            LimitError: too many pixels, too much memory, or too long.
            DecoderCrash: the child died.
        """
        with self._begin(path, "probe") as stream:
            return stream.probe

    def stream(
        self,
        path: str | Path,
        *,
        video_hz: float = 5.0,
        audio: bool = True,
        video: bool = True,
        max_side_px: int = 1280,
        channel: int | None = None,
    ) -> Stream:
        """Decode frames and samples of a file, as far as it has them.

        Args:
            path: the file.
            video_hz: frames a second: the first frame at or after each tick of this rate.
            audio: decode the sound.
            video: decode the picture.
            max_side_px: scale frames down so that their longer side has at most this many pixels.
            channel: which channel of the sound, counted from 1; the mean of all where None.

        Raises:
            OptionError: neither kind is wanted, a number is not positive, or the sound has no such
                channel.
            InputError, FormatError, DamagedError, LimitError, DecoderCrash: as for `probe`; more
                may come from the stream.
        """
        if not (audio or video):
            raise OptionError("neither audio nor video is wanted", advice="ask for one of them")
        if not (0 < video_hz < math.inf and max_side_px > 0):
            raise OptionError(
                f"video_hz {video_hz} and max_side_px {max_side_px} must be positive and finite",
                advice="5 frames a second of up to 1280 pixels suit faces",
            )
        options = {"video_hz": video_hz, "audio": audio, "video": video, "max_side_px": max_side_px}
        stream = self._begin(path, "stream", **options, channel=channel)
        sound = stream.probe.audio
        if channel is not None and sound is not None and not 1 <= channel <= sound.channels:
            stream.close()
            raise OptionError(
                f"the sound has no channel {channel}",
                path=path,
                advice=f"choose from 1 to {sound.channels}, or none for the mean of all",
            )
        return stream

    def close(self) -> None:
        """End the child process, if there is one; the decoder can still be used afterwards."""
        if self._active is not None:
            self._active._open = False
        self._active = None
        if self._child is not None:
            self._child.kill()
        self._child = None

    def _begin(self, path: str | Path, verb: str, **options: object) -> Stream:
        if self._active is not None:
            self._active.close()
        command = {"verb": verb, "path": plain_file(path), **options}
        used = self._child is not None
        try:
            self._active = self._open(path, command)
        except DecoderCrash:
            if not used:
                raise
            # It may have died of whatever came before; this file deserves a child of its own.
            self.close()
            self._active = self._open(path, command)
        return self._active

    def _open(self, path: str | Path, command: dict[str, object]) -> Stream:
        if self._child is None or not self._child.alive():
            self.close()
            self._child = Child(self.limits)
            self.starts += 1
            # The first sign of life; importing its libraries is no fault of the file's.
            self._receive(str(path), Patience(replace(self.limits, deadline_s=_START_UP_S)))
        number = next(self._numbers)
        self._child.command(number=number, **command)
        return Stream(self, number, str(path))

    def _stop(self, number: int) -> None:
        if self._child is not None:
            self._child.command(verb="stop", number=number)

    def _receive(self, path: str, patience: Patience) -> Message:
        """Receive the next message; a child in a bad state is ended."""
        if self._child is None:
            raise DecoderCrash("the decoder was closed", path=path)
        try:
            message = self._child.receive(path, patience)
        except BaseException:
            # An interruption may have left half a message in the pipe.
            self.close()
            raise
        if isinstance(message, Failed) and message.spent:
            self.close()
        return message
