"""Features of labelled clips: pooled over each clip and over the windows of a timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from mien import weights
from mien.datasets import Clip
from mien.features.observation import Observation
from mien.features.observe import observe
from mien.features.readers import DefaultReaders
from mien.media import Decoder
from mien.models.linear_probe import describe
from mien.recognition.windows import Grid, main_role, roles, window_signals
from mien.schema import AUDIO, MODALITIES, VIDEO

VOICE_ENCODERS = ("whisper_tiny_en", "voice_drift", "silero_vad")
FACE_ENCODERS = ("yunet", "face_encoder")
LONGEST_CLIP_S = 12.0
WHOLE = Grid(window=LONGEST_CLIP_S, hop=LONGEST_CLIP_S)
STEPS = Grid(window=3.0, hop=0.5)


@dataclass(frozen=True)
class Features:
    """Descriptions of clips; a row is a whole clip or a window of one.

    Attributes:
        values: by modality, ``(rows, numbers)``.
        present: by modality, ``(rows,)`` bool.
        clip: ``(rows,)``, which clip.
        whole: ``(rows,)`` bool, a whole clip.
    """

    values: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    clip: NDArray[np.int64]
    whole: NDArray[np.bool_]


def extract(clips: Sequence[Clip], kept: Path, encoders: Sequence[str]) -> Features:
    """Features of clips, taken from where they are kept if encoders and clips are the same.

    Args:
        clips: what to read.
        kept: file that the features are kept in.
        encoders: names of the weights that the features depend on.
    """
    mark = " ".join([*(weights.digest(name) for name in encoders), *(c.path.name for c in clips)])
    if kept.exists():
        with np.load(kept, allow_pickle=False) as archive:
            if str(archive["mark"]) == mark:
                return _unpack(dict(archive))
    arrays = _extract(clips)
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(".part.npz")
    np.savez(temporary, mark=np.array(mark), **arrays)
    temporary.replace(kept)
    return _unpack(arrays)


def _unpack(arrays: dict[str, NDArray[np.generic]]) -> Features:
    values = {m: arrays[f"values_{m}"].astype(np.float32) for m in MODALITIES}
    present = {m: arrays[f"present_{m}"].astype(np.bool_) for m in MODALITIES}
    clip, whole = arrays["clip"].astype(np.int64), arrays["whole"].astype(np.bool_)
    return Features(values, present, clip, whole)


def _extract(clips: Sequence[Clip]) -> dict[str, NDArray[np.generic]]:
    rows: dict[str, list[NDArray[np.generic]]] = {"clip": [], "whole": []}
    rows |= {f"{part}_{m}": [] for m in MODALITIES for part in ("values", "present")}
    readers = DefaultReaders()
    with Decoder() as decoder:
        for number, clip in enumerate(track(clips, description=clips[0].corpus)):
            with observe(clip.path, decoder=decoder, readers=readers) as seen:
                for grid in (WHOLE, STEPS):
                    described = _describe(seen, grid)
                    count = len(described[f"present_{AUDIO}"])
                    rows["clip"].append(np.full(count, number))
                    rows["whole"].append(np.full(count, grid is WHOLE))
                    for name, part in described.items():
                        rows[name].append(part)
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _describe(seen: Observation, grid: Grid) -> dict[str, NDArray[np.generic]]:
    role = main_role(roles(seen, grid))
    signals = window_signals(seen, role, grid, slice(0, len(role.steps)))
    out: dict[str, NDArray[np.generic]] = {}
    for modality, width in ((AUDIO, seen.voice.width), (VIDEO, seen.faces.width)):
        out[f"values_{modality}"] = np.zeros((len(role.steps), 2 * width), dtype=np.float32)
        out[f"present_{modality}"] = np.zeros(len(role.steps), dtype=bool)
        if modality in signals:
            description = describe(signals[modality])
            out[f"values_{modality}"] = description.values.numpy()
            out[f"present_{modality}"] = description.present.numpy()
    return out
