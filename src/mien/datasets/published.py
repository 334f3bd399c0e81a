"""Features that a corpus gives out itself: no extractor here computes them from a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mien.datasets.dataset import Shape
from mien.features.extractor import Extractor, register_extractor


@register_extractor("published")
@dataclass(frozen=True)
class PublishedFeatures(Extractor):
    """Stands for features that a corpus gives out, so that a model of them can be saved.

    Attributes:
        corpus: whose.
        features: numbers in a step.
        hop: seconds of a step.
    """

    source: ClassVar[Literal["sound", "face", "file"]] = "file"

    corpus: str
    features: int
    hop: float

    @property
    def shape(self) -> tuple[int, ...]:
        """``(features,)``."""
        return (self.features,)


def published_extractors(corpus: str, shape: Shape) -> dict[str, Extractor]:
    """Stand-ins for the extractors of published features, by modality.

    Args:
        corpus: whose features they are.
        shape: of its data set.
    """
    return {
        name: PublishedFeatures(corpus, size, shape.hops[name])
        for name, size in shape.sizes.items()
    }
