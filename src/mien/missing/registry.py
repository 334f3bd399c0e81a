"""Operations by name, as an experiment's YAML asks for them, and one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from types import MappingProxyType

import torch
from torch import Tensor

from mien.errors import OptionError
from mien.missing._base import Operation, every_row
from mien.missing.dropout import ModalityDropout
from mien.missing.frames import Burst, KeepFirst, MaskFrames
from mien.missing.noise import NoiseWindows
from mien.missing.whole import Withhold, WithholdPerBatch, WithholdPerSample
from mien.signals import Signals


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
        object.__setattr__(self, "operations", tuple(map(_built, self.operations)))

    def __call__(self, signals: Signals, generator: torch.Generator) -> Signals:
        """The signals after all operations."""
        return self.enlarge(signals, generator)[0]

    def enlarge(self, signals: Signals, generator: torch.Generator) -> tuple[Signals, Tensor]:
        """The signals after all operations, and the rows of the given batch they came from."""
        rows = every_row(signals)
        for step in self.operations:
            assert isinstance(step, Operation)  # each was built when the chain was
            signals, origin = step.enlarge(signals, generator)
            rows = rows[origin]
        return signals, rows


OPERATIONS: Mapping[str, type[Operation]] = MappingProxyType(
    {
        "withhold": Withhold,
        "withhold_per_sample": WithholdPerSample,
        "withhold_per_batch": WithholdPerBatch,
        "modality_dropout": ModalityDropout,
        "mask_frames": MaskFrames,
        "noise_windows": NoiseWindows,
        "burst": Burst,
        "keep_first": KeepFirst,
        "chain": Chain,
    }
)


def operation(name: str, **options: object) -> Operation:
    """An operation by name.

    Args:
        name: a key of `OPERATIONS`.
        options: the attributes of its class.

    Raises:
        OptionError: no operation has that name, it has no such option, one that it needs is not
            given, or a value makes no sense.
    """
    if name not in OPERATIONS:
        raise OptionError(
            f"no operation is called {name}", advice=f"choose from {', '.join(OPERATIONS)}"
        )
    known = {field.name: field.default is MISSING for field in fields(OPERATIONS[name])}
    unknown = [option for option in options if option not in known]
    lacking = [option for option, needed in known.items() if needed and option not in options]
    if unknown or lacking:
        problem = (
            f"has no option {', '.join(unknown)}" if unknown else f"needs {', '.join(lacking)}"
        )
        raise OptionError(f"{name} {problem}", advice=f"its options are {', '.join(known)}")
    return OPERATIONS[name](**options)


def _built(step: object) -> Operation:
    if isinstance(step, Operation):
        return step
    if isinstance(step, Mapping) and isinstance(step.get("name"), str):
        return operation(**step)
    raise OptionError(
        f"{step!r} is no operation", advice="give its name and its options, or an operation"
    )
