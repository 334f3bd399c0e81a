"""Aligned pictures of the face, for models that learn from pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import OptionError
from mien.features.crops import align_colour
from mien.features.extractor import Dtype, FaceExtractor, FaceImage, register_extractor
from mien.features.face_encoder import CROP_PX

_SMALLEST_PX, _LARGEST_PX = 8, 512


@register_extractor("face_crops")
class FaceCrops(FaceExtractor):
    """Aligned crops of the face, values from 0 to 1, as ``(1 or 3, size_px, size_px)``.

    All sizes show the same part of the picture, that of the face encoder's crops.

    Attributes:
        hop: seconds between two looks at the face.
        size_px: width and height.
        colour: whether in colour (red, green, blue) or grey.
    """

    edition: ClassVar[int] = 1
    dtype: ClassVar[Dtype] = "uint8"
    hop: float = 0.2
    size_px: int = CROP_PX
    colour: bool = False

    def __post_init__(self) -> None:
        if not _SMALLEST_PX <= self.size_px <= _LARGEST_PX:
            raise OptionError(
                f"face_crops: size_px is {self.size_px}",
                advice=f"give a number from {_SMALLEST_PX} to {_LARGEST_PX}",
            )
        super().__post_init__()

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return (3 if self.colour else 1, self.size_px, self.size_px)

    def encode(self, faces: Sequence[FaceImage]) -> NDArray[np.uint8]:
        """Cut the faces out; ``(n, 1 or 3, size_px, size_px)`` uint8."""
        crops = [align_colour(face.image, face.landmarks, self.size_px) for face in faces]
        if self.colour:
            return np.stack([crop[:, :, ::-1].transpose(2, 0, 1) for crop in crops])
        greys = [cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) for crop in crops]
        return np.stack(greys)[:, None].astype(np.uint8)
