"""Steps in time taken away: at random, in one stretch, or all that come later."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mien.missing import _checks
from mien.missing._base import CLOSE, Operation, choose, draw_uniform, has_any, has_other
from mien.missing.registry import register_operation
from mien.schema import MODALITIES
from mien.signals import Sequence, Signals


@register_operation("mask_frames")
@dataclass(frozen=True)
class MaskFrames(Operation):
    """Mask a random fraction of the observed steps of each sample.

    Goncalves et al. (VAVL), section 5.2 and figures 2 and 3: 0 to 90 % of the frames of one
    modality, the other complete. The fraction is that of each sample's own observed steps, rounded
    to a whole step, halves up. Where a sample would be left with nothing it keeps one step, of the
    first of the modalities that it has.

    Attributes:
        fraction: 0 to 1.
        modalities: whose steps; several are masked independently.

    Raises:
        OptionError: an unknown modality, or a fraction outside of 0 to 1.
    """

    fraction: float
    modalities: Collection[str] = MODALITIES

    def __post_init__(self) -> None:
        _checks.check_number("fraction", self.fraction, least=0, most=1)
        object.__setattr__(self, "modalities", _checks.check_names("modalities", self.modalities))

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Hide observed steps."""
        made = {}
        for name, number in self._numbers(signals).items():
            valid = signals[name].valid
            made[name] = replace(signals[name], valid=valid & ~choose(valid, number, generator))
        return Signals({**signals, **made})

    def _numbers(self, signals: Signals) -> dict[str, Tensor]:
        """``(batch,)`` by modality: how many steps are masked."""
        counts = {name: sequence.valid.sum(dim=1) for name, sequence in signals.items()}
        numbers = {
            name: (counts[name].double() * self.fraction + 0.5).floor().long()
            for name in self.modalities
            if name in counts
        }
        left = sum(count - numbers.get(name, 0) for name, count in counts.items())
        owed = has_any(signals) & (left == 0)
        for name, number in numbers.items():
            gets = owed & (number > 0)
            numbers[name] = number - gets.long()
            owed = owed & ~gets
        return numbers


@register_operation("burst")
@dataclass(frozen=True)
class Burst(Operation):
    """Mask one stretch of a modality: a face turned away, a microphone covered.

    Where a sample would be left with nothing, the last step that was observed stays.

    Attributes:
        modality: which.
        seconds: of the stretch, rounded to steps, at least one. It is cut where the sample ends.
        start: seconds from the start of the recording; None for anywhere between the first and the
            last observed step of each sample, every place where the stretch fits alike.

    Raises:
        OptionError: an unknown modality, or a number outside of its range.
    """

    modality: str
    seconds: float
    start: float | None = None

    def __post_init__(self) -> None:
        _checks.check_names("modality", (self.modality,))
        _checks.check_seconds("seconds", self.seconds)
        if self.start is not None:
            _checks.check_number("start", self.start, least=0)

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Make a hole in one modality."""
        if self.modality not in signals or not signals[self.modality].valid.shape[1]:
            return signals
        sequence = signals[self.modality]
        valid, steps = sequence.valid, _steps(sequence)
        long = max(1, _round_steps(self.seconds / sequence.hop))
        first, last = _first(valid), _last(valid)
        begin = self._begin(sequence, last + 1 - first - long, generator).unsqueeze(1)
        after = valid & ~((steps >= begin) & (steps < begin + long))
        emptied = ~after.any(dim=1) & ~has_other(signals, self.modality)
        kept = valid & emptied.unsqueeze(1) & (steps == last.unsqueeze(1))
        return Signals({**signals, self.modality: replace(sequence, valid=after | kept)})

    def _begin(self, sequence: Sequence, room: Tensor, generator: torch.Generator) -> Tensor:
        """``(batch,)`` index of the first step of the stretch; `room` is how far it can move."""
        if self.start is not None:
            return torch.full_like(room, _round_steps(self.start / sequence.hop))
        places = room.clamp(min=0) + 1
        draws = draw_uniform((len(room),), generator, room)
        return _first(sequence.valid) + (draws * places).floor().long().minimum(places - 1)


@register_operation("keep_first")
@dataclass(frozen=True)
class KeepFirst(Operation):
    """Keep only the beginning, the same for all modalities; what comes after is masked.

    Ghaleb, Niehues and Asteriadis (2022), section 6.1: the first t windows of .25 or .5 s, here
    ``seconds = t * window``. We mask what the paper may have cut off.

    Attributes:
        seconds: from the start of the recording. A step is shown if it ends by then.
        sparing: show a sample of which nothing was observed by then to the end of its first
            observed step, so that there is something to learn from; else nothing of it is left.

    Raises:
        OptionError: no number above zero.
    """

    seconds: float
    sparing: bool = True

    def __post_init__(self) -> None:
        _checks.check_seconds("seconds", self.seconds)

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Cut the signals off at a time; nothing is random."""
        until = torch.full_like(has_any(signals), self.seconds, dtype=torch.float64)
        if self.sparing:
            first = torch.stack([_first_end(s) for s in signals.values()]).amin(dim=0)
            until = until.maximum(first)
        return Signals({name: _cut_after(sequence, until) for name, sequence in signals.items()})


def _cut_after(sequence: Sequence, until: Tensor) -> Sequence:
    ends = (_steps(sequence) + 1 - CLOSE) * sequence.hop
    return replace(sequence, valid=sequence.valid & (ends <= until.unsqueeze(1)))


def _first_end(sequence: Sequence) -> Tensor:
    """``(batch,)`` float64 seconds to the end of the first observed step, infinite without one."""
    if not sequence.valid.shape[1]:
        return torch.full_like(sequence.present, float("inf"), dtype=torch.float64)
    end = (_first(sequence.valid).double() + 1) * sequence.hop
    return torch.where(sequence.present, end, float("inf"))


def _steps(sequence: Sequence) -> Tensor:
    return torch.arange(sequence.valid.shape[1], device=sequence.valid.device)


def _first(valid: Tensor) -> Tensor:
    return valid.int().argmax(dim=1)


def _last(valid: Tensor) -> Tensor:
    return valid.shape[1] - 1 - valid.int().flip(1).argmax(dim=1)


def _round_steps(steps: float) -> int:
    return int(steps + 0.5 + CLOSE)
