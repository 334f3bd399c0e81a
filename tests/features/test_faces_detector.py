from __future__ import annotations

import cv2
import numpy as np
import pytest
from face_material import clip_frames, detector_or_skip

from mien import weights
from mien.errors import OptionError, WeightError
from mien.features.face_detector import FaceDetector


@pytest.fixture(scope="module")
def detector():
    return detector_or_skip()


@pytest.fixture
def frame(java_clip):
    return clip_frames(java_clip)[3]


def test_finds_the_one_face_and_its_landmarks(detector, frame):
    (face,) = detector.detect(frame)
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks.dtype == np.float32
    assert 0.8 < face.score <= 1
    x, y, width, height = face.box
    assert 0.25 * frame.shape[0] < height < 0.9 * frame.shape[0]
    assert ((face.landmarks > (x, y)) & (face.landmarks < (x + width, y + height))).all()
    right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


@pytest.mark.parametrize("zoom", [0.5, 2.0, 4.0, 7.0])
def test_coordinates_are_those_of_the_given_picture(detector, frame, zoom):
    (face,) = detector.detect(frame)
    (zoomed,) = detector.detect(cv2.resize(frame, None, fx=zoom, fy=zoom, interpolation=3))
    assert np.abs(zoomed.landmarks / zoom - face.landmarks).max() < 0.06 * face.box[3]
    assert np.abs(np.array(zoomed.box) / zoom - face.box).max() < 0.12 * face.box[3]


def test_scale_is_kept_apart_for_each_side(frame):
    path = weights.locate("yunet") if detector_or_skip() else None
    odd = cv2.resize(frame, (1201, 901), interpolation=cv2.INTER_CUBIC)
    (small,) = FaceDetector(path, max_side_px=321).detect(odd)
    (large,) = FaceDetector(path, max_side_px=1201).detect(odd)
    assert np.abs(small.landmarks - large.landmarks).max() < 0.1 * large.box[3]


def test_same_picture_gives_the_same_faces_whatever_came_before(detector, frame):
    before = detector.detect(frame)
    detector.detect(np.zeros((77, 501, 3), np.uint8))
    after = detector.detect(frame)
    assert before[0].box == after[0].box
    assert before[0].score == after[0].score
    assert (before[0].landmarks == after[0].landmarks).all()


def test_many_faces_come_by_falling_score_then_place(detector, frame):
    wall = np.tile(frame, (2, 3, 1))
    faces = detector.detect(wall)
    assert len(faces) == 6
    keys = [(-face.score, face.box) for face in faces]
    assert keys == sorted(keys)


def test_small_faces_in_a_large_picture(detector, frame):
    (face,) = detector.detect(frame)
    zoom = 72 / face.box[3]
    small = cv2.resize(frame, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    wall = np.full((720, 1280, 3), 128, np.uint8)
    for x in (50, 500, 1000):
        wall[300 : 300 + small.shape[0], x : x + small.shape[1]] = small
    found = sorted(face.box[0] for face in detector.detect(wall))
    assert len(found) == 3
    for x, left in zip((50, 500, 1000), found, strict=True):
        assert abs(left - (x + face.box[0] * zoom)) < 12


HOSTILE = [(1, 1), (2, 3000), (3000, 2), (1, 5000), (5, 5), (31, 33), (16, 4000), (270, 360)]


@pytest.mark.parametrize("shape", HOSTILE)
@pytest.mark.parametrize("content", ["black", "white", "noise", "grey ramp"])
def test_pictures_of_nothing_hold_no_face(detector, shape, content):
    image = {
        "black": np.zeros((*shape, 3), np.uint8),
        "white": np.full((*shape, 3), 255, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8),
        "grey ramp": np.broadcast_to(
            np.linspace(0, 255, shape[1], dtype=np.uint8)[None, :, None], (*shape, 3)
        ).copy(),
    }[content]
    assert detector.detect(image) == []


def test_faces_half_outside_have_boxes_inside(detector, frame):
    (face,) = detector.detect(frame)
    middle_x, middle_y = (int(v) for v in face.landmarks[2])
    for view in (frame[:, : middle_x + 15], frame[:, middle_x - 15 :], frame[: middle_y + 20]):
        part = np.ascontiguousarray(view)
        for cut in detector.detect(part):
            x, y, width, height = cut.box
            assert x >= 0
            assert y >= 0
            assert width > 0
            assert height > 0
            assert x + width <= part.shape[1] + 1e-3
            assert y + height <= part.shape[0] + 1e-3


def test_grey_frames_in_three_channels(detector, frame):
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert len(detector.detect(grey)) == 1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(detector, image):
    with pytest.raises(ValueError, match=r"want \(height, width, 3\) uint8"):
        detector.detect(image)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"min_score": 0}, "min_score must lie between 0 and 1, got 0"),
        ({"min_score": 1}, "min_score must lie between 0 and 1, got 1"),
        ({"max_side_px": 16}, "max_side_px must be at least 32, got 16"),
    ],
)
def test_options_out_of_range(tmp_path, options, problem):
    with pytest.raises(OptionError, match=problem):
        FaceDetector(tmp_path / "any.onnx", **options)


@pytest.mark.parametrize("content", [None, b"", b"no network at all" * 9])
def test_weights_that_are_no_network(tmp_path, content):
    path = tmp_path / "broken.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightError, match="the face detector cannot be read") as error:
        FaceDetector(path)
    assert error.value.path == str(path)
