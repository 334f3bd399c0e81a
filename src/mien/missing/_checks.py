"""Checks of what operations are asked for, whether it comes from Python or from YAML."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from mien.errors import OptionError
from mien.schema import MODALITIES

# All that signals are called in the papers. A name outside is refused: a misspelt one would take
# nothing away, and a table would say that it did.
NAMES = (*MODALITIES, "physiology", "text")


def check_names(option: str, given: object) -> tuple[str, ...]:
    """Check names of modalities.

    Raises:
        OptionError: no list of names, or an unknown one.
    """
    if isinstance(given, str) or not isinstance(given, Collection):
        raise OptionError(f"{option} is {given!r}", advice=f"give a list of {_list_names()}")
    unknown = [name for name in given if name not in NAMES]
    if unknown:
        raise OptionError(
            f"{option} names {', '.join(map(str, unknown))}", advice=f"choose from {_list_names()}"
        )
    return tuple(given)


def check_number(
    option: str, given: object, *, least: float, most: float = math.inf, whole: bool = False
) -> None:
    """Check a number.

    Raises:
        OptionError: no number, not finite, outside of the range, or not whole.
    """
    kinds = int if whole else (int, float)
    fits = isinstance(given, kinds) and not isinstance(given, bool) and math.isfinite(given)
    if not fits or not least <= given <= most:  # type: ignore[operator]  # fits says number
        kind = "a whole number" if whole else "a number"
        top = "up" if most == math.inf else f"to {most:g}"
        raise OptionError(f"{option} is {given!r}", advice=f"give {kind} from {least:g} {top}")


def check_seconds(option: str, given: object) -> None:
    """Check a duration.

    Raises:
        OptionError: no number above zero.
    """
    check_number(option, given, least=0)
    if given == 0:
        raise OptionError(f"{option} is 0", advice="give seconds above zero")


def check_fractions(option: str, given: object, keys: Collection[str] = NAMES) -> None:
    """Check numbers from 0 to 1 by name.

    Raises:
        OptionError: no mapping, an unknown name, or a number outside of the range.
    """
    if not isinstance(given, Mapping):
        raise OptionError(f"{option} is {given!r}", advice="give numbers by name")
    unknown = [str(key) for key in given if key not in keys]
    if unknown:
        raise OptionError(
            f"{option} names {', '.join(unknown)}", advice=f"choose from {', '.join(keys)}"
        )
    for name, fraction in given.items():
        check_number(f"{option}: {name}", fraction, least=0, most=1)


def _list_names() -> str:
    return ", ".join(NAMES)
