"""Features that a corpus gives out itself: no extractor here computes them from a recording."""

from __future__ import annotations

from mien.datasets.dataset import Shape
from mien.features.extractor import Extractor
from mien.features.published import PublishedFeatures


def create_published_extractors(corpus: str, shape: Shape) -> dict[str, Extractor]:
    """Return stand-ins for the extractors of published features, by modality.

    Args:
        corpus: whose features they are.
        shape: of its data set.
    """
    return {
        name: PublishedFeatures(corpus, size, shape.hops[name])
        for name, size in shape.sizes.items()
    }
