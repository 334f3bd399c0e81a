"""Operations by name, as an experiment's YAML asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import TypeVar

from mien.errors import OptionError
from mien.missing._base import Operation
from mien.registry import Registry, check_options

OPERATIONS: Registry[type[Operation]] = Registry(
    "operation", group="mien.operations", modules=("mien.missing",)
)
Registered = TypeVar("Registered", bound=Operation)


def register_operation(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register an operation; decorate its class, a dataclass whose attributes are its options.

    Args:
        name: by which an experiment asks for it.

    Raises:
        OptionError: (the decorator) the name is taken, or the class is no dataclass that derives
            from `Operation`.

    Example:
        >>> from dataclasses import dataclass
        >>> @register_operation("mute")
        ... @dataclass(frozen=True)
        ... class Mute(Operation):
        ...     def __call__(self, signals, generator):
        ...         return signals.without("audio")
        >>> create_operation("mute")
        Mute()
    """

    def register(kind: type[Registered]) -> type[Registered]:
        if not (isinstance(kind, type) and issubclass(kind, Operation) and is_dataclass(kind)):
            raise OptionError(
                f"the operation {name!r} is no dataclass that derives from Operation",
                advice="derive it from mien.missing.Operation and decorate it with @dataclass",
            )
        OPERATIONS.register(name, kind)
        return kind

    return register


def create_operation(name: str, **options: object) -> Operation:
    """Create an operation by name.

    Args:
        name: a key of `OPERATIONS`.
        options: the attributes of its class.

    Raises:
        OptionError: no operation has that name, it has no such option, one that it needs is not
            given, or a value makes no sense; an unknown word is answered with the nearest known.

    Example:
        >>> create_operation("burst", modality="audio", seconds=2.0)
        Burst(modality='audio', seconds=2.0, start=None)
    """
    kind = OPERATIONS[name]
    known = [field for field in fields(kind) if field.init]
    needed = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    check_options(name, options, [field.name for field in known], needed)
    return kind(**options)
