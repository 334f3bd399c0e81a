"""What people answered when they were shown the recordings of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Presentation = Literal["voice", "face", "audio-visual"]
PRESENTATIONS: tuple[Presentation, ...] = ("voice", "face", "audio-visual")


@dataclass(frozen=True)
class Rated:
    """One clip as people rated it.

    Attributes:
        acted: the emotion that was acted.
        votes: how many people chose which emotion, by what they were shown.
    """

    acted: str
    votes: Mapping[Presentation, Mapping[str, int]]
