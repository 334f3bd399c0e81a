"""Values of options checked against annotations, where they are written, before anything runs."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from mien.errors import OptionError

_PLAIN: dict[type, str] = {
    type(None): "nothing",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
}


def check_values(what: str, options: Mapping[str, object], hints: Mapping[str, object]) -> None:
    """Check that values fit their annotations.

    Args:
        what: whose options they are, for the message.
        options: values by name.
        hints: annotations by name; what has none may be anything.

    Raises:
        OptionError: a value certainly does not fit.

    Example:
        >>> check_values("box", {"width": "wide"}, {"width": int})
        Traceback (most recent call last):
        mien.errors.OptionError: box's option width cannot be 'wide'; give a whole number
    """
    for name, value in options.items():
        hint = hints.get(name, Any)
        if not _fits(value, hint):
            raise OptionError(
                f"{what}'s option {name} cannot be {value!r}", advice=f"give {_describe(hint)}"
            )


def read_hints(function: object) -> dict[str, Any]:
    """Read the annotations of a function or a class; empty where they cannot be resolved.

    Example:
        >>> read_hints(check_values)["what"]
        <class 'str'>
    """
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # as of names that only a type checker imports
        return {}


def _fits(value: object, hint: object) -> bool:
    """Return False only where the annotation certainly forbids the value."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in inner)
    if isinstance(origin, type):
        return _fits_collection(value, origin, inner)
    if not isinstance(hint, type) or getattr(hint, "_is_protocol", False) or is_typeddict(hint):
        return True
    kinds = (int, float) if hint is float else hint
    return isinstance(value, kinds) and (hint is bool or not isinstance(value, bool))


def _fits_collection(value: object, kind: type, inner: tuple[object, ...]) -> bool:
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(key, inner[0]) and _fits(one, inner[1]) for key, one in value.items()
        )
    if not issubclass(kind, Collection):
        return True
    if isinstance(value, str | Mapping) or not isinstance(value, Collection):
        return False
    if kind is tuple and Ellipsis not in inner:
        return len(value) == len(inner) and all(map(_fits, value, inner))
    return all(_fits(one, inner[0]) for one in value)


def _describe(hint: object) -> str:
    """Say what an annotation allows, in words where there are simple ones."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return " or ".join(map(_describe, inner))
    if origin is Literal:
        return " or ".join(map(str, inner))
    if isinstance(origin, type):
        if issubclass(origin, Mapping):
            return "a dictionary"
        return f"a list of {len(inner)}" if origin is tuple and Ellipsis not in inner else "a list"
    words = _PLAIN.get(hint) if isinstance(hint, type) else "nothing"
    return words or f"a {getattr(hint, '__name__', hint)}"
