"""Sequences as transformers take them, with zeros in place of what is missing.

What models share that replace a missing modality by zeros (Tsai et al. 2019; Chumachenko et al.
2022; Goncalves and Busso 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.masked import zero_missing
from mien.layers.time import grid_of, select_present, step_under, take
from mien.signals import Sequence, Signals


@dataclass(frozen=True)
class Steps:
    """One modality as a transformer takes it.

    Attributes:
        values: ``(batch, time, width)``, zero where there is nothing.
        valid: ``(batch, time)`` bool, which steps may be attended to.
        positioned: ``(batch, time)`` bool, which steps carry a position.
        hop: ``(batch,)`` seconds between two steps.
    """

    values: Tensor
    valid: Tensor
    positioned: Tensor
    hop: Tensor

    @property
    def length(self) -> Tensor:
        """``(batch,)`` number of steps up to the last valid one."""
        return length(self.valid)

    @property
    def last(self) -> Tensor:
        """``(batch,)`` index of the last valid step, zero where there is none."""
        return (self.length - 1).clamp(min=0)

    def of(self, values: Tensor, *, positioned: bool = False) -> Steps:
        """Replace the values; all valid steps are positioned if asked for."""
        where = self.valid if positioned else self.positioned
        return replace(self, values=values, positioned=where)


def length(valid: Tensor) -> Tensor:
    """Count steps up to the last True of ``(batch, time)``: ``(batch,)``."""
    index = torch.arange(1, valid.shape[1] + 1, device=valid.device)
    return (valid * index).amax(dim=1) if valid.shape[1] else valid.sum(dim=1)


def at(values: Tensor, index: Tensor) -> Tensor:
    """Take of ``(batch, time, width)`` the step ``(batch,)`` of each item: ``(batch, width)``."""
    return values[torch.arange(len(values), device=values.device), index]


def clean_values(name: str, sequence: Sequence, size: int, advice: str = "") -> Tensor:
    """Zero a modality where it was not observed: ``(batch, time, size)``.

    Args:
        name: of the modality.
        sequence: of any feature axes.
        size: number of its features.
        advice: what to do where that is another one.

    Raises:
        OptionError: the modality has another number of features.
    """
    values = sequence.values.flatten(2)
    if values.shape[-1] != size:
        raise OptionError(
            f"{name} has {values.shape[-1]} features, the model was made for {size}", advice=advice
        )
    return zero_missing(values, sequence.valid)


def fill_with_zeros(signals: Signals, modalities: Mapping[str, int]) -> dict[str, Steps]:
    """Put zeros in place of modalities that are missing, item by item.

    The zeros of a missing modality last as many steps as the item's longest observed modality, so
    that they depend neither on the other items of the batch nor on its padding. They are valid but
    carry no position. Holes in time are zero and not valid.

    Args:
        signals: with at least one observed modality for each item.
        modalities: feature size by name; gives the order of the result.

    Raises:
        OptionError: a modality has another number of features than the model was made for.
    """
    seen = select_present(signals, modalities)
    parts = list(seen.values())
    lengths = torch.stack([length(sequence.valid) for sequence in parts])
    order = torch.arange(len(parts), device=lengths.device).unsqueeze(1)
    longest = (lengths * len(parts) - order).argmax(dim=0)  # the first of equally long ones
    like = parts[0].values
    hops = torch.tensor([part.hop for part in parts], dtype=torch.float64, device=like.device)
    shape = (len(like), max(part.valid.shape[1] for part in parts))
    index = torch.arange(shape[1], device=like.device)
    stand_in = index < lengths.amax(dim=0).unsqueeze(1)
    steps = {}
    for name, size in modalities.items():
        if name not in seen:
            nothing = torch.zeros_like(stand_in)
            steps[name] = Steps(like.new_zeros(*shape, size), stand_in, nothing, hops[longest])
            continue
        observed = seen[name].valid
        values = clean_values(name, seen[name], size)
        hop = torch.full_like(hops[longest], seen[name].hop)
        here = observed.any(dim=1)
        if bool(here.all()):
            steps[name] = Steps(values, observed, observed, hop)
            continue
        lacking = shape[1] - observed.shape[1]
        observed = F.pad(observed, (0, lacking))
        valid = torch.where(here.unsqueeze(1), observed, stand_in)
        hop = torch.where(here, hop, hops[longest])
        steps[name] = Steps(F.pad(values, (0, 0, 0, lacking)), valid, observed, hop)
    return steps


def resample_to_grid(
    hidden: Mapping[str, Tensor], steps: Mapping[str, Steps], signals: Signals
) -> list[Tensor]:
    """Put sequences of different hop on the grid of the batch, by the step under its middle.

    A step stands for the span ``[index * hop, (index + 1) * hop)``; see `mien.layers.time.grid_of`.

    Args:
        hidden: ``(batch, time, width)`` by modality.
        steps: whose steps these are; by the names that the grid is made from.
        signals: what the model was given.

    Returns:
        ``(batch, steps of the grid, width)`` each, in the order of `hidden`. After its
        last valid step a modality keeps the value that it had there.
    """
    hop, time = grid_of(select_present(signals, steps).values())
    found = []
    for name, values in hidden.items():
        index = step_under(time, hop, steps[name].hop)
        found.append(take(values, index.minimum(steps[name].last.unsqueeze(1))))
    return found


def find_observed(steps: Mapping[str, Steps], signals: Signals) -> dict[str, Tensor]:
    """Find by modality where it was observed: ``(batch, steps of the grid)`` bool.

    Args:
        steps: see `on_one_grid`.
        signals: likewise.
    """
    known = select_present(signals, steps)
    hop, time = grid_of(known.values())
    found = {}
    for name in known:
        part = steps[name]
        index, last = step_under(time, hop, part.hop), part.valid.shape[1] - 1
        found[name] = take(part.valid, index.clamp(max=last)) & (index <= last)
    return found
