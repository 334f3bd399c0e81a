"""MSP-IMPROV: improvised dialogues of six pairs of actors, rated by five people or more.

Busso, C. et al. (2017). MSP-IMPROV: An acted corpus of dyadic interactions to study emotion
perception. IEEE Transactions on Affective Computing 8(1). Names are
``MSP-IMPROV-S01A-F01-P-FM01``: sentence and the emotion aimed at, actor, scenario, turn. All labels
are in one text, ``Evalution.txt`` (so spelled in the release), where the same clips are called
``UTD-IMPROV-….avi``: a line with the consensus of each clip, then a line of every rater.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from mien.datasets._base import Clip, list_files
from mien.datasets._reading import find_first
from mien.datasets.dataset import Places, register_dataset
from mien.datasets.recordings import RecordingsDataSet, Split
from mien.errors import FormatError, InputError
from mien.models import Task

_EMOTIONS = {"A": "anger", "H": "happiness", "S": "sadness", "N": "neutral"}
_NO_EMOTION = ("O", "X")  # another one, and no agreement
_DIMENSIONS = {"A": "arousal", "V": "valence", "D": "dominance"}
_RATED = {"Angry": "anger", "Happy": "happiness", "Sad": "sadness", "Neutral": "neutral"}
_NUMBER = r"(\d+(?:\.\d+)?|NaN)"
_CONSENSUS = re.compile(
    rf"UTD-IMPROV-(\S+)\.avi;\s*([A-Z]);\s*A:{_NUMBER}\s*;\s*V:{_NUMBER}\s*;\s*D:{_NUMBER}\s*;"
)
_RATER = re.compile(r"([^;]+);\s*(Angry|Happy|Sad|Neutral|Other)\s*;")
_SOURCE = "MSP-IMPROV is given out on request, see its page at ecs.utdallas.edu"


@dataclass
class _Label:
    emotion: str | None
    values: dict[str, float]
    raters: dict[str, str] = field(default_factory=dict)

    def soft_label(self) -> dict[str, float]:
        # A rater may be listed twice for one clip, with the same words: counted once.
        votes = Counter(_RATED[said] for said in self.raters.values() if said in _RATED)
        return {emotion: votes[emotion] / votes.total() for emotion in _EMOTIONS.values() if votes}


def msp_improv_clips(folder: Path) -> list[Clip]:
    """List the turns with face and voice, ``….avi``.

    ``label`` is the consensus, None where there is none of the four. ``soft_label`` are proportions
    of the raters' votes for these four. ``values`` are arousal, valence and dominance from 0
    to 1, averaged over raters; one that nobody rated is left out. The release rates 1 to 5, and
    arousal from active (1) to calm (5): here a value is (x - 1) / 4, and arousal is turned round
    first, 6 - x, so that 1 is active. ``person`` is the actor that the name of the clip names.

    Args:
        folder: the one that holds the text with the labels and, at any depth, the clips.

    Raises:
        InputError: the labels or the clips are not there, or a clip has no label.
        FormatError: a line of the labels is not as published.
    """
    labels = _labels(find_first(folder, ("Evalution.txt", "Evaluation.txt"), _SOURCE))
    clips = []
    for path in list_files(folder, "**/MSP-IMPROV-*.avi", _SOURCE):
        name = path.stem.removeprefix("MSP-IMPROV-")
        if name not in labels:
            raise InputError(
                "has no line among the labels",
                path=path,
                advice="move the file out of the corpus or mend its name",
            )
        label = labels[name]
        actor = name.split("-")[1]
        clips.append(
            Clip(
                path,
                f"msp_improv/{actor}",
                label.emotion,
                "msp_improv",
                soft_label=label.soft_label(),
                values=label.values,
            )
        )
    return clips


def _labels(path: Path) -> dict[str, _Label]:
    labels: dict[str, _Label] = {}
    current: _Label | None = None
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if line.startswith("UTD-IMPROV"):
                name, current = _consensus(line, number, path)
                labels[name] = current
            elif current is not None and (rated := _RATER.match(line)):
                current.raters[rated[1].strip()] = rated[2]
    return labels


def _consensus(line: str, number: int, path: Path) -> tuple[str, _Label]:
    found = _CONSENSUS.match(line)
    if not found or (found[2] not in _EMOTIONS and found[2] not in _NO_EMOTION):
        raise FormatError(f"line {number} is not as published", path=path, advice=_SOURCE)
    values = {}
    for dimension, text in zip(_DIMENSIONS.values(), found.groups()[2:], strict=True):
        rating = float(text)
        if not math.isnan(rating):
            values[dimension] = ((6 - rating if dimension == "arousal" else rating) - 1) / 4
    return found[1], _Label(_EMOTIONS.get(found[2]), values)


@register_dataset("msp_improv")
class MspImprov(RecordingsDataSet):
    """MSP-IMPROV with arousal, valence and dominance from 0 to 1, from its recordings."""

    split_by: Split = "vavl"

    @property
    def note(self) -> str:
        """What the data is."""
        return f"MSP-IMPROV, arousal, valence and dominance from 0 to 1; {self.features_note}."

    def clips(self, places: Places) -> list[Clip]:
        """List all turns."""
        return msp_improv_clips(places.data / "msp_improv")

    def task(self) -> Task:
        """Describe three dimensions."""
        return Task("dimensions", tuple(_DIMENSIONS.values()), "clip", 0.0, 1.0)

    def target(self, clip: Clip) -> Tensor:
        """Return the consensus; NaN where it is missing."""
        values = [clip.values.get(name, float("nan")) for name in self.task().names]
        return torch.tensor(values)
