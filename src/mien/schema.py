"""The vocabulary of emotions, the table of words behind arousal and valence, names of columns.

A model may say anything: categories and dimensions of any names. The vocabulary is what data sets
and shipped models share, and what arousal and valence can be derived from.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mien.errors import OptionError

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
DERIVED_SOURCE = f"derived from the categories: {DERIVED_DIMENSIONS_SOURCE}"
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

FACE_COLUMNS = ("face_x", "face_y", "face_width", "face_height", "face_quality")
FACE_BOX = FACE_COLUMNS[:4]
TEXT_COLUMNS = ("file", "person", "emotion")
SUMMARY_COLUMNS = ("seconds",)
_LEADING = ("file", "person", "start", "end")
_BEST = ("emotion", "confidence")
_PROBABILITY = "p_"
_FIXED = (*_LEADING, *_BEST, *FACE_COLUMNS, *SUMMARY_COLUMNS)


def sort_emotions(emotions: Sequence[str]) -> tuple[str, ...]:
    """Put emotions into the order of the vocabulary.

    Raises:
        ValueError: one of them is not in the vocabulary.
    """
    unknown = sorted(set(emotions) - set(EMOTIONS))
    if unknown:
        raise ValueError(f"not in the vocabulary: {', '.join(unknown)}; known: {EMOTIONS}")
    return tuple(emotion for emotion in EMOTIONS if emotion in emotions)


def probability_column(label: str) -> str:
    """Name the column that holds the probability of a label, as ``p_anger``."""
    return f"{_PROBABILITY}{label}"


def seconds_column(modality: str) -> str:
    """Name the column of a summary that says for how long a modality was observed."""
    return f"{modality}_seconds"


def timeline_columns(
    labels: Iterable[str] = (),
    dimensions: Iterable[str] = (),
    modalities: Iterable[str] = MODALITIES,
    *,
    faces: bool = False,
) -> tuple[str, ...]:
    """Name all columns of a timeline, in order.

    Args:
        labels: the categories that the model tells apart, in its order; none for a model of
            dimensions only, whose timelines have neither ``emotion`` nor ``confidence``.
        dimensions: predicted or derived, one column each.
        modalities: those that the model can use, one column each: observed in the step or not.
        faces: whether boxes and quality of faces are among the columns.

    Example:
        >>> timeline_columns(["tired", "wide awake"], modalities=["physiology"])[4:]
        ('physiology', 'emotion', 'confidence', 'p_tired', 'p_wide awake')
    """
    probabilities = tuple(map(probability_column, labels))
    return (
        *_LEADING,
        *modalities,
        *(_BEST if probabilities else ()),
        *probabilities,
        *dimensions,
        *(FACE_COLUMNS if faces else ()),
    )


def check_names(
    labels: Iterable[str] = (), dimensions: Iterable[str] = (), modalities: Iterable[str] = ()
) -> None:
    """Check that labels, dimensions and modalities can stand beside each other in a table.

    A name is one line of text without blanks at its ends. Two of one kind must differ in more than
    case, and a dimension or a modality must not be called like another column.

    Raises:
        OptionError: a name is empty or no line of text, or two are too much alike.

    Example:
        >>> check_names(["mood:calm", "très content"], ["arousal"], ["audio"])
        >>> check_names(dimensions=["start"])
        Traceback (most recent call last):
        mien.errors.OptionError: the dimension 'start' is called like the column 'start'; rename it
    """
    known = {_fold(column): f"the column {column!r}" for column in _FIXED}
    of_labels: dict[str, str] = {}
    for label in labels:
        _check_text("label", label)
        _claim(of_labels, "label", label)
        known[_fold(probability_column(label))] = f"the column of the label {label!r}"
    for kind, names in (("dimension", dimensions), ("modality", modalities)):
        for name in names:
            _check_text(kind, name)
            if of_labels and kind == "dimension" and _fold(name).startswith(_PROBABILITY):
                raise OptionError(
                    f"the dimension {name!r} looks like a probability",
                    advice=f"rename it: {_PROBABILITY} is for labels",
                )
            _claim(known, kind, name)
            if kind == "modality":
                _claim(known, kind, seconds_column(name))


def _claim(known: dict[str, str], kind: str, name: str) -> None:
    if other := known.get(_fold(name)):
        raise OptionError(f"the {kind} {name!r} is called like {other}", advice="rename it")
    known[_fold(name)] = f"the {kind} {name!r}"


def _fold(name: str) -> str:
    """Fold a name to what all that may be taken for one another have in common."""
    return unicodedata.normalize("NFKC", name).casefold()


def _check_text(kind: str, name: str) -> None:
    strange = any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in name)
    if not name or name != name.strip() or strange:
        raise OptionError(
            f"{name!r} is no name of a {kind}",
            advice="give one line of text without blanks at its ends",
        )


def can_derive(labels: Iterable[str]) -> bool:
    """Tell whether `derive_dimensions` can say anything of a model with these labels.

    Example:
        >>> can_derive(["anger", "contempt"]), can_derive(["anger", "boredom"])
        (True, False)
    """
    names = set(labels)
    return names <= set(EMOTIONS) and bool(names & set(_AROUSAL_VALENCE))


def derive_dimensions(
    probabilities: Mapping[str, NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """Derive arousal and valence: expected values under a published table of emotion words.

    These are not measured: they say where the categories lie on average, nothing more. An emotion
    that the table does not rate (contempt) is left out and the rest renormalised.

    Args:
        probabilities: by label, arrays of one shape that sum to one over the labels.

    Returns:
        ``{"arousal": …, "valence": …}`` of the same shape, from -1 to 1; NaN where the
        probabilities are NaN or nothing rated is left. Empty where a label is not in the
        vocabulary (see `can_derive`): then nothing is known.
    """
    if not can_derive(probabilities):
        return {}
    rated = {e: np.asarray(p) for e, p in probabilities.items() if e in _AROUSAL_VALENCE}
    total = np.sum(list(rated.values()), axis=0)
    total = np.where(total > 0, total, np.nan)
    return {
        dimension: np.sum([p * _AROUSAL_VALENCE[e][axis] for e, p in rated.items()], axis=0) / total
        for axis, dimension in enumerate(DIMENSIONS)
    }
