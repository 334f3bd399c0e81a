"""Timelines with known content, for tests to share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mien import schema
from mien.timeline import Dimension, Metadata, RecordingInfo, Thumbnail, Timeline

EMOTIONS = ("neutral", "happiness", "sadness", "anger")
DERIVED = "derived from the categories: a published table"
# The smallest bytes that begin like a JPEG picture.
JPEG = b"\xff\xd8\xff\xe0mien"


def frame(
    file: str = "talk.mp4",
    person: str = "1",
    *,
    steps: int = 12,
    hop: float = 0.5,
    gap: range = range(4, 7),
    seed: int = 0,
) -> pd.DataFrame:
    """Rows of one person; nothing is observed in the steps of ``gap``."""
    generator = np.random.default_rng(seed)
    seen = ~np.isin(np.arange(steps), list(gap))
    probabilities = generator.dirichlet(np.ones(len(EMOTIONS)), steps)
    probabilities[~seen] = np.nan
    rows = pd.DataFrame({"file": file, "person": person, "start": np.arange(steps) * hop})
    rows["end"] = rows["start"] + hop
    rows["audio"] = seen & (np.arange(steps) % 2 == 0)
    rows["video"] = seen
    best = np.nan_to_num(probabilities).argmax(axis=1)
    rows["emotion"] = [EMOTIONS[index] if s else None for index, s in zip(best, seen, strict=True)]
    rows["confidence"] = probabilities.max(axis=1)
    for index, emotion in enumerate(EMOTIONS):
        rows[schema.probability_column(emotion)] = probabilities[:, index]
    rows["arousal"] = np.where(seen, generator.uniform(-1, 1, steps), np.nan)
    rows["valence"] = np.where(seen, generator.uniform(-1, 1, steps), np.nan)
    for name in schema.FACE_COLUMNS:
        rows[name] = np.where(seen, generator.uniform(0, 1, steps), np.nan)
    return rows.astype({"emotion": object})


def metadata(*files: str, duration: float = 6.0, **changes: object) -> Metadata:
    """Metadata of these recordings, all alike."""
    recording = RecordingInfo(
        duration=duration, modalities=("audio", "video"), warnings=("the file ends early",)
    )
    settings: dict[str, object] = {
        "mien_version": "0.1.0",
        "model": "linear_probe",
        "labels": EMOTIONS,
        "window": 3.0,
        "hop": 0.5,
        "dimensions": dict.fromkeys(schema.DIMENSIONS, Dimension(source=DERIVED)),
        "modalities": ("audio", "video"),
        "faces": True,
        "recordings": dict.fromkeys(files or ("talk.mp4",), recording),
    }
    return Metadata(**(settings | changes))


def timeline(file: str = "talk.mp4") -> Timeline:
    """Two people in one recording of 6 s, with a gap, and pictures of the first."""
    rows = pd.concat(
        [frame(file, "1"), frame(file, "2", gap=range(0, 2), seed=1)], ignore_index=True
    )
    pictures = (Thumbnail(1.0, JPEG), Thumbnail(4.0, JPEG))
    return Timeline(rows, metadata(file), {(file, "1"): pictures})


def long_timeline(minutes: int = 60, people: int = 2) -> Timeline:
    """A long recording whose gap is its second minute."""
    steps = minutes * 120
    rows = [
        frame("long.mp4", str(person), steps=steps, gap=range(120, 240), seed=person)
        for person in range(1, people + 1)
    ]
    return Timeline(
        pd.concat(rows, ignore_index=True), metadata("long.mp4", duration=minutes * 60.0)
    )


WORDS = ("mood:calm", "wide awake", "très content", "<b>&", "p_x")
LEARNED = "learned from acted categories"


def wordy_timeline(file: str = "talk.mp4") -> Timeline:
    """A person read from voice and physiology, in words of somebody's own, with a dimension."""
    steps, generator = 8, np.random.default_rng(3)
    seen = np.arange(steps) != 2
    probabilities = np.where(seen[:, None], generator.dirichlet(np.ones(len(WORDS)), steps), np.nan)
    best = np.nan_to_num(probabilities).argmax(axis=1)
    rows: dict[str, object] = {
        "file": file,
        "person": "Ada",
        "start": np.arange(steps) * 0.5,
        "end": np.arange(steps) * 0.5 + 0.5,
        "audio": seen,
        "physiology": np.arange(steps) > 4,
        "emotion": [
            WORDS[index] if there else None for index, there in zip(best, seen, strict=True)
        ],
        "confidence": probabilities.max(axis=1),
    }
    columns = map(schema.probability_column, WORDS)
    rows |= dict(zip(columns, probabilities.T, strict=True))
    rows["stress level"] = np.where(seen, generator.uniform(1, 9, steps), np.nan)
    return Timeline(
        pd.DataFrame(rows),
        metadata(
            file,
            labels=WORDS,
            dimensions={"stress level": Dimension(source="predicted", low=1, high=9)},
            modalities=("audio", "physiology"),
            faces=False,
            model_card="Trained on twelve people in one room.",
            model_fingerprint="0123456789abcdef",
        ),
    )


def dimension_timeline(file: str = "talk.mp4") -> Timeline:
    """A person per frame on three dimensions of two scales, from video that shows no faces."""
    steps, generator = 20, np.random.default_rng(4)
    seen = ~np.isin(np.arange(steps), (7, 8))
    rows: dict[str, object] = {
        "file": file,
        "person": "1",
        "start": np.arange(steps) * 0.2,
        "end": np.arange(steps) * 0.2 + 0.2,
        "video": seen,
    }
    scales = {"valence": (-1.0, 1.0), "arousal": (-1.0, 1.0), "dominance": (1.0, 7.0)}
    for name, (low, high) in scales.items():
        rows[name] = np.where(seen, generator.uniform(low, high, steps), np.nan)
    learned = Dimension(source=LEARNED)
    return Timeline(
        pd.DataFrame(rows),
        metadata(
            file,
            labels=(),
            dimensions={
                "valence": learned,
                "arousal": learned,
                "dominance": Dimension(source="predicted", low=1, high=7),
            },
            modalities=("video",),
            faces=False,
            per="frame",
            window=None,
            hop=0.2,
        ),
    )
