"""What a file of features holds, known before any model reads it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mien.features.files import FeatureFile


class Inspected(NamedTuple):
    """What a file of features holds.

    Attributes:
        extractor: what reads it, and all that are alike.
        seconds: how long it is.
    """

    extractor: FeatureFile
    seconds: float


def inspect_features(path: Path) -> Inspected:
    """Find out the columns, the hop and the length of a file of features.

    Raises:
        MienError: it cannot be read.
    """
    status = path.stat()
    return _inspect(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _inspect(path: Path, changed_ns: int, size: int) -> Inspected:
    del changed_ns, size
    extractor = FeatureFile.describe(path)
    series = extractor.read(path)
    return Inspected(extractor, len(series) * series.hop)
