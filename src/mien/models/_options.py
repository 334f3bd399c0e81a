"""Keyword options of modules: which there are, and whether values fit their annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_type_hints, is_typeddict

from torch import nn

from mien.annotations import check_values, read_hints
from mien.models._base import Model
from mien.registry import check_options


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
    check_values(what, options, {name: hint for name, (hint, _) in known.items()})


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
    hints, found, hands_on = read_hints(init), dict[str, tuple[object, bool]](), False
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
