"""Faces of one recording: found, followed, numbered, encoded."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from face_material import clip_frames, detector_or_skip, face_at
from stand_ins import FaceTimes

from mien.features.crops import align, rate_quality
from mien.features.extractor import FaceImage
from mien.features.face_encoder import FaceEncoder, FaceFerPlus, fold_normalisation
from mien.features.looking import FaceFinder, Looking, SeenFeatures
from mien.features.tracks import settle_tracks


class Frame(NamedTuple):
    time: float
    image: np.ndarray


class PaintedFaces:
    """Stands in for the detector: each frame's first pixel says how many faces it has."""

    def detect(self, image):
        return [
            face_at(20 + 100 * k, 30 + 10 * k, 60, 0.9 - 0.1 * k) for k in range(image[0, 0, 0])
        ]


def painted(counts, hop=0.2):
    still = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    still = cv2.resize(still, (400, 240))
    frames = []
    for k, count in enumerate(counts):
        image = still.copy()
        image[0, 0] = count
        frames.append(Frame(hop * k, image))
    return frames


def look(frames, detector=None, **extractors):
    """Tracks and features after some frames."""
    features = {name: SeenFeatures(name, one) for name, one in extractors.items()}
    looking = Looking(detector or PaintedFaces(), features)
    for frame in frames:
        looking.push(frame)
    looking.finish()
    for one in features.values():
        one.settle(frames[-1].time + 0.2)
    return settle_tracks(looking.tracks), features


def test_each_face_is_found_once():
    frames = painted([1, 2, 0, 3])
    finder = FaceFinder(PaintedFaces())
    found = [(person, face) for frame in frames for person, face in finder.find(frame)]
    assert [(round(face.time, 1), person) for person, face in found] == [
        (0.0, 1),
        (0.2, 1),
        (0.2, 2),
        (0.6, 1),
        (0.6, 2),
        (0.6, 3),
    ]
    for _, face in found:
        image = frames[round(face.time * 5)].image
        assert face.image is image
        assert (face.crop == align(image, face.landmarks)).all()
        original = next(f for f in PaintedFaces().detect(image) if f.box == face.box)
        assert face.quality == rate_quality(image, original, face.crop)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_everybody_has_their_own_features_in_their_own_steps(batch, monkeypatch):
    monkeypatch.setattr(FaceTimes, "batch", batch)
    monkeypatch.setattr("mien.features.looking._ROWS_AT_ONCE", 2)
    tracks, features = look(painted([1, 2, 0, 2, 3, 2, 1]), video=FaceTimes())
    assert list(tracks) == [1, 2]  # the third was seen once only
    values, valid = features["video"].read(tracks[2], 0, 7)
    assert valid.tolist() == [False, True, False, True, True, True, False]
    np.testing.assert_allclose(values[valid, 0], [0.2, 0.6, 0.8, 1.0], rtol=1e-6)
    values, valid = features["video"].read(tracks[1], 4, 9)
    assert valid.tolist() == [True, True, True, False, False]
    assert not features["video"].read(None, 0, 7)[1].any()


def test_a_longer_hop_takes_the_first_face_of_each_step():
    frames = painted([1] * 4 + [0, 1, 1, 1])
    tracks, features = look(frames, fast=FaceTimes(), slow=FaceTimes(hop=0.4))
    values, valid = features["slow"].read(tracks[1], 0, 4)
    assert valid.all()
    np.testing.assert_allclose(values[:, 0], [0.0, 0.4, 1.0, 1.2], rtol=1e-6)


def test_no_more_than_a_batch_waits():
    features = SeenFeatures("video", FaceTimes())
    looking = Looking(PaintedFaces(), {"video": features})
    for frame in painted([3] * 6):
        looking.push(frame)
        assert len(features._waiting) < FaceTimes.batch


def test_thumbnails_are_spread_over_the_track():
    tracks, _ = look(painted([1] * 100), video=FaceTimes())
    times = [time for time, _ in tracks[1].thumbnails]
    assert 6 <= len(times) <= 12
    assert times[0] == 0.0
    assert times[-1] > 15
    assert all(jpeg.startswith(b"\xff\xd8") for _, jpeg in tracks[1].thumbnails)


def test_boxes_are_fractions_of_the_frame():
    tracks, _ = look(painted([1] * 3))
    assert tracks[1].boxes[0] == pytest.approx((20 / 400, 30 / 240, 60 / 400, 60 / 240))


@pytest.mark.parametrize("shape", [(1, 1), (2, 3000), (3000, 2), (270, 360)])
@pytest.mark.parametrize("value", [0, 255])
def test_pictures_of_nothing(shape, value):
    finder = FaceFinder(detector_or_skip())
    assert finder.find(Frame(0.0, np.full((*shape, 3), value, np.uint8))) == []


@pytest.mark.usefixtures("encoders")
def test_a_real_clip_is_one_happy_person(java_clip):
    frames = [Frame(0.2 * k, image) for k, image in enumerate(clip_frames(java_clip))]
    tracks, features = look(frames, detector_or_skip(), video=FaceFerPlus())
    assert list(tracks) == [1]
    assert all(0.3 < one <= 1 for one in tracks[1].quality)
    values, valid = features["video"].read(tracks[1], 0, len(frames))
    assert valid.all()
    # The clip is acted happiness: the second of the encoder's emotions.
    mean = torch.from_numpy(values[:, 256:]).softmax(1).mean(0)
    assert mean[1] == mean.max()


@pytest.mark.usefixtures("encoders")
def test_the_extractor_gives_embedding_and_logits_of_the_encoder():
    crops = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    faces = [
        FaceImage(0.0, crop, (0, 0, 1, 1), np.zeros((5, 2), np.float32), crop, 1.0)
        for crop in crops
    ]
    rows = FaceFerPlus().encode(faces)
    with torch.inference_mode():
        code = FaceEncoder.pretrained()(torch.from_numpy(crops)[:, None].float() / 255)
    assert rows.shape == (3, 264)
    assert rows.dtype == np.float32
    expected = torch.cat([code.embedding, code.logits], dim=1).numpy()
    np.testing.assert_allclose(rows, expected, atol=1e-4)


def test_folding_leaves_the_encoder_as_it_was():
    torch.manual_seed(0)
    encoder = FaceEncoder()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    fold_normalisation(encoder)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_faces_half_outside_are_read(java_clip):
    frames = []
    for k, image in enumerate(clip_frames(java_clip)[:5]):
        middle = image.shape[1] // 2
        frames.append(Frame(0.2 * k, np.ascontiguousarray(image[:, middle - 20 :])))
    finder = FaceFinder(detector_or_skip())
    for frame in frames:
        for _, face in finder.find(frame):
            assert 0 <= face.quality <= 1
