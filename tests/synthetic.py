"""Synthetic examples in the shape of a data set, where a test has none of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mien.datasets import PRESENTATIONS, Example, Rated, Shape
from mien.models import Task
from mien.signals import Sequence as Steps
from mien.signals import Signals

SYNTHETIC_PEOPLE = 6
SYNTHETIC_CLIPS = 4  # of each person


def generate_examples(shape: Shape, seed: int = 0) -> list[Example]:
    """Generate synthetic examples of a shape, `SYNTHETIC_CLIPS` of `SYNTHETIC_PEOPLE` each.

    The features of a clip are noise around a mean that depends on its target.

    Args:
        shape: of a data set.
        seed: of the noise.
    """
    chance = torch.Generator().manual_seed(seed)
    examples = []
    for person in range(SYNTHETIC_PEOPLE):
        for clip in range(SYNTHETIC_CLIPS):
            finest = min(shape.hops, key=lambda name: shape.hops[name])
            target, level = _target(shape, shape.steps[finest], person + clip, chance)
            signals = {}
            for name, size in shape.modalities.items():
                noise = torch.randn(1, shape.steps[name], *size, generator=chance)
                valid = torch.ones(1, shape.steps[name], dtype=torch.bool)
                signals[name] = Steps(noise + level, valid, shape.hops[name])
            label = f"generated/{person:02d}"
            examples.append(Example(f"{label}/{clip}", label, Signals(signals), target))
    return examples


def generate_ratings(examples: Sequence[Example], task: Task) -> dict[str, Rated]:
    """Generate votes of synthetic raters, who all choose what the examples are labelled."""
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
    place = torch.rand(size, generator=chance)
    low, high = torch.tensor([task.ranges[name] for name in task.names]).T
    return low + (high - low) * place, float(place.mean())
