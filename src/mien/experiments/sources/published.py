"""Sources of ready-made features: RAVDESS units and cepstra, MFN sequences, CMU-MOSEI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mien.datasets import (
    Example,
    Fold,
    mater_folds,
    mfn_examples,
    mosei_examples,
    official,
    ravdess_examples,
    sfav_folds,
)
from mien.datasets.mfn import MFN_NAMES, WORD_SECONDS
from mien.datasets.mosei import STEP_SECONDS
from mien.datasets.ravdess import CLIP_SECONDS, RAVDESS_EMOTIONS
from mien.experiments.sources._base import Places, Shape, Source, paired
from mien.models import Task
from mien.schema import AUDIO, VIDEO

_MFN_SIZES = {"mmmo": (74, 36), "pom": (43, 41), "youtube": (74, 36)}
_MFN_RANGES = {"mmmo": (1.0, 5.0), "pom": (1.0, 7.0)}
_MFN_STEPS = 20
_MOSEI_STEPS = 24  # a sentence of about seven seconds


class RavdessUnits(Source):
    """RAVDESS clips as 35 action units (OpenFace) and 259 numbers of cepstra, one step each.

    Attributes:
        split: the folds of SFAV or of MATER.
    """

    name: Literal["ravdess_units"] = "ravdess_units"
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
        """Eight emotions; one step of each modality."""
        hops, steps = {AUDIO: CLIP_SECONDS, VIDEO: CLIP_SECONDS}, {AUDIO: 1, VIDEO: 1}
        return Shape(Task.emotions(RAVDESS_EMOTIONS), paired(259, 35), hops, steps)

    def examples(self, places: Places) -> list[Example]:
        """The 1440 clips."""
        return ravdess_examples(places.data / "ravdess_features" / "au_mfcc.npz")

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """The paper's folds."""
        if self.split_by == "sfav":
            return sfav_folds()
        return mater_folds({example.person for example in examples}, 12)


class MfnSequences(Source):
    """Word-aligned COVAREP and Facet sequences of 20 steps with official parts.

    Attributes:
        corpus: which.
    """

    name: Literal["mfn"] = "mfn"
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
        """Sentiment, ratings or three classes; 20 words."""
        names = MFN_NAMES[self.corpus]
        if self.corpus == "youtube":
            task = Task("categories", names)
        else:
            low, high = _MFN_RANGES[self.corpus]
            middle = (low + high) / 2
            task = Task("dimensions", names, "clip", low - middle, high - middle)
        hops = {AUDIO: WORD_SECONDS, VIDEO: WORD_SECONDS}
        steps = {AUDIO: _MFN_STEPS, VIDEO: _MFN_STEPS}
        return Shape(task, paired(*_MFN_SIZES[self.corpus]), hops, steps)

    def examples(self, places: Places) -> list[Example]:
        """Clips of which anything was observed; numbers are told from the middle of their range."""
        found = mfn_examples(places.data / "mfn_sequences" / f"{self.corpus}.npz", self.corpus)
        seen = [example for example in found if example.observed]
        if self.corpus == "youtube":
            return seen
        low, high = _MFN_RANGES[self.corpus]
        middle = (low + high) / 2
        return [Example(e.clip, e.person, e.signals, e.target - middle, e.part) for e in seen]

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """The official parts."""
        return (official(examples),)


class CmuMosei(Source):
    """CMU-MOSEI's sentences, read from the SDK's computational sequences in ``cmu_mosei``."""

    name: Literal["cmu_mosei"] = "cmu_mosei"

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "CMU-MOSEI, sentences with a sentiment from -3 to 3; voice (COVAREP, 74 numbers) and "
            f"face (Facet, 35) of the SDK, averaged over steps of {STEP_SECONDS:g} s; the SDK's "
            "standard parts, without the videos that are in none of them."
        )

    def shape(self) -> Shape:
        """Sentiment; about seven seconds."""
        task = Task("dimensions", ("sentiment",), "clip", -3.0, 3.0)
        hops = {AUDIO: STEP_SECONDS, VIDEO: STEP_SECONDS}
        return Shape(task, paired(74, 35), hops, dict.fromkeys(hops, _MOSEI_STEPS))

    def examples(self, places: Places) -> list[Example]:
        """Sentences of the standard parts of which anything was observed."""
        found = mosei_examples(places.data / "cmu_mosei")
        return [example for example in found if example.part and example.observed]

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """The standard parts."""
        return (official(examples),)
