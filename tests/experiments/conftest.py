"""A small study of one's own: a table of recordings, of which there are only files of features."""

from __future__ import annotations

import csv

import numpy as np
import pytest

PEOPLE = ("anna", "ben", "cleo", "dan", "eva", "finn")
MOODS = ("cheerful", "tense")
SIZES = {"audio": 4, "video": 3}


def write_study(folder, name="study", *, people=PEOPLE, clips=4, seed=0):
    """Write a table with two moods that the features tell apart, and a dimension."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    rows = []
    for person in people:
        for clip in range(clips):
            mood = MOODS[clip % 2]
            row = {"person": person, "mood": mood, "energy": clip % 2 + chance.random() / 10}
            for modality, size in SIZES.items():
                level = 1.0 if mood == "tense" else -1.0
                values = chance.normal(size=(12, size)) + level
                file = f"{person}_{clip}_{modality}.npz"
                np.savez(folder / file, values=values.astype(np.float32), hop=0.5)
                row[f"{modality}_features"] = file
            rows.append(row)
    write_rows(folder / f"{name}.csv", rows)
    return folder / f"{name}.csv"


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The table, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIEN_DATA", raising=False)
    return write_study(tmp_path)
