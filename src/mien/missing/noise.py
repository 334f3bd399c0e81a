"""Windows of a recording replaced by Gaussian noise."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from mien.errors import OptionError
from mien.missing import _checks
from mien.missing._base import CLOSE, Operation, choose, draw_uniform, has_any
from mien.missing.registry import register_operation
from mien.schema import MODALITIES
from mien.signals import Sequence, Signals

UP_TO_HALF = "up_to_half"


def replace_by_noise(
    sequence: Sequence,
    where: Tensor,
    generator: torch.Generator,
    mean: float = 0.0,
    std: float = 1.0,
) -> Sequence:
    """Replace observed values by Gaussian noise.

    Args:
        sequence: any; whole numbers become floating point.
        where: ``(batch, time)`` bool; steps that were not observed stay so.
        generator: of the noise.
        mean: of the noise.
        std: standard deviation of the noise.
    """
    values = sequence.values
    noise = torch.randn(values.shape, generator=generator, device=generator.device)
    noise = (noise * std + mean).to(values.device)
    if values.is_floating_point():
        noise = noise.to(values.dtype)
    steps = (where & sequence.valid).view(*where.shape, *[1] * (values.ndim - 2))
    return replace(sequence, values=torch.where(steps, noise, values))


@register_operation("noise_windows")
@dataclass(frozen=True)
class NoiseWindows(Operation):
    """Replace random windows of each sample by Gaussian noise.

    Ghaleb, Niehues and Asteriadis (2022), section 5: windows of .25 or .5 s; tested with 1 to T of
    them, the average of ten repetitions; trained again (algorithm 1) with a number drawn from
    1 to T/2 at each iteration. What the paper leaves open: T is the number of windows in which a
    sample has any observation of the modalities, so that clips of different length can share a
    batch; noise in several modalities is in the same windows; mean and standard deviation are 0
    and 1. In training the batch shares one draw, which is scaled to each sample's T, and a sample
    with a single window is left alone.

    Attributes:
        windows: how many, all where a sample has fewer; ``up_to_half`` for training.
        seconds: of a window. A step belongs to the window in which its middle lies.
        modalities: whose values become noise.
        mean: of the noise.
        std: standard deviation of the noise.

    Raises:
        OptionError: an unknown modality, or a number outside of its range.
    """

    windows: int | Literal["up_to_half"]
    seconds: float
    modalities: Collection[str] = MODALITIES
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.windows, str) and self.windows != UP_TO_HALF:
            raise OptionError(
                f"windows is {self.windows!r}", advice=f"give a whole number or {UP_TO_HALF}"
            )
        if not isinstance(self.windows, str):
            _checks.check_number("windows", self.windows, least=1, whole=True)
        _checks.check_seconds("seconds", self.seconds)
        _checks.check_number("mean", self.mean, least=-float("inf"))
        _checks.check_number("std", self.std, least=0)
        object.__setattr__(self, "modalities", _checks.check_names("modalities", self.modalities))

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Put noise into some windows; what was observed stays observed."""
        named = {name: signals[name] for name in self.modalities if name in signals}
        places = {name: self._windows_of(sequence) for name, sequence in named.items()}
        longest = max((int(p.max()) + 1 for p in places.values() if len(p)), default=0)
        seen = has_any(signals).new_zeros(signals.batch, longest)
        for name, sequence in named.items():
            seen |= _seen(sequence, places[name], longest)
        chosen = choose(seen, self._number(seen, generator), generator)
        made = {
            name: replace_by_noise(
                sequence, chosen[:, places[name]], generator, self.mean, self.std
            )
            for name, sequence in named.items()
        }
        return Signals({**signals, **made})

    def _windows_of(self, sequence: Sequence) -> Tensor:
        steps = torch.arange(sequence.valid.shape[1], dtype=torch.float64)
        middles = (steps + 0.5) * (sequence.hop / self.seconds) + CLOSE
        return middles.floor().long().to(sequence.valid.device)

    def _number(self, seen: Tensor, generator: torch.Generator) -> Tensor:
        total = seen.sum(dim=1)
        if not isinstance(self.windows, str):
            return torch.full_like(total, self.windows)
        half = total // 2
        draw = draw_uniform((1,), generator, total)
        return ((draw * half).floor().long() + 1).minimum(half)


def _seen(sequence: Sequence, places: Tensor, windows: int) -> Tensor:
    """``(batch, windows)`` bool: in which windows anything was observed."""
    counts = torch.zeros(len(sequence.valid), windows, device=places.device)
    return counts.index_add(1, places, sequence.valid.to(counts.dtype)) > 0
