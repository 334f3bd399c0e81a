"""Analyse a clip with model files, each subset of its modalities, in a process of its own.

Run as ``python analyze_models.py CLIP OUT MODEL…``; for each model a NumPy archive of the columns.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

import mien
from mien.features.reader import Reader
from mien.recognition import recognizer

HOPS = {"clip": 0.5, "frame": 0.1}


class FrugalReader(Reader):
    """Observes a recording once for the same extractors and modalities, whichever model asks."""

    seen: ClassVar = {}

    def observe(self, path, *, without=(), **options):
        key = (path, frozenset(without), repr(self.extractors))
        if key not in self.seen:
            observation = super().observe(path, without=without, **options)
            observation.close = lambda: None
            self.seen[key] = observation
        return self.seen[key]


def list_withheld(modalities):
    """Every choice of modalities to withhold that leaves one."""
    return [set(some) for n in range(len(modalities)) for some in combinations(modalities, n)]


def analyze_all(clip, out, models):
    recognizer.Reader = FrugalReader
    for path in models:
        model = mien.load_model(path)
        columns = {}
        for withheld in list_withheld(tuple(model.model.modalities)):
            timeline = mien.analyze(clip, model=model, without=withheld, hop=HOPS[model.task.per])
            for name in timeline.frame.columns.drop(["file", "person", "emotion"], errors="ignore"):
                columns[f"{'+'.join(sorted(withheld))}/{name}"] = timeline.frame[name].to_numpy()
        np.savez(Path(out) / f"{Path(path).stem}.npz", **columns)


if __name__ == "__main__":
    torch.set_num_threads(1)
    analyze_all(sys.argv[1], sys.argv[2], sys.argv[3:])
