"""Features that a corpus gives out itself: no extractor here computes them from a recording."""

from __future__ import annotations

from pathlib import Path

from mien.errors import FormatError
from mien.features.extractor import register_extractor
from mien.features.files import FeatureFile, FileExtractor, inspect_feature_file
from mien.features.series import Series


@register_extractor("published")
class PublishedFeatures(FileExtractor):
    """Stands for features that a corpus gives out, so that a model of them can be saved.

    Attributes:
        corpus: whose.
        features: numbers in a step.
        hop: seconds of a step.
    """

    corpus: str
    features: int
    hop: float

    @property
    def shape(self) -> tuple[int, ...]:
        """``(features,)``."""
        return (self.features,)

    def read(self, path: str | Path) -> Series:
        """Read a file of the same features; see `mien.features.files`.

        Args:
            path: a NumPy archive, Parquet or CSV, columns in the order of the corpus.

        Returns:
            Values ``(time, features)``.

        Raises:
            InputError: the file cannot be read.
            FormatError: it holds another number of features, or is no file of features.
        """
        columns, _ = inspect_feature_file(path, hop=self.hop)
        if len(columns) != self.features:
            raise FormatError(
                f"holds {len(columns)} features, {self.corpus} gives {self.features}",
                path=path,
                advice=f"extract the features that {self.corpus} gives out, in its order",
            )
        return FeatureFile(columns=columns, hop=self.hop).read(path)
