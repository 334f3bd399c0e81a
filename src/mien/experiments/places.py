"""Where data and runs lie."""

from __future__ import annotations

import os
from pathlib import Path

from mien.datasets import Places
from mien.errors import InputError

DATA_VARIABLE = "MIEN_DATA"
RUNS = Path("runs")


def find_places(data: str | Path | None, beside: Path | None = None) -> Places:
    """Find the folder of data: the one given, that of ``MIEN_DATA``, or one beside.

    Args:
        data: a folder.
        beside: the folder of the file that asks for data, where nothing else is said.

    Raises:
        InputError: it is no folder.
    """
    given = data or os.environ.get(DATA_VARIABLE) or beside
    if not given or not Path(given).is_dir():
        raise InputError(
            "is no folder of data",
            path=given or None,
            advice=f"give --data, or set {DATA_VARIABLE}",
        )
    return Places(Path(given), RUNS / "features")
