"""What a source of data is: where examples come from, how people are split, what they look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mien.datasets import Example, Fold
from mien.evaluation.humans import PRESENTATIONS, Rated
from mien.models import Task
from mien.schema import AUDIO, VIDEO
from mien.signals import Sequence as Steps
from mien.signals import Signals
from mien.training import Settings

Examples = Callable[[], list[Example]]
GENERATED_PEOPLE = 6
GENERATED_CLIPS = 4  # of each person


@dataclass(frozen=True)
class Places:
    """Folders.

    Attributes:
        data: holds the corpora.
        kept: for what was extracted from recordings.
    """

    data: Path
    kept: Path


@dataclass(frozen=True)
class Shape:
    """What examples look like, known before there are any.

    Attributes:
        task: what is asked.
        modalities: features of each.
        hops: seconds of a step of each.
        steps: a usual number of steps of each.
    """

    task: Task
    modalities: Mapping[str, tuple[int, ...]]
    hops: Mapping[str, float]
    steps: Mapping[str, int]

    @property
    def sizes(self) -> dict[str, int]:
        """Features of each modality as one number."""
        return {name: int(torch.tensor(size).prod()) for name, size in self.modalities.items()}


class Source(Settings):
    """Base of all sources; a subclass has a ``name`` and its own options.

    Attributes:
        name: of the source.
        folds: how many of its folds, None for all.
        standardise: whether features get mean 0 and deviation 1 over the training part.
        components: principal components of the training part that stand for the features of each
            modality that has more; None for the features themselves.
    """

    name: str
    folds: Annotated[int, Field(ge=1)] | None = None
    standardise: bool = True
    components: Annotated[int, Field(ge=1)] | None = None

    @property
    def note(self) -> str:
        """A sentence on what the data is, for the head of every table."""
        raise NotImplementedError

    def shape(self) -> Shape:
        """What its examples look like."""
        raise NotImplementedError

    def examples(self, places: Places) -> list[Example]:
        """All examples.

        Raises:
            MienError: the corpus is not there or not as it should be.
        """
        raise NotImplementedError

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """All folds; `folds` of them are used."""
        raise NotImplementedError

    def pieces(self, example: Example) -> list[Example]:
        """What training makes of one example: itself, or its segments."""
        return [example]

    def further(self, places: Places) -> Mapping[str, Examples]:
        """Further examples to learn from, by name; people of the test part are left out later."""
        del places
        return {}

    def variants(self, places: Places) -> Mapping[str, Examples]:
        """The same examples after their recordings were degraded, by name."""
        del places
        return {}

    def rated(self, places: Places) -> Mapping[str, Rated]:
        """How people judged the examples, by clip; none where nobody did."""
        del places
        return {}


def generated(shape: Shape, seed: int = 0) -> list[Example]:
    """Made-up examples of a shape, to try an experiment out without its data.

    The features of a clip are noise around a mean that depends on its target.
    """
    chance = torch.Generator().manual_seed(seed)
    examples = []
    for person in range(GENERATED_PEOPLE):
        for clip in range(GENERATED_CLIPS):
            longest = max(shape.steps, key=lambda name: shape.steps[name])
            target, level = _target(shape, shape.steps[longest], person + clip, chance)
            signals = {}
            for name, size in shape.modalities.items():
                noise = torch.randn(1, shape.steps[name], *size, generator=chance)
                valid = torch.ones(1, shape.steps[name], dtype=torch.bool)
                signals[name] = Steps(noise + level, valid, shape.hops[name])
            label = f"generated/{person:02d}"
            examples.append(Example(f"{label}/{clip}", label, Signals(signals), target))
    return examples


def generated_ratings(examples: Sequence[Example], task: Task) -> dict[str, Rated]:
    """Made-up people who find in made-up examples what these are labelled."""
    out = {}
    for example in examples:
        emotion = task.names[int(example.target)]
        out[example.clip] = Rated(emotion, {shown: {emotion: 10} for shown in PRESENTATIONS})
    return out


def _target(shape: Shape, steps: int, number: int, chance: torch.Generator) -> tuple[Tensor, float]:
    task, names = shape.task, len(shape.task.names)
    index = number % names
    if task.kind == "categories":
        one = torch.tensor(index)
        return (one if task.per == "clip" else one.repeat(steps)), float(index)
    size = (names,) if task.per == "clip" else (steps, names)
    share = torch.rand(size, generator=chance)
    return task.low + (task.high - task.low) * share, float(share.mean())


def paired(
    sizes: tuple[int, ...] | int, other: tuple[int, ...] | int
) -> dict[str, tuple[int, ...]]:
    """Sizes of audio and video as a `Shape` wants them."""
    both = {AUDIO: sizes, VIDEO: other}
    return {name: (size,) if isinstance(size, int) else size for name, size in both.items()}
