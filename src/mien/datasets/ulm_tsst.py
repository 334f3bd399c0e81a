"""Ulm-TSST: five minutes each of 69 people in a mock job interview, labelled twice a second.

Stappen, L. et al. (2021). The MuSe 2021 multimodal sentiment analysis challenge. MuSe@MM. As given
out for MuSe-Stress: ``feature_segments/{set}/{person}.csv`` and
``label_segments/{dimension}/{person}.csv``, both with ``timestamp`` in milliseconds and
``segment_id``, labels with ``value``; and ``metadata/partition.csv``, a person and a part each row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from mien.datasets._reading import read_table, require, sequence_of
from mien.datasets.continuous import ContinuousDataSet
from mien.datasets.dataset import Places, Progress, Shape, register_dataset
from mien.datasets.examples import Example
from mien.datasets.published import create_published_extractors
from mien.datasets.splits import Fold, muse
from mien.errors import FormatError
from mien.features.extractor import Extractor
from mien.schema import AUDIO, VIDEO
from mien.signals import Signals

STEP_MS = 500
ULM_TSST_DIMENSIONS = ("physio-arousal", "valence")
ULM_TSST_FEATURES: Mapping[str, str] = MappingProxyType(
    {AUDIO: "egemaps", VIDEO: "faus", "physiology": "biosignals"}
)
_PARTS = {"train": "train", "devel": "valid"}  # the labels of test are not public
_SOURCE = "Ulm-TSST is given out under an agreement, see zenodo.org/records/4767114"


def ulm_tsst_examples(
    folder: Path,
    dimensions: tuple[str, ...] = ULM_TSST_DIMENSIONS,
    features: Mapping[str, str] = ULM_TSST_FEATURES,
) -> list[Example]:
    """List the 55 people whose labels are public, two steps a second.

    Time runs from the first to the last label; a label that is missing in between is NaN. Features
    are matched by time: a step without a row, with a number missing, or of nothing but zeros (so
    the challenge marks a face that was not found) is not observed. Nothing is normalised. For
    training, cut the examples with `mien.datasets.cut_segments`.

    Args:
        folder: holds ``feature_segments``, ``label_segments`` and ``metadata``.
        dimensions: folders of labels, from -1 to 1; the target is ``(steps, dimensions)``. Arousal
            is ``physio-arousal`` in MuSe 2022 and ``anno12_EDA`` in MuSe 2021.
        features: the folder of each modality's features; a modality may be left out.

    Raises:
        InputError: a folder or a file is not there.
        FormatError: a column is missing, or times are not two a second.
    """
    partition = folder / "metadata" / "partition.csv"
    rows = read_table(partition, (), _SOURCE)
    if rows.shape[1] < 2 or set(rows.iloc[:, -1]) - {*_PARTS, "test"}:
        raise FormatError(
            "is no list of people and of train, devel or test", path=partition, advice=_SOURCE
        )
    return [
        _example(folder, str(person), _PARTS[part], dimensions, features)
        for person, part in zip(rows.iloc[:, 0], rows.iloc[:, -1], strict=True)
        if part in _PARTS
    ]


def _example(
    folder: Path,
    person: str,
    part: str,
    dimensions: tuple[str, ...],
    features: Mapping[str, str],
) -> Example:
    labels = [
        _Rows(folder / "label_segments" / name / f"{person}.csv", ("value",)) for name in dimensions
    ]
    first = min(int(rows.times[0]) for rows in labels)
    last = max(int(rows.times[-1]) for rows in labels)
    grid = np.arange(first, last + STEP_MS, STEP_MS)
    target = np.concatenate([rows.on(grid) for rows in labels], axis=1)
    signals = {
        modality: sequence_of(
            _Rows(folder / "feature_segments" / name / f"{person}.csv").on(grid), STEP_MS / 1000
        )
        for modality, name in features.items()
    }
    name = f"ulm_tsst/{person}"
    return Example(name, name, Signals(signals), torch.from_numpy(target.astype(np.float32)), part)


class _Rows:
    """A file of one person: times in milliseconds, and the named columns or all features."""

    def __init__(self, path: Path, columns: tuple[str, ...] = ()) -> None:
        require(path.parent, _SOURCE)
        self.path = path
        table = read_table(path, ("timestamp", "segment_id", *columns), _SOURCE)
        numbers = table.drop(columns=["timestamp", "segment_id"])
        try:
            self.times = table["timestamp"].to_numpy(dtype=np.int64)
            chosen = numbers[list(columns)] if columns else numbers
            self.values = chosen.to_numpy(dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise FormatError(f"holds more than numbers ({error})", path=path) from error
        if not len(self.times) or (np.diff(self.times) <= 0).any():
            raise FormatError("times do not increase", path=path, advice=_SOURCE)

    def on(self, grid: NDArray[np.int64]) -> NDArray[np.float64]:
        """Look up the values at the times of a grid; NaN where there are none.

        Raises:
            FormatError: the times are not those of the grid.
        """
        step, rest = np.divmod(self.times - grid[0], STEP_MS)
        if rest.any():
            raise FormatError(
                f"times are not {STEP_MS} ms apart, as those of the labels are",
                path=self.path,
                advice=_SOURCE,
            )
        out = np.full((len(grid), self.values.shape[1]), np.nan)
        inside = (step >= 0) & (step < len(grid))
        out[step[inside]] = self.values[inside]
        return out


@register_dataset("ulm_tsst")
class UlmTsst(ContinuousDataSet):
    """Ulm-TSST (MuSe-Stress): voice, face and physiology twice a second.

    Attributes:
        seed: of the draw of ten people for the test part.
    """

    seed: int = 0

    @property
    def note(self) -> str:
        """What the data is."""
        return (
            "Ulm-TSST, 55 labelled people divided 35/10/10; the paper's draw is not published, "
            f"this one has seed {self.seed}."
        )

    def shape(self) -> Shape:
        """Describe EGeMAPS (88), action units (20), ECG, respiration and heart rate (3)."""
        sizes: Mapping[str, tuple[int, ...]] = {AUDIO: (88,), VIDEO: (20,), "physiology": (3,)}
        return Shape(
            self.task(),
            sizes,
            dict.fromkeys(sizes, STEP_MS / 1000),
            dict.fromkeys(sizes, self.length),
        )

    def extractors(self) -> dict[str, Extractor]:
        """Return extractors of published features."""
        return create_published_extractors("ulm_tsst", self.shape())

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> list[Example]:
        """Read the 55 people whose labels are public."""
        return self.select(ulm_tsst_examples(places.data / "ulm_tsst"))

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Draw 35, 10 and 10 people."""
        return (muse(examples, self.seed),)
