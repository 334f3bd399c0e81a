from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from face_material import clip_frames, detector_or_skip, face_at
from torch import nn

from mien import weights
from mien.errors import OptionError, WeightError
from mien.features.crops import align, quality
from mien.features.face_encoder import FaceEncoder
from mien.features.faces import FaceReader
from mien.features.readers import DefaultReaders


class Frame(NamedTuple):
    time: float
    image: np.ndarray


class PaintedFaces:
    """Stands in for the detector: each frame's first pixel says how many faces it has."""

    def detect(self, image):
        return [
            face_at(20 + 100 * k, 30 + 10 * k, 60, 0.9 - 0.1 * k) for k in range(image[0, 0, 0])
        ]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    encoder = FaceEncoder()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return encoder.eval()


def _frames(counts, seed=0):
    rng = np.random.default_rng(seed)
    still = cv2.resize(rng.integers(0, 256, (24, 40, 3), dtype=np.uint8), (400, 240))
    frames = []
    for k, count in enumerate(counts):
        image = still.copy()
        image[0, 0] = count
        frames.append(Frame(0.2 * k, image))
    return frames


def _read(reader, frames):
    seen = [face for frame in frames for face in reader.push(frame)]
    return seen + reader.finish()


def test_each_face_is_seen_once_with_its_code(encoder):
    frames = _frames([1, 2, 0, 3])
    seen = _read(FaceReader(PaintedFaces(), encoder), frames)
    assert [(round(face.time, 1), face.person) for face in seen] == [
        (0.0, 1),
        (0.2, 1),
        (0.2, 2),
        (0.6, 1),
        (0.6, 2),
        (0.6, 3),
    ]
    for face in seen:
        image = frames[round(face.time * 5)].image
        assert face.image is image
        crop = align(image, face.landmarks)
        assert (face.crop == crop).all()
        original = next(f for f in PaintedFaces().detect(image) if f.box == face.box)
        assert face.quality == quality(image, original, crop)
        with torch.inference_mode():
            code = encoder(torch.from_numpy(crop)[None, None].float() / 255)
        assert face.embedding.shape == (256,)
        assert face.logits.shape == (8,)
        assert face.embedding.dtype == face.logits.dtype == np.float32
        assert np.abs(face.embedding - code.embedding[0].numpy()).max() < 1e-5
        assert np.abs(face.logits - code.logits[0].numpy()).max() < 1e-5


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_batch_does_not_matter(encoder, batch):
    frames = _frames([1, 3, 2, 0, 4, 4])
    usual = _read(FaceReader(PaintedFaces(), encoder), frames)
    other = _read(FaceReader(PaintedFaces(), encoder, batch=batch), frames)
    assert len(usual) == len(other) == 14
    for one, two in zip(usual, other, strict=True):
        assert (one.time, one.person, one.box, one.quality) == (
            two.time,
            two.person,
            two.box,
            two.quality,
        )
        assert np.abs(one.embedding - two.embedding).max() < 1e-5
        assert np.abs(one.logits - two.logits).max() < 1e-5


def test_no_more_than_a_batch_is_held_back(encoder):
    reader = FaceReader(PaintedFaces(), encoder, batch=4)
    given = 0
    for k, frame in enumerate(_frames([3] * 6), start=1):
        given += len(reader.push(frame))
        assert 0 <= 3 * k - given < 4
    assert len(reader.finish()) == 18 - given
    assert reader.finish() == []


def test_the_encoder_is_left_as_it_was(encoder):
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    _read(FaceReader(PaintedFaces(), encoder), _frames([2]))
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_another_reader_has_seen_nothing(encoder):
    frames = _frames([1, 2, 0, 3])
    first = FaceReader(PaintedFaces(), encoder)
    before = _read(first, frames)
    first.push(frames[3])
    again = _read(first.another(), frames)
    assert [(s.time, s.person, s.box) for s in again] == [(s.time, s.person, s.box) for s in before]
    assert all((a.embedding == b.embedding).all() for a, b in zip(again, before, strict=True))


def test_a_batch_of_nothing_is_refused(encoder):
    with pytest.raises(OptionError, match="batch must be positive, got 0"):
        FaceReader(PaintedFaces(), encoder, batch=0)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3000), (3000, 2), (270, 360)])
@pytest.mark.parametrize("value", [0, 255])
def test_pictures_of_nothing(encoder, shape, value):
    reader = FaceReader(detector_or_skip(), encoder)
    assert reader.push(Frame(0.0, np.full((*shape, 3), value, np.uint8))) == []
    assert reader.finish() == []


def test_a_real_clip_is_one_person_read_twice_alike(encoder, java_clip):
    frames = [Frame(0.2 * k, image) for k, image in enumerate(clip_frames(java_clip))]
    first = _read(FaceReader(detector_or_skip(), encoder), frames)
    second = _read(FaceReader(detector_or_skip(), encoder), frames)
    assert [face.time for face in first] == [frame.time for frame in frames]
    assert {face.person for face in first} == {1}
    assert all(0.3 < face.quality <= 1 for face in first)
    for one, two in zip(first, second, strict=True):
        assert one.box == two.box
        assert (one.embedding == two.embedding).all()
        assert (one.logits == two.logits).all()


def test_faces_half_outside_are_read(encoder, java_clip):
    frames = []
    for k, image in enumerate(clip_frames(java_clip)[:5]):
        middle = image.shape[1] // 2
        frames.append(Frame(0.2 * k, np.ascontiguousarray(image[:, middle - 20 :])))
    for face in _read(FaceReader(detector_or_skip(), encoder), frames):
        assert np.isfinite(face.embedding).all()
        assert 0 <= face.quality <= 1


def test_default_reader_reads_a_real_clip(java_clip):
    if "face_encoder" not in weights.trained():
        pytest.skip("the package holds no trained face encoder yet")
    try:
        reader = DefaultReaders().face()
    except WeightError as error:
        pytest.skip(str(error))
    frames = [Frame(0.2 * k, image) for k, image in enumerate(clip_frames(java_clip))]
    seen = _read(reader, frames)
    assert len(seen) == len(frames)
    # The clip is acted happiness: the second of the encoder's emotions.
    mean = torch.from_numpy(np.stack([face.logits for face in seen])).softmax(1).mean(0)
    assert mean.shape == (8,)
    assert mean.sum().item() == pytest.approx(1, abs=1e-5)
    assert mean[1] == mean.max()
