"""What the page says in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mien import schema
from mien.metadata import PREDICTED, Dimension, Metadata, RecordingInfo

Row = Mapping[str, Any]

_SPACE = "\N{NO-BREAK SPACE}"
_MEDIUM = {schema.AUDIO: "sound", schema.VIDEO: "picture"}

_PROBABILITIES = (
    "What a probability is",
    "Each says how much the window around a moment resembles, to the model, the recordings that "
    "carry that label in the data it learned from: because actors played it or viewers named it, "
    "for instance. The probabilities of one moment sum to one: if none of the labels fits, they "
    "still do.",
)
_VALUES = (
    "What a value is",
    "Each is the model’s estimate of how people would rate that moment, as they rated or as labels "
    "stood for ratings in the data it learned from. The text beside a chart says which.",
)
_NOTES = (
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
        "Where nothing was observed of a person there is no estimate, and the charts stay hatched. "
        "Where only a part was observed, the estimate rests on that part alone.",
    ),
)


def write_caveat(metadata: Metadata) -> str:
    """Write what every reader has to know, whatever the model."""
    traces = [_with_article(metadata, modality) for modality in metadata.modalities]
    return (
        f"These are a model’s estimates of what {join_names(traces)} "
        f"{'express' if len(traces) > 1 else 'expresses'}, in the terms of the recordings it "
        "learned from. They do not tell what a person feels."
    )


def _with_article(metadata: Metadata, modality: str) -> str:
    trace = metadata.evidence(modality)
    return f"a {trace}" if modality in _MEDIUM else trace


def list_notes(metadata: Metadata) -> list[tuple[str, str]]:
    """List head and text of each note on how to read the page."""
    said = [_PROBABILITIES] if metadata.labels else []
    if any(not dimension.derived for dimension in metadata.dimensions.values()):
        said.append(_VALUES)
    said += _NOTES
    for names, dimension in group_dimensions(metadata.dimensions):
        said.append((capitalize(join_names(names)), _about(dimension)))
    if metadata.model_card:
        said.append((f"The model {metadata.model}", metadata.model_card))
    return said


def _about(dimension: Dimension) -> str:
    source = (
        f"Not measured but {dimension.source}" if dimension.derived else describe_origin(dimension)
    )
    scale = f" On a scale from {dimension.scale.replace('-', '−')}." if dimension.scale else ""
    return f"{capitalize(source).rstrip('.')}.{scale}"


def group_dimensions(dimensions: Mapping[str, Dimension]) -> list[tuple[list[str], Dimension]]:
    """Put dimensions of the same source and scale together, in the order of the first of each."""
    groups: dict[Dimension, list[str]] = {}
    for name, dimension in dimensions.items():
        groups.setdefault(dimension, []).append(name)
    return [(names, dimension) for dimension, names in groups.items()]


def describe_origin(dimension: Dimension) -> str:
    """Say in a few words where the numbers come from; the notes hold the source in full."""
    if dimension.source == PREDICTED:
        return "predicted by the model"
    return dimension.source.partition(":")[0] if dimension.derived else dimension.source


def join_names(texts: Iterable[str]) -> str:
    """Join texts as ``a, b and c``."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def capitalize(text: str) -> str:
    """Put the first letter of a text in upper case and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def name_person(person: str) -> str:
    """Name a person: ``Person 1`` for a bare number or letter, else the name itself.

    A timeline calls ``voice`` whoever was heard but could not be told to be one of the faces.
    """
    if person == schema.VOICE_PERSON:
        return "Voice without a known face"
    return f"Person {person}" if person.isdigit() or len(person) == 1 else person


def format_seconds(value: float) -> str:
    """Write a length of time, as ``1 min 30 s`` or ``2 h 5 min``, that no line break parts."""
    if value < 59.95:
        return f"{value:.1f}{_SPACE}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return _SPACE.join((str(minutes), "min", str(rest), "s"))
    return _SPACE.join((str(minutes // 60), "h", str(minutes % 60), "min"))


def format_number(value: float, dimension: Dimension | None = None) -> str:
    """Write a number; with its sign on a scale with negative values; a dash where there is none."""
    if math.isnan(value):
        return "–"
    return f"{value:+.2f}".replace("-", "−") if is_signed(dimension) else f"{value:.2f}"


def is_signed(dimension: Dimension | None) -> bool:
    """Tell whether values of a dimension are written with their sign."""
    return dimension is not None and (dimension.low is None or dimension.low < 0)


def rank_labels(row: Row, labels: tuple[str, ...]) -> list[tuple[str, float]]:
    """Rank labels by their mean probability, the highest first."""
    means = [(label, float(row[schema.probability_column(label)])) for label in labels]
    return sorted(means, key=lambda pair: -pair[1])


def write_lead(row: Row, metadata: Metadata) -> str:
    """Write the one sentence about a person: which labels and how clearly, or which values."""
    if not row["seconds"] > 0:
        return "Nothing was observed, so there is no estimate."
    if not metadata.labels:
        return write_averages(row, metadata) or "There is no estimate."
    first, *others = (f"{label} ({mean:.2f})" for label, mean in rank_labels(row, metadata.labels))
    if not others:
        return f"{capitalize(first)} throughout."
    means = [mean for _, mean in rank_labels(row, metadata.labels)]
    if means[0] - means[1] < 0.05:
        return f"Between {first} and {others[0]}."
    return f"Mostly {first}, then {others[0]}."


def write_averages(row: Row, metadata: Metadata) -> str | None:
    """Write the mean of each dimension and where it comes from; None where nothing is known."""
    parts = []
    for names, dimension in group_dimensions(metadata.dimensions):
        known = [name for name in names if not math.isnan(row[name])]
        if known:
            values = join_names(f"{name} {format_number(row[name], dimension)}" for name in known)
            parts.append(f"{values} ({describe_origin(dimension)})")
    return f"On average, {'; '.join(parts)}." if parts else None


def write_observed(row: Row, metadata: Metadata) -> str:
    """Write for how long there was anything to go by."""
    parts = [
        f"{metadata.evidence(name)} for {format_seconds(row[schema.seconds_column(name)])}"
        for name in metadata.modalities
    ]
    total = format_seconds(metadata.recordings[row["file"]].duration)
    return f"{capitalize(', '.join(parts))} of {total}."


def list_notices(metadata: Metadata, recording: RecordingInfo) -> list[str]:
    """List what the reader has to know before the charts: withheld, missing, warned of."""
    said = []
    for modality in metadata.withheld:
        medium, trace = _medium(modality), metadata.evidence(modality)
        rest = "it" if trace == medium else f"the {trace}"
        said.append(f"The {medium} was withheld on purpose: nothing here rests on {rest}.")
    left = [
        name for name in metadata.modalities if explain_absence(name, metadata, recording) is None
    ]
    others = join_names(f"the {metadata.evidence(name)}" for name in left) if left else "nothing"
    said += [
        f"The recording has no {_medium(modality)}: everything rests on {others}."
        for modality in metadata.modalities
        if modality not in recording.modalities
    ]
    if metadata.baseline:
        said.append("Features were standardised by each person’s own recordings (baseline).")
    return [*said, *recording.warnings]


def explain_absence(modality: str, metadata: Metadata, recording: RecordingInfo) -> str | None:
    """Explain why a modality cannot be there at all; None where it can."""
    if modality in metadata.withheld:
        return "withheld"
    return None if modality in recording.modalities else f"no {_medium(modality)}"


def _medium(modality: str) -> str:
    return _MEDIUM.get(modality, modality)
