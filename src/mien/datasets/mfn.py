"""Word-aligned sequences of voice and face as published with the memory fusion network.

Zadeh, A. et al. (2018). Memory fusion network for multi-view sequential learning. AAAI. A step is a
word, a clip 20 steps; the voice is described by COVAREP, the face by Facet. The published parts are
kept. The speakers are not published: ``person`` is the clip, so that only the published parts are
a sound split.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.datasets._reading import read_arrays, sequence_of
from mien.datasets.examples import Example
from mien.errors import FormatError, OptionError
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
_SOURCE = "the sequences are linked from github.com/pliang279/MFN"


def mfn_examples(path: Path, corpus: str) -> list[Example]:
    """All clips of one corpus, in the order train, valid, test.

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
