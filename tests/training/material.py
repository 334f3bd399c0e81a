"""Small examples and a small model to train."""

from __future__ import annotations

import torch

from mien.datasets import Example
from mien.models import Model, Task, create_model
from mien.signals import Sequence, Signals

TASK = Task("categories", ("calm", "angry"))
SIZES = {"audio": 6, "video": 4}


def examples(count: int = 12, *, seed: int = 0, steps: int = 5) -> list[Example]:
    chance = torch.Generator().manual_seed(seed)
    out = []
    for number in range(count):
        label = number % 2
        length = steps + number % 3
        signals = {
            name: Sequence(
                torch.randn(1, length, size, generator=chance) + label,
                torch.ones(1, length, dtype=torch.bool),
                0.2,
            )
            for name, size in SIZES.items()
        }
        person = f"made/{number % 4}"
        out.append(Example(f"clip/{number}", person, Signals(signals), torch.tensor(label)))
    return out


def model(name: str = "sfav_ia", **options: object) -> Model:
    torch.manual_seed(0)
    small = {"widths": {"audio": (8, 8, 8, 8), "video": (8, 8, 8, 8)}} if name == "sfav_ia" else {}
    return create_model(name, task=TASK, modalities=SIZES, **{**small, **options})
