from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from face_material import clip_frames, detector_or_skip, frontal_landmarks
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import OptionError
from mien.features.crops import (
    TEMPLATE,
    align,
    align_colour,
    cut_thumbnail,
    fit_similarity,
    rate_frontality,
    rate_quality,
    rate_sharpness,
)
from mien.features.face_detector import Face


def _moved(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (scale * TEMPLATE @ turn.T + (x, y)).astype(np.float64)


@given(
    st.floats(-math.pi, math.pi),
    st.floats(0.05, 40),
    st.floats(-500, 500),
    st.floats(-500, 500),
)
def test_similarity_undoes_any_rotation_scale_and_shift(angle, scale, x, y):
    transform = fit_similarity(_moved(angle, scale, x, y), TEMPLATE)
    back = _moved(angle, scale, x, y) @ transform[:, :2].T + transform[:, 2]
    assert np.allclose(back, TEMPLATE, atol=1e-6)


def test_similarity_is_the_least_squares_one():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))

    def residual(a, b, x, y):
        return ((source @ np.array([[a, b], [-b, a]]) + (x, y) - target) ** 2).sum()

    best = fit_similarity(source, target)
    parameters = np.array([best[0, 0], best[1, 0], best[0, 2], best[1, 2]])
    least = residual(*parameters)
    for step in rng.normal(size=(200, 4)) * 0.01:
        assert residual(*(parameters + step)) > least


@pytest.mark.parametrize("value", [5.0, math.nan, math.inf])
def test_similarity_refuses_points_without_extent(value):
    with pytest.raises(ValueError, match="must not all be in one place"):
        fit_similarity(np.full((5, 2), value), TEMPLATE)


def _picture_of(crop: np.ndarray, zoom: int) -> np.ndarray:
    large = np.kron(crop, np.ones((zoom, zoom), np.uint8))
    return cv2.cvtColor(cv2.copyMakeBorder(large, 9, 9, 7, 7, cv2.BORDER_REPLICATE), 8)


@pytest.mark.parametrize("zoom", [1, 2, 4, 9])
def test_align_gives_back_a_crop_that_was_enlarged_by_pixel_repetition(zoom):
    crop = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    again = align(_picture_of(crop, zoom), (TEMPLATE * zoom + (7, 9)).astype(np.float32))
    assert again.shape == (48, 48)
    assert again.dtype == np.uint8
    difference = np.abs(again.astype(int) - crop)
    assert difference.max() <= (1 if zoom == 1 else 30)
    assert difference.mean() < (0.1 if zoom == 1 else 8)


def test_align_turns_the_face_upright():
    upright = np.full((240, 240, 3), 100, np.uint8)
    landmarks = (TEMPLATE * 3 + 48).astype(np.float32)
    for x, y in landmarks[:2]:
        cv2.circle(upright, (round(float(x)), round(float(y))), 9, (250, 250, 250), -1)
    matrix = cv2.getRotationMatrix2D((120, 120), 30, 1.0)
    turned = cv2.warpAffine(upright, matrix, (240, 240), borderMode=cv2.BORDER_REPLICATE)
    turned_landmarks = (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    difference = align(turned, turned_landmarks).astype(int) - align(upright, landmarks)
    assert np.abs(difference).mean() < 2


def test_align_does_not_alias():
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = align(stripes, (TEMPLATE * 20).astype(np.float32))
    assert np.abs(crop.astype(int) - 127).max() <= 12


def test_align_repeats_the_border_of_a_face_half_outside():
    image = np.full((100, 100, 3), 30, np.uint8)
    image[:, 0] = 200
    crop = align(image, (TEMPLATE * 2 - (48, 0)).astype(np.float32))
    assert (crop[:, :22] == 200).all()
    assert (crop[:, 27:] == 30).all()


def test_frontality_falls_with_turning():
    values = [rate_frontality(frontal_landmarks(turn=turn)) for turn in (0, 0.1, 0.2, 0.4, 0.6)]
    assert values[0] > 0.9
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0
    assert rate_frontality(frontal_landmarks(turn=-0.2)) == pytest.approx(values[2])
    assert rate_frontality(np.zeros((5, 2), np.float32)) == 0


@given(st.integers(1, 255), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_quality_and_sharpness_stay_in_range(contrast, base, seed):
    rng = np.random.default_rng(seed)
    crop = np.clip(base + rng.normal(size=(48, 48)) * contrast, 0, 255).astype(np.uint8)
    landmarks = rng.normal(size=(5, 2)).astype(np.float32) * 50
    face = Face((0, 0, 20, 20), landmarks, float(rng.uniform()))
    assert 0 <= rate_sharpness(crop) <= 1
    assert 0 <= rate_quality(np.zeros((50, 50, 3), np.uint8), face, crop) <= 1


def test_flat_crop_has_no_quality():
    image = np.full((200, 200, 3), 128, np.uint8)
    face = Face((60, 60, 80, 80), frontal_landmarks(), 0.9)
    assert rate_quality(image, face, align(image, face.landmarks)) == 0


def test_quality_of_a_real_face_falls_when_it_is_degraded(java_clip):
    detector = detector_or_skip()
    image = clip_frames(java_clip)[3]
    height, width = image.shape[:2]

    def rate(picture):
        face = detector.detect(picture)[0]
        return rate_quality(picture, face, align(picture, face.landmarks))

    good = rate(image)
    assert good > 0.6
    assert rate(cv2.GaussianBlur(image, (0, 0), 4)) < good / 2
    assert rate(cv2.resize(image, (width // 6, height // 6), interpolation=3)) < good / 2
    assert rate((image * 0.15).astype(np.uint8)) < good / 2
    face = detector.detect(image)[0]
    crop = align(image, face.landmarks)
    turned = face.landmarks.copy()
    turned[2, 0] += 0.4 * np.hypot(*(turned[1] - turned[0]))
    assert rate_quality(image, face._replace(landmarks=turned), crop) < good / 2
    outside = face.landmarks + np.array([width / 2, 0], np.float32)
    assert rate_quality(image, face._replace(landmarks=outside), crop) < good


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((270, 360), (100.0, 50.0, 110.0, 160.0)),
        ((270, 360), (0.0, 0.0, 30.0, 30.0)),
        ((270, 360), (300.0, 200.0, 60.0, 70.0)),
        ((270, 360), (0.0, 0.0, 360.0, 270.0)),
        ((1, 1), (0.0, 0.0, 1.0, 1.0)),
        ((2, 3000), (2990.0, 0.0, 10.0, 2.0)),
    ],
)
@pytest.mark.parametrize("size_px", [96, 33])
def test_thumbnail_is_a_square_jpeg_from_inside_the_frame(shape, box, size_px):
    image = np.full((*shape, 3), 180, np.uint8)
    jpeg = cut_thumbnail(image, box, size_px=size_px)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (size_px, size_px, 3)
    assert np.abs(picture.astype(int) - 180).max() <= 3
    assert jpeg == cut_thumbnail(image, box, size_px=size_px)


def test_thumbnail_shows_the_face():
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:120, 140:180] = (40, 90, 200)
    picture = cv2.imdecode(np.frombuffer(cut_thumbnail(image, (140, 80, 40, 40)), np.uint8), 1)
    assert np.abs(picture[48, 48].astype(int) - (40, 90, 200)).max() <= 6
    assert picture[4, 4].max() <= 6


def test_thumbnail_refuses_a_size_of_nothing():
    with pytest.raises(OptionError, match="size_px must be positive, got 0"):
        cut_thumbnail(np.zeros((5, 5, 3), np.uint8), (0, 0, 5, 5), size_px=0)


def test_a_larger_crop_shows_the_same_part_in_colour(java_clip):
    image = clip_frames(java_clip)[0]
    face = detector_or_skip().detect(image)[0]
    small, large = (align_colour(image, face.landmarks, size_px) for size_px in (48, 192))
    assert large.shape == (192, 192, 3)
    shrunk = cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 3
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(align(image, face.landmarks), grey)
