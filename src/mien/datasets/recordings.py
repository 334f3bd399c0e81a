"""Data sets of recordings: features come from extractors by name and are cached on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, PlainSerializer, PlainValidator, field_validator
from torch import Tensor

from mien.datasets._base import Clip
from mien.datasets.dataset import DataSet, Examples, Places, Progress, Shape, Unreadable
from mien.datasets.degraded import CLEAN, CONDITIONS, create_degradation
from mien.datasets.examples import Example
from mien.datasets.splits import (
    Fold,
    cross_validate,
    folds_of_people,
    mater_folds,
    official,
    rotating_folds,
    sfav_folds,
    vavl_partitions,
)
from mien.errors import InputError, MienError, PluginError
from mien.features.cache import FeatureCache, content_digest
from mien.features.extract import to_signals
from mien.features.extractor import Extractor, create_extractor
from mien.features.reader import DEFAULT_EXTRACTORS, Reader
from mien.features.series import Series
from mien.missing.raw import RawOperation
from mien.models import Task
from mien.signals import Signals

LONGEST_S = 4.0  # of a usual clip, for synthetic ones
Split = Literal["people", "rotating", "sfav", "mater", "vavl", "official", "random"]


def _choose(given: object) -> Extractor:
    """Choose an extractor by its name, or by its name and settings."""
    if isinstance(given, Extractor):
        return given
    settings = {"name": given} if isinstance(given, str) else given
    if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
        raise ValueError("an extractor is written as its name, or {name: …} with its settings")
    others = {str(key): value for key, value in settings.items() if key != "name"}
    try:
        return create_extractor(settings["name"], **others)
    except MienError as error:
        raise ValueError(str(error)) from error


def _describe(extractor: Extractor) -> dict[str, Any]:
    return {"name": extractor.name, **extractor.settings}


AnyExtractor = Annotated[
    Extractor, PlainValidator(_choose), PlainSerializer(_describe, return_type=dict[str, Any])
]


@dataclass(frozen=True)
class Job:
    """Clips to be read, and how.

    Attributes:
        clips: with their labels.
        condition: what their recordings suffer first; see `mien.datasets.degraded`.
    """

    clips: Sequence[Clip]
    condition: str = CLEAN


@dataclass(frozen=True)
class _Source:
    """Where the features of clips come from."""

    cache: FeatureCache
    reader: Reader
    operation: RawOperation | None

    def get(self, clip: Clip) -> dict[str, Series]:
        """Compute the features of a clip, of its stretch only."""
        through = None
        if self.operation is not None:
            # The same recording suffers the same, wherever it lies and in whichever order it comes.
            content = int(content_digest(clip.main_file)[:16], 16)
            seed = int(np.random.SeedSequence([0, content]).generate_state(1)[0])
            through = (f"{self.operation!r} seed={seed}", partial(self.operation, seed=seed))
        series = self.cache.get(
            clip.main_file,
            self.reader,
            channel=clip.channel,
            through=through,
            files={n: f for n, f in clip.files.items() if n in self.reader.file_modalities},
        )
        return {name: one.cut(clip.start, clip.end) for name, one in series.items()}


class RecordingsDataSet(DataSet):
    """Base of data sets of recordings.

    Attributes:
        features: how the features of each modality are made: an extractor's name, or its name and
            settings, as ``{audio: mfcc, video: {name: face_crops, size_px: 48}}``. A modality that
            is not named is not read. By default voice and face as in ``mien analyze``.
        split_by: how people are divided: ``people``, cross-validation, everybody tested once;
            ``rotating``, the same with `test` and `dev` people each; ``random``; ``official``
            parts; or as of ``sfav``, ``mater`` and ``vavl``.
        test: people in each test part, of ``rotating`` and ``random``.
        dev: likewise of those that select the epoch.
        count: of folds, where that is free.
    """

    features: Mapping[str, AnyExtractor] = Field(default_factory=lambda: dict(DEFAULT_EXTRACTORS))
    split_by: Split = "rotating"
    test: Annotated[int, Field(ge=1)] = 2
    dev: Annotated[int, Field(ge=0)] = 1
    count: Annotated[int, Field(ge=1)] = 5

    @field_validator("features")
    @classmethod
    def _anything(cls, features: Mapping[str, Extractor] | None) -> Mapping[str, Extractor] | None:
        if features is not None and not features:
            raise ValueError("name an extractor of at least one modality")
        return features

    @property
    def features_note(self) -> str:
        """A clause on the features, for `note`."""
        return "features: " + ", ".join(
            f"{modality} {extractor.name} in steps of {extractor.hop:.3g} s"
            for modality, extractor in self.extractors().items()
        )

    def clips(self, places: Places) -> list[Clip]:
        """Read the list of recordings and their labels."""
        raise NotImplementedError

    def task(self) -> Task:
        """Describe what is asked."""
        raise NotImplementedError

    def target(self, clip: Clip) -> Tensor | None:
        """Return the label of a clip; None where it is missing, or not one of the task's."""
        names = self.task().names
        if clip.label not in names:
            return None
        return torch.tensor(names.index(clip.label))

    def frame_target(self, clip: Clip, signals: Signals) -> Tensor:
        """Return a label for each frame of signals that were read, for tasks per frame."""
        raise NotImplementedError

    def extractors(self) -> dict[str, Extractor]:
        """Return those of `features`."""
        return dict(self.features)

    def shape(self) -> Shape:
        """Describe the features of each modality as its extractor says."""
        extractors = self.extractors()
        return Shape(
            self.task(),
            {name: extractor.shape for name, extractor in extractors.items()},
            {name: extractor.hop for name, extractor in extractors.items()},
            {n: max(2, round(LONGEST_S / e.hop)) for n, e in extractors.items()},
        )

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> Examples:
        """Read all labelled clips of which anything was observed."""
        return self.read(Job(self.clips(places)), places, progress, strict=strict)

    def read(
        self, job: Job, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> Examples:
        """Read the labelled ones of some clips, as far as anything of them was observed.

        Raises:
            InputError: there are clips, and none can be read.
            PluginError: likewise, because of a plugin.
            MienError: the first of them that cannot be read, if `strict`.
        """
        operation = create_degradation(job.condition, places.data)
        frames = self.task().per == "frame"
        wanted = [c for c in job.clips if (frames and c.ratings) or self.target(c) is not None]
        cache, out = FeatureCache(places.cache), list[Example]()
        unreadable, unobserved = list[Unreadable](), list[Path]()
        with Reader(self.extractors()) as reader:
            for done, clip in enumerate(wanted, start=1):
                try:
                    example = self._read_clip(clip, _Source(cache, reader, operation))
                except MienError as error:
                    if strict:
                        raise
                    unreadable.append(Unreadable(clip.main_file, error))
                else:
                    if example.observed:
                        out.append(example)
                    else:
                        unobserved.append(clip.main_file)
                if progress is not None:
                    progress(done, len(wanted))
        if unreadable and len(unreadable) == len(wanted):
            if isinstance(unreadable[0].error, PluginError):
                raise unreadable[0].error
            raise InputError(
                f"none of {len(wanted)} recordings can be read; the first: {unreadable[0].error}",
                path=unreadable[0].path.parent,
                advice="mend the recordings",
            ) from unreadable[0].error
        return Examples(out, unreadable, unobserved)

    def _read_clip(self, clip: Clip, source: _Source) -> Example:
        signals = to_signals(source.get(clip))
        if self.task().per == "frame":
            target: Tensor | None = self.frame_target(clip, signals)
        else:
            target = self.target(clip)
        assert target is not None
        return Example(clip.full_name, clip.person, signals, target, clip.part)

    def degrade(self, places: Places) -> Mapping[str, Callable[[], Examples]]:
        """Name the variants of the examples, one for each condition of `mien.datasets.degraded`."""
        return {name: partial(self._load_degraded, places, name) for name in CONDITIONS}

    def _load_degraded(self, places: Places, condition: str) -> Examples:
        return self.read(Job(self.clips(places), condition), places)

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Divide people by `split_by`."""
        people = sorted({example.person for example in examples})
        seeds = range(self.count)
        ways: dict[Split, Callable[[], tuple[Fold, ...]]] = {
            "people": lambda: cross_validate(people),
            "sfav": sfav_folds,
            "mater": lambda: mater_folds(people, self.count),
            "vavl": lambda: vavl_partitions(people, self.count),
            "official": lambda: (official(examples),),
            "random": lambda: tuple(
                folds_of_people(people, test=self.test, dev=self.dev, seed=s) for s in seeds
            ),
            "rotating": lambda: rotating_folds(people, self.test, self.dev),
        }
        return ways[self.split_by]()
