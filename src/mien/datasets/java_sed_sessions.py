"""Sessions of Java-SED: a stand-in for time-continuous ratings, made of its labelled clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, field_validator
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from mien.datasets.continuous import ContinuousDataSet
from mien.datasets.dataset import Examples, Places, Progress, Shape, register_dataset
from mien.datasets.examples import Example
from mien.datasets.java_sed import JavaSed
from mien.datasets.recordings import AnyExtractor
from mien.datasets.splits import Fold, rotating_folds
from mien.features.extractor import Extractor
from mien.features.reader import DEFAULT_EXTRACTORS
from mien.schema import DIMENSIONS, derive_dimensions
from mien.signals import Sequence as Steps
from mien.signals import Signals


@register_dataset("java_sed_sessions")
class JavaSedSessions(ContinuousDataSet):
    """Each Java-SED actor's clips, one after the other, with a trace made of their categories.

    The trace is the acted category's arousal and valence of the published table (see
    `mien.schema.DERIVED_DIMENSIONS_SOURCE`), smoothed.

    Attributes:
        features: see `mien.datasets.recordings.RecordingsDataSet`; all of one hop.
        seed: of the order of the clips.
        smooth: seconds, the standard deviation of the Gaussian.
        test: people in each test part.
        dev: people in each part that selects the epoch.
    """

    features: Mapping[str, AnyExtractor] = Field(default_factory=lambda: dict(DEFAULT_EXTRACTORS))
    seed: int = 0
    smooth: Annotated[float, Field(ge=0)] = 1.0
    length: Annotated[int, Field(ge=2)] = 120
    stride: Annotated[int, Field(ge=1)] = 40
    test: Annotated[int, Field(ge=1)] = 2
    dev: Annotated[int, Field(ge=1)] = 1

    @field_validator("features")
    @classmethod
    def _on_one_grid(cls, features: Mapping[str, Extractor]) -> Mapping[str, Extractor]:
        if len({extractor.hop for extractor in features.values()}) != 1:
            raise ValueError("sessions need features of one hop")
        return features

    @property
    def _hop(self) -> float:
        return next(iter(self.features.values())).hop

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "A stand-in for time-continuous ratings: the 24 clips of each of Java-SED's 8 actors "
            "joined in random order into one session; the target is the acted category's arousal "
            f"and valence of a published table of words, smoothed over {self.smooth:g} s. Nobody "
            "rated these traces."
        )

    def extractors(self) -> dict[str, Extractor]:
        """Return those of `features`."""
        return dict(self.features)

    def shape(self) -> Shape:
        """Describe each modality as its extractor does; arousal and valence in each step."""
        return Shape(
            self.task(),
            {name: extractor.shape for name, extractor in self.features.items()},
            dict.fromkeys(self.features, self._hop),
            dict.fromkeys(self.features, self.length),
        )

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> Examples:
        """Join one session an actor; a clip that cannot be read is left out of it."""
        clips = JavaSed(features=self.features).examples(places, progress, strict=strict)
        chance = np.random.default_rng(self.seed)
        sessions = []
        for person, group in groupby(sorted(clips, key=lambda e: e.clip), lambda e: e.person):
            mine = list(group)
            order = chance.permutation(len(mine)).tolist()
            sessions.append(self._join(person, [mine[index] for index in order]))
        return Examples(self.select(sessions), clips.unreadable, clips.unobserved)

    def _join(self, person: str, clips: Sequence[Example]) -> Example:
        lengths = [max(s.valid.shape[1] for s in clip.signals.values()) for clip in clips]
        signals = {}
        for name, extractor in self.features.items():
            values = torch.zeros(1, sum(lengths), *extractor.shape)
            valid = torch.zeros(1, sum(lengths), dtype=torch.bool)
            start = 0
            for clip, length in zip(clips, lengths, strict=True):
                if name in clip.signals:
                    part = clip.signals[name]
                    stop = start + part.valid.shape[1]
                    values[:, start:stop], valid[:, start:stop] = part.values, part.valid
                start += length
            signals[name] = Steps(values, valid, self._hop)
        trace = [_repeat_point(clip.target, n) for clip, n in zip(clips, lengths, strict=True)]
        smooth = gaussian_filter1d(
            np.concatenate(trace), max(self.smooth / self._hop, 1e-3), axis=0
        )
        target = torch.from_numpy(smooth.astype(np.float32))
        return Example(f"{person}/session", person, Signals(signals), target)

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Rotate over actors."""
        return rotating_folds((e.person for e in examples), self.test, self.dev)


def _repeat_point(target: Tensor, steps: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return ``(steps, 2)``: arousal and valence of a category, constant."""
    emotion = JavaSed().task().names[int(target)]
    point = derive_dimensions({emotion: np.ones(1)})
    return np.repeat(np.array([[float(point[name][0]) for name in DIMENSIONS]]), steps, axis=0)
