"""What features are told from: mean, deviation and principal components of the training part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mien.datasets import Example
from mien.signals import Sequence, Signals

CONSTANT = 1e-5  # a deviation below counts as none


@dataclass(frozen=True)
class Standard:
    """Mean and deviation of each feature over the observed steps of some examples, and a basis.

    Attributes:
        mean: by modality, the shape of a step.
        deviation: likewise; one where a feature is constant.
        basis: by modality ``(features, components)``, directions of most variance of what was
            standardised, scaled so that the components together have a mean variance of one;
            modalities that keep their features are left out.
    """

    mean: Mapping[str, Tensor]
    deviation: Mapping[str, Tensor]
    basis: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, examples: Iterable[Example], components: int | None = None) -> Standard:
        """Those of some examples.

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
                basis[name] = _basis((steps - mean[name]) / deviation[name], components)
        return cls(mean, deviation, basis)

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor]) -> Standard:
        """That of `packed` tensors."""
        parts: dict[str, dict[str, Tensor]] = {"mean": {}, "deviation": {}, "basis": {}}
        for key, value in tensors.items():
            kind, name = key.split(".", 1)
            parts[kind][name] = value
        return cls(**parts)

    def packed(self) -> dict[str, Tensor]:
        """All tensors under names of their own."""
        kinds = {"mean": self.mean, "deviation": self.deviation, "basis": self.basis}
        return {f"{k}.{n}": t.contiguous() for k, by in kinds.items() for n, t in by.items()}

    def apply(self, examples: Iterable[Example]) -> list[Example]:
        """The same examples, standardised; a modality that it does not know stays as it is."""
        return [replace(e, signals=self.of_signals(e.signals)) for e in examples]

    def of_signals(self, signals: Signals) -> Signals:
        """The same signals, standardised."""
        return Signals({name: self._of(name, sequence) for name, sequence in signals.items()})

    def _of(self, name: str, sequence: Sequence) -> Sequence:
        if name not in self.mean:
            return sequence
        values = (sequence.values - self.mean[name]) / self.deviation[name]
        if name in self.basis:
            values = values @ self.basis[name]
        mask = sequence.valid.view(*sequence.valid.shape, *[1] * (values.ndim - 2))
        return replace(sequence, values=torch.where(mask, values, 0.0))


def _basis(steps: Tensor, components: int) -> Tensor:
    variances, directions = torch.linalg.eigh(steps.T @ steps / len(steps))
    # Ascending, so the last ones; a sign is fixed, for eigenvectors have none.
    kept = directions[:, -components:].flip(1)
    kept = kept * torch.where(kept.sum(dim=0) < 0, -1.0, 1.0)
    scale = variances[-components:].mean().clamp(min=CONSTANT**2).sqrt()
    basis: Tensor = (kept / scale).float()
    return basis
