"""Faces in a picture: YuNet through OpenCV."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import OptionError, WeightError

Box = tuple[float, float, float, float]

_SMALLEST_FACE_PX = 8.0
_MOST_FACES = 100
_OVERLAP = 0.3


class Face(NamedTuple):
    """One face in one picture.

    Attributes:
        box: x, y, width, height in px of the picture, cut to the picture.
        landmarks: ``(5, 2)`` float32, px: right eye, left eye, nose, right and left corner of the
            mouth, where right is the person's right. They may lie outside the picture.
        score: the detector's confidence, from 0 to 1.
    """

    box: Box
    landmarks: NDArray[np.float32]
    score: float


class FaceDetector:
    """YuNet (Wu, Peng and Yu 2023, "YuNet: a tiny millisecond-level face detector"), int8.

    Not for use by several threads at once. How many threads OpenCV takes is left as it is.

    Args:
        weights: the ONNX file.
        min_score: faces of less confidence are left out, from 0 to 1.
        max_side_px: larger pictures are scaled down to this longest side before detection. Over
            1,630 frames of Java-SED (faces of about 150 px) every choice from 256 to 640 finds all.
            Of faces 40 px high in 1280x720 frames, at a score of 0.6, 320 finds 5 %, 480 57 %, 640
            81 %, 800 96 % and 1280 all, at 2, 5, 8, 13 and 36 ms a frame on one core; from 60 px on
            640 finds all.

    Raises:
        OptionError: an option is out of range.
        WeightError: OpenCV cannot read the weights.
    """

    def __init__(self, weights: Path, *, min_score: float = 0.6, max_side_px: int = 640) -> None:
        if not 0 < min_score < 1:
            raise OptionError(f"min_score must lie between 0 and 1, got {min_score}")
        if max_side_px < 32:
            raise OptionError(f"max_side_px must be at least 32, got {max_side_px}")
        self.max_side_px = max_side_px
        self._size = (max_side_px, max_side_px)
        self._network = _open(weights, self._size, min_score)

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """Find all faces.

        Args:
            image: ``(height, width, 3)`` BGR, of any size.

        Returns:
            The faces in the coordinates of the image, by falling score, then from left to right and
            from top to bottom.

        Raises:
            ValueError: the image is of another shape or type.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f"want (height, width, 3) uint8, got {image.shape} {image.dtype}")
        height, width = image.shape[:2]
        small = self._shrink(image)
        size = (small.shape[1], small.shape[0])
        if size != self._size:
            self._network.setInputSize(size)
            self._size = size
        rows = self._network.detect(small)[1]
        if rows is None:
            return []
        scale = (width / size[0], height / size[1])
        smallest = _SMALLEST_FACE_PX * max(scale)
        faces = (_face(row, scale, (width, height), smallest) for row in rows)
        found = [face for face in faces if face is not None]
        return sorted(found, key=lambda face: (-face.score, face.box))

    def _shrink(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = image.shape[:2]
        scale = self.max_side_px / max(height, width)
        if scale >= 1:
            return image
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _open(weights: Path, size: tuple[int, int], min_score: float) -> cv2.FaceDetectorYN:
    try:
        content = np.frombuffer(weights.read_bytes(), dtype=np.uint8)
        return cv2.FaceDetectorYN.create(
            "onnx", content, np.empty(0, np.uint8), size, min_score, _OVERLAP, _MOST_FACES
        )
    except (OSError, cv2.error) as error:
        raise WeightError(
            "the face detector cannot be read",
            path=weights,
            advice="remove the file so that it is fetched again",
        ) from error


def _face(
    row: NDArray[np.float32],
    scale: tuple[float, float],
    size: tuple[int, int],
    smallest: float,
) -> Face | None:
    """Parse a row of YuNet's output; None where it makes no sense as a face."""
    values = np.asarray(row, dtype=np.float64)
    if not np.isfinite(values).all():
        return None
    points = values[:14].reshape(7, 2) * scale
    left, top = np.clip(points[0], 0, size)
    right, bottom = np.clip(points[0] + points[1], 0, size)
    landmarks = points[2:].astype(np.float32)
    eyes = math.dist(landmarks[0], landmarks[1])
    box = (float(left), float(top), float(right - left), float(bottom - top))
    if min(box[2], box[3]) < smallest or eyes < 1:
        return None
    return Face(box, landmarks, min(float(values[14]), 1.0))
