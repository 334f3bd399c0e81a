"""What a format is, and which there are.

A plugin adds one in a file of its own::

    from mien.formats import Format, register_format

    register_format("txt", Format(".txt", "one line a row", write_lines))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mien.errors import OptionError
from mien.registry import Registry


@dataclass(frozen=True)
class Format:
    """One way to write a timeline.

    Attributes:
        suffix: of a file's name, with the dot.
        description: what it is good for, a clause.
        write: writes a `mien.Timeline` to an open file.
        read: reads a `mien.Timeline` from an open file, where the format holds one; raises
            ValueError, TypeError or KeyError where the file holds something else.
    """

    suffix: str
    description: str
    write: Callable[[Any, BinaryIO], None]
    read: Callable[[BinaryIO], Any] | None = None


FORMATS: Registry[Format] = Registry(
    "format",
    group="mien.formats",
    modules=("mien.formats.tables", "mien.formats.intervals", "mien.formats.page"),
)


def register_format(name: str, format: Format) -> None:  # noqa: A002 - the word users know
    """Add a format, which `mien.Timeline.save`, `mien.read` and ``--format`` then know.

    Args:
        name: what it is called.
        format: how to write it, and to read it where it can be read.

    Raises:
        OptionError: the name or the suffix is taken, or the suffix is none.
    """
    if not format.suffix.startswith(".") or len(format.suffix) < 2:
        raise OptionError(
            f"the suffix {format.suffix!r} of the format {name} is none",
            advice="give one with its dot, as '.csv'",
        )
    for other, known in FORMATS.items():
        if other != name and known.suffix.lower() == format.suffix.lower():
            raise OptionError(
                f"the suffix {format.suffix} belongs to the format {other}",
                advice="choose another suffix",
            )
    FORMATS.register(name, format)


def choose_format(path: str | Path, name: str | None) -> str:
    """Name the format of a file: the name that is given, else the one that its suffix belongs to.

    Raises:
        OptionError: no format has that name or suffix.
    """
    if name is not None:
        FORMATS[name]
        return name
    suffix = Path(path).suffix
    for known, format_ in FORMATS.items():
        if format_.suffix.lower() == suffix.lower():
            return known
    raise OptionError(
        f"the suffix {suffix!r} belongs to no known format",
        path=path,
        advice=f"name a format: {', '.join(FORMATS)}",
    )
