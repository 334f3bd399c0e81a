"""Sources with a label for every frame: sessions of Java-SED, RECOLA, Ulm-TSST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from mien.datasets import (
    Example,
    Fold,
    avec2016,
    muse,
    recola_examples,
    rotating_folds,
    segments,
    ulm_tsst_examples,
)
from mien.datasets.java_sed import EMOTION_CODES as JAVA_SED
from mien.datasets.recola import FRAME_SECONDS
from mien.datasets.ulm_tsst import STEP_MS
from mien.experiments.sources._base import Places, Shape, Source, paired
from mien.experiments.sources.recordings import JavaSed
from mien.features.observation import FACE_FEATURES
from mien.features.voice import VOICE_FEATURES
from mien.models import Task
from mien.schema import AUDIO, DIMENSIONS, VIDEO, derived_dimensions, ordered
from mien.signals import Sequence as Steps
from mien.signals import Signals

_BOTH = Task("dimensions", DIMENSIONS, "frame")


class _Continuous(Source):
    """Base: segments for training, whole sessions when measured.

    Attributes:
        dimension: arousal or valence alone, or both.
        length: steps of a segment in training.
        stride: steps from one segment to the next.
    """

    dimension: Literal["arousal", "valence", "both"] = "both"
    length: Annotated[int, Field(ge=2)] = 250
    stride: Annotated[int, Field(ge=1)] = 50

    def task(self) -> Task:
        """One or two dimensions per frame."""
        names = DIMENSIONS if self.dimension == "both" else (self.dimension,)
        return Task("dimensions", names, "frame")

    def pieces(self, example: Example) -> list[Example]:
        """Overlapping segments."""
        return segments(example, self.length, self.stride)

    def asked(self, examples: Sequence[Example]) -> list[Example]:
        """The same examples with only the dimension that is asked."""
        if self.dimension == "both":
            return list(examples)
        column = [DIMENSIONS.index(self.dimension)]
        return [Example(e.clip, e.person, e.signals, e.target[:, column], e.part) for e in examples]


class JavaSedSessions(_Continuous):
    """Each Java-SED actor's clips, one after the other, with a trace made of their categories.

    The trace is the acted category's arousal and valence of the published table (see
    `mien.schema.DERIVED_DIMENSIONS_SOURCE`), smoothed: a stand-in for time-continuous ratings.

    Attributes:
        seed: of the order of the clips.
        smooth: seconds, the deviation of the Gaussian.
        hop: seconds of a step.
    """

    name: Literal["java_sed_sessions"] = "java_sed_sessions"
    seed: int = 0
    smooth: Annotated[float, Field(ge=0)] = 1.0
    hop: Annotated[float, Field(gt=0.02, le=2)] = 0.2
    length: Annotated[int, Field(ge=2)] = 120
    stride: Annotated[int, Field(ge=1)] = 40
    test: Annotated[int, Field(ge=1)] = 2
    dev: Annotated[int, Field(ge=1)] = 1

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "A stand-in for time-continuous ratings: the 24 clips of each of Java-SED's 8 actors "
            "joined in random order into one session; the target is the acted category's arousal "
            f"and valence of a published table of words, smoothed over {self.smooth:g} s. Nobody "
            "rated these traces."
        )

    def shape(self) -> Shape:
        """Voice and face features, arousal and valence in each step."""
        hops = {AUDIO: self.hop, VIDEO: self.hop}
        steps = dict.fromkeys(hops, self.length)
        return Shape(self.task(), paired(VOICE_FEATURES, FACE_FEATURES), hops, steps)

    def examples(self, places: Places) -> list[Example]:
        """One session an actor."""
        clips = JavaSed(hop=self.hop).examples(places)
        chance = np.random.default_rng(self.seed)
        sessions = []
        for person, group in groupby(sorted(clips, key=lambda e: e.clip), lambda e: e.person):
            mine = list(group)
            order = chance.permutation(len(mine)).tolist()
            sessions.append(self._joined(person, [mine[index] for index in order]))
        return self.asked(sessions)

    def _joined(self, person: str, clips: Sequence[Example]) -> Example:
        lengths = [max(s.valid.shape[1] for s in clip.signals.values()) for clip in clips]
        signals = {}
        for name, width in ((AUDIO, VOICE_FEATURES), (VIDEO, FACE_FEATURES)):
            values = torch.zeros(1, sum(lengths), width)
            valid = torch.zeros(1, sum(lengths), dtype=torch.bool)
            start = 0
            for clip, length in zip(clips, lengths, strict=True):
                if name in clip.signals:
                    part = clip.signals[name]
                    stop = start + part.valid.shape[1]
                    values[:, start:stop], valid[:, start:stop] = part.values, part.valid
                start += length
            signals[name] = Steps(values, valid, self.hop)
        trace = [_category(clip.target, n) for clip, n in zip(clips, lengths, strict=True)]
        smooth = gaussian_filter1d(np.concatenate(trace), max(self.smooth / self.hop, 1e-3), axis=0)
        target = torch.from_numpy(smooth.astype(np.float32))
        return Example(f"{person}/session", person, Signals(signals), target)

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """By actor."""
        return rotating_folds((e.person for e in examples), self.test, self.dev)


def _category(target: Tensor, steps: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """``(steps, 2)``: arousal and valence of a category, constant."""
    emotion = ordered(tuple(JAVA_SED.values()))[int(target)]
    point = derived_dimensions({emotion: np.ones(1)})
    return np.repeat(np.array([[float(point[name][0]) for name in DIMENSIONS]]), steps, axis=0)


class Recola(_Continuous):
    """RECOLA as of AVEC 2016; nine people to train on, the nine of dev select and are measured.

    Praveen et al. (2021, section IV) move the ratings to make up for the raters' delay, those that
    are scored as well; here only those that are learned from move, and what is scored never does.

    Attributes:
        delay: seconds that ratings lag behind, taken off in training. Answers then come early by as
            much, until the ``shift`` of an experiment's post-processing, chosen on the training
            part, puts them back.
    """

    name: Literal["recola"] = "recola"
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
        """The published features of AVEC 2016."""
        hops, steps = {AUDIO: FRAME_SECONDS, VIDEO: FRAME_SECONDS}, {AUDIO: 128, VIDEO: 128}
        return Shape(self.task(), paired(88, 632), hops, steps)

    def examples(self, places: Places) -> list[Example]:
        """The 18 labelled recordings."""
        return self.asked(recola_examples(places.data / "recola"))

    def pieces(self, example: Example) -> list[Example]:
        """Overlapping segments, their ratings those of `delay` later; at the end nobody knows."""
        shift = round(self.delay / FRAME_SECONDS)
        target = torch.full_like(example.target, float("nan"))
        target[: max(0, len(target) - shift)] = example.target[shift:]
        return super().pieces(replace(example, target=target))

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Train and dev; nobody else is measured."""
        del examples
        return (avec2016(),)


class UlmTsst(_Continuous):
    """Ulm-TSST (MuSe-Stress): voice, face and physiology twice a second.

    Attributes:
        seed: of the draw of ten people for the test part.
    """

    name: Literal["ulm_tsst"] = "ulm_tsst"
    seed: int = 0

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "Ulm-TSST, 55 labelled people divided 35/10/10; the paper's draw is not published, "
            f"this one has seed {self.seed}."
        )

    def shape(self) -> Shape:
        """EGeMAPS (88), action units (20), ECG, respiration and heart rate (3)."""
        sizes: Mapping[str, tuple[int, ...]] = {AUDIO: (88,), VIDEO: (20,), "physiology": (3,)}
        return Shape(
            self.task(),
            sizes,
            dict.fromkeys(sizes, STEP_MS / 1000),
            dict.fromkeys(sizes, self.length),
        )

    def examples(self, places: Places) -> list[Example]:
        """The 55 people whose labels are public."""
        return self.asked(ulm_tsst_examples(places.data / "ulm_tsst"))

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """35, 10 and 10 people."""
        return (muse(examples, self.seed),)
