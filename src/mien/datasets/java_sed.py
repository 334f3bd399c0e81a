"""Java-SED: Javanese speech with six acted emotions, eight actors with video and sound.

Arifin, F. et al. (2022). Development of Javanese speech emotion database (Java-SED). Names are
``AA-BB-CC_DD``: actor, sentence, emotion, take. Take 01 has video; takes 02 to 07 are sound only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from mien.datasets._base import Clip, decode_emotion, list_files
from mien.datasets.dataset import Examples, Places, register_dataset
from mien.datasets.ravdess import ravdess_voices
from mien.datasets.recordings import Job, RecordingsDataSet
from mien.models import Task
from mien.schema import sort_emotions

EMOTION_CODES = {
    "01": "neutral",
    "02": "sadness",
    "03": "happiness",
    "04": "surprise",
    "05": "fear",
    "06": "anger",
}
_VIDEO_SOURCE = "Java-SED's clips are at github.com/2black0/video-emotion-recognition-javanese"
_VOICE_SOURCE = "Java-SED's voices are at github.com/2black0/sound-emotion-recognition-javanese"


def _clip(path: Path) -> Clip:
    actor, _, rest = path.stem.split("-")
    emotion = decode_emotion(rest.split("_")[0], EMOTION_CODES, path)
    return Clip(path, f"java_sed/{actor}", emotion, "java_sed")


def java_sed_clips(folder: Path) -> list[Clip]:
    """List the 192 clips with face and voice.

    Args:
        folder: the one that holds the mp4 files.

    Raises:
        InputError: there are none, or one has an unknown emotion.
    """
    return [_clip(path) for path in list_files(folder, "*.mp4", _VIDEO_SOURCE)]


def java_sed_voices(folder: Path) -> list[Clip]:
    """List the further takes, 02 to 07, sound only: 144 of each actor; take 01 is that of the clip.

    Args:
        folder: the one that holds the files, ``.wav`` as published or of any other kind.

    Raises:
        InputError: there are none, or one has an unknown emotion.
    """
    return [_clip(path) for path in list_files(folder, "*_0[2-7].*", _VOICE_SOURCE)]


@register_dataset("java_sed")
class JavaSed(RecordingsDataSet):
    """Java-SED, the clips with face and voice; further voices of the same actors and of RAVDESS.

    Attributes:
        emotions: that are told apart, any of the vocabulary: RAVDESS voices know more than the six
            that Java-SED's actors showed.
    """

    emotions: Annotated[tuple[str, ...], Field(min_length=2)] = sort_emotions(
        tuple(EMOTION_CODES.values())
    )

    @field_validator("emotions")
    @classmethod
    def _check_emotions(cls, emotions: tuple[str, ...]) -> tuple[str, ...]:
        return sort_emotions(emotions)

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "Java-SED, 192 clips of 8 actors with face and voice, 6 acted emotions, balanced; "
            f"{self.features_note}. A clip of which nothing at all was observed does not count."
        )

    def clips(self, places: Places) -> list[Clip]:
        """List the 192 clips."""
        return java_sed_clips(places.data / "java_sed")

    def task(self) -> Task:
        """List the emotions, one per clip."""
        return Task.emotions(self.emotions)

    def further(self, places: Places) -> Mapping[str, Callable[[], Examples]]:
        """Name further voices, of Java-SED's other takes and of RAVDESS."""
        voices: dict[str, Callable[[], list[Clip]]] = {
            "java_sed_voice": partial(java_sed_voices, places.data / "java_sed_voice"),
            "ravdess_voice": partial(ravdess_voices, places.data / "ravdess_audio"),
        }
        return {name: partial(self._read_voices, places, read) for name, read in voices.items()}

    def _read_voices(self, places: Places, read: Callable[[], list[Clip]]) -> Examples:
        return self.read(Job(read()), places)

    def variants(self, places: Places) -> Mapping[str, Callable[[], Examples]]:
        """Return the same clips after their recordings were degraded."""
        return self.degrade(places)
