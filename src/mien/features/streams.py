"""Streams of sound: an unbroken stretch goes in piece by piece, rows of features come out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.errors import OutputError

Floats = NDArray[np.float32]


class SoundStream(Protocol):
    """Reads one unbroken stretch of sound.

    What comes out must not depend on how the sound was cut into pieces. Rows come in order, the
    first of all belongs to the step that begins with the first sample.
    """

    def push(self, samples: Floats) -> NDArray[Any]:
        """Hear more, ``(n,)`` at 16 kHz; gives the rows that are ready, ``(steps, *shape)``."""

    def finish(self) -> NDArray[Any]:
        """Give the rows that were still open; the stretch is over."""


class BufferedStream:
    """Keeps the whole stretch in a temporary file and reads it at its end.

    Args:
        extract: from samples ``(n,)`` to rows ``(steps, *shape)``.
    """

    def __init__(self, extract: Callable[[Floats], NDArray[Any]]) -> None:
        self._extract = extract
        self._file = tempfile.TemporaryFile(prefix="mien-")  # noqa: SIM115

    def push(self, samples: Floats) -> NDArray[Any]:
        """Keep the samples; no row is ready before the end.

        Raises:
            OutputError: the temporary folder is full.
        """
        try:
            self._file.write(samples.astype(np.float32).tobytes())
        except OSError as error:
            raise OutputError(
                f"the sound does not fit on disk ({error.strerror})",
                path=Path(tempfile.gettempdir()),
                advice="free some space there or point TMPDIR to a larger disk",
            ) from error
        return np.empty(0)

    def finish(self) -> NDArray[Any]:
        """Read the stretch."""
        self._file.seek(0)
        samples = np.frombuffer(self._file.read(), dtype=np.float32)
        self._file.close()
        return self._extract(samples)
