"""Emotional speech in four more languages: nEMO, TESS, ASED and URDU.

Each is a folder of ``voices`` with the recordings and ``index.csv``: ``file``, ``speaker``,
``gender``, ``emotion`` (a word of `mien.schema.EMOTIONS`).

* nEMO: Christop, I. (2024). nEMO: Dataset of emotional speech in Polish. LREC-COLING; 9 speakers.
* TESS: Pichora-Fuller, M. K. and Dupuis, K. (2020). Toronto emotional speech set; 2 women.
* ASED: Retta, E. A. et al. (2023). A new Amharic speech emotion dataset. TALLIP 22(1); 65 speakers.
* URDU: Latif, S. et al. (2018). Cross lingual speech emotion recognition. FIT; talk shows, 29
  speakers, most of whom show one emotion only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from mien.datasets._base import Clip
from mien.datasets._reading import read_table
from mien.datasets.dataset import Places, register_dataset
from mien.datasets.recordings import AnyExtractor, RecordingsDataSet
from mien.errors import FormatError
from mien.features.reader import DEFAULT_EXTRACTORS
from mien.models import Task
from mien.schema import AUDIO

Voices = Literal["nemo", "tess", "ased", "urdu"]
VOICES: Mapping[Voices, tuple[str, ...]] = MappingProxyType(
    {
        "nemo": ("neutral", "happiness", "sadness", "anger", "fear", "surprise"),
        "tess": ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
        "ased": ("neutral", "happiness", "sadness", "anger", "fear"),
        "urdu": ("neutral", "happiness", "sadness", "anger"),
    }
)
_SOURCE = "make it a table of file, speaker, gender and emotion beside the recordings"


def voice_clips(folder: Path, corpus: Voices) -> list[Clip]:
    """List the recordings of one corpus of voices.

    Args:
        folder: holds the recordings and ``index.csv``.
        corpus: which it is.

    Raises:
        InputError: the table is not there.
        FormatError: it lacks a column, or names another emotion than the corpus has.
    """
    path = folder / "index.csv"
    table = read_table(path, ("file", "speaker", "emotion"), _SOURCE, text=("file", "speaker"))
    clips = []
    for row, (file, speaker, emotion) in enumerate(
        table[["file", "speaker", "emotion"]].itertuples(index=False), start=2
    ):
        if emotion not in VOICES[corpus]:
            raise FormatError(
                f"row {row}, column emotion: {emotion!r} is unknown",
                path=path,
                advice=f"one of {', '.join(VOICES[corpus])}",
            )
        clips.append(Clip(folder / file, f"{corpus}/{speaker}", emotion, corpus))
    return clips


@register_dataset("voices")
class VoicesDataSet(RecordingsDataSet):
    """Emotional speech of nEMO, TESS, ASED and URDU; nobody is seen.

    Attributes:
        corpora: which of them.
    """

    features: Mapping[str, AnyExtractor] = Field(
        default_factory=lambda: {AUDIO: DEFAULT_EXTRACTORS[AUDIO]}
    )
    split_by: Literal["people", "rotating", "random"] = "people"
    corpora: Annotated[tuple[Voices, ...], Field(min_length=1)] = tuple(VOICES)

    @property
    def note(self) -> str:
        """What the data is."""
        return f"Voices of {', '.join(self.corpora)}, nobody is seen; {self.features_note}."

    def clips(self, places: Places) -> list[Clip]:
        """List the recordings of all chosen corpora."""
        return [
            clip
            for name in self.corpora
            for clip in voice_clips(places.data / "voices" / name, name)
        ]

    def task(self) -> Task:
        """Describe all emotions that any of the chosen corpora has."""
        return Task.emotions(tuple({e for name in self.corpora for e in VOICES[name]}))
