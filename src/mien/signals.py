"""Signals with holes: what of a recording was observed, and when.

A `Sequence` is one modality over time with a mask of what was observed; `Signals` maps modalities
to sequences. Values under ``valid=False`` mean nothing and must never reach a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mien.errors import NothingPresent


@dataclass(frozen=True)
class Sequence:
    """One modality of a batch of recordings.

    Attributes:
        values: ``(batch, time, *feature)``.
        valid: ``(batch, time)`` bool, True where the modality was observed.
        hop: seconds between two steps.
    """

    values: Tensor
    valid: Tensor
    hop: float

    def __post_init__(self) -> None:
        if self.valid.dtype != torch.bool:
            raise TypeError(f"valid must be boolean, got {self.valid.dtype}")
        if self.values.ndim < 3 or self.values.shape[:2] != self.valid.shape:
            raise ValueError(
                f"values {tuple(self.values.shape)} and valid {tuple(self.valid.shape)} must share "
                "(batch, time), and values must have a feature axis"
            )
        if not self.hop > 0:
            raise ValueError(f"hop must be positive, got {self.hop}")

    @property
    def present(self) -> Tensor:
        """``(batch,)`` bool: was this modality observed at any time."""
        return self.valid.any(dim=1)

    def hidden(self) -> Sequence:
        """The same sequence with nothing observed."""
        return replace(self, valid=torch.zeros_like(self.valid))

    def select(self, rows: Tensor) -> Sequence:
        """Some items of the batch, by their indices or a mask."""
        return replace(self, values=self.values[rows], valid=self.valid[rows])

    def to(self, device: torch.device | str) -> Sequence:
        """The same sequence on another device."""
        return replace(self, values=self.values.to(device), valid=self.valid.to(device))


class Signals(Mapping[str, Sequence]):
    """Sequences by modality; one that nobody in the batch has may be left out.

    Args:
        sequences: by modality. All must agree in batch size.
    """

    def __init__(self, sequences: Mapping[str, Sequence]) -> None:
        self._sequences = dict(sequences)
        sizes = {name: len(sequence.valid) for name, sequence in self._sequences.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"modalities differ in batch size: {sizes}")

    def __getitem__(self, modality: str) -> Sequence:
        return self._sequences[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sequences)

    def __len__(self) -> int:
        return len(self._sequences)

    def __repr__(self) -> str:
        parts = (f"{name}={tuple(s.values.shape)}" for name, s in self.items())
        return f"Signals({', '.join(parts)})"

    @property
    def batch(self) -> int:
        """Number of recordings in the batch.

        Raises:
            NothingPresent: there is no modality at all.
        """
        return len(self._any().valid)

    def _any(self) -> Sequence:
        if not self._sequences:
            raise NothingPresent("the signals hold no modality", advice="give audio, video or both")
        return next(iter(self._sequences.values()))

    def present(self, modality: str) -> Tensor:
        """``(batch,)`` bool: who has any observation of this modality."""
        if modality in self._sequences:
            return self._sequences[modality].present
        return torch.zeros_like(self._any().present)

    def select(self, rows: Tensor) -> Signals:
        """Some items of the batch, by their indices or a mask."""
        return Signals({name: sequence.select(rows) for name, sequence in self.items()})

    def to(self, device: torch.device | str) -> Signals:
        """The same signals on another device."""
        return Signals({name: sequence.to(device) for name, sequence in self.items()})


def pad_batch(items: Iterable[Signals]) -> Signals:
    """One batch of several, padded at the end with steps that were not observed.

    Args:
        items: signals of any batch sizes, lengths and modalities; a modality must have one hop and
            one feature shape in all that have it.

    Raises:
        NothingPresent: there is no item, or none has a modality.
        ValueError: hops or feature shapes differ.
    """
    parts = list(items)
    names = dict.fromkeys(name for signals in parts for name in signals)
    if not names:
        raise NothingPresent("a batch of nothing", advice="give at least one item with a modality")
    return Signals({name: _stacked(name, parts) for name in names})


def _stacked(name: str, parts: list[Signals]) -> Sequence:
    known = [signals[name] for signals in parts if name in signals]
    if len({(s.hop, s.values.shape[2:]) for s in known}) > 1:
        raise ValueError(f"items differ in the hop or the features of {name}")
    first = known[0]
    steps = max(s.valid.shape[1] for s in known)
    batch = sum(signals.batch for signals in parts)
    values = first.values.new_zeros(batch, steps, *first.values.shape[2:])
    valid = first.valid.new_zeros(batch, steps)
    row = 0
    for signals in parts:
        if name in signals:
            sequence = signals[name]
            length = sequence.valid.shape[1]
            values[row : row + signals.batch, :length] = sequence.values
            valid[row : row + signals.batch, :length] = sequence.valid
        row += signals.batch
    return Sequence(values, valid, first.hop)
