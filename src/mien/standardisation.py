"""How features are scaled before a model sees them, and how a person's offset is taken off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mien.datasets import Example
from mien.signals import Sequence, Signals

CONSTANT = 1e-5  # a standard deviation below counts as none
SMALLEST_SPREAD = 1e-3  # of a person: features that one person holds still are only centred


@dataclass(frozen=True)
class Standardisation:
    """Mean and standard deviation of each feature over observed steps, and principal components.

    Attributes:
        mean: by modality, the shape of a step.
        deviation: the standard deviation likewise; one where a feature is constant.
        basis: by modality ``(features, components)``, directions of most variance of what was
            standardised, scaled so that the components together have a mean variance of one;
            modalities that keep their features are left out.
    """

    mean: Mapping[str, Tensor] = field(default_factory=dict)
    deviation: Mapping[str, Tensor] = field(default_factory=dict)
    basis: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def fit(cls, examples: Iterable[Example], components: int | None = None) -> Standardisation:
        """Estimate it on some examples.

        Args:
            examples: the training part.
            components: how many directions at most; None for the features themselves.
        """
        seen: dict[str, list[Tensor]] = {}
        for example in examples:
            for name, sequence in example.signals.items():
                seen.setdefault(name, []).append(sequence.values[sequence.valid])
        mean, deviation, basis = {}, {}, {}
        for name, parts in seen.items():
            steps = torch.cat(parts).double()
            mean[name] = steps.mean(dim=0).float() if len(steps) else steps.sum(dim=0).float()
            spread = steps.std(dim=0, correction=0).float() if len(steps) > 1 else mean[name] * 0
            deviation[name] = torch.where(spread > CONSTANT, spread, 1.0)
            if components is not None and steps.ndim == 2 and steps.shape[1] > components:
                basis[name] = _fit_basis((steps - mean[name]) / deviation[name], components)
        return cls(mean, deviation, basis)

    @classmethod
    def unpack(cls, tensors: Mapping[str, Tensor]) -> Standardisation:
        """Rebuild it from the tensors of `pack`."""
        parts: dict[str, dict[str, Tensor]] = {"mean": {}, "deviation": {}, "basis": {}}
        for key, value in tensors.items():
            kind, name = key.split(".", 1)
            parts[kind][name] = value
        return cls(**parts)

    def pack(self) -> dict[str, Tensor]:
        """Return all tensors under names of their own."""
        kinds = {"mean": self.mean, "deviation": self.deviation, "basis": self.basis}
        return {f"{k}.{n}": t.contiguous() for k, by in kinds.items() for n, t in by.items()}

    def apply(self, examples: Iterable[Example]) -> list[Example]:
        """Standardise examples; a modality that was not there when it was fitted stays as it is."""
        return [replace(e, signals=self.apply_to(e.signals)) for e in examples]

    def apply_to(self, signals: Signals) -> Signals:
        """Standardise signals."""
        return Signals({name: self._scale(name, sequence) for name, sequence in signals.items()})

    def _scale(self, name: str, sequence: Sequence) -> Sequence:
        if name not in self.mean:
            return sequence
        values = (sequence.values - self.mean[name]) / self.deviation[name]
        if name in self.basis:
            values = values @ self.basis[name]
        return _mask(sequence, values)


class PersonOffset:
    """Mean and standard deviation of one person's features, over all that is known of them.

    Microphone, room, language and face move features more than emotion does; features relative to
    the person's own take that away. No label is used. Feed it with `add`, then `apply_to`.

    Example:
        >>> import torch
        >>> from mien.signals import Sequence, Signals
        >>> audio = Sequence(torch.tensor([[[1.0], [3.0]]]), torch.ones(1, 2, dtype=bool), 0.2)
        >>> offset = PersonOffset()
        >>> offset.add(Signals({"audio": audio}))
        >>> offset.apply_to(Signals({"audio": audio}))["audio"].values.flatten().tolist()
        [-1.0, 1.0]
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[int, Tensor, Tensor]] = {}

    def add(self, signals: Signals) -> None:
        """Count in the observed steps of some signals, whole batches as of this one person."""
        for name, sequence in signals.items():
            seen = sequence.values[sequence.valid].double()
            nothing = torch.zeros(sequence.values.shape[2:], dtype=torch.float64)
            count, total, squares = self._sums.get(name, (0, nothing, nothing))
            self._sums[name] = (
                count + len(seen),
                total + seen.sum(dim=0),
                squares + seen.square().sum(dim=0),
            )

    def apply_to(self, signals: Signals) -> Signals:
        """Centre and scale by the person; a modality that nothing is known of stays as it is."""
        return Signals({name: self._scale(name, sequence) for name, sequence in signals.items()})

    def _scale(self, name: str, sequence: Sequence) -> Sequence:
        count, total, squares = self._sums.get(name, (0, torch.zeros(()), torch.zeros(())))
        if not count:
            return sequence
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        scale = torch.where(spread > SMALLEST_SPREAD, spread, 1.0)
        return _mask(sequence, (sequence.values - mean.float()) / scale.float())


def remove_person_offsets(examples: Iterable[Example]) -> list[Example]:
    """Centre and scale each example by all examples of the same person."""
    given = list(examples)
    offsets: dict[str, PersonOffset] = {}
    for example in given:
        offsets.setdefault(example.person, PersonOffset()).add(example.signals)
    return [replace(e, signals=offsets[e.person].apply_to(e.signals)) for e in given]


def _mask(sequence: Sequence, values: Tensor) -> Sequence:
    mask = sequence.valid.view(*sequence.valid.shape, *[1] * (values.ndim - 2))
    return replace(sequence, values=torch.where(mask, values, 0.0))


def _fit_basis(steps: Tensor, components: int) -> Tensor:
    variances, directions = torch.linalg.eigh(steps.T @ steps / len(steps))
    # Ascending, so the last ones; a sign is fixed, for eigenvectors have none.
    kept = directions[:, -components:].flip(1)
    kept = kept * torch.where(kept.sum(dim=0) < 0, -1.0, 1.0)
    scale = variances[-components:].mean().clamp(min=CONSTANT**2).sqrt()
    basis: Tensor = (kept / scale).float()
    return basis
