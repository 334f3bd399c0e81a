"""Rows of features on disk, so that a long recording costs no memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import OutputError


class RowStore:
    """A growing table of half-precision rows in a temporary file that has no name.

    Rows that were never written read as zeros and take no space. Features are kept in half
    precision: their scale is of the order of one, and no head uses more than its eleven bits.

    Args:
        width: numbers in a row.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows = 0
        self._file = tempfile.TemporaryFile(prefix="mien-")  # noqa: SIM115
        self._row_bytes = 2 * width

    def write(self, first: int, rows: NDArray[np.float32]) -> None:
        """Put rows ``(n, width)`` at ``first``, ``first + 1``, ….

        Raises:
            OutputError: the temporary folder is full.
        """
        block = memoryview(np.asarray(rows, dtype=np.float16).tobytes())
        offset = first * self._row_bytes
        try:
            while block:
                written = os.pwrite(self._file.fileno(), block, offset)
                block, offset = block[written:], offset + written
        except OSError as error:
            raise OutputError(
                f"features do not fit on disk ({error.strerror})",
                path=Path(tempfile.gettempdir()),
                advice="free some space there or point TMPDIR to a larger disk",
            ) from error
        self.rows = max(self.rows, first + len(rows))

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows ``start`` to ``stop`` as ``(stop - start, width)``; zeros where nothing was put."""
        out = np.zeros((stop - start, self.width), dtype=np.float16)
        first, last = max(start, 0), min(stop, self.rows)
        if last > first:
            view = out[first - start : last - start]
            raw = os.pread(self._file.fileno(), view.nbytes, first * self._row_bytes)
            view[:] = np.frombuffer(raw, dtype=np.float16).reshape(view.shape)
        return out.astype(np.float32)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()
