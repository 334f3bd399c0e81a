"""FER+: grey faces of 48 pixels with the votes of ten people each.

Barsoum, E. et al. (2016). Training deep networks for facial expression recognition with
crowd-sourced label distribution. ICMI; images of FER2013. Read as published, the votes in
``fer2013new.csv`` and the images in ``fer2013.csv``, row by row the same; or from one picture of
all faces of a part, 60 in a row, and an ``.npz`` of their votes.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.datasets._reading import find_first, read_arrays, read_table
from mien.errors import FormatError, InputError, OptionError
from mien.features.face_encoder import CROP_PX, FERPLUS_EMOTIONS

PARTS = {"train": "Training", "valid": "PublicTest", "test": "PrivateTest"}
_VOTES = "fer2013new.csv"
_IMAGES = ("fer2013.csv", "icml_face_data.csv")  # Kaggle gives the same table out under both
_NAME = "Image name"
_IN_A_ROW = 60
_SOURCE = (
    "the votes, fer2013new.csv, are at github.com/microsoft/FERPlus, the images, fer2013.csv, at "
    "kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge"
)


def ferplus_faces(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Read faces and the proportions of votes that each got.

    Images whose most frequent vote is `unknown` or `not_face` are left out, as are those that FER+
    gives no name; the votes of the rest are renormalised over the eight emotions. There is no
    person: who is shown is not known.

    Args:
        folder: holds ``fer2013new.csv`` and ``fer2013.csv``, or ``{part}.png`` and
            ``{part}_votes.npz``.
        part: ``train``, ``valid`` or ``test``.

    Returns:
        Faces ``(n, 1, 48, 48)`` uint8 and soft labels ``(n, 8)`` over `FERPLUS_EMOTIONS`.

    Raises:
        InputError: a file is not there.
        FormatError: a file is not of this layout.
        OptionError: there is no such part.
    """
    if part not in PARTS:
        raise OptionError(f"FER+ has no part {part}", advice=f"one of {', '.join(PARTS)}")
    if any((folder / name).exists() for name in (_VOTES, *_IMAGES)):
        faces, votes = _read_published(folder, part)
    elif (folder / f"{part}.png").exists():
        faces, votes = _read_mosaic(folder, part)
    else:
        raise InputError(
            f"holds neither {_VOTES} and {_IMAGES[0]} nor {part}.png", path=folder, advice=_SOURCE
        )
    known = votes.argmax(1) < len(FERPLUS_EMOTIONS)
    kept = votes[known, : len(FERPLUS_EMOTIONS)]
    proportions = kept / kept.sum(1, keepdims=True)
    return torch.from_numpy(faces[known].copy())[:, None], torch.from_numpy(proportions)


def _read_published(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Faces ``(n, 48, 48)`` and votes ``(n, 10)`` of the two tables."""
    columns = [*FERPLUS_EMOTIONS, "unknown", "NF"]
    voted = read_table(folder / _VOTES, ("Usage", _NAME, *columns), _SOURCE)
    path = find_first(folder, _IMAGES, _SOURCE)
    shown = read_table(path, ("pixels", "Usage"), _SOURCE)
    if not np.array_equal(voted["Usage"].to_numpy(), shown["Usage"].to_numpy()):
        raise FormatError(
            f"has not the rows of {_VOTES}, one by one of the same Usage", path=path, advice=_SOURCE
        )
    chosen = np.flatnonzero((voted["Usage"] == PARTS[part]) & voted[_NAME].notna()).tolist()
    if not len(chosen):
        raise FormatError(f"names no image of {PARTS[part]}", path=folder / _VOTES, advice=_SOURCE)
    try:
        votes = voted[columns].to_numpy(dtype=np.float32)[chosen]
    except ValueError as error:
        raise FormatError(
            f"holds votes that are no numbers ({error})", path=folder / _VOTES, advice=_SOURCE
        ) from error
    return np.stack([_face(str(shown["pixels"].iloc[row]), row, path) for row in chosen]), votes


def _face(pixels: str, row: int, path: Path) -> NDArray[np.uint8]:
    """Parse the grey values of a row; the message counts rows as a spreadsheet does."""
    try:
        grey = np.frombuffer(bytes(map(int, pixels.split())), np.uint8)
        return grey.reshape(CROP_PX, CROP_PX)
    except ValueError as error:
        raise FormatError(
            f"row {row + 2}, column pixels: is not {CROP_PX} x {CROP_PX} grey values up to 255",
            path=path,
            advice=_SOURCE,
        ) from error


def _read_mosaic(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Faces ``(n, 48, 48)`` and votes ``(n, 10)`` of a picture and an ``.npz``."""
    picture = folder / f"{part}.png"
    mosaic = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    votes_path = folder / f"{part}_votes.npz"
    archive = read_arrays(votes_path, ("votes", "vote_names"), _SOURCE)
    votes = archive["votes"].astype(np.float32)
    if tuple(map(str, archive["vote_names"][: len(FERPLUS_EMOTIONS)])) != FERPLUS_EMOTIONS:
        raise FormatError("has the votes in another order", path=votes_path, advice=_SOURCE)
    if mosaic is None or mosaic.shape[1] != _IN_A_ROW * CROP_PX or mosaic.shape[0] % CROP_PX:
        raise FormatError("is no mosaic of faces, 60 in a row", path=picture, advice=_SOURCE)
    tiles = mosaic.reshape(-1, CROP_PX, _IN_A_ROW, CROP_PX).transpose(0, 2, 1, 3)
    faces = tiles.reshape(-1, CROP_PX, CROP_PX)[: len(votes)]
    if len(faces) < len(votes):
        raise FormatError(f"has fewer faces than the {len(votes)} votes", path=picture)
    return faces.astype(np.uint8), votes
