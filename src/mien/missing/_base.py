"""What operations are made of: the base class, who has anything left, and random choices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mien.errors import NothingPresent
from mien.signals import Signals

CLOSE = 1e-6  # of a step: rounding of hops such as 0.1 must not move a step


@dataclass(frozen=True)
class Operation(ABC):
    """A way of taking away, called with signals and the generator of all that is random in it.

    Random numbers are drawn where the generator lives, so that signals on another device get the
    same ones.
    """

    @abstractmethod
    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """The signals with something taken away; the input stays as it is."""

    def enlarge(self, signals: Signals, generator: torch.Generator) -> tuple[Signals, Tensor]:
        """A training batch, which some operations make larger than the one given.

        Returns:
            The signals, and ``rows`` ``(items,)`` int64: from which item of the given batch each
            item came, so that ``target[rows]`` are the targets.

        Raises:
            NothingPresent: the signals hold no modality at all.
        """
        return self(signals, generator), every_row(signals)


def every_row(signals: Signals) -> Tensor:
    """``(batch,)`` int64: the index of each item."""
    return torch.arange(signals.batch, device=anything(signals).device)


def anything(signals: Signals) -> Tensor:
    """``(batch,)`` bool: who has any observation of any modality.

    Raises:
        NothingPresent: the signals hold no modality at all.
    """
    return torch.stack(_presence(signals)).any(dim=0)


def anything_but(signals: Signals, modality: str) -> Tensor:
    """``(batch,)`` bool: who has any observation of another modality than this one."""
    found = torch.zeros_like(_presence(signals)[0])
    for name, sequence in signals.items():
        if name != modality:
            found = found | sequence.present
    return found


def _presence(signals: Signals) -> list[Tensor]:
    if not signals:
        raise NothingPresent("the signals hold no modality", advice="give audio, video or both")
    return [sequence.present for sequence in signals.values()]


def hide(signals: Signals, lost: Mapping[str, Tensor]) -> Signals:
    """Hide whole modalities from some, and none from whoever would be left with nothing.

    Args:
        signals: any.
        lost: by modality, ``(batch,)`` bool: from whom it is hidden.
    """
    after = {
        name: sequence.valid & ~lost[name].unsqueeze(1) if name in lost else sequence.valid
        for name, sequence in signals.items()
    }
    left = torch.stack([anything(signals), *(valid.any(dim=1) for valid in after.values())])
    robbed = (left[0] & ~left[1:].any(dim=0)).unsqueeze(1)
    return Signals({n: replace(s, valid=after[n] | (s.valid & robbed)) for n, s in signals.items()})


def uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Numbers from 0 to below 1, on the device of `like`."""
    return torch.rand(shape, generator=generator, device=generator.device).to(like.device)


def choose(candidates: Tensor, number: Tensor, generator: torch.Generator) -> Tensor:
    """So many of the candidates of each row, each as likely as the others.

    Args:
        candidates: ``(batch, n)`` bool.
        number: ``(batch,)`` how many; all of them where there are not so many.
        generator: of the choice.

    Returns:
        ``(batch, n)`` bool.
    """
    draws = uniform((len(candidates), candidates.shape[1]), generator, candidates)
    keys = torch.where(candidates, draws, -1.0)
    rank = keys.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return candidates & (rank < number.unsqueeze(1))
