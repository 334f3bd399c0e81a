"""Files of features."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mien.features.extractor import Extractor, Source, register_extractor
from mien.features.series import Series


@register_extractor("file")
class FeatureFile(Extractor):
    """Features that others have made."""

    source: ClassVar[Source] = "file"
    columns: tuple[str, ...]
    hop: float

    @property
    def shape(self) -> tuple[int, ...]:
        """As many as there are columns."""
        return (len(self.columns),)

    def read(self, path: str | Path) -> Series:
        """Read."""
        raise NotImplementedError
