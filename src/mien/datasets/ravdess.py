"""RAVDESS speech: North American English, eight acted emotions, 24 actors.

Livingstone, S. R. and Russo, F. A. (2018). The Ryerson Audio-Visual Database of Emotional Speech
and Song. PLoS ONE 13(5). Names are ``MM-VV-EE-II-SS-RR-AA``: modality (01 face and voice, 02 face,
03 voice), channel (01 speech), emotion, intensity, statement, repetition, actor; odd actors are
men. The three modalities of a clip are one recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from mien.datasets._base import Clip, decode_emotion, list_files
from mien.datasets._reading import read_arrays, sequence_of
from mien.datasets.dataset import DataSet, Places, Progress, Shape, pair_sizes, register_dataset
from mien.datasets.examples import Example
from mien.datasets.published import create_published_extractors
from mien.datasets.recordings import RecordingsDataSet, Split
from mien.datasets.splits import Fold, mater_folds, sfav_folds
from mien.features.extractor import Extractor
from mien.models import Task
from mien.schema import AUDIO, VIDEO, sort_emotions
from mien.signals import Signals

EMOTION_CODES = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
RAVDESS_EMOTIONS = sort_emotions(tuple(EMOTION_CODES.values()))
CLIP_SECONDS = 3.6  # the mean length of a clip, by SFAV
_SOURCE = "RAVDESS is at zenodo.org/records/1188976"
_FEATURES_SOURCE = (
    "it holds features of whole clips and is no part of RAVDESS: make it from the recordings at "
    "zenodo.org/records/1188976 with OpenFace and mel cepstra, or let mien read the recordings "
    "themselves with data: {name: ravdess}"
)


def ravdess_clips(folder: Path) -> list[Clip]:
    """List the speech clips with face and voice (``01-01-…``).

    Args:
        folder: the one that holds ``Actor_01`` to ``Actor_24``.

    Raises:
        InputError: there are none, or one has an unknown emotion.
    """
    return _clips(folder, "01")


def ravdess_voices(folder: Path) -> list[Clip]:
    """List the speech clips, sound only (``03-01-…``); see `ravdess_clips`."""
    return _clips(folder, "03")


def ravdess_examples(path: Path) -> list[Example]:
    """Read one-step features of the speech clips with face and voice.

    ``video`` are 35 action units of OpenFace, 17 intensities and, for each of 18, the fraction of
    frames in which it is there; ``audio`` are 259 numbers, which by comparison with the recordings
    are the mean of the mel cepstra in each of 259 frames over three seconds. Each modality
    describes a clip as a whole, so it is a sequence of one step with the hop of a mean clip, 3.6 s.
    The target is an index into `RAVDESS_EMOTIONS`.

    Args:
        path: an ``.npz`` with ``clip`` ``(n,)``, ``face_action_units`` ``(n, 35)`` and
            ``audio_mfcc`` ``(n, 259)``.

    Raises:
        InputError: it is not there, or a clip has an unknown emotion.
        FormatError: it is no such file.
    """
    names = ("clip", "face_action_units", "audio_mfcc")
    archive = read_arrays(path, names, _FEATURES_SOURCE)
    examples = []
    for clip, face, voice in zip(*(archive[name] for name in names), strict=True):
        fields = str(clip).split("-")
        emotion = decode_emotion(fields[2], EMOTION_CODES, path)
        signals = {
            AUDIO: sequence_of(voice[None], CLIP_SECONDS),
            VIDEO: sequence_of(face[None], CLIP_SECONDS),
        }
        examples.append(
            Example(
                f"ravdess/{clip}",
                f"ravdess/{fields[6]}",
                Signals(signals),
                torch.tensor(RAVDESS_EMOTIONS.index(emotion)),
            )
        )
    return examples


def _clips(folder: Path, modality: str) -> list[Clip]:
    clips = []
    for path in list_files(folder, f"Actor_*/{modality}-01-*", _SOURCE):
        fields = path.stem.split("-")
        emotion = decode_emotion(fields[2], EMOTION_CODES, path)
        clips.append(Clip(path, f"ravdess/{fields[6]}", emotion, "ravdess"))
    return clips


@register_dataset("ravdess")
class Ravdess(RecordingsDataSet):
    """RAVDESS speech with face and voice, from its recordings."""

    split_by: Split = "sfav"

    @property
    def note(self) -> str:
        """What the data is."""
        return f"RAVDESS speech, 1440 clips of 24 actors, 8 emotions; {self.features_note}."

    def clips(self, places: Places) -> list[Clip]:
        """List the 1440 clips with face and voice."""
        return ravdess_clips(places.data / "ravdess")

    def task(self) -> Task:
        """Describe eight emotions."""
        return Task.emotions(RAVDESS_EMOTIONS)


@register_dataset("ravdess_units")
class RavdessUnits(DataSet):
    """RAVDESS clips as 35 action units (OpenFace) and 259 numbers of cepstra, one step each.

    Attributes:
        split_by: the folds of SFAV or of MATER.
    """

    split_by: Literal["sfav", "mater"] = "sfav"

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "RAVDESS speech, 1440 clips, 24 actors, 8 emotions; published clip-level features "
            "(35 action units, 259 numbers of cepstra), a sequence of one step each: "
            "a stand-in for the raw video that the paper trains on."
        )

    def shape(self) -> Shape:
        """Describe eight emotions; one step of each modality."""
        hops, steps = {AUDIO: CLIP_SECONDS, VIDEO: CLIP_SECONDS}, {AUDIO: 1, VIDEO: 1}
        return Shape(Task.emotions(RAVDESS_EMOTIONS), pair_sizes(259, 35), hops, steps)

    def extractors(self) -> dict[str, Extractor]:
        """Return extractors of published features."""
        return create_published_extractors("ravdess_units", self.shape())

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> list[Example]:
        """Read the 1440 clips."""
        return ravdess_examples(places.data / "ravdess_features" / "au_mfcc.npz")

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Divide people as the paper does."""
        if self.split_by == "sfav":
            return sfav_folds()
        return mater_folds({example.person for example in examples}, 12)
