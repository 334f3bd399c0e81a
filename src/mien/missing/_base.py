"""What operations are made of: the base class, who has anything left, and random choices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from mien.errors import NothingPresent
from mien.signals import Signals

CLOSE = 1e-6  # of a step: rounding of hops such as 0.1 must not move a step


@dataclass(frozen=True)
class Operation(ABC):
    """Base of the operations: called with signals and the generator of all that is random in it.

    Random numbers are drawn where the generator lives, so that signals on another device get the
    same ones.
    """

    @abstractmethod
    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Take something away from signals; the input stays as it is."""

    def enlarge(self, signals: Signals, generator: torch.Generator) -> tuple[Signals, Tensor]:
        """Apply the operation to a training batch, which some make larger than the one given.

        Returns:
            The signals, and ``rows`` ``(items,)`` int64: from which item of the given batch each
            item came, so that ``target[rows]`` are the targets.

        Raises:
            NothingPresent: the signals hold no modality at all.
        """
        return self(signals, generator), index_rows(signals)

    def list_modalities(self) -> tuple[str, ...]:
        """List the modalities that the operation's options name; a default names nobody."""
        names: list[str] = []
        for option in fields(self):
            value = getattr(self, option.name)
            if value == option.default:
                continue
            if option.name == "modality":
                names.append(value)
            elif option.name in {"modalities", "probabilities"}:
                names += value
        return tuple(names)


def index_rows(signals: Signals) -> Tensor:
    """Return the index of each item, ``(batch,)`` int64."""
    return torch.arange(signals.batch, device=has_any(signals).device)


def has_any(signals: Signals) -> Tensor:
    """Find who has any observation of any modality, ``(batch,)`` bool.

    Raises:
        NothingPresent: the signals hold no modality at all.
    """
    return torch.stack(_presence(signals)).any(dim=0)


def has_other(signals: Signals, modality: str) -> Tensor:
    """Find who has any observation of another modality than this one, ``(batch,)`` bool."""
    found = torch.zeros_like(_presence(signals)[0])
    for name, sequence in signals.items():
        if name != modality:
            found = found | sequence.present
    return found


def _presence(signals: Signals) -> list[Tensor]:
    if not signals:
        raise NothingPresent("the signals hold no modality", advice="give audio, video or both")
    return [sequence.present for sequence in signals.values()]


def hide_modalities(signals: Signals, lost: Mapping[str, Tensor]) -> Signals:
    """Hide whole modalities from some, and none from whoever would be left with nothing.

    Args:
        signals: any.
        lost: by modality, ``(batch,)`` bool: from whom it is hidden.
    """
    after = {
        name: sequence.valid & ~lost[name].unsqueeze(1) if name in lost else sequence.valid
        for name, sequence in signals.items()
    }
    left = torch.stack([has_any(signals), *(valid.any(dim=1) for valid in after.values())])
    emptied = (left[0] & ~left[1:].any(dim=0)).unsqueeze(1)
    return Signals(
        {n: replace(s, valid=after[n] | (s.valid & emptied)) for n, s in signals.items()}
    )


def draw_uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw numbers from 0 to below 1, on the device of `like`."""
    return torch.rand(shape, generator=generator, device=generator.device).to(like.device)


def choose(candidates: Tensor, number: Tensor, generator: torch.Generator) -> Tensor:
    """Choose so many of the candidates of each row, each as likely as the others.

    Args:
        candidates: ``(batch, n)`` bool.
        number: ``(batch,)`` how many; all of them where there are not so many.
        generator: of the choice.

    Returns:
        ``(batch, n)`` bool.
    """
    draws = draw_uniform((len(candidates), candidates.shape[1]), generator, candidates)
    keys = torch.where(candidates, draws, -1.0)
    rank = keys.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return candidates & (rank < number.unsqueeze(1))
