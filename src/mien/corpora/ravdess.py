"""RAVDESS speech: North American English, eight acted emotions, 24 actors.

Livingstone, S. R. and Russo, F. A. (2018). The Ryerson Audio-Visual Database of Emotional Speech
and Song. PLoS ONE 13(5). Names are ``MM-VV-EE-II-SS-RR-AA``: modality, channel, emotion, intensity,
statement, repetition, actor.
"""

from __future__ import annotations

from pathlib import Path

from mien.corpora._base import Clip, emotion_of, files

EMOTION_CODES = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}


def ravdess_voices(folder: Path) -> list[Clip]:
    """The speech clips, sound only.

    Args:
        folder: the one that holds ``Actor_01`` to ``Actor_24``.
    """
    clips = []
    for path in files(folder, "Actor_*/03-01-*"):
        fields = path.stem.split("-")
        emotion = emotion_of(fields[2], EMOTION_CODES, path)
        clips.append(Clip(path, f"ravdess/{fields[6]}", emotion, "ravdess"))
    return clips
