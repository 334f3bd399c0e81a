"""Java-SED: Javanese speech with six acted emotions, eight actors with video and sound.

Names are ``AA-BB-CC_DD``: actor, sentence, emotion, take. Take 01 has video; takes 02 to 07 are
sound only.
"""

from __future__ import annotations

from pathlib import Path

from mien.corpora._base import Clip, emotion_of, files

EMOTION_CODES = {
    "01": "neutral",
    "02": "sadness",
    "03": "happiness",
    "04": "surprise",
    "05": "fear",
    "06": "anger",
}


def _clip(path: Path) -> Clip:
    actor, _, rest = path.stem.split("-")
    emotion = emotion_of(rest.split("_")[0], EMOTION_CODES, path)
    return Clip(path, f"java_sed/{actor}", emotion, "java_sed")


def java_sed_clips(folder: Path) -> list[Clip]:
    """The 192 clips with face and voice.

    Args:
        folder: the one that holds the mp4 files.
    """
    return [_clip(path) for path in files(folder, "*.mp4")]


def java_sed_voices(folder: Path) -> list[Clip]:
    """The 1,152 further takes, sound only.

    Args:
        folder: the one that holds the ogg files.
    """
    return [_clip(path) for path in files(folder, "*.ogg")]
