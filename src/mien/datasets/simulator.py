"""A simulator with known truth: latent arousal and valence, three modalities of known reliability.

Each simulated person has two latent traces, first-order random walks around zero that are smoothed
and squashed into -1 to 1. A modality's features are a fixed random mixture of the latents, each
latent scaled by the square root of the modality's reliability for it, plus white noise scaled by
the square root of what is missing to one. A reliability of .8 means that 80 % of the variance of a
noiseless projection is signal. Everything is synthetic; its use is that the right answer to "which
modality matters" is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from scipy.ndimage import gaussian_filter1d

from mien.datasets.continuous import ContinuousDataSet
from mien.datasets.dataset import Places, Progress, Shape, register_dataset
from mien.datasets.examples import Example
from mien.datasets.published import create_published_extractors
from mien.datasets.splits import Fold, folds_of_people
from mien.features.extractor import Extractor
from mien.schema import AUDIO, DIMENSIONS, VIDEO
from mien.signals import Sequence as Steps
from mien.signals import Signals

PHYSIOLOGY = "physiology"
# Arousal and valence, in this order.
RELIABILITY: Mapping[str, tuple[float, float]] = {
    AUDIO: (0.8, 0.2),
    VIDEO: (0.2, 0.8),
    PHYSIOLOGY: (0.4, 0.05),
}
HOP_S = 0.5


@register_dataset("simulator")
class Simulator(ContinuousDataSet):
    """Synthetic sessions; see the module docstring.

    Attributes:
        people: how many.
        steps: of each session.
        features: numbers in a step of each modality.
        seed: of everything.
    """

    people: Annotated[int, Field(ge=5)] = 30
    steps: Annotated[int, Field(ge=50)] = 300
    features: Annotated[int, Field(ge=2)] = 12
    seed: int = 0
    length: Annotated[int, Field(ge=2)] = 100
    stride: Annotated[int, Field(ge=1)] = 50

    @property
    def note(self) -> str:
        """What the data is."""
        shown = "; ".join(
            f"{name} {a:g} for arousal and {v:g} for valence"
            for name, (a, v) in RELIABILITY.items()
        )
        return (
            f"Simulated: {self.people} people, {self.steps} steps of {HOP_S:g} s, latent arousal "
            f"and valence, three modalities of known reliability ({shown}). No real recording."
        )

    def shape(self) -> Shape:
        """Describe three modalities."""
        return Shape(
            self.task(),
            dict.fromkeys(RELIABILITY, (self.features,)),
            dict.fromkeys(RELIABILITY, HOP_S),
            dict.fromkeys(RELIABILITY, self.length),
        )

    def extractors(self) -> dict[str, Extractor]:
        """Return extractors of published features; no recording gives them."""
        return create_published_extractors("simulator", self.shape())

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> list[Example]:
        """Generate one session a person."""
        chance = np.random.default_rng(self.seed)
        mixing = {
            name: chance.normal(size=(len(DIMENSIONS), self.features)) for name in RELIABILITY
        }
        return self.select([self._person(number, mixing, chance) for number in range(self.people)])

    def _person(
        self,
        number: int,
        mixing: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]],
        chance: np.random.Generator,
    ) -> Example:
        walk = gaussian_filter1d(chance.normal(size=(self.steps, len(DIMENSIONS))), 6.0, axis=0)
        latent = walk / walk.std(axis=0)
        signals = {}
        for name, reliability in RELIABILITY.items():
            signal = np.array(reliability)
            seen = (latent * np.sqrt(signal)) @ mixing[name]
            left = np.sqrt((1 - signal) @ np.square(mixing[name]))
            values = seen + chance.normal(size=seen.shape) * left
            valid = torch.ones(1, self.steps, dtype=torch.bool)
            signals[name] = Steps(torch.from_numpy(values[None].astype(np.float32)), valid, HOP_S)
        person = f"simulator/{number:03d}"
        target = torch.from_numpy(np.tanh(latent * 0.6).astype(np.float32))
        return Example(f"{person}/session", person, Signals(signals), target)

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Draw one fold; a fifth of the people each to select and to measure."""
        few = max(1, self.people // 5)
        people = {example.person for example in examples}
        return (folds_of_people(people, test=few, dev=few, seed=self.seed, name="simulator"),)
