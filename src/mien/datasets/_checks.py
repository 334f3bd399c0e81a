"""What a manifest must not say: checks over several rows, before anything is computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from mien.datasets._base import Clip
from mien.datasets._rows import TableRow
from mien.datasets.ratings import read_ratings
from mien.errors import FormatError, MienError, OptionError
from mien.features.files import FeatureFile, inspect_feature_file
from mien.media import Decoder, Probe

Told = Sequence[tuple[TableRow, Clip]]
_END_TOLERANCE_S = 0.5
PARTS = ("train", "valid", "test")
_UNKNOWN = ("?", "-", "unknown", "na", "n/a", "none", "nan", "null")


def check_person(row: TableRow) -> str:
    """Return who is in a row.

    Raises:
        FormatError: nobody is named, or somebody unknown, who might be in training and in test.
    """
    person = row.text("person")
    if not person or person.casefold() in _UNKNOWN:
        problem = f"{person!r} says not who it is" if person else "nobody is named"
        raise row.wrong("person", problem, "name everybody, if only by a number")
    return person


def check_people(told: Told, column: str) -> None:
    """Check that nobody is in two folds or two parts.

    Raises:
        FormatError: somebody is; the message names both rows.
    """
    seen: dict[str, tuple[str, int]] = {}
    for row, clip in told:
        part, first = seen.setdefault(clip.person, (clip.part, row.number))
        if part != clip.part:
            raise row.wrong(
                column,
                f"{row.text('person')} is in {clip.part} here and in {part} in row {first}",
                f"put every person into one {column} only",
            )


def check_division(told: Told, column: str, path: object) -> list[str]:
    """Check that there is something to train on and something to test.

    Returns:
        Notices on what is possible but doubtful, sentences.

    Raises:
        FormatError: there is not.
    """
    parts = {clip.part for _, clip in told}
    if column == "fold" and len(parts) < 2:
        raise FormatError(
            f"column fold: all rows are in fold {parts.pop()}",
            path=str(path),
            advice="give two folds or more, or leave the column out",
        )
    if column == "part" and not ("train" in parts and parts & {"valid", "test"}):
        raise FormatError(
            f"column part: there is only {', '.join(sorted(parts))}",
            path=str(path),
            advice="give rows of train, and of valid or test, or leave the column out",
        )
    if column == "part" and "test" not in parts:
        return ["No row is of part test: figures are of valid, which also selects the epoch."]
    return []


def check_stretches(told: Told) -> None:
    """Check that rows of the same recording do not overlap.

    Rows that name different channels are of different people and may overlap.

    Raises:
        FormatError: they do, or both are the whole recording.
    """
    by_place: dict[object, list[tuple[TableRow, Clip]]] = defaultdict(list)
    for row, clip in told:
        by_place[clip.main_file.resolve(), clip.channel].append((row, clip))
    for several in by_place.values():
        several.sort(key=lambda one: (one[1].start, one[0].number))
        for (before, first), (row, clip) in pairwise(several):
            if first.end is not None and clip.start >= first.end - 1e-9:
                continue
            name = clip.main_file.name
            if first.start == clip.start and first.end == clip.end:
                problem = f"{name} is in row {before.number} already"
                raise row.wrong("path", problem, "name each recording, or stretch of it, once")
            raise row.wrong(
                "start",
                f"{name} from {clip.start:g} s overlaps row {before.number}, which lasts "
                f"{'to its end' if first.end is None else f'until {first.end:g} s'}",
                "let no two rows of a recording overlap",
            )


def check_feature_files(
    told: Told, modality: str, expected: FeatureFile | None, hop: float | None
) -> FeatureFile | None:
    """Check that all files of features of a modality can be read, and are alike.

    Args:
        told: all rows.
        modality: which.
        expected: what they have to be like; None for what the first is like.
        hop: seconds of a step, where files do not tell.

    Returns:
        What reads them; None where there is no file.

    Raises:
        FormatError: one has other columns, or another hop, than expected.
        MienError: one cannot be read.
    """
    column, first = f"{modality}_features", "" if expected is None else "what is asked"
    for row, clip in told:
        if modality not in clip.files:
            continue
        path = clip.files[modality]
        try:
            columns, found = inspect_feature_file(path, hop=expected.hop if expected else hop)
            own = inspect_feature_file(path, hop=hop)[1] if hop is None else found
            expected = expected or FeatureFile(columns=columns, hop=found)
            first = first or f"row {row.number}"
            expected.read(path)
        except MienError as error:
            problem = f"{path.name} {error.problem}"
            raise row.wrong(column, problem, error.advice, type(error)) from error
        if abs(own - expected.hop) > 1e-3 * expected.hop:
            problem = f"{path.name} has steps of {own:.6g} s, {first} has {expected.hop:.6g} s"
            raise row.wrong(column, problem, "extract all files in the same way")
    return expected


def check_times(told: Told, files: Mapping[str, FeatureFile]) -> None:
    """Check ends, channels and ratings against the recordings that they are of.

    A recording that cannot be read is left for later, where it is listed.

    Raises:
        FormatError: a stretch or its ratings and the recording do not fit together.
        OptionError: the recording has not so many channels.
    """
    asked = [(r, c) for r, c in told if c.end is not None or c.channel or c.ratings or c.start]
    if not asked:
        return
    probes: dict[object, Probe | None] = {}
    with Decoder() as decoder:
        for row, clip in asked:
            if clip.path is not None and clip.path not in probes:
                try:
                    probes[clip.path] = decoder.probe(clip.path)
                except MienError:
                    probes[clip.path] = None
            lengths = [_length(files[name], path) for name, path in clip.files.items()]
            _check_times(row, clip, probes.get(clip.path), lengths)


def _length(extractor: FeatureFile, path: Path) -> float:
    """Seconds of a file of features; nothing for one row, which describes whatever length."""
    series = extractor.read(path)
    return len(series) * series.hop if len(series) > 1 else 0.0


def _check_times(row: TableRow, clip: Clip, probe: Probe | None, lengths: list[float]) -> None:
    if probe is not None and clip.channel:
        channels = probe.audio.channels if probe.audio else 0
        if clip.channel > channels:
            problem = f"{clip.channel}, but the recording has {channels}"
            raise row.wrong("channel", problem, "count channels from 1", OptionError)
    lengths += [probe.duration] if probe is not None and probe.duration else []
    duration = max(lengths, default=0.0)
    if not duration:
        end = clip.end
    else:
        for column, time in (("start", clip.start), ("end", clip.end)):
            if time is not None and time > duration + _END_TOLERANCE_S * (column == "end"):
                problem = f"{time:g} s, but the recording ends at {duration:.3f} s"
                raise row.wrong(column, problem, "give seconds within the recording")
        end = duration if clip.end is None else clip.end
    if clip.ratings is not None:
        _check_ratings(row, clip, end)


def _check_ratings(row: TableRow, clip: Clip, end: float | None) -> None:
    assert clip.ratings is not None
    ratings = read_ratings(clip.ratings)
    name, slack = clip.ratings.name, max(2 * ratings.interval, _END_TOLERANCE_S)
    advice = (
        "ratings are in seconds from the recording's time 0; where nobody rated, write a time with "
        "empty ratings, or set start and end"
    )
    if ratings.first > clip.start + slack:
        problem = f"{name} starts at {ratings.first:g} s, the recording at {clip.start:g} s"
        raise row.wrong("ratings", problem, advice)
    if end is not None and ratings.last < end - slack:
        problem = f"{name} ends at {ratings.last:g} s, before the recording at {end:.3f} s"
        raise row.wrong("ratings", problem, advice)


def check_categories(
    told: Told, column: str, path: object, labels: Sequence[str] = ()
) -> list[str]:
    """Check the categories of a column.

    Args:
        told: all rows, with their labels.
        column: where the labels are from.
        path: the table.
        labels: those that are known, where they are given.

    Returns:
        Notices on what is possible but doubtful, sentences.

    Raises:
        FormatError: a row has a label that is not known, no row has any, there is but one category,
            or a category is in one row only, so that it cannot be both trained on and tested.
    """
    rows: dict[str, list[TableRow]] = defaultdict(list)
    people: dict[str, set[str]] = defaultdict(set)
    for row, clip in told:
        if clip.label is not None:
            rows[clip.label].append(row)
            people[clip.label].add(clip.person)
    if labels:
        return _check_known(rows, column, labels, path)
    if len(rows) < 2:
        raise FormatError(
            f"column {column}: all rows are {next(iter(rows))!r}",
            path=str(path),
            advice="a model needs two categories or more to tell apart",
        )
    for label, mine in rows.items():
        if len(mine) == 1:
            problem = f"{label!r} is in this row only, it cannot be both trained on and tested"
            raise mine[0].wrong(
                column, problem, "join it with another category, or empty the field"
            )
    return [
        f"Only {_bare(next(iter(those)))} shows {label}: where that person is tested, no model has "
        "seen it."
        for label, those in people.items()
        if len(those) == 1
    ]


def _check_known(
    rows: Mapping[str, Sequence[TableRow]], column: str, labels: Sequence[str], path: object
) -> list[str]:
    for label, mine in rows.items():
        if label not in labels:
            problem = f"{label!r} is not among the labels {', '.join(labels)}"
            raise mine[0].wrong(column, problem, "empty the field, or use the words of the labels")
    lacking = [label for label in labels if label not in rows]
    if not lacking:
        return []
    return [f"No row has {', '.join(lacking)}; the table has {', '.join(sorted(rows))}."]


def _bare(person: str) -> str:
    return person.split("/", 1)[-1]


def find_modalities(columns: Iterable[str]) -> tuple[str, ...]:
    """Find the modalities of columns of files of features, as ``audio`` of ``audio_features``."""
    suffix = "_features"
    return tuple(c.removesuffix(suffix) for c in columns if c.endswith(suffix) and c != suffix)
