"""Operations one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mien.errors import OptionError
from mien.missing._base import Operation, index_rows
from mien.missing.registry import create_operation, register_operation
from mien.signals import Signals


@register_operation("chain")
@dataclass(frozen=True)
class Chain(Operation):
    """Operations one after the other.

    Attributes:
        operations: in order; none changes nothing. In place of an operation stands its ``name``
            with its options as well, as YAML has it.

    Raises:
        OptionError: one of them is no operation.
    """

    operations: Iterable[Operation | Mapping[str, object]]

    def __post_init__(self) -> None:
        if isinstance(self.operations, str | Mapping) or not isinstance(self.operations, Iterable):
            raise OptionError("operations are no list", advice="give a list of operations")
        object.__setattr__(self, "operations", tuple(map(_build, self.operations)))

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """Return the signals after all operations."""
        return self.enlarge(signals, generator)[0]

    def enlarge(self, signals: Signals, generator: torch.Generator) -> tuple[Signals, Tensor]:
        """Return the signals after all operations, and the rows of the batch they came from."""
        rows = index_rows(signals)
        for step in self.operations:
            assert isinstance(step, Operation)  # each was built when the chain was
            signals, origin = step.enlarge(signals, generator)
            rows = rows[origin]
        return signals, rows

    def list_modalities(self) -> tuple[str, ...]:
        """List the modalities that any of the operations names."""
        return tuple(
            name
            for step in self.operations
            if isinstance(step, Operation)
            for name in step.list_modalities()
        )


def _build(step: object) -> Operation:
    if isinstance(step, Operation):
        return step
    if isinstance(step, Mapping) and isinstance(step.get("name"), str):
        return create_operation(**step)
    raise OptionError(
        f"{step!r} is no operation", advice="give its name and its options, or an operation"
    )
