"""Where results go, so that mien overwrites only what it wrote about the same recording."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mien.errors import OutputError
from mien.formats import FORMATS, write_atomically, write_table
from mien.timeline import Timeline

_INDEX = ".mien.json"
_SUMMARY = "summary"


class OutputFolder:
    """A folder of results.

    A hidden index remembers which recording each name stands for. A second recording of the same
    stem, or a file that somebody else put there, pushes the new results to ``stem-2``.

    Args:
        folder: made when it is not there.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot be used as a folder for results ({error.strerror})",
                path=folder,
                advice="choose another with --out",
            ) from error
        self._names = self._remembered()

    def write(self, timeline: Timeline, recording: Path, formats: Sequence[str]) -> list[Path]:
        """Write one recording's timeline in each format.

        Returns:
            The files written.

        Raises:
            OutputError: one could not be written.
        """
        stem = self._name(str(recording.absolute()), recording.stem, formats)
        paths = [self.folder / f"{stem}{FORMATS[name].suffix}" for name in formats]
        for path, name in zip(paths, formats, strict=True):
            timeline.save(path, format=name)
        return paths

    def write_summary(self, summary: pd.DataFrame) -> Path:
        """Write one row per file and person, keeping earlier rows of other files.

        Raises:
            OutputError: it could not be written.
        """
        path = self.folder / f"{self._name('', _SUMMARY, ['csv'])}.csv"
        if path.exists():
            earlier = pd.read_csv(path, dtype={"file": "string", "person": "string"})
            others = earlier[~earlier["file"].isin(summary["file"])]
            summary = pd.concat([others, summary], ignore_index=True)
        write_table(summary, path)
        return path

    def _remembered(self) -> dict[str, str]:
        path = self.folder / _INDEX
        try:
            names = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise OutputError(
                "cannot be read", path=path, advice="remove it; results keep their names"
            ) from error
        return {str(name): str(recording) for name, recording in dict(names).items()}

    def _name(self, recording: str, stem: str, formats: Sequence[str]) -> str:
        """The name for a recording's results, remembered before anything is written."""
        for name, known in self._names.items():
            if known == recording:
                return name
        number, name = 1, stem
        while not self._free(name, recording, formats):
            number += 1
            name = f"{stem}-{number}"
        self._names[name] = recording
        text = json.dumps(self._names, ensure_ascii=False, indent=1)
        write_atomically(self.folder / _INDEX, lambda file: file.write(text.encode()))
        return name

    def _free(self, name: str, recording: str, formats: Sequence[str]) -> bool:
        if name in self._names or (name == _SUMMARY and recording):
            return False
        return not any((self.folder / f"{name}{FORMATS[kind].suffix}").exists() for kind in formats)
