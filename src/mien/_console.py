"""What the commands share: consoles, exit codes, and how options with ``=`` are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from mien.errors import OptionError

OUT = Console(highlight=False, soft_wrap=True)
ERR = Console(stderr=True, highlight=False, soft_wrap=True)
FAILED = 1
WRONG_USE = 2

Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", help="Python file that registers a model, an extractor …. May be repeated."
    ),
]


def split_list(text: str) -> list[str]:
    """Split a list at its commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def split_pairs(texts: Iterable[str], example: str) -> dict[str, str]:
    """Split texts of the form ``NAME=VALUE``.

    Args:
        texts: as they were typed.
        example: for the message, as ``audio=voice.npz``.

    Raises:
        OptionError: one has no such form.
    """
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name.strip() and separator and value.strip()):
            raise OptionError(f"{text!r} is not NAME=VALUE", advice=f"as {example}")
        pairs[name.strip()] = value.strip()
    return pairs


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Parse options as ``width=8``; values are those of YAML.

    Example:
        >>> parse_options(["width=8", "modalities=[audio, video]"])
        {'width': 8, 'modalities': ['audio', 'video']}
    """
    return {name: _parse_value(value) for name, value in split_pairs(texts, "width=8").items()}


def parse_choice(text: str) -> str | dict[str, Any]:
    """Parse something by name, with options of its own after a colon.

    Example:
        >>> parse_choice("mfcc"), parse_choice("mfcc:count=13,hop=0.02")
        ('mfcc', {'name': 'mfcc', 'count': 13, 'hop': 0.02})
    """
    name, separator, options = text.partition(":")
    if not separator:
        return name
    parsed = _parse_value("{" + re.sub(r"(\w+)\s*=\s*", r"\1: ", options) + "}")
    if not isinstance(parsed, dict) or None in parsed.values():
        raise OptionError(f"{text!r} is not NAME:OPTION=VALUE", advice="as mfcc:count=13,hop=0.02")
    return {"name": name, **parsed}


def _parse_value(text: str) -> Any:  # noqa: ANN401, whatever YAML says
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OptionError(f"{text!r} is no value", advice="write it as in YAML") from error
