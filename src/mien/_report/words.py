"""What the page says in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mien import schema
from mien.timeline import Metadata, Recording

Row = Mapping[str, Any]

_SPACE = "\N{NO-BREAK SPACE}"

CAVEAT = (
    "These are a model’s estimates of the emotion that a face and a voice express, in the "
    "categories of acted speech. They do not tell what a person feels."
)

NOTES = (
    (
        "What a number is",
        "Each probability says how much the window around a moment resembles, to the model, "
        "recordings in which actors played that emotion or viewers named it. The probabilities of "
        "one moment sum to one: if none of the categories fits, they still do.",
    ),
    (
        "What it is not",
        "It is no measurement of an inner state. People feel without showing it and show what they "
        "do not feel; expression differs between people, cultures, ages and situations, and the "
        "model knows only those it has seen. Light, pose, masks, noise and other speakers all move "
        "the numbers.",
    ),
    (
        "What not to use it for",
        "Do not base decisions about people on it. In the European Union, inferring emotions of "
        "people at work and in education is prohibited, except for medical or safety reasons "
        "(Regulation (EU) 2024/1689, the AI Act, Article 5(1)(f)); other uses carry duties of "
        "their own, to tell the people concerned, for one.",
    ),
    (
        "Gaps",
        "Where neither a face nor a voice was observed there is no estimate, and the charts stay "
        "hatched. Where one of the two is missing, the estimate rests on the other alone.",
    ),
)

_MODALITY = {schema.AUDIO: ("sound", "voice"), schema.VIDEO: ("picture", "face")}


def person_label(person: str) -> str:
    """How a person is called: ``Person 1`` for a bare number or letter, else the name itself.

    A timeline calls ``voice`` whoever was heard but could not be told to be one of the faces.
    """
    if person == schema.VOICE_PERSON:
        return "Voice without a known face"
    return f"Person {person}" if person.isdigit() or len(person) == 1 else person


def seconds(value: float) -> str:
    """A length of time, as ``1 min 30 s`` or ``2 h 5 min``, that no line break parts."""
    if value < 59.95:
        return f"{value:.1f}{_SPACE}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return _SPACE.join((str(minutes), "min", str(rest), "s"))
    return _SPACE.join((str(minutes // 60), "h", str(minutes % 60), "min"))


def signed(value: float) -> str:
    """A number from -1 to 1 with its sign; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:+.2f}".replace("-", "−")


def ranking(row: Row, emotions: tuple[str, ...]) -> list[tuple[str, float]]:
    """Emotions with their mean probabilities, the highest first."""
    means = [(emotion, float(row[schema.probability_column(emotion)])) for emotion in emotions]
    return sorted(means, key=lambda pair: -pair[1])


def lead(row: Row, emotions: tuple[str, ...]) -> str:
    """The one sentence about a person: which emotions, and how clearly."""
    if not row["seconds"] > 0:
        return "Nothing was observed, so there is no estimate."
    first, *others = (f"{emotion} ({mean:.2f})" for emotion, mean in ranking(row, emotions))
    if not others:
        return f"{first[0].upper()}{first[1:]} throughout."
    means = [mean for _, mean in ranking(row, emotions)]
    if means[0] - means[1] < 0.05:
        return f"Between {first} and {others[0]}."
    return f"Mostly {first}, then {others[0]}."


def dimensions_sentence(row: Row, metadata: Metadata) -> str | None:
    """Mean arousal and valence, and where they come from."""
    if math.isnan(row["arousal"]) or math.isnan(row["valence"]):
        return None
    values = " and ".join(f"{name} {signed(row[name])}" for name in schema.DIMENSIONS)
    derived = all(metadata.derived(name) for name in schema.DIMENSIONS)
    origin = ", derived from the categories" if derived else ""
    return f"On average, {values}{origin}."


def seen_sentence(row: Row, recording: Recording) -> str:
    """For how long there was anything to go by."""
    return (
        f"Face for {seconds(row['face_seconds'])}, voice for {seconds(row['voice_seconds'])} "
        f"of {seconds(recording.duration)}."
    )


def notices(metadata: Metadata, recording: Recording) -> list[str]:
    """What the reader has to know before the charts: withheld, missing, warned of."""
    said = []
    for modality in metadata.withheld:
        medium, trace = _MODALITY[modality]
        said.append(f"The {medium} was withheld on purpose: nothing here rests on the {trace}.")
    if not recording.has_audio:
        said.append("The recording has no sound: everything rests on the face.")
    if not recording.has_video:
        said.append("The recording has no picture: everything rests on the voice.")
    if metadata.baseline:
        said.append("Features were standardised by each person’s own recordings (baseline).")
    return [*said, *recording.warnings]


def absence(modality: str, metadata: Metadata, recording: Recording) -> str | None:
    """Why a modality cannot be there at all, if so."""
    if modality in metadata.withheld:
        return "withheld"
    there = recording.has_audio if modality == schema.AUDIO else recording.has_video
    return None if there else f"no {_MODALITY[modality][0]}"
