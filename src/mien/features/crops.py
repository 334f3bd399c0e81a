"""Aligned crops of faces, how good they are, and thumbnails.

Coordinates are pixels of the given image, x to the right and y down, with (0, 0) at the outer
corner of the first pixel, so that the centre of the first pixel is at (0.5, 0.5).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import OptionError
from mien.features.face_detector import Box, Face
from mien.features.face_encoder import CROP_PX

Image = NDArray[np.uint8]

# Where right eye, left eye, nose, right and left mouth corner lie in a crop: the mean over the
# 27,181 of 28,558 FER+ training faces (95 %) that YuNet finds with a score over 0.8 when they are
# enlarged four times (cubic) and framed by 64 px of their own mean grey. Standard deviations are
# 3 to 5 px.
TEMPLATE = np.array(
    [[14.81, 17.96], [32.40, 17.92], [22.91, 28.10], [16.50, 36.81], [30.82, 36.89]]
)
TEMPLATE.setflags(write=False)
_MOST_SAMPLES = 16

_EYES_PX = 17.6  # between the eyes of the template
_NOSE_DOWN = 0.54  # from the eyes to the mouth: where the template has the nose
_NOSE_AWAY = 0.5
_EYES_TO_HEIGHT = 0.7
_SHARPNESS = 0.3
_CONTRAST = 20.0
_DARK, _BRIGHT = 4, 251

_THUMBNAIL_ZOOM_OUT = 1.5
_JPEG_QUALITY = 85


def fit_similarity(
    source: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Fit the rotation, uniform scale and shift that bring points onto others (least squares).

    Closed form in the plane of Umeyama (1991), "Least-squares estimation of transformation
    parameters between two point patterns", equations 40 to 42, without mirroring.

    Args:
        source: ``(points, 2)``.
        target: ``(points, 2)``.

    Returns:
        ``(2, 3)``: linear part and shift.

    Raises:
        ValueError: the source is a single place or not finite, so there is no such transform.
    """
    start, end = source.astype(np.float64), target.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        a, b = start - start.mean(0), end - end.mean(0)
        spread = float((a * a).sum())
    if not (math.isfinite(spread) and spread > 1e-9):
        raise ValueError("the landmarks must be finite and must not all be in one place")
    cosine = float((a * b).sum()) / spread
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    shift = end.mean(0) - linear @ start.mean(0)
    return np.column_stack([linear, shift])


def align(image: Image, landmarks: NDArray[np.float32]) -> Image:
    """Cut a face out so that its landmarks come to lie as they do in the encoder's training faces.

    Faces larger than the crop are sampled several times for each pixel of the crop and averaged, so
    that nothing aliases; what lies outside the image repeats its border.

    Args:
        image: ``(height, width, 3)`` BGR.
        landmarks: ``(5, 2)`` in the order of `Face`.

    Returns:
        ``(48, 48)`` grey.

    Raises:
        ValueError: the landmarks are all in one place, or not finite.
    """
    small = align_colour(image, landmarks, CROP_PX)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def align_colour(image: Image, landmarks: NDArray[np.float32], size_px: int) -> Image:
    """Cut a face out as `align` does, in colour and of any size.

    Args:
        image: ``(height, width, 3)`` BGR.
        landmarks: ``(5, 2)`` in the order of `Face`.
        size_px: width and height.

    Returns:
        ``(size_px, size_px, 3)`` BGR.

    Raises:
        ValueError: the landmarks are all in one place, or not finite.
    """
    transform = fit_similarity(landmarks, TEMPLATE) * (size_px / CROP_PX)
    scale = math.hypot(transform[0, 0], transform[1, 0])
    samples = min(max(math.ceil(1 / scale - 0.01), 1), _MOST_SAMPLES)
    crop = cv2.warpAffine(
        image,
        _centre(transform * samples),
        (size_px * samples, size_px * samples),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    small = cv2.resize(crop, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def _centre(transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the same transform for coordinates that count from the centre of the first pixel."""
    shifted = transform.copy()
    shifted[:, 2] += transform[:, :2] @ (0.5, 0.5) - 0.5
    return shifted


def rate_quality(image: Image, face: Face, crop: Image) -> float:
    """Rate how well a face can be read, from 0 to 1: a product of six terms, each at most 1.

    - size: distance between the eyes over 17.6 px, from where on the crop holds no invented pixels;
    - frontality (`rate_frontality`);
    - sharpness (`rate_sharpness`);
    - exposure: standard deviation of the crop over 20 grey levels, times the fraction of its pixels
      that are neither black (below 4) nor white (above 251);
    - visibility: fraction of the five landmarks that lie inside the image;
    - the detector's score.

    It says how much the picture shows, not how far an emotion can be trusted. Noise counts as
    sharp. Talking faces 150 px high have 0.66 to 0.89, the same shrunk to 40 px 0.27 and
    blurred by 4 px 0.08 (medians).

    Args:
        image: ``(height, width, 3)`` BGR in which the face was found.
        face: the face.
        crop: ``(48, 48)``, its `align`.
    """
    height, width = image.shape[:2]
    eyes = math.dist(face.landmarks[0], face.landmarks[1])
    inside = ((face.landmarks >= 0) & (face.landmarks <= (width, height))).all(axis=1)
    unclipped = ((crop >= _DARK) & (crop <= _BRIGHT)).mean()
    terms = (
        min(eyes / _EYES_PX, 1.0),
        rate_frontality(face.landmarks),
        rate_sharpness(crop),
        min(float(crop.std()) / _CONTRAST, 1.0) * float(unclipped),
        float(inside.mean()),
        face.score,
    )
    return min(max(math.prod(terms), 0.0), 1.0)


def rate_frontality(landmarks: NDArray[np.float32]) -> float:
    """Rate how far a face looks at the camera, from 0 (profile) to 1 (frontal).

    Falls in a straight line with the distance of the nose from its place on the line between the
    middles of eyes and mouth, 54 % down, and is 0 when it is half the distance between the eyes off
    that line or half the distance from eyes to mouth along it; times how wide the eyes stand
    against that distance, full from 0.7 on.

    Args:
        landmarks: ``(5, 2)`` in the order of `Face`.
    """
    points = landmarks.astype(np.float64)
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down, nose = mouth - eyes, points[2] - eyes
    height, width = math.hypot(*down), math.dist(points[0], points[1])
    if min(height, width) < 1e-6:
        return 0.0
    aside = (nose[0] * down[1] - nose[1] * down[0]) / (height * width)
    along = (nose[0] * down[0] + nose[1] * down[1]) / height**2 - _NOSE_DOWN
    turned = math.hypot(aside, along) / _NOSE_AWAY
    return max(1 - turned, 0.0) * min(width / height / _EYES_TO_HEIGHT, 1.0)


def rate_sharpness(crop: Image) -> float:
    """Rate sharpness: variance of the Laplacian over that of the crop over 0.3, at most 1.

    The ratio does not change with exposure and contrast. About 95 % of the
    faces of Java-SED and of FER+ reach 0.3 and so the full mark; a blur of 0.8 px of the crop takes
    the median ratio of Java-SED from 0.5 to 0.13.

    Args:
        crop: ``(48, 48)`` grey.
    """
    values = crop.astype(np.float64)
    edges = cv2.Laplacian(values, cv2.CV_64F, borderType=cv2.BORDER_REPLICATE)
    return min(float(edges.var()) / max(float(values.var()), 1e-6) / _SHARPNESS, 1.0)


def cut_thumbnail(image: Image, box: Box, size_px: int = 96) -> bytes:
    """Cut out a small square picture of a face and some of what is around it.

    Args:
        image: ``(height, width, 3)`` BGR.
        box: of the face; the picture is moved and shrunk so as to lie inside the image.
        size_px: width and height of the picture.

    Returns:
        A JPEG file.

    Raises:
        OptionError: the size is not positive.
    """
    if size_px < 1:
        raise OptionError(f"size_px must be positive, got {size_px}")
    height, width = image.shape[:2]
    x, y, box_width, box_height = box
    side = round(max(box_width, box_height) * _THUMBNAIL_ZOOM_OUT)
    side = min(max(side, 1), height, width)
    left = min(max(round(x + (box_width - side) / 2), 0), width - side)
    top = min(max(round(y + (box_height - side) / 2), 0), height - side)
    part = image[top : top + side, left : left + side]
    way = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR
    small = cv2.resize(part, (size_px, size_px), interpolation=way)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
