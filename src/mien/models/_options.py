"""Keyword options of modules: which there are, and whether values fit their annotations."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Mapping
from typing import (
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from torch import nn

from mien.errors import OptionError
from mien.models._base import Model
from mien.registry import check_options

_PLAIN: dict[type, str] = {
    type(None): "nothing",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
}


def check_module_options(what: str, module: type[nn.Module], options: Mapping[str, object]) -> None:
    """Check names and values of options without building the module.

    Args:
        what: whose options they are, for the message.
        module: the class.
        options: by name.

    Raises:
        OptionError: there is no such option, one that is needed is lacking, or a value does not
            fit its annotation.
    """
    known = _options(module)
    check_options(what, options, known, [name for name, (_, needed) in known.items() if needed])
    for name, value in options.items():
        hint, _ = known[name]
        if not _fits(value, hint):
            raise OptionError(
                f"{what}'s option {name} cannot be {value!r}", advice=f"give {_describe(hint)}"
            )


def _options(module: type[nn.Module]) -> dict[str, tuple[object, bool]]:
    """Annotation of each option, those that are handed on included; must it be given?"""
    found: dict[str, tuple[object, bool]] = {}
    if issubclass(module, Model):
        for part in module.hands_options_to:
            found |= _options(part)
    for kind in module.__mro__:
        if "__init__" in vars(kind):
            named, hands_on = _options_of(vars(kind)["__init__"])
            found = named | found
            if not hands_on:
                break
    return found


def _options_of(init: Callable[..., object]) -> tuple[dict[str, tuple[object, bool]], bool]:
    """Options of one constructor, and whether it hands others on that it does not list."""
    hints, found, hands_on = _hints(init), dict[str, tuple[object, bool]](), False
    for name, parameter in inspect.signature(init).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            found[name] = (hints.get(name, Any), parameter.default is parameter.empty)
        elif parameter.kind is parameter.VAR_KEYWORD:
            listed = next(iter(get_args(hints.get(name))), None)  # of Unpack[…]
            hands_on = not is_typeddict(listed)
            if listed is not None and not hands_on:
                needed = listed.__required_keys__
                found |= {n: (hint, n in needed) for n, hint in get_type_hints(listed).items()}
    return found, hands_on


def _hints(init: object) -> dict[str, object]:
    try:
        return get_type_hints(init)
    except (NameError, TypeError, AttributeError):  # as of names that only a type checker imports
        return {}


def _fits(value: object, hint: object) -> bool:
    """False only where the annotation certainly forbids the value."""
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
