"""Word-aligned sequences of voice and face as published with the memory fusion network.

Zadeh, A. et al. (2018). Memory fusion network for multi-view sequential learning. AAAI. A step is a
word, a clip 20 steps; the voice is described by COVAREP, the face by Facet. The published parts are
kept. The speakers are not published: ``person`` is the clip, so that only the published parts are
a sound split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.datasets._reading import read_arrays, sequence_of
from mien.datasets.dataset import DataSet, Places, Progress, Shape, pair_sizes, register_dataset
from mien.datasets.examples import Example
from mien.datasets.published import create_published_extractors
from mien.datasets.splits import Fold, official
from mien.errors import FormatError, OptionError
from mien.features.extractor import Extractor
from mien.models import Task
from mien.schema import AUDIO, VIDEO
from mien.signals import Signals

PARTS = ("train", "valid", "test")
WORD_SECONDS = 0.3  # a step is a word, of which two to four are spoken in a second
SENTIMENTS = ("negative", "neutral", "positive")
# Names of the numbers of a target; POM's seventeen ratings are published without their names.
MFN_NAMES = {
    "mmmo": ("sentiment",),
    "pom": tuple(f"rating_{number:02d}" for number in range(1, 18)),
    "youtube": SENTIMENTS,
}
_SIZES = MappingProxyType({"mmmo": (74, 36), "pom": (43, 41), "youtube": (74, 36)})
_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"mmmo": (1.0, 5.0), "pom": (1.0, 7.0)}
)
_STEPS = 20
_SOURCE = "the sequences are linked from github.com/pliang279/MFN"


def mfn_examples(path: Path, corpus: str) -> list[Example]:
    """Read all clips of one corpus, in the order train, valid, test.

    A step at which a modality is all zeros, or not finite, was not observed. Clips of which nothing
    at all was observed are kept (191 of the 269 of YouTube; `Example.observed` tells them): whoever
    measures has to say what becomes of them. Half of the clips of POM have no face.

    Args:
        path: an ``.npz`` with ``audio_train`` ``(n, time, width)``, ``video_train`` and
            ``labels_train``, and the same of ``valid`` and ``test``.
        corpus: ``mmmo`` (sentiment, 1 to 5), ``pom`` (17 ratings, up to 7) or ``youtube`` (an index
            into `SENTIMENTS`).

    Returns:
        Examples with the names of `MFN_NAMES`; the hop is a word's mean length, 0.3 s.

    Raises:
        InputError: the file is not there.
        FormatError: an array is missing or of another shape.
        OptionError: the corpus is none of these.
    """
    if corpus not in MFN_NAMES:
        raise OptionError(f"no corpus {corpus}", advice=f"one of {', '.join(MFN_NAMES)}")
    kinds = (AUDIO, VIDEO, "labels")
    archive = read_arrays(path, [f"{kind}_{part}" for part in PARTS for kind in kinds], _SOURCE)
    examples = []
    for part in PARTS:
        voice, face, labels = (archive[f"{kind}_{part}"] for kind in kinds)
        if not (voice.ndim == face.ndim == 3 and len(voice) == len(face) == len(labels)):
            raise FormatError(
                f"audio {voice.shape}, video {face.shape} and labels {labels.shape} of {part} "
                "do not belong together",
                path=path,
                advice=_SOURCE,
            )
        targets = _targets(labels, corpus, path)
        for index, target in enumerate(targets):
            signals = {
                AUDIO: sequence_of(voice[index], WORD_SECONDS),
                VIDEO: sequence_of(face[index], WORD_SECONDS),
            }
            clip = f"{corpus}/{part}/{index:05d}"
            examples.append(Example(clip, clip, Signals(signals), target, part))
    return examples


def _targets(labels: NDArray[np.floating], corpus: str, path: Path) -> Tensor:
    flat = labels.reshape(len(labels), -1)
    if flat.shape[1] != len(MFN_NAMES[corpus]):
        raise FormatError(
            f"{flat.shape[1]} labels a clip, not {len(MFN_NAMES[corpus])} as in {corpus}",
            path=path,
            advice=_SOURCE,
        )
    if corpus != "youtube":
        return torch.from_numpy(flat.astype(np.float32))
    if not (np.isin(flat, (0, 1)).all() and (flat.sum(1) == 1).all()):
        raise FormatError("labels are not one of three each", path=path, advice=_SOURCE)
    return torch.from_numpy(flat.argmax(1).astype(np.int64))


@register_dataset("mfn")
class MfnSequences(DataSet):
    """Word-aligned COVAREP and Facet sequences of 20 steps with official parts.

    Attributes:
        corpus: which.
    """

    corpus: Literal["mmmo", "pom", "youtube"] = "mmmo"

    @property
    def note(self) -> str:
        """What the data is."""
        return {
            "mmmo": "MMMO, 220/40/80 clips, sentiment 1 to 5, official parts: a stand-in for "
            "CMU-MOSEI with the same kinds of features. Binary accuracy is over the middle, 3.",
            "pom": "POM, 600/100/203 clips, 17 ratings 1 to 7, official parts; half of its clips "
            "have no face.",
            "youtube": "YouTube, negative, neutral and positive, official parts; only the 78 of "
            "269 clips of which anything was observed.",
        }[self.corpus]

    def shape(self) -> Shape:
        """Describe the sentiment, ratings or three classes; 20 words."""
        names = MFN_NAMES[self.corpus]
        if self.corpus == "youtube":
            task = Task("categories", names)
        else:
            low, high = _RANGES[self.corpus]
            middle = (low + high) / 2
            task = Task("dimensions", names, "clip", low - middle, high - middle)
        hops = {AUDIO: WORD_SECONDS, VIDEO: WORD_SECONDS}
        steps = {AUDIO: _STEPS, VIDEO: _STEPS}
        return Shape(task, pair_sizes(*_SIZES[self.corpus]), hops, steps)

    def extractors(self) -> dict[str, Extractor]:
        """Return extractors of published features."""
        return create_published_extractors(self.corpus, self.shape())

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> list[Example]:
        """Read the clips of which anything was observed; numbers are from the middle of a range."""
        found = mfn_examples(places.data / "mfn_sequences" / f"{self.corpus}.npz", self.corpus)
        seen = [example for example in found if example.observed]
        if self.corpus == "youtube":
            return seen
        low, high = _RANGES[self.corpus]
        middle = (low + high) / 2
        return [replace(example, target=example.target - middle) for example in seen]

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Return the official parts."""
        return (official(examples),)
