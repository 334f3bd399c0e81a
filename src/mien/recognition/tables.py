"""From scores to a timeline: its table, its metadata, its small pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mien import schema
from mien._version import __version__
from mien.features.reader import Observation
from mien.metadata import PREDICTED, Dimension, Metadata, RecordingInfo, describe_derived
from mien.recognition.windows import Grid, Person, average_faces
from mien.schema import AUDIO, VIDEO
from mien.timeline import Thumbnail, Timeline, readable_name
from mien.trained import TrainedModel


def build_timeline(
    trained: TrainedModel,
    seen: Observation,
    grid: Grid,
    people: Sequence[Person],
    scores: Sequence[NDArray[np.float64]],
    withheld: Collection[str],
    *,
    baseline: bool,
) -> Timeline:
    """Put the scores of all people of a recording into a timeline.

    Args:
        trained: whose scores they are.
        seen: the recording.
        grid: steps and windows.
        people: who is in it.
        scores: of each of them, ``(rows, names)``; NaN where nothing was observed.
        withheld: modalities that were hidden on purpose.
        baseline: whether all recordings of the call were taken as of one person.
    """
    metadata = describe(trained, seen, grid, withheld, baseline=baseline)
    tables = [
        _table(metadata, seen, grid, person, values)
        for person, values in zip(people, scores, strict=True)
    ]
    return Timeline(
        frame=pd.concat(tables, ignore_index=True),
        metadata=metadata,
        thumbnails={
            (readable_name(seen.path), person.name): tuple(
                Thumbnail(time, jpeg) for time, jpeg in person.track.thumbnails
            )
            for person in people
            if person.track is not None
        },
    )


def describe(
    trained: TrainedModel,
    seen: Observation,
    grid: Grid,
    withheld: Collection[str],
    *,
    baseline: bool,
) -> Metadata:
    """Say how a timeline came about."""
    task, card = trained.task, trained.card
    labels = task.names if task.kind == "categories" else ()
    dimensions: dict[str, Dimension] = {}
    if task.kind == "dimensions":
        source = card.dimensions_source or PREDICTED
        for name, (low, high) in task.ranges.items():
            dimensions[name] = Dimension(source=source, low=low, high=high)
    elif schema.can_derive(labels):
        dimensions = describe_derived()
    held = list(seen.files)
    held += [AUDIO] if seen.probe is not None and seen.probe.audio is not None else []
    held += [VIDEO] if seen.probe is not None and seen.probe.video is not None else []
    faces = [name for name, extractor in seen.extractors.items() if extractor.source == "face"]
    return Metadata(
        mien_version=__version__,
        model=trained.name,
        labels=labels,
        dimensions=dimensions,
        modalities=tuple(trained.model.modalities),
        faces=VIDEO in faces,
        per=task.per,
        window=grid.window if task.per == "clip" else None,
        hop=grid.hop,
        withheld=tuple(sorted(withheld)),
        baseline=baseline,
        model_card=card.description,
        model_fingerprint=card.fingerprint,
        recordings={
            readable_name(seen.path): RecordingInfo(
                duration=seen.duration,
                modalities=tuple(dict.fromkeys(held)),
                warnings=tuple(seen.warnings),
            )
        },
    )


def _table(
    metadata: Metadata,
    seen: Observation,
    grid: Grid,
    person: Person,
    scores: NDArray[np.float64],
) -> pd.DataFrame:
    """Summarise one person in rows."""
    rows = len(person.steps)
    table: dict[str, object] = {
        "file": readable_name(seen.path),
        "person": person.name,
        "start": person.steps * grid.hop,
        "end": np.minimum((person.steps + 1) * grid.hop, seen.duration),
    }
    # What the model could make nothing of was not observed.
    scored = ~np.isnan(scores).any(axis=1)
    table |= {name: person.observed[name] & scored for name in metadata.modalities}
    if metadata.labels:
        table |= _categories(metadata.labels, scores)
        columns = dict(zip(metadata.labels, scores.T, strict=True))
        table |= schema.derive_dimensions(columns)
    else:
        table |= dict(zip(metadata.dimensions, scores.T, strict=True))
    if metadata.faces:
        boxes, quality = average_faces(person, grid)
        table |= dict(zip(schema.FACE_BOX, boxes.T, strict=True)) | {"face_quality": quality}
    return pd.DataFrame(table, index=range(rows))[list(metadata.columns)]


def _categories(labels: Sequence[str], scores: NDArray[np.float64]) -> dict[str, object]:
    """Most probable label, its probability, and the probability of each."""
    known: NDArray[np.bool_] = np.isfinite(scores.sum(axis=1))
    best = np.where(known, np.nan_to_num(scores).argmax(axis=1), 0)
    confidence = np.where(known, scores[np.arange(len(best)), best], np.nan)
    emotion = pd.Series(np.array(labels, dtype=object)[best], dtype="string").where(known)
    table: dict[str, object] = {"emotion": emotion, "confidence": confidence}
    for label, column in zip(labels, scores.T, strict=True):
        table[schema.probability_column(label)] = column
    return table
