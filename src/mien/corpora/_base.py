"""What all corpora share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mien.errors import InputError


@dataclass(frozen=True)
class Clip:
    """One labelled recording.

    Attributes:
        path: the recording.
        person: who is in it, unique over corpora, as ``java_sed/01``.
        emotion: the acted emotion, a word of `mien.schema.EMOTIONS`.
        corpus: the corpus it belongs to.
    """

    path: Path
    person: str
    emotion: str
    corpus: str


def people(clips: Iterable[Clip]) -> tuple[str, ...]:
    """The people of some clips, sorted."""
    return tuple(sorted({clip.person for clip in clips}))


def files(folder: Path, pattern: str) -> list[Path]:
    """The files of a corpus, sorted.

    Raises:
        InputError: there are none.
    """
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError(
            f"no file matches {pattern}", path=folder, advice="is the corpus in this folder?"
        )
    return found


def emotion_of(code: str, codes: dict[str, str], path: Path) -> str:
    """The emotion that a part of a file's name stands for.

    Raises:
        InputError: the code is not one of the corpus.
    """
    if code not in codes:
        raise InputError(
            f"emotion code {code} is not one of {sorted(codes)}",
            path=path,
            advice="move the file out of the corpus or mend its name",
        )
    return codes[code]
