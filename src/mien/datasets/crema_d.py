"""CREMA-D: six acted emotions in twelve sentences, 91 actors, each clip rated by about ten people.

Cao, H. et al. (2014). CREMA-D: Crowd-sourced emotional multimodal actors dataset. IEEE Transactions
on Affective Computing 5(4). Names are ``AAAA_SSS_EEE_LL``: actor, sentence, acted emotion, level.
Every clip was rated three times over: by its sound, by its picture, and by both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from mien.datasets._base import Clip, decode_emotion, list_files
from mien.datasets._reading import find_first, read_table
from mien.datasets.dataset import Places, register_dataset
from mien.datasets.recordings import RecordingsDataSet, Split
from mien.datasets.votes import PRESENTATIONS, Presentation, Rated
from mien.errors import FormatError, InputError
from mien.models import Task

Rule = Literal["acted", "plurality", "majority"]

EMOTION_CODES = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
_VOTES = {code[0]: emotion for code, emotion in EMOTION_CODES.items()}
_MODES: Mapping[str, int] = {"voice": 1, "face": 2, "audio-visual": 3}
_SOURCE = "CREMA-D is at github.com/CheyneyComputerScience/CREMA-D"


def crema_d_votes(
    folder: Path, presentation: Presentation = "audio-visual"
) -> dict[str, dict[str, int]]:
    """Count how many people heard or saw which emotion, by clip: 7,442 of them.

    Args:
        folder: of the corpus; it, or its ``processedResults``, holds ``tabulatedVotes.csv``.
        presentation: what the people were shown.

    Returns:
        By the name of a clip: votes by emotion, in the order of the table.

    Raises:
        InputError: the table is not there.
        FormatError: it lacks a column.
    """
    path = _table(folder, "tabulatedVotes.csv")
    table = read_table(path, ("fileName", *_VOTES), _SOURCE)
    # The first digit of a row's number, in a column without a name, is what people were shown.
    chosen = table[table.iloc[:, 0] // 100_000 == _MODES[presentation]]
    counts = chosen[list(_VOTES)].to_numpy().tolist()
    return {
        name: dict(zip(_VOTES.values(), map(int, row), strict=True))
        for name, row in zip(chosen["fileName"], counts, strict=True)
    }


def choose_perceived(votes: Mapping[str, int], rule: Rule) -> str | None:
    """Find the emotion that people agree on.

    Args:
        votes: by emotion.
        rule: ``plurality``, more votes than any other; ``majority``, more than half of all.

    Returns:
        The emotion, or None where there is none by that rule.
    """
    most = max(votes.values())
    winners = [emotion for emotion, count in votes.items() if count == most]
    if len(winners) > 1 or (rule == "majority" and 2 * most <= sum(votes.values())):
        return None
    return winners[0]


def crema_d_clips(
    folder: Path, rule: Rule = "acted", presentation: Presentation = "audio-visual"
) -> list[Clip]:
    """List the clips with face and voice, ``VideoFlash/*.flv``.

    ``label`` is the acted emotion, or by votes the one that was perceived and None where people do
    not agree: 420 of 7,442 by plurality, 1,529 by majority, where both face and voice were shown.
    VAVL uses the majority; it counts 5,820 such clips, the published votes give 5,913.
    ``soft_label`` are the proportions of votes.

    Args:
        folder: of the corpus.
        rule: where the emotion comes from.
        presentation: whose votes count.

    Raises:
        InputError: a table or the clips are not there, or a clip has no votes.
        FormatError: a table lacks a column.
    """
    votes = crema_d_votes(folder, presentation)
    clips = []
    for path in list_files(folder, "VideoFlash/*.flv", _SOURCE):
        fields = path.stem.split("_")
        acted = decode_emotion(fields[2] if len(fields) == 4 else path.stem, EMOTION_CODES, path)
        if path.stem not in votes:
            raise InputError(
                "is not in tabulatedVotes.csv",
                path=path,
                advice="move the file out of the corpus or mend its name",
            )
        mine = votes[path.stem]
        clips.append(
            Clip(
                path,
                f"crema_d/{fields[0]}",
                acted if rule == "acted" else choose_perceived(mine, rule),
                "crema_d",
                soft_label={emotion: count / sum(mine.values()) for emotion, count in mine.items()},
            )
        )
    return clips


def _table(folder: Path, name: str) -> Path:
    return find_first(folder, (name, f"processedResults/{name}"), _SOURCE)


def crema_d_ratings(folder: Path) -> dict[str, Rated]:
    """Read how the clips of CREMA-D were rated.

    Args:
        folder: of the corpus; see `crema_d_votes`.

    Returns:
        By the name of a clip, as ``1001_DFA_ANG_XX``.

    Raises:
        InputError: the table of votes is not there.
        FormatError: it lacks a column, a clip was not rated in all three ways, or its name does
            not say what was acted.
    """
    votes = {shown: crema_d_votes(folder, shown) for shown in PRESENTATIONS}
    names = votes[PRESENTATIONS[0]]
    if any(by.keys() != names.keys() for by in votes.values()):
        raise FormatError("voice, face and both are not of the same clips", path=folder)
    return {
        name: Rated(_decode_emotion(name, folder), {shown: by[name] for shown, by in votes.items()})
        for name in names
    }


def _decode_emotion(name: str, folder: Path) -> str:
    code = name.split("_")[2] if name.count("_") == 3 else name
    if code not in EMOTION_CODES:
        raise FormatError(f"the votes name a clip {name}", path=folder, advice="take its row out")
    return EMOTION_CODES[code]


@register_dataset("crema_d")
class CremaD(RecordingsDataSet):
    """CREMA-D, from its recordings.

    Attributes:
        labels: ``acted``, or what most raters of face and voice together perceived: the
            ``plurality``, the ``majority``, or ``soft``, the proportions of their votes.
    """

    split_by: Split = "vavl"
    labels: Literal["acted", "plurality", "majority", "soft"] = "majority"

    @property
    def note(self) -> str:
        """What the data is."""
        return f"CREMA-D, {self.labels} labels, 6 emotions; {self.features_note}."

    def clips(self, places: Places) -> list[Clip]:
        """List the clips."""
        rule = "plurality" if self.labels == "soft" else self.labels
        return crema_d_clips(places.data / "crema_d", rule)

    def task(self) -> Task:
        """Describe six emotions."""
        return Task.emotions(tuple(EMOTION_CODES.values()))

    def target(self, clip: Clip) -> Tensor | None:
        """Return the emotion, or the proportions of the votes."""
        if self.labels != "soft":
            return super().target(clip)
        return torch.tensor([clip.soft_label.get(emotion, 0.0) for emotion in self.task().names])

    def rated(self, places: Places) -> Mapping[str, Rated]:
        """Read the votes that come with the corpus."""
        rated = crema_d_ratings(places.data / "crema_d")
        return {f"crema_d/{name}": one for name, one in rated.items()}
