"""Every error that mien raises on purpose.

Each says what is wrong, with which file, and what to do. All of them derive from `MienError`, so
one ``except mien.MienError`` around a call separates bad input from a defect of mien.
"""

from __future__ import annotations

from pathlib import Path


class MienError(Exception):
    """Base of all errors of mien.

    Args:
        problem: what is wrong, a clause without a full stop.
        path: the file it is about, if it is about a file.
        advice: what to do, a clause without a full stop.
    """

    def __init__(self, problem: str, *, path: str | Path | None = None, advice: str = "") -> None:
        self.problem = problem
        self.path = None if path is None else str(path)
        self.advice = advice
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        what_to_do = f"; {self.advice}" if self.advice else ""
        return f"{where}{self.problem}{what_to_do}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.path, self.advice)


def _rebuild(kind: type[MienError], problem: str, path: str | None, advice: str) -> MienError:
    return kind(problem, path=path, advice=advice)


class InputError(MienError):
    """The path cannot be read at all: missing, a folder, empty, or no permission."""


class FormatError(MienError):
    """The file is no recording of a known format, or holds neither sound nor picture."""


class DamagedError(MienError):
    """The recording is of a known format but too damaged to decode any of it."""


class LimitError(MienError):
    """The recording asks for more pixels, memory or time than the decoder is allowed."""


class DecoderCrash(MienError):
    """The decoder's process died on this file; mien itself goes on."""


class WeightError(MienError):
    """A weight file is missing, cut short, or not the file that it should be."""


class NothingPresent(MienError):
    """There is no observed modality to work with."""


class OptionError(MienError):
    """An option, a name or a combination of them makes no sense."""


class PluginError(MienError):
    """A plugin cannot be loaded, or something needs a plugin that is not there."""


class ModelFileError(WeightError):
    """A file is no trained model of mien, is damaged, or needs something that is not here."""


class OutputError(MienError):
    """A result could not be written; nothing that looks whole was left behind."""
