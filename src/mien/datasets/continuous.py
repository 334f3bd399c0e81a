"""Data sets with a label for every frame: segments in training, whole sessions when measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from mien.datasets.dataset import DataSet
from mien.datasets.examples import Example, cut_segments
from mien.models import Task
from mien.schema import DIMENSIONS


class ContinuousDataSet(DataSet):
    """Base of data sets of arousal and valence per frame.

    Attributes:
        dimension: arousal or valence alone, or both.
        length: steps of a segment in training.
        stride: steps from one segment to the next.
    """

    dimension: Literal["arousal", "valence", "both"] = "both"
    length: Annotated[int, Field(ge=2)] = 250
    stride: Annotated[int, Field(ge=1)] = 50

    def task(self) -> Task:
        """Describe one or two dimensions per frame."""
        names = DIMENSIONS if self.dimension == "both" else (self.dimension,)
        return Task("dimensions", names, "frame")

    def pieces(self, example: Example) -> list[Example]:
        """Cut overlapping segments."""
        return cut_segments(example, self.length, self.stride)

    def select(self, examples: Sequence[Example]) -> list[Example]:
        """Return the same examples with only the dimension that is asked."""
        if self.dimension == "both":
            return list(examples)
        column = [DIMENSIONS.index(self.dimension)]
        return [replace(example, target=example.target[:, column]) for example in examples]
