"""The training data of the linear probe: clips and voices of three corpora, stills of a fourth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.datasets import Clip
from mien.datasets.ferplus import ferplus_faces
from mien.datasets.java_sed import java_sed_clips, java_sed_voices
from mien.datasets.ravdess import ravdess_voices
from mien.features.face_encoder import FERPLUS_EMOTIONS
from mien.features.faces import default_encoder
from mien.models import PersonBaseline
from mien.models.linear_probe import Description
from mien.schema import AUDIO, MODALITIES, VIDEO, ordered
from tools.linear_probe.extract import (
    FACE_ENCODERS,
    VOICE_ENCODERS,
    Features,
    extract,
)
from tools.linear_probe.heads import Rows

EMOTIONS = ordered(("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise"))
RAVDESS_WEIGHT = 0.3
STILLS_PER_EMOTION = 200
STILLS_WEIGHTS = (0.05, 0.2, 0.5)  # all stills together, as a share of all clips together
AGREEMENT = 0.6  # least share of votes that a still's emotion must have
SEED = 0
_TARGET = "java_sed"


@dataclass(frozen=True)
class Sources:
    """Clips with their features, and stills with theirs.

    Attributes:
        clips: the labelled clips.
        features: of them.
        stills: ``(n, features)`` of faces without time, an emotion each.
        still_label: ``(n,)``.
    """

    clips: Sequence[Clip]
    features: Features
    stills: NDArray[np.float32]
    still_label: NDArray[np.int64]

    @property
    def person(self) -> NDArray[np.str_]:
        """Who is in each row of the features."""
        return np.array([clip.person for clip in self.clips])[self.features.clip]

    @property
    def target(self) -> NDArray[np.bool_]:
        """Rows of clips with face and voice, on which everything is judged."""
        video = np.array([c.corpus == _TARGET and c.path.suffix == ".mp4" for c in self.clips])
        return video[self.features.clip]

    def standardised_by_person(self) -> Sources:
        """The same with each person's features standardised by that person's own windows.

        Clips with a face and voice takes are standardised apart, since they were recorded apart.
        Stills have no person and are left out.
        """
        values = {m: v.copy() for m, v in self.features.values.items()}
        person, target, windows = self.person, self.target, ~self.features.whole
        for one in np.unique(person):
            mine = person == one
            for group in (mine & target, mine & ~target):
                if group.any():
                    _standardise(values, self.features, group, group & windows)
        features = replace(self.features, values=values)
        nothing = np.empty((0, self.stills.shape[1]), np.float32)
        return replace(self, features=features, stills=nothing, still_label=np.empty(0, np.int64))


def _standardise(
    values: dict[str, NDArray[np.float32]],
    features: Features,
    rows: NDArray[np.bool_],
    teaching: NDArray[np.bool_],
) -> None:
    def described(chosen: NDArray[np.bool_]) -> dict[str, Description]:
        return {
            m: Description(
                torch.from_numpy(features.values[m][chosen]),
                torch.from_numpy(features.present[m][chosen]),
            )
            for m in MODALITIES
        }

    baseline = PersonBaseline()
    baseline.add(described(teaching))
    for modality, description in baseline.apply(described(rows)).items():
        values[modality][rows] = description.values.numpy()


def load_sources(data: Path, out: Path) -> Sources:
    """Everything, from the corpora or from where the features are kept."""
    groups = {
        "clips": java_sed_clips(data / "java_sed"),
        "voices": java_sed_voices(data / "java_sed_voice"),
        "ravdess": ravdess_voices(data / "ravdess_audio"),
    }
    encoders = dict.fromkeys(groups, VOICE_ENCODERS)
    encoders["clips"] += FACE_ENCODERS
    parts = [extract(clips, out / f"{n}.npz", encoders[n]) for n, clips in groups.items()]
    starts = np.cumsum([0, *(len(clips) for clips in groups.values())])
    features = Features(
        {m: np.concatenate([part.values[m] for part in parts]) for m in MODALITIES},
        {m: np.concatenate([part.present[m] for part in parts]) for m in MODALITIES},
        np.concatenate([part.clip + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.whole for part in parts]),
    )
    stills, label = _stills(data / "ferplus")
    return Sources([c for clips in groups.values() for c in clips], features, stills, label)


def _stills(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    faces, shares = ferplus_faces(folder, "train")
    draw, chosen, label = np.random.default_rng(SEED), [], []
    for emotion in EMOTIONS:
        column = FERPLUS_EMOTIONS.index(emotion)
        clear = np.flatnonzero((shares[:, column] >= AGREEMENT).numpy())
        picked = draw.choice(clear, min(STILLS_PER_EMOTION, len(clear)), replace=False)
        chosen.append(picked)
        label.append(np.full(len(picked), EMOTIONS.index(emotion)))
    with torch.inference_mode():
        code = default_encoder()(faces[np.concatenate(chosen)].float() / 255)
    return torch.cat([code.embedding, code.logits], dim=1).numpy(), np.concatenate(label)


def training_rows(sources: Sources) -> dict[str, list[Rows]]:
    """What each modality's head may be trained on; every clip counts the same, however long.

    Voices: all clips, whole. Faces: Java-SED clips, whole and in windows, and the stills, which
    have no deviation over time: theirs is taken to be the average one. How much the stills count
    is left to choose.
    """
    label = np.array([_index(clip) for clip in sources.clips])[sources.features.clip]
    known = label >= 0
    whole, target = sources.features.whole, sources.target
    present = sources.features.present
    corpus = np.array([clip.corpus for clip in sources.clips])[sources.features.clip]
    voices = known & whole & present[AUDIO]
    audio = _rows(sources, AUDIO, voices, label, np.where(corpus == _TARGET, 1.0, RAVDESS_WEIGHT))
    faces = known & target & present[VIDEO]
    count = np.bincount(sources.features.clip[faces], minlength=len(sources.clips))
    share = 1 / np.maximum(count, 1)[sources.features.clip]
    video = _rows(sources, VIDEO, faces, label, share)
    if not len(sources.stills):
        return {AUDIO: [audio], VIDEO: [video]}
    return {
        AUDIO: [audio],
        VIDEO: [_with_stills(video, sources, weight) for weight in STILLS_WEIGHTS],
    }


def _index(clip: Clip) -> int:
    return EMOTIONS.index(clip.label) if clip.label in EMOTIONS else -1


def _rows(
    sources: Sources,
    modality: str,
    chosen: NDArray[np.bool_],
    label: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> Rows:
    judged = sources.target & sources.features.whole
    return Rows(
        values=sources.features.values[modality][chosen],
        label=label[chosen],
        person=sources.person[chosen],
        weight=weight[chosen],
        judged=judged[chosen],
        clip=np.where(judged, sources.features.clip, -1)[chosen],
    )


def _with_stills(rows: Rows, sources: Sources, weight: float) -> Rows:
    count, width = sources.stills.shape
    deviation = np.average(rows.values[:, width:], axis=0, weights=rows.weight)
    values = np.concatenate([sources.stills, np.tile(deviation, (count, 1))], axis=1)
    each = weight * rows.weight.sum() / count
    nobody = np.full(count, -1)
    stills = Rows(
        values.astype(np.float32),
        sources.still_label,
        np.full(count, "ferplus"),
        np.full(count, each),
        np.zeros(count, dtype=bool),
        nobody,
    )
    pairs = ((getattr(rows, n), getattr(stills, n)) for n in Rows.__dataclass_fields__)
    return Rows(*(np.concatenate(pair) for pair in pairs))
