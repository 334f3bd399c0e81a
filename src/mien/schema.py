"""The one vocabulary: modalities, emotions, dimensions and the columns of a timeline.

Nothing outside this module knows that an emotion has a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

AUDIO = "audio"
VIDEO = "video"
MODALITIES = (AUDIO, VIDEO)
VOICE_PERSON = "voice"  # the person of a voice that is no one visible person's

EMOTIONS = (
    "neutral",
    "calm",
    "happiness",
    "sadness",
    "anger",
    "fear",
    "disgust",
    "surprise",
    "contempt",
)
DIMENSIONS = ("arousal", "valence")

# Mean ratings of "relaxed", "happy", "sad", "angry", "fearful", "disgusted" and "surprised" on
# arousal and pleasure, each from -1 to 1. Neutral is put at the origin by us: the source rates no
# such word. Contempt is left out: we know of no rating there that we could verify.
DERIVED_DIMENSIONS_SOURCE = (
    "Russell, J. A. and Mehrabian, A. (1977). Evidence for a three-factor theory of emotions. "
    "Journal of Research in Personality 11, 273-294, table of 151 terms"
)
_AROUSAL_VALENCE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "neutral": (0.0, 0.0),
        "calm": (-0.46, 0.68),
        "happiness": (0.51, 0.81),
        "sadness": (-0.27, -0.63),
        "anger": (0.59, -0.51),
        "fear": (0.60, -0.64),
        "disgust": (0.35, -0.60),
        "surprise": (0.67, 0.40),
    }
)

FACE_BOX = ("face_x", "face_y", "face_width", "face_height")
LEADING_COLUMNS = ("file", "person", "start", "end", "audio", "video", "emotion", "confidence")


def ordered(emotions: Sequence[str]) -> tuple[str, ...]:
    """The given emotions in the order of the vocabulary.

    Raises:
        ValueError: one of them is not in the vocabulary.
    """
    unknown = sorted(set(emotions) - set(EMOTIONS))
    if unknown:
        raise ValueError(f"not in the vocabulary: {', '.join(unknown)}; known: {EMOTIONS}")
    return tuple(emotion for emotion in EMOTIONS if emotion in emotions)


def probability_column(emotion: str) -> str:
    """The name of the column that holds the probability of an emotion, as ``p_anger``."""
    return f"p_{emotion}"


def timeline_columns(emotions: Sequence[str]) -> tuple[str, ...]:
    """All columns of a timeline for a model that knows these emotions, in order."""
    probabilities = (probability_column(emotion) for emotion in ordered(emotions))
    return (*LEADING_COLUMNS, *probabilities, *DIMENSIONS, *FACE_BOX, "face_quality")


def derived_dimensions(
    probabilities: Mapping[str, NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """Arousal and valence as expected values of a published table of emotion words.

    These are not measured: they say where the categories lie on average, nothing more. An emotion
    that the table does not rate (contempt) is left out and the rest renormalised.

    Args:
        probabilities: by emotion, arrays of one shape that sum to one over the emotions.

    Returns:
        ``{"arousal": …, "valence": …}`` of the same shape, from -1 to 1; NaN where the
        probabilities are NaN or nothing rated is left.
    """
    rated = {e: np.asarray(p) for e, p in probabilities.items() if e in _AROUSAL_VALENCE}
    total = np.sum(list(rated.values()), axis=0)
    total = np.where(total > 0, total, np.nan)
    return {
        dimension: np.sum([p * _AROUSAL_VALENCE[e][axis] for e, p in rated.items()], axis=0) / total
        for axis, dimension in enumerate(DIMENSIONS)
    }
