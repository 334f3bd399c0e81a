"""The faces of a recording as embeddings by person, read while the recording streams by."""

from __future__ import annotations

import copy
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mien import weights
from mien.errors import OptionError
from mien.features.appearance import Look
from mien.features.crops import align, quality, thumbnail
from mien.features.face_detector import Box, Face, FaceDetector
from mien.features.face_encoder import FaceEncoder, fold_normalisation
from mien.features.tracking import FaceTracker

__all__ = [
    "Face",
    "FaceDetector",
    "FaceReader",
    "FaceTracker",
    "SeenFace",
    "TimedImage",
    "default_detector",
    "default_encoder",
    "thumbnail",
]


class TimedImage(Protocol):
    """A picture and when it was taken, as `mien.media.Frame`."""

    @property
    def time(self) -> float:
        """Seconds from the start of the recording."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """``(height, width, 3)`` BGR."""


class SeenFace(NamedTuple):
    """One face of one person at one time.

    Attributes:
        time: seconds.
        person: number of the person, from 1 in order of appearance.
        box: x, y, width, height in px of the image, inside it.
        landmarks: ``(5, 2)`` float32, px, in the order of `Face`.
        quality: how well the face can be read, from 0 to 1.
        embedding: ``(256,)`` float32, as in `FaceCode`.
        logits: ``(8,)`` float32, in the order of ``FERPLUS_EMOTIONS``.
        crop: ``(48, 48)`` uint8, what the encoder was given.
        image: the picture in which the face was found.
    """

    time: float
    person: int
    box: Box
    landmarks: NDArray[np.float32]
    quality: float
    embedding: NDArray[np.float32]
    logits: NDArray[np.float32]
    crop: NDArray[np.uint8]
    image: NDArray[np.uint8]


class _Pending(NamedTuple):
    time: float
    person: int
    face: Face
    quality: float
    crop: NDArray[np.uint8]
    image: NDArray[np.uint8]


class FaceReader:
    """Finds, follows and encodes the faces of one recording.

    A few faces are held back so that the encoder gets several at once; which ones share a batch
    changes embeddings and logits by less than 1e-5 and nothing else.

    Args:
        detector: finds the faces.
        encoder: encodes them; it is copied and left as it is.
        tracker: says who they are; must not have seen another recording.
        batch: faces that are encoded at once.

    Raises:
        OptionError: the batch is not positive.
    """

    def __init__(
        self,
        detector: FaceDetector,
        encoder: FaceEncoder,
        *,
        tracker: FaceTracker | None = None,
        batch: int = 8,
    ) -> None:
        if batch < 1:
            raise OptionError(f"batch must be positive, got {batch}")
        self.batch = batch
        self._detector = detector
        self._tracker = tracker or FaceTracker()
        self._encoder = fold_normalisation(encoder)
        self._pending: list[_Pending] = []

    def another(self) -> FaceReader:
        """A reader with the same networks that has seen nothing yet."""
        other = copy.copy(self)
        other._tracker = FaceTracker(patience=self._tracker.patience)
        other._pending = []
        return other

    def push(self, frame: TimedImage) -> list[SeenFace]:
        """Read the next picture.

        Args:
            frame: the picture; times must not fall.

        Returns:
            Faces that are ready, of this and earlier pictures, in order of time.
        """
        image = frame.image
        faces = self._detector.detect(image)
        crops = [align(image, face.landmarks) for face in faces]
        looks = [Look.of(image, face.box, crop) for face, crop in zip(faces, crops, strict=True)]
        people = self._tracker.update(frame.time, faces, looks)
        for (person, face), crop in zip(people, crops, strict=True):
            worth = quality(image, face, crop)
            self._pending.append(_Pending(frame.time, person, face, worth, crop, image))
        ready: list[SeenFace] = []
        while len(self._pending) >= self.batch:
            ready += self._encode(self.batch)
        return ready

    def finish(self) -> list[SeenFace]:
        """The faces that were held back; the recording is over."""
        return self._encode(self.batch)

    @torch.inference_mode()
    def _encode(self, count: int) -> list[SeenFace]:
        chosen, self._pending = self._pending[:count], self._pending[count:]
        if not chosen:
            return []
        crops = torch.from_numpy(np.stack([face.crop for face in chosen]))
        code = self._encoder(crops[:, None].float() / 255)
        embeddings, logits = code.embedding.numpy(), code.logits.numpy()
        return [
            SeenFace(
                time=one.time,
                person=one.person,
                box=one.face.box,
                landmarks=one.face.landmarks,
                quality=one.quality,
                embedding=embeddings[index].copy(),
                logits=logits[index].copy(),
                crop=one.crop,
                image=one.image,
            )
            for index, one in enumerate(chosen)
        ]


def default_detector() -> FaceDetector:
    """YuNet with the default options, fetched on first use.

    Raises:
        WeightError: its weights cannot be had.
    """
    return FaceDetector(weights.locate("yunet"))


def default_encoder() -> FaceEncoder:
    """The encoder that comes with mien.

    Raises:
        WeightError: its weights are not in the package.
    """
    return FaceEncoder.pretrained()
