"""Time steps of different length, and sequences longer than a model was made for.

A step of a sequence stands for the span ``[index * hop, (index + 1) * hop)``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mien.errors import NothingPresent
from mien.layers.masked import zero_missing
from mien.signals import Sequence, Signals

CLOSE = 1e-6  # of a step: rounding of hops such as 0.1 must not move a step


@dataclass(frozen=True)
class Aligned:
    """Modalities on one grid per item.

    Attributes:
        values: by modality, ``(batch, time, features)``, zero where not valid.
        valid: by modality, ``(batch, time)`` bool.
        hop: ``(batch,)`` float64, seconds of a step of each item: the finest hop of the modalities
            that this item has. What an item lacks must not change how it is read, so it does not
            change the grid either.
        last: ``(batch,)`` index of the last step of each item's grid, with which the longest
            modality of this item ends.
        grid: seconds of a step of the whole batch; see `grid_of`.
        steps: steps of the whole batch.
    """

    values: Mapping[str, Tensor]
    valid: Mapping[str, Tensor]
    hop: Tensor
    last: Tensor
    grid: float
    steps: int

    @property
    def signals(self) -> Signals:
        """The same as signals; the hop is one step, since items differ in theirs."""
        return Signals({n: Sequence(v, self.valid[n], 1.0) for n, v in self.values.items()})

    @property
    def observed(self) -> Tensor:
        """``(batch, time)`` bool: was anything observed at that step of the item's grid."""
        return torch.stack(list(self.valid.values())).any(dim=0)

    def spread(self, frames: Tensor) -> Tensor:
        """Move from the items' grids to that of the batch, each step held for as long as it lasts.

        The last step of an item's own grid is held to the end of the batch's: how far others go on,
        or what the item lacks, changes none of its answers.

        Args:
            frames: ``(batch, time, …)`` on the items' grids.

        Returns:
            ``(batch, steps, …)``.
        """
        if frames.shape[1] == self.steps and bool(
            ((self.hop == self.grid) & (self.last == self.steps - 1)).all()
        ):  # everybody is on this grid
            return frames
        index = step_under(self.steps, self.grid, self.hop)
        return take(frames, index.minimum(self.last.unsqueeze(1)))


def take(values: Tensor, index: Tensor) -> Tensor:
    """Take ``values[b, index[b, t]]``: ``(batch, time, …)`` by ``(batch, steps)`` indices."""
    return values[torch.arange(len(values), device=values.device).unsqueeze(1), index]


def step_under(steps: int, hop: Tensor | float, source: Tensor | float) -> Tensor:
    """Find which step of a source spans the middle of each step of a grid.

    Args:
        steps: of the grid.
        hop: of the grid, seconds, or ``(batch,)`` of each item.
        source: hop of the source, likewise.

    Returns:
        ``(steps,)`` indices, or ``(batch, steps)`` if either hop is one for each item; beyond the
        end of the source where the grid is longer.
    """
    ratio = torch.as_tensor(hop / source, dtype=torch.float64)
    middle = torch.arange(steps, dtype=torch.float64, device=ratio.device) + 0.5
    return (middle * ratio.unsqueeze(-1) + CLOSE).floor().long()


def select_present(signals: Signals, modalities: Collection[str]) -> dict[str, Sequence]:
    """Select those of some modalities that are there, in this order; not one without a step."""
    known = {name: signals[name] for name in modalities if name in signals}
    return {name: sequence for name, sequence in known.items() if sequence.valid.shape[1]}


def grid_of(sequences: Collection[Sequence]) -> tuple[float, int]:
    """Find the steps on which a batch is answered: seconds of one, and how many.

    The finest hop of all, and as many steps as have their middle within the longest in seconds; at
    least one.

    Args:
        sequences: at least one.
    """
    hop = min(sequence.hop for sequence in sequences)
    return hop, max(count_steps(sequence, hop) for sequence in sequences)


def align(
    signals: Signals,
    modalities: Collection[str],
    *,
    between: Literal["nearest", "linear"] = "nearest",
) -> Aligned:
    """Put modalities of different hop on the finest hop that each item has.

    Args:
        signals: with any hops and lengths; all start together.
        modalities: which to take, in this order, as far as they are there.
        between: ``nearest`` holds a coarse step for its span, so that nothing of the future is
            used; ``linear`` goes from the middle of one step to that of the next where both are
            valid, and holds otherwise.

    Raises:
        NothingPresent: there is none of these modalities.
    """
    known = select_present(signals, modalities)
    if not known:
        raise NothingPresent("none of the model's modalities is there")
    grid, steps = grid_of(known.values())
    first = next(iter(known.values()))
    if all(
        s.hop == grid and s.valid.shape[1] == steps and bool(s.valid.all()) for s in known.values()
    ):  # complete and on one grid
        values = {name: sequence.values.flatten(2) for name, sequence in known.items()}
        valid = {name: sequence.valid for name, sequence in known.items()}
        hop = first.valid.new_full((len(first.valid),), grid, dtype=torch.float64)
        last = torch.full_like(hop, steps - 1, dtype=torch.long)
        return Aligned(values, valid, hop, last, grid, steps)
    hop = torch.full((len(first.valid),), math.inf, dtype=torch.float64, device=first.valid.device)
    for sequence in known.values():
        hop = torch.where(sequence.present, hop.clamp(max=sequence.hop), hop)
    hop = torch.where(hop.isinf(), grid, hop)
    lengths = torch.stack([_lengths(sequence, hop) for sequence in known.values()]).amax(dim=0)
    needed = int(lengths.max())
    values, valid = {}, {}
    for name, sequence in known.items():
        values[name], valid[name] = _resample(sequence, hop, needed, between)
    return Aligned(values, valid, hop, lengths - 1, grid, steps)


def count_steps(sequence: Sequence, hop: float) -> int:
    """Count steps of another hop whose middle lies within a sequence; at least one."""
    return max(1, math.ceil(sequence.valid.shape[1] * sequence.hop / hop - 0.5 - CLOSE))


def _lengths(sequence: Sequence, hop: Tensor) -> Tensor:
    """Return the same for each item; nothing for one that does not have the modality."""
    whole = (sequence.valid.shape[1] * sequence.hop / hop - 0.5 - CLOSE).ceil().clamp(min=1)
    return torch.where(sequence.present, whole, 1).long()


def _resample(
    sequence: Sequence, hop: Tensor, steps: int, between: Literal["nearest", "linear"]
) -> tuple[Tensor, Tensor]:
    last = sequence.valid.shape[1] - 1
    features = sequence.values.flatten(2)
    if steps == last + 1 and bool((hop == sequence.hop).all()):  # it is on this grid
        return zero_missing(features, sequence.valid), sequence.valid
    index = step_under(steps, hop, sequence.hop)
    inside = index <= last
    index = index.clamp(max=last)
    valid = take(sequence.valid, index) & inside
    values = torch.where(valid.unsqueeze(-1), take(features, index), 0.0)
    if between == "nearest":
        return values, valid
    middle = (torch.arange(steps, device=hop.device) + 0.5) * (hop / sequence.hop).unsqueeze(1)
    offset = middle - (index + 0.5)
    other = index + offset.sign().long()
    both = (other >= 0) & (other <= last) & valid
    other = other.clamp(0, last)
    both &= take(sequence.valid, other)
    fraction = torch.where(both, offset.abs(), 0.0).unsqueeze(-1).to(values.dtype)
    beside = torch.where(both.unsqueeze(-1), take(features, other), 0.0)
    return values + fraction * (beside - values), valid
