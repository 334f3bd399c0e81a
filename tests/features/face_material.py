"""Detector and pictures for the tests of faces."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien import weights
from mien.errors import WeightError
from mien.features.face_detector import Face, FaceDetector


@cache
def _located() -> Path | str:
    try:
        return weights.locate("yunet")
    except WeightError as error:
        return str(error)


def detector_or_skip() -> FaceDetector:
    found = _located()
    if isinstance(found, str):
        pytest.skip(found)
    return FaceDetector(found)


@cache
def clip_frames(path: Path, every: int = 6) -> list[NDArray[np.uint8]]:
    """Every sixth picture of a 30 Hz clip, without the black ones it begins with."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame)
    return [frame for frame in frames[::every] if frame.std() > 3]


def frontal_landmarks(
    x: float = 100.0, y: float = 100.0, eyes_px: float = 40.0, turn: float = 0.0
) -> NDArray[np.float32]:
    """Landmarks of a face around a nose; ``turn`` moves the nose aside, in eye distances."""
    shape = np.array([[-0.5, -0.55], [0.5, -0.55], [turn, 0.0], [-0.4, 0.5], [0.4, 0.5]])
    return (shape * eyes_px + (x, y)).astype(np.float32)


def face_at(x: float, y: float, size: float = 60.0, score: float = 0.9) -> Face:
    landmarks = frontal_landmarks(x + size / 2, y + size / 2, size * 0.4)
    return Face((x, y, size, size), landmarks, score)
