"""The parent's hold on its child: start it, talk to it, and never wait for it in vain."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import DecoderCrash, LimitError
from mien.media.messages import HEADER, Message, MessageHeader, from_bytes, to_json
from mien.media.records import Limits

# The child gets the parent's import path as arguments rather than through "-m", which would put the
# working directory, and whatever lies in it, in front.
_BOOT = (
    "import sys; settings = sys.argv[1]; sys.path[:] = sys.argv[2:]; "
    "from mien.media.child import main; main(settings)"
)
# Each library thread and malloc arena takes address space, of which the child has little.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
_RE_ENCODE = "re-encode it with: ffmpeg -i IN OUT.mp4"


class Patience:
    """How long one file may keep its caller waiting.

    Args:
        limits: seconds without a sign of life, and seconds for each second of recording.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waited = 0.0
        self._position = 0.0

    def note_progress(self, position: float) -> None:
        """Note how many seconds decoding has come into the recording."""
        self._position = max(self._position, min(position, self._limits.max_duration_s))

    def wait(self, poll: select.poll) -> bool:
        """Wait until there is something to read; False if that takes too long."""
        allowed = self._limits.deadline_s + self._limits.slowness * self._position - self._waited
        if allowed <= 0:
            return False
        began = time.monotonic()
        ready = poll.poll(1000 * min(allowed, self._limits.deadline_s))
        self._waited += time.monotonic() - began
        return bool(ready)

    def __str__(self) -> str:
        limits = self._limits
        return (
            f"decoding took too long ({self._waited:.1f} s of waiting for {self._position:.1f} s "
            f"of recording; the limit is {limits.deadline_s:g} s without progress and "
            f"{limits.slowness:g} s for each second)"
        )


class Child:
    """One child process and the two pipes to it.

    Args:
        limits: what it may use.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        settings = to_json({"parent": os.getpid(), "limits": asdict(limits)}).decode("ascii")
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
            [sys.executable, "-P", "-c", _BOOT, settings, *map(_importable, sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, **_ENVIRONMENT},
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("no pipe to the decoder")
        self._commands, self._answers = self._process.stdin, self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether the process is still there."""
        return self._process.poll() is None

    def command(self, **fields: object) -> None:
        """Send a command. A child that has died is noticed on receiving."""
        with contextlib.suppress(BrokenPipeError):
            self._commands.write(to_json(fields) + b"\n")

    def receive(self, path: str, patience: Patience) -> Message:
        """Receive the next message.

        Raises:
            DecoderCrash: the child died, or says things that make no sense.
            LimitError: it gave no sign of life in time, or takes too long over too little.
        """
        data = self._read(HEADER.size, path, patience)
        try:
            header = MessageHeader.unpack(data.tobytes(), self._limits.max_pixels)
            payload = self._read(header.size, path, patience)
            message = from_bytes(header, payload, path)
        except (KeyError, TypeError, ValueError) as error:
            problem = f"the decoder answered nonsense ({error})"
            raise DecoderCrash(problem, path=path, advice=_RE_ENCODE) from None
        patience.note_progress(header.time)
        return message

    def _read(self, size: int, path: str, patience: Patience) -> NDArray[np.uint8]:
        data = np.empty(size, np.uint8)
        view = data.data
        while view:
            if not patience.wait(self._poll):
                raise LimitError(str(patience), path=path, advice=_RE_ENCODE)
            count = os.readv(self._answers.fileno(), [view])
            if count == 0:
                raise self._crash(path)
            view = view[count:]
        return data

    def _crash(self, path: str) -> DecoderCrash:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return DecoderCrash("the decoder fell silent", path=path, advice=_RE_ENCODE)
        how = f"with exit status {code}"
        if code < 0:
            how = f"of signal {-code} ({signal.strsignal(-code)})"
        return DecoderCrash(f"the decoder died {how}", path=path, advice=_RE_ENCODE)

    def kill(self) -> None:
        """End the process at once; it owns nothing that could be lost."""
        self._process.kill()
        self._process.wait()
        self._commands.close()
        self._answers.close()


def _importable(entry: str) -> str:
    return entry or str(Path.cwd())
