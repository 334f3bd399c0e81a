"""CMU-MOSEI: opinions on video, each sentence with sentiment and six emotions.

Zadeh, A. et al. (2018). Multimodal language analysis in the wild. ACL. Read from the computational
sequences (``.csd``, which is HDF5) of the CMU Multimodal SDK: a group of each video with
``features`` ``(steps, width)`` and ``intervals`` ``(steps, 2)`` in seconds.
"""

from __future__ import annotations

import ast
import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mien.datasets._reading import find_first, require, sequence_of
from mien.datasets.dataset import DataSet, Places, Progress, Shape, pair_sizes, register_dataset
from mien.datasets.examples import Example
from mien.datasets.published import create_published_extractors
from mien.datasets.splits import Fold, official
from mien.errors import FormatError, InputError, OptionError
from mien.features.extractor import Extractor
from mien.models import Task
from mien.schema import AUDIO, VIDEO
from mien.signals import Signals

MOSEI_NAMES = ("sentiment", "happiness", "sadness", "anger", "surprise", "disgust", "fear")
_FILES = {
    AUDIO: ("CMU_MOSEI_COVAREP.csd", "COVAREP.csd"),
    VIDEO: ("CMU_MOSEI_VisualFacet42.csd", "FACET 4.2.csd"),
    "labels": ("CMU_MOSEI_Labels.csd", "All Labels.csd"),
}
_FOLDS = "cmu_mosei_std_folds.py"
_FOLD_NAMES = {
    "standard_train_fold": "train",
    "standard_valid_fold": "valid",
    "standard_test_fold": "test",
}
_SOURCE = "get it with github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK"
_FOLDS_SOURCE = f"{_SOURCE}, which has it in mmsdk/mmdatasdk/dataset/standard_datasets/CMU_MOSEI"
STEP_SECONDS = 0.3  # about a word
_STEPS = 24  # a sentence of about seven seconds


def mosei_examples(
    folder: Path, names: tuple[str, ...] = ("sentiment",), hop: float = STEP_SECONDS
) -> list[Example]:
    """Read every labelled sentence: voice (COVAREP, 74 numbers) and face (Facet, 35).

    Voice comes at 100 Hz and face at 30 Hz; both are averaged over steps of ``hop`` seconds, by
    default about a word, which is what papers align to. Readings that are not finite (COVAREP's
    logarithms of silence) or all zeros are left out of the mean; a step without any is not
    observed. The target are the numbers of ``names``: sentiment from -3 to 3, an emotion from 0 to
    3. The speakers are not published: ``person`` is the video.

    Args:
        folder: holds the ``.csd`` files of COVAREP, Facet 4.2 and the labels, under the names of
            the release or of the SDK, and the SDK's list of the standard folds,
            ``cmu_mosei_std_folds.py``, which is read as text and never run. A video that the list
            lacks has no part.
        names: out of `MOSEI_NAMES`.
        hop: seconds of a step.

    Raises:
        InputError: a file is missing, or the package h5py is.
        FormatError: a file is not of this layout.
        OptionError: a name is unknown.
    """
    if not names or not set(names) <= set(MOSEI_NAMES) or not hop > 0:
        raise OptionError(
            f"names {names} and hop {hop}",
            advice=f"give names out of {', '.join(MOSEI_NAMES)} and a positive hop",
        )
    paths = {kind: find_first(folder, tried, _SOURCE) for kind, tried in _FILES.items()}
    parts = _parts(require(folder / _FOLDS, _FOLDS_SOURCE))
    with ExitStack() as opened:
        labels, voice, face = (
            opened.enter_context(closing(_Sequences(paths[kind])))
            for kind in ("labels", AUDIO, VIDEO)
        )
        if labels.width != len(MOSEI_NAMES):
            raise FormatError(
                f"{labels.width} labels, not {len(MOSEI_NAMES)}", path=labels.path, advice=_SOURCE
            )
        columns = [MOSEI_NAMES.index(name) for name in names]
        return [
            replace(example, target=example.target[columns], part=parts.get(video, ""))
            for video in labels
            for example in _sentences(video, labels, {AUDIO: voice, VIDEO: face}, hop)
        ]


def _sentences(
    video: str, labels: _Sequences, modalities: Mapping[str, _Sequences], hop: float
) -> Iterator[Example]:
    """List the labelled sentences of a video in order of time, with all their numbers."""
    numbers, spans = labels.of(video)
    read = {kind: sequences.of(video) for kind, sequences in modalities.items()}
    for index in np.argsort(spans[:, 0], kind="stable"):
        signals = {
            kind: sequence_of(_average(*pair, spans[index], hop), hop)
            for kind, pair in read.items()
        }
        target = torch.from_numpy(numbers[index].astype(np.float32))
        clip = f"mosei/{video}/{spans[index, 0]:.3f}"
        yield Example(clip, f"mosei/{video}", Signals(signals), target)


class _Sequences:
    """A file of computational sequences, read a video at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _hdf5(path)
        try:
            self._data = next(iter(self._file.values()))["data"]
            self.width = int(next(iter(self._data.values()))["features"].shape[1])
        except (KeyError, StopIteration, AttributeError, IndexError, TypeError) as error:
            raise FormatError(
                "holds no computational sequence", path=path, advice=_SOURCE
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._data))

    def of(self, video: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Read features ``(steps, width)`` and intervals ``(steps, 2)``; empty if unknown."""
        if video not in self._data:
            return np.empty((0, self.width)), np.empty((0, 2))
        group = self._data[video]
        try:
            features = np.asarray(group["features"], dtype=np.float64)
            intervals = np.asarray(group["intervals"], dtype=np.float64)
        except KeyError as error:
            raise FormatError(f"{video} lacks {error}", path=self.path, advice=_SOURCE) from error
        if features.shape[1:] != (self.width,) or intervals.shape != (len(features), 2):
            raise FormatError(
                f"{video} has features {features.shape} and intervals {intervals.shape}",
                path=self.path,
                advice=_SOURCE,
            )
        return features, intervals


def _hdf5(path: Path) -> Any:  # noqa: ANN401 - h5py is optional
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise InputError(
            "cannot be read without the package h5py", path=path, advice="pip install h5py"
        ) from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FormatError(f"is no HDF5 file ({error})", path=path, advice=_SOURCE) from error


def _average(
    features: NDArray[np.float64],
    intervals: NDArray[np.float64],
    span: NDArray[np.float64],
    hop: float,
) -> NDArray[np.float64]:
    """Means over the steps of a span, by the middle of each reading; NaN where there is none."""
    start, end = span
    steps = max(1, math.ceil(round((end - start) / hop, 3)))
    middle = intervals.mean(axis=1)
    usable = (middle >= start) & (middle < end)
    usable &= np.isfinite(features).all(axis=1) & (features != 0).any(axis=1)
    step = np.minimum(((middle[usable] - start) / hop).astype(np.int64), steps - 1)
    total = np.zeros((steps, features.shape[1]))
    np.add.at(total, step, features[usable])
    count = np.bincount(step, minlength=steps)[:, None]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _parts(path: Path) -> dict[str, str]:
    """Find the official part of every video, out of assignments of lists of names."""
    parts: dict[str, str] = {}
    try:
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(statement, ast.Assign):
                continue
            for name in statement.targets:
                if isinstance(name, ast.Name) and name.id in _FOLD_NAMES:
                    part = _FOLD_NAMES[name.id]
                    parts |= dict.fromkeys(ast.literal_eval(statement.value), part)
    except (SyntaxError, ValueError, TypeError) as error:
        raise FormatError(f"is no list of folds ({error})", path=path, advice=_SOURCE) from error
    if set(parts.values()) != set(_FOLD_NAMES.values()):
        raise FormatError(f"lacks one of {', '.join(_FOLD_NAMES)}", path=path, advice=_SOURCE)
    return parts


@register_dataset("cmu_mosei")
class CmuMosei(DataSet):
    """CMU-MOSEI's sentences, read from the SDK's computational sequences in ``cmu_mosei``."""

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "CMU-MOSEI, sentences with a sentiment from -3 to 3; voice (COVAREP, 74 numbers) and "
            f"face (Facet, 35) of the SDK, averaged over steps of {STEP_SECONDS:g} s; the SDK's "
            "standard parts, without the videos that are in none of them."
        )

    def shape(self) -> Shape:
        """Describe the sentiment; about seven seconds."""
        task = Task("dimensions", ("sentiment",), "clip", -3.0, 3.0)
        hops = {AUDIO: STEP_SECONDS, VIDEO: STEP_SECONDS}
        return Shape(task, pair_sizes(74, 35), hops, dict.fromkeys(hops, _STEPS))

    def extractors(self) -> dict[str, Extractor]:
        """Return extractors of published features."""
        return create_published_extractors("cmu_mosei", self.shape())

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> list[Example]:
        """Read the sentences of the standard parts of which anything was observed."""
        found = mosei_examples(places.data / "cmu_mosei")
        return [example for example in found if example.part and example.observed]

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Return the standard parts."""
        return (official(examples),)
