"""Examples to batches, in an order that depends on nothing but seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mien.datasets import Example
from mien.layers.losses import UNLABELLED
from mien.signals import Signals, pad_batch

_MIX = 0x9E3779B97F4A7C15  # the golden ratio in 64 bits: neighbours end up far apart


def mix_seeds(*numbers: int) -> int:
    """Mix several numbers to one seed of 63 bits; a change of any of them changes all of it."""
    state = 0
    for number in numbers:
        state = (state ^ (number + _MIX)) * 0xBF58476D1CE4E5B9 % 2**64
        state ^= state >> 29
        state = state * 0x94D049BB133111EB % 2**64
        state ^= state >> 32
    return state >> 1


def collate(examples: Sequence[Example]) -> tuple[Signals, Tensor]:
    """Stack examples to a batch, padded at the end: no observation, no label.

    Returns:
        Signals, and targets ``(batch, …)``.
    """
    return pad_batch([e.signals for e in examples]), stack_targets([e.target for e in examples])


def stack_targets(targets: Sequence[Tensor]) -> Tensor:
    """Stack targets; where they differ in length, pad with missing labels (-100 or NaN)."""
    if len({target.shape for target in targets}) == 1:
        return torch.stack(list(targets))
    first = targets[0]
    hole = float("nan") if first.is_floating_point() else UNLABELLED
    longest = max(len(target) for target in targets)
    out = first.new_full((len(targets), longest, *first.shape[1:]), hole)
    for row, target in zip(out, targets, strict=True):
        row[: len(target)] = target
    return out


def iterate_batches(
    examples: Sequence[Example], size: int, *, seed: int, epoch: int, first: int = 0
) -> Iterator[list[Example]]:
    """Yield the shuffled batches of one epoch; the last may be smaller, but never a single item.

    A batch of one has no variance, which concordance and batch normalisation need, so a single
    left-over item joins the batch before it.

    Args:
        examples: all of them.
        size: of a batch.
        seed: of the run.
        epoch: changes the order.
        first: batches to leave out at the start, to go on where a run was stopped.
    """
    order = torch.randperm(
        len(examples), generator=torch.Generator().manual_seed(mix_seeds(seed, epoch))
    ).tolist()
    starts = list(range(0, len(order), size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    ends = [*starts[1:], len(order)]
    for start, end in list(zip(starts, ends, strict=True))[first:]:
        yield [examples[index] for index in order[start:end]]
