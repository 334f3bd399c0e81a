"""Rows of features on disk, so that a long recording costs no memory."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mien.errors import OutputError


class RowStore:
    """A growing table of rows in a temporary file that has no name.

    Rows that were never written read as zeros and take no space. Features are usually kept in half
    precision: their scale is of the order of one, and no model uses more than its eleven bits.

    Args:
        shape: of a row; a number for a flat one.
        dtype: how a row is kept: ``float16``, ``float32``, or ``uint8``, whose 0 to 255 read as
            0 to 1.
    """

    def __init__(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.float16) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = np.dtype(dtype)
        self.rows = 0
        self._file = tempfile.TemporaryFile(prefix="mien-")  # noqa: SIM115
        self._row_bytes = math.prod(self.shape) * self.dtype.itemsize

    def write(self, first: int, rows: NDArray[Any]) -> None:
        """Put rows ``(n, *shape)`` at ``first``, ``first + 1``, ….

        Raises:
            OutputError: the temporary folder is full.
        """
        block = memoryview(pack(rows, self.dtype).tobytes())
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
        """Read rows ``start`` to ``stop``, ``(stop - start, *shape)``; zeros by default."""
        out = np.zeros((stop - start, *self.shape), dtype=self.dtype)
        first, last = max(start, 0), min(stop, self.rows)
        if last > first:
            view = out[first - start : last - start].data.cast("B")
            offset = first * self._row_bytes
            while view:  # one call reads no more than 2 GB
                taken = os.preadv(self._file.fileno(), [view], offset)
                view, offset = view[taken:], offset + taken
        return unpack(out)

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return math.prod(self.shape)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


def pack(values: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Turn values into the type they are kept in; from 0 to 1 into 0 to 255 for ``uint8``."""
    if np.dtype(dtype) == np.uint8 and values.dtype != np.uint8:
        return np.asarray(np.rint(np.clip(values, 0, 1) * 255), dtype=np.uint8)
    return np.asarray(values, dtype=dtype)


def unpack(values: NDArray[Any]) -> NDArray[np.float32]:
    """Turn kept values into float32; 0 to 255 into 0 to 1 for ``uint8``."""
    numbers: NDArray[np.float32] = values.astype(np.float32)
    return numbers / np.float32(255) if values.dtype == np.uint8 else numbers
