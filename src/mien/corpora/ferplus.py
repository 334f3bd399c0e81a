"""FER+: grey faces of 48 pixels with the votes of ten people each.

Barsoum, E. et al. (2016). Training deep networks for facial expression recognition with
crowd-sourced label distribution. ICMI; images of FER2013. Kept as one picture of all faces, 60 in
a row, and an ``.npz`` of the votes.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mien.corpora._reading import read_arrays, require
from mien.errors import FormatError
from mien.features.face_encoder import CROP_PX, FERPLUS_EMOTIONS

_IN_A_ROW = 60
_SOURCE = "FER+ is at github.com/microsoft/FERPlus"


def ferplus_faces(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Faces and the shares of votes that each got.

    Images whose most frequent vote is `unknown` or `not_face` are left out; the votes of the rest
    are renormalised over the eight emotions. There is no person: who is shown is not known.

    Args:
        folder: holds ``{part}.png`` and ``{part}_votes.npz``.
        part: ``train`` or ``valid``.

    Returns:
        Faces ``(n, 1, 48, 48)`` uint8 and shares ``(n, 8)`` over `FERPLUS_EMOTIONS`.

    Raises:
        InputError: a file is not there.
        FormatError: a file is not of this layout.
    """
    picture = require(folder / f"{part}.png", _SOURCE)
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
    known = votes.argmax(1) < len(FERPLUS_EMOTIONS)
    kept = votes[known, : len(FERPLUS_EMOTIONS)]
    shares = kept / kept.sum(1, keepdims=True)
    return torch.from_numpy(faces[known].copy())[:, None], torch.from_numpy(shares)
