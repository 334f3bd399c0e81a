"""The child process: takes commands on its standard input, answers on what was its standard output.

A command is a line of JSON: ``{"verb": "probe" | "stream" | "stop", "number": …, …}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import select
import signal
import threading
from collections import deque
from typing import Any, Final

import av

from mien.errors import DecoderCrash, LimitError, MienError
from mien.media import job
from mien.media.messages import ALIVE, ERROR, MessageHeader, to_json, write_all
from mien.media.records import Limits

_AHEAD_BYTES: Final = 4 << 20
_PARENT_CHECK: Final = 1.0  # seconds
_OUT_OF_MEMORY: Final = "decoding needs more memory than it is allowed"
_RE_ENCODE: Final = "re-encode it with: ffmpeg -i IN OUT.mp4"
_SCALE_DOWN: Final = "scale it down with: ffmpeg -i IN -vf scale=1280:-2 OUT.mp4"


class Outbox:
    """Messages on their way to the parent; a thread writes them, so that decoding can go on.

    Holds at most a few MB (or one message, if that is larger): ``send`` waits for room.

    Args:
        descriptor: of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: deque[tuple[MessageHeader, memoryview]] = deque()
        self._size = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, daemon=True).start()

    def send(self, header: MessageHeader, payload: bytes | memoryview = b"") -> None:
        """Queue a message; the header's size is filled in here."""
        view = memoryview(payload).cast("B")
        with self._changed:
            self._changed.wait_for(lambda: self._size == 0 or self._size + len(view) < _AHEAD_BYTES)
            self._waiting.append((header._replace(size=len(view)), view))
            self._size += len(view)
            self._changed.notify_all()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                header, view = self._waiting.popleft()
            try:
                write_all(self._descriptor, (header.pack(), view))
            except OSError:
                os._exit(0)  # the parent is gone
            with self._changed:
                self._size -= len(view)
                self._changed.notify_all()


class Inbox:
    """Commands from the parent, read by a thread that also notices when the parent is gone.

    Args:
        descriptor: of the pipe.
        parent: the parent's process id.
    """

    def __init__(self, descriptor: int, parent: int) -> None:
        self._descriptor = descriptor
        self._parent = parent
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._stopped = 0
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> dict[str, Any]:
        """Wait for the next command."""
        return self._commands.get()

    def is_stopped(self, number: int) -> bool:
        """Tell whether the job with this number was called off."""
        return self._stopped >= number

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        rest = b""
        while True:
            # The pipe alone would not tell: another child of the parent may hold its other end.
            if os.getppid() != self._parent:
                os._exit(0)
            if not poll.poll(1000 * _PARENT_CHECK):
                continue
            data = os.read(self._descriptor, 65536)
            if not data:
                os._exit(0)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, command: dict[str, Any]) -> None:
        if command["verb"] == "stop":
            self._stopped = command["number"]
        else:
            self._commands.put(command)


def main(settings: str) -> None:
    """Serve until the parent is gone.

    Args:
        settings: JSON with the parent's process id and the fields of `Limits`.
    """
    fields = json.loads(settings)
    limits = Limits(**fields["limits"])
    answers = _private_output()
    _confine(limits)
    av.logging.set_level(None)
    av.logging.set_skip_repeated(False)  # two files in a row may deserve the same complaint
    inbox, outbox = Inbox(0, fields["parent"]), Outbox(answers)
    outbox.send(MessageHeader(ALIVE))
    while True:
        _serve(inbox.next(), inbox, outbox, limits)


def _serve(command: dict[str, Any], inbox: Inbox, outbox: Outbox, limits: Limits) -> None:
    number = command["number"]
    try:
        job.run(job.DecodeJob.of(command), outbox.send, lambda: inbox.is_stopped(number), limits)
    except MemoryError:
        _report(outbox, LimitError(_OUT_OF_MEMORY, advice=_SCALE_DOWN), spent=True)
    except MienError as error:
        _report(outbox, error, spent=False)
    except Exception as error:
        # A defect of ours, most likely: the user hears of it, and the next child starts afresh.
        problem = f"the decoder failed ({type(error).__name__}: {error})"
        _report(outbox, DecoderCrash(problem, advice=_RE_ENCODE), spent=True)


def _report(outbox: Outbox, error: MienError, *, spent: bool) -> None:
    texts = {"problem": error.problem, "advice": error.advice}
    fields = {"error": type(error).__name__, **texts, "spent": spent}
    outbox.send(MessageHeader(ERROR), to_json(fields))


def _private_output() -> int:
    """Return a descriptor of the pipe to the parent that nothing else in this process writes to."""
    answers = os.dup(1)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)
    return answers


def _confine(limits: Limits) -> None:
    """Bound memory; no core dumps, no writing of files; leave the keyboard to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bounds = (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    )
    for kind, bound in bounds:
        _, hard = resource.getrlimit(kind)
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS has no bound on address space
            resource.setrlimit(kind, (most, most))
