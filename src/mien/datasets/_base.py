"""What all corpora share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import InputError


@dataclass(frozen=True)
class Clip:
    """One labelled recording.

    Attributes:
        path: the recording.
        person: who is in it, unique over corpora, as ``java_sed/01``.
        emotion: a word of `mien.schema.EMOTIONS`, acted or perceived as the reader says; None
            where there is none.
        corpus: the corpus it belongs to.
        shares: a soft label: shares of votes by emotion, which sum to one; empty where there is
            none.
        values: dimensions by name, in the range that the reader of the corpus states.
        part: the official part: ``train``, ``valid`` or ``test``; empty where there is none.
    """

    path: Path
    person: str
    emotion: str | None
    corpus: str
    shares: Mapping[str, float] = field(default_factory=dict, hash=False)
    values: Mapping[str, float] = field(default_factory=dict, hash=False)
    part: str = ""


def people(clips: Iterable[Clip]) -> tuple[str, ...]:
    """The people of some clips, sorted."""
    return tuple(sorted({clip.person for clip in clips}))


def files(folder: Path, pattern: str, source: str = "") -> list[Path]:
    """The files of a corpus, sorted.

    Args:
        folder: where they are.
        pattern: what they are called.
        source: where to get the corpus, a sentence.

    Raises:
        InputError: there are none.
    """
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError(
            f"no file matches {pattern}",
            path=folder,
            advice=" ".join(filter(None, ("is the corpus in this folder?", source))),
        )
    return found


def emotion_of(code: str, codes: Mapping[str, str], path: Path) -> str:
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
