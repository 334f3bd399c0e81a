"""Many recordings: progress, one line for each person, results on disk, a summary over all."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mien import schema
from mien.errors import MienError, OptionError
from mien.formats import FORMATS
from mien.recognition.outputs import OutputFolder
from mien.recognition.recognizer import Analysis, Recognizer
from mien.timeline import Dimension, Metadata, Timeline


class Batch:
    """Writes what a recognizer reads.

    Args:
        formats: names of `mien.formats.FORMATS`.
        out: folder for results; None for the folder of each recording.
        console: takes one line for each person.
        errors: takes progress and one line for each file that failed.

    Raises:
        OptionError: no format has that name.
    """

    def __init__(
        self, formats: Sequence[str], out: Path | None, console: Console, errors: Console
    ) -> None:
        if not formats:
            raise OptionError("no format is given", advice=f"choose from {', '.join(FORMATS)}")
        for name in formats:
            FORMATS[name]
        self._formats, self._out = list(dict.fromkeys(formats)), out
        self._console, self._errors = console, errors
        self._folders: dict[Path, OutputFolder] = {}
        self._summaries: dict[Path, list[pd.DataFrame]] = {}

    def run(
        self, recognizer: Recognizer, recordings: Sequence[Path], without: Collection[str]
    ) -> int:
        """Analyse and write; return the number of files that failed.

        What was written stays, whatever happens later; the summary is written even then.
        """
        failed = 0
        with _bar(self._errors) as bar:
            task = bar.add_task("", total=len(recordings), note="")
            results = recognizer.analyze_all(
                recordings,
                without=without,
                progress=lambda seconds: bar.update(task, note=f"{seconds:.0f} s"),
            )
            try:
                for result in results:
                    failed += not self._take(result)
                    bar.update(task, advance=1, note="")
            finally:
                failed += self._write_summaries()
        if failed:
            self._errors.print(f"{failed} of {len(recordings)} failed", markup=False)
        return failed

    def _take(self, result: Analysis) -> bool:
        """Write one result; True if all went well."""
        try:
            if result.timeline is None:
                raise result.error or AssertionError("no timeline without an error")
            written = self._write(result.path, result.timeline)
        except MienError as error:
            self._errors.print(f"failed: {error}", markup=False)
            return False
        for warning in _warnings(result.timeline):
            self._errors.print(f"note: {result.path}: {warning}", markup=False)
        for line in summary_lines(result.timeline):
            self._console.print(f"{line} → {written}", markup=False)
        return True

    def _write(self, recording: Path, timeline: Timeline) -> str:
        place = recording.parent if self._out is None else self._out
        if place not in self._folders:
            self._folders[place] = OutputFolder(place)
        self._summaries.setdefault(place, []).append(timeline.summary())
        paths = self._folders[place].write(timeline, recording, self._formats)
        return ", ".join(str(path) for path in paths)

    def _write_summaries(self) -> int:
        failed = 0
        for place, tables in self._summaries.items():
            try:
                self._folders[place].write_summary(pd.concat(tables, ignore_index=True))
            except MienError as error:
                self._errors.print(f"failed: {error}", markup=False)
                failed += 1
        return failed


def _bar(console: Console) -> Progress:
    """Make a progress bar over recordings, with the seconds read of the present one."""
    return Progress(
        TextColumn("{task.completed}/{task.total} recordings"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _warnings(timeline: Timeline) -> list[str]:
    return [text for notes in timeline.metadata.recordings.values() for text in notes.warnings]


def summary_lines(timeline: Timeline) -> list[str]:
    """Write one line for each person of a timeline, for people to read."""
    return [_summary_line(row, timeline.metadata) for row in timeline.summary().to_dict("records")]


def _summary_line(row: Mapping[Hashable, Any], metadata: Metadata) -> str:
    who = f"{row['file']} · person {row['person']}"
    seen = ", ".join(
        f"{metadata.evidence(name)} {row[schema.seconds_column(name)]:.1f} s"
        for name in metadata.modalities
    )
    if not row["seconds"] > 0:
        return f"{who} · nothing observed ({seen})"
    best = [f"{row['emotion']} {row['confidence']:.2f}"] if metadata.labels else []
    dimensions = ", ".join(
        f"{name} {_number(row[name], dimension)}" + (" (derived)" if dimension.derived else "")
        for name, dimension in metadata.dimensions.items()
    )
    return " · ".join(filter(None, [who, *best, dimensions, seen]))


def _number(value: float, dimension: Dimension) -> str:
    """Write a value, with its sign where the scale has negative values."""
    return f"{value:.2f}" if dimension.low is not None and dimension.low >= 0 else f"{value:+.2f}"
