"""What all corpora share: labelled clips, the files of a corpus, the codes in their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mien.errors import InputError


@dataclass(frozen=True)
class Clip:
    """One labelled recording, or a stretch of one.

    Attributes:
        path: the recording; None where there are only files of features.
        person: who is in it, unique over corpora, as ``java_sed/01``.
        label: its category, acted or perceived as the reader says; None where it is missing.
        corpus: the corpus it belongs to.
        soft_label: proportions of votes by category, which sum to one; empty where there are none.
        values: dimensions by name, in the range that the reader of the corpus states.
        part: the official part, ``train``, ``valid`` or ``test``, or the fold in which it is
            tested; empty where there is neither.
        start: seconds within the recording at which it begins.
        end: seconds within the recording at which it ends; None is the recording's end.
        channel: the channel of the sound that is the person's, counted from 1; None is the mean of
            all.
        files: files of features by modality.
        ratings: a file of ratings per frame; None where there is none.
        name: unique in its corpus; the recording's file name without its ending where empty.
    """

    path: Path | None
    person: str
    label: str | None
    corpus: str
    soft_label: Mapping[str, float] = field(default_factory=dict, hash=False)
    values: Mapping[str, float] = field(default_factory=dict, hash=False)
    part: str = ""
    start: float = 0.0
    end: float | None = None
    channel: int | None = None
    files: Mapping[str, Path] = field(default_factory=dict, hash=False)
    ratings: Path | None = None
    name: str = ""

    @property
    def full_name(self) -> str:
        """The name with the corpus in front, unique over corpora."""
        return f"{self.corpus}/{self.name or (self.path.stem if self.path else '')}"

    @property
    def main_file(self) -> Path:
        """The recording, or its first file of features."""
        return self.path or next(iter(self.files.values()))


def list_files(folder: Path, pattern: str, source: str = "") -> list[Path]:
    """List the files of a corpus, sorted.

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


def decode_emotion(code: str, codes: Mapping[str, str], path: Path) -> str:
    """Return the emotion that a part of a file's name stands for.

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
