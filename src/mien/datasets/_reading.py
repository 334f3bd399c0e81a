"""Opening the files of a corpus: what is missing is named, and where to get it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mien.errors import FormatError, InputError
from mien.signals import Sequence


def require(path: Path, source: str) -> Path:
    """Return the path, which has to be there.

    Args:
        path: a file or folder of a corpus.
        source: where to get the corpus, a clause.

    Raises:
        InputError: it is not there.
    """
    if not path.exists():
        raise InputError("is not there", path=path, advice=source)
    return path


def find_first(folder: Path, names: Iterable[str], source: str) -> Path:
    """Return the first of some names that a folder holds, for files that go by several.

    Raises:
        InputError: it holds none.
    """
    tried = list(names)
    for name in tried:
        if (folder / name).exists():
            return folder / name
    raise InputError(f"holds no {' or '.join(tried)}", path=folder, advice=source)


def read_table(
    path: Path,
    columns: Iterable[str],
    source: str,
    separator: str = ",",
    *,
    text: Iterable[str] = (),
) -> pd.DataFrame:
    """Read a table of text as a data frame.

    Args:
        path: the file.
        columns: those that it must have.
        source: where to get the corpus, a clause.
        separator: between two fields.
        text: columns that are text even where they look like numbers.

    Raises:
        InputError: the file is not there.
        FormatError: it is no table, or a column is missing.
    """
    require(path, source)
    try:
        table = pd.read_csv(
            path, sep=separator, skipinitialspace=True, dtype=dict.fromkeys(text, str)
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise FormatError(f"is no table ({error})", path=path, advice=source) from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise FormatError(f"has no column {', '.join(missing)}", path=path, advice=source)
    return table


def read_arrays(path: Path, names: Iterable[str], source: str) -> dict[str, NDArray[Any]]:
    """Read named arrays of an ``.npz`` file; pickled objects are never opened.

    Raises:
        InputError: the file is not there.
        FormatError: it is no such file, lacks an array, or holds pickled objects.
    """
    require(path, source)
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive.files]
            if missing:
                raise FormatError(f"has no array {', '.join(missing)}", path=path, advice=source)
            return {name: archive[name] for name in names}
    except (ValueError, zipfile.BadZipFile, AttributeError, EOFError) as error:
        raise FormatError(
            f"is no .npz file of plain arrays ({error})",
            path=path,
            advice="pickled objects are not opened; save plain arrays with numpy.savez",
        ) from error


def sequence_of(values: NDArray[Any], hop: float) -> Sequence:
    """Make a batch of one; steps of no finite numbers, or of zeros only, are not observed.

    Published feature files fill what was not seen or not heard, and the padding, with zeros.

    Args:
        values: ``(time, width)``.
        hop: seconds between two steps.
    """
    valid = np.isfinite(values).all(axis=1) & (values != 0).any(axis=1)
    clean = np.where(valid[:, None], values, 0).astype(np.float32)
    return Sequence(torch.from_numpy(clean)[None], torch.from_numpy(valid)[None], hop)
