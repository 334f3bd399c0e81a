"""Anyone's own recordings: a table of them, in CSV.

::

    path,person,emotion,fold
    clips/a.mp4,anna,cheerful,1
    clips/b.mp4,ben,tense,2

UTF-8, separated by commas, names of columns first. Paths are relative to the table. What is missing
is left empty; a row without a label is left out of what is asked per clip.

=================== ===========================================================================
``path``            the recording; may be empty where every modality has a file of features
``person``          who is in it: the same word wherever it is the same person
any label           categories in words of any kind, or numbers: dimensions; several columns of
                    dimensions are several answers
``ratings``         a file of ratings per frame, instead; see `mien.datasets.ratings`
``fold``            any words: each fold is tested once, the others train; a person is in one fold
``part``            instead: ``train``, ``valid``, ``test``
``start``, ``end``  seconds within the recording; several rows may be stretches of one recording
``channel``         the channel of the sound that is the person's, counted from 1
``…_features``      a file of features of a modality, as ``audio_features``; any name does
=================== ===========================================================================

Everything is checked before anything is computed, and an error names file, row (as a spreadsheet
counts, the names of the columns being row 1) and column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from mien.datasets._base import Clip
from mien.datasets._manifest import Asked, Kind, Label, Manifest, Reading
from mien.datasets.dataset import Places, register_dataset
from mien.datasets.examples import Example, cut_segments
from mien.datasets.ratings import Raters, read_ratings
from mien.datasets.recordings import AnyExtractor, RecordingsDataSet
from mien.datasets.splits import Fold, cross_validate, official, rotate_groups
from mien.errors import FormatError, InputError, OptionError
from mien.features.extractor import Extractor
from mien.features.files import FeatureFile
from mien.features.reader import DEFAULT_EXTRACTORS
from mien.layers.time import grid_of
from mien.models import Task
from mien.signals import Signals

__all__ = ["Manifest", "ManifestDataSet", "manifest_template", "read_manifest"]
PLACE = "folder"  # in the context of validation: where the YAML lies that names a manifest


def read_manifest(
    path: str | Path,
    label: Label = None,
    *,
    kind: Kind | None = None,
    labels: Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
    files: Mapping[str, FeatureFile] | None = None,
    hops: Mapping[str, float] | None = None,
) -> Manifest:
    """Read a table of recordings and check all that it says; see the module docstring.

    Args:
        path: the table.
        label: a column of categories or of one dimension; several columns of dimensions; () for
            the files of ``ratings``; None for the column ``emotion``, or ratings without it.
        kind: what a single column holds, where its fields do not tell: whole numbers may be either.
        labels: the categories or dimensions in their order, as a trained model has them; by default
            those of the table, emotions in the order of the vocabulary, other words by the
            alphabet.
        ranges: smallest and largest value of dimensions; by default those of the table.
        files: what files of features have to be like, by modality; by default like the first.
        hops: seconds of a step of files of features that do not tell, by modality.

    Raises:
        InputError: the table, or a file that it names, is not there.
        FormatError: it is no such table, or a field is not what its column asks for.
        OptionError: whole numbers could be categories as well as a dimension.
    """
    columns = label if isinstance(label, str) or label is None else tuple(label)
    return Reading(Path(path), Asked(columns, kind, tuple(labels), ranges, files, hops)).read()


@register_dataset("manifest")
class ManifestDataSet(RecordingsDataSet):
    """Anybody's recordings, named by a table; see the module docstring.

    Attributes:
        features: see `RecordingsDataSet`; None for the files of features that the table names, and
            for recordings those of ``mien analyze``.
        path: of the table: absolute, or relative to the file that names it or to the data folder.
        label: see `read_manifest`, likewise `kind`, `labels` and `ranges`.
        hops: seconds of a step of files of features that do not tell, by modality.
        raters: how several raters of a recording are joined; see
            `mien.datasets.ratings.Ratings.resample`.
        split_by: ``auto`` goes by the column ``fold`` or ``part``, or else by ``people``, five
            folds; the others as of every data set of recordings.
        dev: people of each training part who select the epoch; None for a sixth of them. Zero is
            allowed where people are divided ``auto``.
        count: of folds by ``people`` and where that is free; None for five, or as many as there
            are people where these are fewer.
        length: steps of a segment in training, where labels are per frame.
        stride: steps from one segment to the next.
    """

    features: Mapping[str, AnyExtractor] | None = None  # type: ignore[assignment]
    path: Path = Path("manifest.csv")
    label: Label = None
    kind: Kind | None = None
    labels: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = Field(default_factory=dict)
    hops: Mapping[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    raters: Raters = "mean"
    split_by: Literal["auto", "people", "rotating", "random", "mater", "vavl"] = "auto"  # type: ignore[assignment]
    dev: Annotated[int, Field(ge=0)] | None = None  # type: ignore[assignment]
    count: Annotated[int, Field(ge=1)] | None = None  # type: ignore[assignment]
    length: Annotated[int, Field(ge=2)] = 250
    stride: Annotated[int, Field(ge=1)] = 50

    @field_validator("path")
    @classmethod
    def _beside(cls, path: Path, info: ValidationInfo) -> Path:
        beside = Path((info.context or {}).get(PLACE, ""), path)
        return beside.resolve() if info.context and beside.is_file() else path

    @field_validator("ranges")
    @classmethod
    def _spans(cls, ranges: Mapping[str, tuple[float, float]]) -> Mapping[str, tuple[float, float]]:
        for name, (low, high) in ranges.items():
            if not low < high:
                raise ValueError(
                    f"the range of {name} is {low:g} to {high:g}; give the lower first"
                )
        return ranges

    @property
    def note(self) -> str:
        """What the data is, with what is doubtful about it."""
        notices = self._manifest().notices if self.path.is_file() else ()
        return " ".join([f"The recordings of {self.path.name}; {self.features_note}.", *notices])

    def resolve(self, places: Places | None = None) -> Self:
        """Read the table and fill in what it tells: path, labels, ranges, and files of features.

        Args:
            places: where a relative path is looked up; None for the current folder.

        Raises:
            MienError: the table is not sound; see `read_manifest`.
            OptionError: a modality's features are neither in a file nor computed from a recording.
        """
        found = self.model_copy(update={"path": self._locate(places)})
        manifest = found._manifest()
        return found.model_copy(
            update={
                "label": manifest.label,
                "kind": manifest.task.kind,
                "labels": manifest.task.names,
                "ranges": manifest.ranges,
                "features": found._choose_features(manifest),
            }
        )

    def _locate(self, places: Places | None) -> Path:
        folder = places.data if places is not None else Path()
        for path in (folder / self.path, self.path):
            if path.is_file():
                return path.resolve()
        raise InputError(
            "is not there",
            path=folder / self.path,
            advice="give the path of a table of recordings; mien train --template manifest",
        )

    def _manifest(self) -> Manifest:
        path = self._locate(None)
        asked = (self.label, self.kind, self.labels, tuple(self.ranges.items()), self._files())
        return _read_once(path, path.stat().st_mtime_ns, *asked, tuple(self.hops.items()))

    def _files(self) -> tuple[tuple[str, FeatureFile], ...]:
        """Files of features that were asked for, as by a trained model."""
        given = self.features or {}
        return tuple((m, e) for m, e in given.items() if isinstance(e, FeatureFile))

    def _choose_features(self, manifest: Manifest) -> dict[str, Extractor]:
        chosen: dict[str, Extractor] = dict(manifest.files)
        if self.features is not None:
            chosen = dict(self.features)
        elif manifest.has_recordings:
            chosen = {**DEFAULT_EXTRACTORS, **manifest.files}
        computed = [name for name, one in chosen.items() if one.source != "file"]
        for name in chosen:
            if name not in computed and name not in manifest.files:
                raise OptionError(
                    f"has no file of {name} features",
                    path=manifest.path,
                    advice=f"name them in a column {name}_features",
                )
        for number, clip in zip(manifest.rows, manifest.clips, strict=True):
            if computed and clip.path is None:
                raise FormatError(
                    f"row {number}, column path: is empty, but {', '.join(computed)} is read from "
                    "the recording",
                    path=manifest.path,
                    advice=f"name the recording, or files in {computed[0]}_features",
                )
        return chosen

    def extractors(self) -> dict[str, Extractor]:
        """Return those of `features`, or of the table; the default ones while there is no table."""
        if self.features is None and self.path.is_file():
            return self._choose_features(self._manifest())
        return dict(DEFAULT_EXTRACTORS if self.features is None else self.features)

    def clips(self, places: Places | None = None) -> list[Clip]:
        """List the recordings of the table.

        Raises:
            MienError: the table is not sound; see `read_manifest`.
        """
        clips = self.resolve(places)._manifest().clips
        return list(clips)

    def task(self) -> Task:
        """Describe categories or dimensions, of the table unless options say all of it."""
        label, names = self.label, self.labels
        if not names and label and not isinstance(label, str):
            names = label
        kind = self.kind or ("dimensions" if isinstance(label, tuple) else None)
        if names and kind == "categories":
            return Task("categories", names)
        if names and kind == "dimensions" and {*names} <= {*self.ranges}:
            ranges = {name: self.ranges[name] for name in names}
            return Task("dimensions", names, "clip" if label else "frame", ranges=ranges)
        return self._manifest().task

    def target(self, clip: Clip) -> Tensor | None:
        """Return the category or the dimensions; None where they are missing."""
        task = self.task()
        if task.kind == "categories":
            return super().target(clip)
        if not {*task.names} & {*clip.values}:
            return None
        return torch.tensor([clip.values.get(name, float("nan")) for name in task.names])

    def frame_target(self, clip: Clip, signals: Signals) -> Tensor:
        """Return the ratings on the grid of the finest hop, ``(steps, dimensions)``."""
        assert clip.ratings is not None
        hop, steps = grid_of(signals.values())
        rated = read_ratings(clip.ratings).resample(
            hop, steps, start=clip.start, dimensions=self.task().names, raters=self.raters
        )
        return torch.from_numpy(rated).float()

    def pieces(self, example: Example) -> list[Example]:
        """Cut segments where labels are per frame."""
        if self.task().per == "frame":
            return cut_segments(example, self.length, self.stride)
        return [example]

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Divide people by `split_by`."""
        parts = {example.part for example in examples} if self.split_by == "auto" else {""}
        if self.split_by not in ("auto", "people"):
            filled = {"dev": self.dev or 1, "count": self.count or 5}
            return RecordingsDataSet.split(self.model_copy(update=filled), examples)
        if parts <= {""}:
            return cross_validate({e.person for e in examples}, self.count, self.dev)
        if parts <= {"train", "valid", "test"}:
            return (official(examples),)
        groups: dict[str, set[str]] = {part: set() for part in sorted(parts)}
        for example in examples:
            groups[example.part].add(example.person)
        return rotate_groups({k: sorted(v) for k, v in groups.items()}, self.dev, name="fold")


@lru_cache(maxsize=16)
def _read_once(
    path: Path,
    changed_ns: int,
    label: Label,
    kind: Kind | None,
    labels: tuple[str, ...],
    ranges: tuple[tuple[str, tuple[float, float]], ...],
    files: tuple[tuple[str, FeatureFile], ...],
    hops: tuple[tuple[str, float], ...],
) -> Manifest:
    del changed_ns
    return read_manifest(
        path,
        label,
        kind=kind,
        labels=labels,
        ranges=dict(ranges),
        files=dict(files),
        hops=dict(hops),
    )


def manifest_template() -> str:
    """Return a commented experiment on a manifest of one's own, in YAML, to start from."""
    return (Path(__file__).parent / "manifest.yaml").read_text(encoding="utf-8")
