"""RECOLA as given out for AVEC 2016: five minutes each of 27 people, labelled every 40 ms.

Ringeval, F. et al. (2013). Introducing the RECOLA multimodal corpus. FG; Valstar, M. et al. (2016).
AVEC 2016. AVEC@MM. The gold standard is in ``ratings_gold_standard/{arousal,valence}``, features of
one kind in a folder each, as ``features_audio/{arousal,valence}`` with statistics over windows
chosen for one of the two dimensions; a file of each recording, ``train_1.arff`` to ``dev_9.arff``.
Comma- or semicolon-separated tables of the same names are read as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field

from mien.datasets._arff import read_arff
from mien.datasets._reading import find_first, read_table, require, sequence_of
from mien.datasets.continuous import ContinuousDataSet
from mien.datasets.dataset import Places, Progress, Shape, pair_sizes, register_dataset
from mien.datasets.examples import Example
from mien.datasets.published import create_published_extractors
from mien.datasets.splits import Fold, avec2016
from mien.errors import FormatError, InputError
from mien.features.extractor import Extractor
from mien.schema import AUDIO, DIMENSIONS, VIDEO
from mien.signals import Signals

FRAME_SECONDS = 0.04
RECOLA_FEATURES: Mapping[str, str] = MappingProxyType(
    {AUDIO: "features_audio/arousal", VIDEO: "features_video_geometric/arousal"}
)
_PARTS = {"train": "train", "dev": "valid"}
_NO_FEATURES = ("name", "instance_name", "frametime", "frame_time", "time")
_SUFFIXES = (".arff", ".csv")
_SOURCE = "RECOLA is given out on request, see diuf.unifr.ch/main/diva/recola"


def recola_examples(folder: Path, features: Mapping[str, str] = RECOLA_FEATURES) -> list[Example]:
    """List the recordings that have a gold standard, 18 of them, one label every 40 ms.

    The target is ``(frames, 2)``, arousal and valence from -1 to 1; NaN where a rating is missing.
    A modality that ends before the labels is not observed from there on; where the face was not
    found, the published features are zeros, which counts as not observed. The ratings lag behind
    what was rated by seconds; they are given as published.

    Args:
        folder: holds ``ratings_gold_standard`` and the folders of the features.
        features: the folder of each modality's features; a modality may be left out.

    Raises:
        InputError: a folder or a file is not there.
        FormatError: a file is not of this layout, or not at 25 frames a second.
    """
    gold = [require(folder / "ratings_gold_standard" / name, _SOURCE) for name in DIMENSIONS]
    for name in features.values():
        require(folder / name, _SOURCE)
    recordings = {
        path.stem: _PARTS[path.stem.split("_")[0]]
        for path in sorted(gold[0].iterdir())
        if path.suffix in _SUFFIXES and path.stem.split("_")[0] in _PARTS
    }
    if not recordings:
        raise InputError("holds no train_… or dev_…", path=gold[0], advice=_SOURCE)
    return [
        _example(folder, recording, part, gold, features) for recording, part in recordings.items()
    ]


def _example(
    folder: Path, recording: str, part: str, gold: list[Path], features: Mapping[str, str]
) -> Example:
    ratings = [_numbers(where, recording) for where in gold]
    for where, column in zip(gold, ratings, strict=True):
        if column.shape[1] != 1 or len(column) != len(ratings[0]):
            raise FormatError(
                f"{recording} has ratings {column.shape}, not ({len(ratings[0])}, 1)",
                path=where,
                advice=_SOURCE,
            )
    target = torch.from_numpy(np.concatenate(ratings, axis=1).astype(np.float32))
    signals = {
        modality: sequence_of(
            _to_length(_numbers(folder / name, recording), len(target)), FRAME_SECONDS
        )
        for modality, name in features.items()
    }
    return Example(f"recola/{recording}", f"recola/{recording}", Signals(signals), target, part)


def _to_length(values: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    lacking = np.full((max(frames - len(values), 0), values.shape[1]), np.nan)
    return np.concatenate([values[:frames], lacking])


def _numbers(folder: Path, recording: str) -> NDArray[np.float64]:
    """Return the columns of a recording's file that are neither its name nor the time."""
    path = find_first(folder, [recording + suffix for suffix in _SUFFIXES], _SOURCE)
    table = read_arff(path) if path.suffix == ".arff" else _read_separated(path)
    by_name = {str(column).strip().lower(): column for column in table.columns}
    times = [by_name[name] for name in _NO_FEATURES[2:] if name in by_name]
    # Times are printed to two or three decimals.
    if times and not np.allclose(np.diff(table[times[0]]), FRAME_SECONDS, atol=0.011):
        raise FormatError("is not at 25 frames a second", path=path, advice=_SOURCE)
    kept = [column for name, column in by_name.items() if name not in _NO_FEATURES]
    try:
        numbers: NDArray[np.float64] = table[kept].to_numpy(dtype=np.float64)
    except ValueError as error:
        raise FormatError(f"holds more than numbers ({error})", path=path) from error
    return numbers


def _read_separated(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8", errors="replace") as file:
        separator = ";" if ";" in file.readline() else ","
    return read_table(path, (), _SOURCE, separator)


@register_dataset("recola")
class Recola(ContinuousDataSet):
    """RECOLA as of AVEC 2016; nine people to train on, the nine of dev select and are measured.

    Praveen et al. (2021, section IV) move the ratings to make up for the raters' delay, those that
    are scored as well; here only those that are learned from move, and what is scored never does.

    Attributes:
        delay: seconds that ratings lag behind, taken off in training. Answers then come early by as
            much, until the ``shift`` of an experiment's post-processing, chosen on the training
            part, puts them back.
    """

    length: Annotated[int, Field(ge=2)] = 128
    stride: Annotated[int, Field(ge=1)] = 64
    delay: Annotated[float, Field(ge=0, le=10)] = 0.0

    @property
    def note(self) -> str:
        """What the data is."""
        moved = (
            f" Raters lag behind: models learn to answer the rating of {self.delay:g} s later; the "
            "ratings that are scored are as published."
        )
        return (
            "RECOLA, AVEC 2016: trained on train, selected and measured on dev, as papers do, "
            f"since the labels of test were never published.{moved if self.delay else ''}"
        )

    def shape(self) -> Shape:
        """Return extractors of the published features of AVEC 2016."""
        hops, steps = {AUDIO: FRAME_SECONDS, VIDEO: FRAME_SECONDS}, {AUDIO: 128, VIDEO: 128}
        return Shape(self.task(), pair_sizes(88, 632), hops, steps)

    def extractors(self) -> dict[str, Extractor]:
        """Return extractors of published features."""
        return create_published_extractors("recola", self.shape())

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> list[Example]:
        """Read the 18 labelled recordings."""
        return self.select(recola_examples(places.data / "recola"))

    def pieces(self, example: Example) -> list[Example]:
        """Cut overlapping segments, with the ratings of `delay` later; the last are missing."""
        shift = round(self.delay / FRAME_SECONDS)
        target = torch.full_like(example.target, float("nan"))
        target[: max(0, len(target) - shift)] = example.target[shift:]
        return super().pieces(replace(example, target=target))

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Return train and dev; nobody else is measured."""
        del examples
        return (avec2016(),)
