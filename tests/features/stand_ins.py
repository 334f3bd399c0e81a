"""Extractors that are quick and say what they were given, and how two readings compare."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mien.features.extractor import FaceExtractor, SoundExtractor, register_extractor


@register_extractor("test_loudness")
class Loudness(SoundExtractor):
    """Standard deviation of every 20 ms."""

    hop: float = 0.02
    shape = (1,)
    calls: ClassVar[list[int]] = []

    def extract(self, samples):
        self.calls.append(len(samples))
        frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
        return frames.std(axis=1, keepdims=True)


@register_extractor("test_face_times")
class FaceTimes(FaceExtractor):
    """When each face was seen."""

    hop: float = 0.2
    shape = (1,)

    def encode(self, faces):
        return np.array([[face.time] for face in faces])


def same(one, other):
    assert list(one) == list(other)
    for name, series in one.items():
        assert series.hop == other[name].hop
        assert series.values.dtype == np.float32
        np.testing.assert_array_equal(series.valid, other[name].valid)
        np.testing.assert_array_equal(series.values, other[name].values)
