"""Signals with holes for the tests of operations, and ways to look at what became of them."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from mien.missing import (
    Burst,
    Chain,
    KeepFirst,
    MaskFrames,
    ModalityDropout,
    NoiseWindows,
    Operation,
    Withhold,
    WithholdPerBatch,
    WithholdPerSample,
)
from mien.signals import Sequence, Signals

SHAPES = {"audio": (3,), "video": (2, 2), "physiology": (1,)}
HOPS = {"audio": 0.1, "video": 0.2, "physiology": 0.5}

# All but plain withholding, which may leave nothing.
SPARING: tuple[Operation, ...] = (
    WithholdPerSample({"audio": 0.7, "video": 0.7, "physiology": 0.9}),
    WithholdPerSample({"video": 1.0, "audio": 1.0}, at_most=1),
    WithholdPerBatch({"audio": 0.4, "video": 0.6}),
    ModalityDropout(),
    ModalityDropout(("full", "noisy_audio", "noisy_video")),
    MaskFrames(0.5),
    MaskFrames(1.0),
    MaskFrames(0.9, ("video",)),
    NoiseWindows(2, 0.3),
    NoiseWindows("up_to_half", 0.2, ("audio",), mean=1.0, std=0.5),
    Burst("video", 0.7),
    Burst("audio", 100.0),
    Burst("audio", 0.3, start=0.1),
    KeepFirst(0.4),
    Chain((Burst("video", 0.4), MaskFrames(0.9), ModalityDropout())),
)
ALL = (*SPARING, Withhold(()), Withhold(("audio",)))


def names(operation: Operation) -> str:
    return repr(operation)


@st.composite
def holed(draw: st.DrawFn) -> Signals:
    """One to three modalities of one to four samples, any holes; values there are not numbers."""
    chosen = draw(st.lists(st.sampled_from(list(SHAPES)), min_size=1, unique=True))
    batch, seed = draw(st.integers(1, 4)), draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    sequences = {}
    for name in chosen:
        steps = draw(st.integers(0, 9))
        density = draw(st.sampled_from((0.0, 0.2, 0.8, 1.0)))
        valid = torch.rand(batch, steps, generator=generator) < density
        sequences[name] = Sequence(values_of(name, valid, generator), valid, HOPS[name])
    return Signals(sequences)


def values_of(name: str, valid: Tensor, generator: torch.Generator) -> Tensor:
    values = torch.randn(*valid.shape, *SHAPES[name], generator=generator)
    values[~valid] = float("nan")
    return values


def whole(batch: int = 4, steps: int = 10, **lengths: int) -> Signals:
    """Audio and video without holes, or the named modalities with so many steps."""
    generator = torch.Generator().manual_seed(0)
    lengths = lengths or {"audio": steps, "video": steps}
    sequences = {}
    for name, length in lengths.items():
        valid = torch.ones(batch, length, dtype=torch.bool)
        sequences[name] = Sequence(values_of(name, valid, generator), valid, HOPS[name])
    return Signals(sequences)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_same(mine: Signals, expected: Signals) -> None:
    assert list(mine) == list(expected)
    for name, sequence in expected.items():
        assert mine[name].hop == sequence.hop
        assert torch.equal(mine[name].valid, sequence.valid), name
        assert torch.equal(mine[name].values.nan_to_num(7.0), sequence.values.nan_to_num(7.0)), name


def copied(signals: Signals) -> Signals:
    return Signals(
        {n: Sequence(s.values.clone(), s.valid.clone(), s.hop) for n, s in signals.items()}
    )
