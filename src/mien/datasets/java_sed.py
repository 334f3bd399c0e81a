"""Java-SED: Javanese speech with six acted emotions, eight actors with video and sound.

Arifin, F. et al. (2022). Development of Javanese speech emotion database (Java-SED). Names are
``AA-BB-CC_DD``: actor, sentence, emotion, take. Take 01 has video; takes 02 to 07 are sound only.
"""

from __future__ import annotations

from pathlib import Path

from mien.datasets._base import Clip, emotion_of, files

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
    emotion = emotion_of(rest.split("_")[0], EMOTION_CODES, path)
    return Clip(path, f"java_sed/{actor}", emotion, "java_sed")


def java_sed_clips(folder: Path) -> list[Clip]:
    """The 192 clips with face and voice.

    Args:
        folder: the one that holds the mp4 files.

    Raises:
        InputError: there are none, or one has an unknown emotion.
    """
    return [_clip(path) for path in files(folder, "*.mp4", _VIDEO_SOURCE)]


def java_sed_voices(folder: Path) -> list[Clip]:
    """The further takes, 02 to 07, sound only: 144 of each actor; take 01 is that of the clip.

    Args:
        folder: the one that holds the files, ``.wav`` as published or of any other kind.

    Raises:
        InputError: there are none, or one has an unknown emotion.
    """
    return [_clip(path) for path in files(folder, "*_0[2-7].*", _VOICE_SOURCE)]
