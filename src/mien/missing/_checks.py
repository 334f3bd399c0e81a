"""Checks of what operations are asked for, whether it comes from Python or from YAML."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

from mien.errors import OptionError
from mien.schema import MODALITIES

_NAME = re.compile(r"\w[\w-]*")


def check_names(option: str, given: object) -> tuple[str, ...]:
    """Check names of modalities; any word may be one, so whoever knows the data checks which.

    Raises:
        OptionError: no list of names.
    """
    if isinstance(given, str) or not isinstance(given, Collection):
        advice = f"give a list of modalities, as {', '.join(MODALITIES)}"
        raise OptionError(f"{option} is {given!r}", advice=advice)
    wrong = [name for name in given if not isinstance(name, str) or not _NAME.fullmatch(name)]
    if wrong:
        raise OptionError(
            f"{option} names {', '.join(map(repr, wrong))}",
            advice="a modality's name is letters, digits, - and _",
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


def check_fractions(option: str, given: object) -> None:
    """Check numbers from 0 to 1 by the name of a modality.

    Raises:
        OptionError: no mapping, no name, or a number outside of the range.
    """
    if not isinstance(given, Mapping):
        raise OptionError(f"{option} is {given!r}", advice="give numbers by name")
    check_names(option, list(given))
    for name, fraction in given.items():
        check_number(f"{option}: {name}", fraction, least=0, most=1)
