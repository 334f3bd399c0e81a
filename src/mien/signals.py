"""Signals with holes: what of a recording was observed, and when.

A `Sequence` is one modality over time with a mask of what was observed; `Signals` maps modalities
to sequences. Values under ``valid=False`` mean nothing and must never reach a result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from mien.errors import NothingPresent, OptionError


@dataclass(frozen=True)
class Sequence:
    """One modality of a batch of recordings.

    Attributes:
        values: ``(batch, time, *feature)``.
        valid: ``(batch, time)`` bool, True where the modality was observed.
        hop: seconds between two steps.

    Raises:
        OptionError: `valid` is not boolean, values and `valid` do not agree in batch and time,
            there is no feature axis, or the hop is not positive.
    """

    values: Tensor
    valid: Tensor
    hop: float

    def __post_init__(self) -> None:
        if self.valid.dtype != torch.bool:
            raise OptionError(
                f"valid must be boolean, got {self.valid.dtype}", advice="give torch.bool"
            )
        if self.values.ndim < 3 or self.values.shape[:2] != self.valid.shape:
            raise OptionError(
                f"values {tuple(self.values.shape)} and valid {tuple(self.valid.shape)} must share "
                "(batch, time), and values must have a feature axis"
            )
        if not 0 < self.hop < math.inf:
            raise OptionError(f"hop must be positive, got {self.hop}", advice="give seconds")

    @property
    def present(self) -> Tensor:
        """``(batch,)`` bool: was this modality observed at any time."""
        return self.valid.any(dim=1)

    def hide(self) -> Sequence:
        """Hide everything: the same sequence with nothing observed."""
        return replace(self, valid=torch.zeros_like(self.valid))

    def select(self, rows: Tensor) -> Sequence:
        """Select some items of the batch, by their indices or a mask."""
        return replace(self, values=self.values[rows], valid=self.valid[rows])

    def to(self, device: torch.device | str) -> Sequence:
        """Move the sequence to another device."""
        return replace(self, values=self.values.to(device), valid=self.valid.to(device))


class Signals(Mapping[str, Sequence]):
    """Sequences by modality; one that nobody in the batch has may be left out.

    Args:
        sequences: by modality.

    Raises:
        OptionError: they do not all agree in batch size.
    """

    def __init__(self, sequences: Mapping[str, Sequence]) -> None:
        self._sequences = dict(sequences)
        sizes = {name: len(sequence.valid) for name, sequence in self._sequences.items()}
        if len(set(sizes.values())) > 1:
            raise OptionError(f"modalities differ in batch size: {sizes}")

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
        """Find who has any observation of this modality: ``(batch,)`` bool."""
        if modality in self._sequences:
            return self._sequences[modality].present
        return torch.zeros_like(self._any().present)

    def select(self, rows: Tensor) -> Signals:
        """Select some items of the batch, by their indices or a mask."""
        return Signals({name: sequence.select(rows) for name, sequence in self.items()})

    def to(self, device: torch.device | str) -> Signals:
        """Move the signals to another device."""
        return Signals({name: sequence.to(device) for name, sequence in self.items()})


PlainSignals: TypeAlias = Mapping[str, Tensor | Sequence]
"""Tensors ``(batch, time, *feature)`` by modality, sequences among them if need be."""


def as_signals(
    plain: Signals | PlainSignals, *, hop: float | Mapping[str, float] | None = None
) -> Signals:
    """Make `Signals` of plain tensors; what is `Signals` already is given back.

    Args:
        plain: ``(batch, time, *feature)`` by modality, numbers that numpy or torch knows. A step
            that holds a NaN was not observed.
        hop: seconds between two steps, for all or by modality. None: all modalities are taken to
            last equally long, and the finest to have one step a second; models look at the ratio
            of hops alone, so this is right whenever the tensors are of one recording.

    Raises:
        OptionError: a modality is no tensor of three or more axes, has no hop in `hop`, or they
            disagree in batch size.

    Example:
        >>> face = torch.tensor([[[0.1], [float("nan")]]])
        >>> signals = as_signals({"audio": torch.zeros(1, 4, 2), "video": face})
        >>> signals["video"].valid.tolist(), signals["video"].hop, signals["audio"].hop
        ([[True, False]], 2.0, 1.0)
    """
    if isinstance(plain, Signals):
        return plain
    if not isinstance(plain, Mapping):
        raise OptionError(
            f"a {type(plain).__name__} is no signals",
            advice="give mien.Signals or tensors (batch, time, feature) by modality",
        )
    values = {name: _numbers(name, x) for name, x in plain.items() if not isinstance(x, Sequence)}
    longest = max((x.shape[1] for x in values.values()), default=0)
    sequences = {}
    for name, given in plain.items():
        if isinstance(given, Sequence):
            sequences[name] = given
            continue
        x = values[name]
        if hop is None:
            seconds = longest / max(1, x.shape[1]) if x.shape[1] else 1.0
        elif isinstance(hop, Mapping):
            if name not in hop:
                raise OptionError(f"{name} has no hop", advice=f"give hop={{{name!r}: seconds, …}}")
            seconds = hop[name]
        else:
            seconds = hop
        valid = ~x.flatten(2).isnan().any(dim=2)
        sequences[name] = Sequence(x, valid, seconds)
    return Signals(sequences)


def _numbers(name: str, values: object) -> Tensor:
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError(
            f"{name} is no tensor but of type {type(values).__name__}",
            advice="give (batch, time, feature)",
        ) from error
    if tensor.ndim < 3:
        raise OptionError(
            f"{name} has the shape {tuple(tensor.shape)}", advice="give (batch, time, feature)"
        )
    return tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())


def pad_batch(items: Iterable[Signals]) -> Signals:
    """Make one batch of several, padded at the end with steps that were not observed.

    Args:
        items: signals of any batch sizes, lengths and modalities; a modality must have one hop and
            one feature shape in all that have it.

    Raises:
        NothingPresent: there is no item, or none has a modality.
        OptionError: hops or feature shapes differ.
    """
    parts = list(items)
    names = dict.fromkeys(name for signals in parts for name in signals)
    if not names:
        raise NothingPresent("a batch of nothing", advice="give at least one item with a modality")
    return Signals({name: _stack(name, parts) for name in names})


def _stack(name: str, parts: list[Signals]) -> Sequence:
    known = [signals[name] for signals in parts if name in signals]
    if len({(s.hop, s.values.shape[2:]) for s in known}) > 1:
        raise OptionError(f"items differ in the hop or the features of {name}")
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
