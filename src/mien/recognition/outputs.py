"""Where results go, so that mien overwrites only what it wrote about the same recording."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, TypeAdapter

from mien.errors import OutputError
from mien.formats import FORMATS, make_folder, write_atomically, write_table
from mien.schema import TEXT_COLUMNS
from mien.timeline import Timeline

_INDEX = ".mien.json"
_SUMMARY = "summary"


class _Results(BaseModel):
    """What lies under one name: whose results (nobody's for the summary), in which files."""

    recording: str
    files: list[str] = []


_NAMES = TypeAdapter(dict[str, _Results])


class OutputFolder:
    """A folder of results.

    A hidden index remembers which recording each name stands for and which files are ours. A second
    recording of the same stem, or a file that somebody else put there, pushes the new results to
    ``stem-2``.

    Args:
        folder: made when it is not there.

    Raises:
        OutputError: it cannot be made, or its index cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder, "choose another with --out")
        self._names = self._remember()

    def write(self, timeline: Timeline, recording: Path, formats: Sequence[str]) -> list[Path]:
        """Write one recording's timeline in each format.

        Returns:
            The files written.

        Raises:
            OutputError: one could not be written.
        """
        paths = self._paths(os.path.abspath(recording), recording.stem, formats)  # noqa: PTH100
        for path, name in zip(paths, formats, strict=True):
            timeline.save(path, format=name)
        return paths

    def write_summary(self, summary: pd.DataFrame) -> Path:
        """Write one row per file and person, keeping earlier rows of other files.

        Raises:
            OutputError: it could not be written.
        """
        (path,) = self._paths("", _SUMMARY, ["csv"])
        if path.exists():
            earlier = _read_summary(path)
            others = earlier[~earlier["file"].isin(summary["file"])]
            summary = pd.concat([others, summary], ignore_index=True)
        write_table(summary, path)
        return path

    def _remember(self) -> dict[str, _Results]:
        path = self.folder / _INDEX
        try:
            return _NAMES.validate_json(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise OutputError(
                "cannot be read", path=path, advice="remove it; nothing will be overwritten"
            ) from error

    def _paths(self, recording: str, stem: str, formats: Sequence[str]) -> list[Path]:
        """Name the files for a recording's results, remembered before anything is written."""
        suffixes = [FORMATS[name].suffix for name in formats]
        number, name = 1, stem
        while not self._free(name, recording, suffixes):
            number += 1
            name = f"{stem}-{number}"
        results = self._names.setdefault(name, _Results(recording=recording))
        files = [f"{name}{suffix}" for suffix in suffixes]
        if not set(files) <= set(results.files):
            results.files = sorted({*results.files, *files})
            text = _NAMES.dump_json(self._names, indent=1)
            write_atomically(self.folder / _INDEX, lambda file: file.write(text))
        return [self.folder / file for file in files]

    def _free(self, name: str, recording: str, suffixes: Sequence[str]) -> bool:
        """Whether a name is this recording's already, or nobody's, and no file is in the way."""
        known = self._names.get(name)
        if known is None and name == _SUMMARY and recording:
            return False
        if known is not None and known.recording != recording:
            return False
        ours = [] if known is None else known.files
        files = (f"{name}{suffix}" for suffix in suffixes)
        return all(file in ours or not (self.folder / file).exists() for file in files)


def _read_summary(path: Path) -> pd.DataFrame:
    try:
        # A file or a label may be called NA, nan or 01.
        texts = dict.fromkeys(TEXT_COLUMNS, "string")
        table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
        table["file"]
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(
            "the earlier summary cannot be read", path=path, advice="move it out of the way"
        ) from error
    return table
