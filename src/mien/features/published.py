"""Features that a corpus gives out itself: no extractor here computes them from a recording."""

from __future__ import annotations

from typing import ClassVar

from mien.features.extractor import Extractor, Source, register_extractor


@register_extractor("published")
class PublishedFeatures(Extractor):
    """Stands for features that a corpus gives out, so that a model of them can be saved.

    Attributes:
        corpus: whose.
        features: numbers in a step.
        hop: seconds of a step.
    """

    source: ClassVar[Source] = "file"
    corpus: str
    features: int
    hop: float

    @property
    def shape(self) -> tuple[int, ...]:
        """``(features,)``."""
        return (self.features,)
