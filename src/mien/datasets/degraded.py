"""Conditions: what recordings are degraded by before anything is read from them, by name.

Babble is made of RAVDESS voices, so it needs that corpus; nobody in it is in Java-SED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mien.datasets._base import list_files
from mien.errors import OptionError
from mien.media import Decoder, Samples
from mien.missing.raw import RawOperation, create_raw_operation, speech_power
from mien.registry import nearest

CLEAN = "clean"
CONDITIONS: Mapping[str, tuple[str, dict[str, object]]] = MappingProxyType(
    {
        "noise_20db": ("white_noise", {"snr_db": 20}),
        "noise_10db": ("white_noise", {"snr_db": 10}),
        "noise_0db": ("white_noise", {"snr_db": 0}),
        "babble_10db": ("babble", {"snr_db": 10}),
        "babble_0db": ("babble", {"snr_db": 0}),
        "frames_1hz": ("frame_rate", {"rate_hz": 1}),
        "dark_20": ("dark", {"factor": 0.2}),
        "dark_05": ("dark", {"factor": 0.05}),
        "black_2s": ("burst", {"modality": "video", "seconds": 2}),
        "muted_2s": ("burst", {"modality": "audio", "seconds": 2}),
    }
)
BABBLE_VOICES = 6
BABBLE_S = 30.0
BABBLE_SEED = 0


def create_degradation(condition: str, data: Path) -> RawOperation | None:
    """Create what the decoded stream of a recording goes through in a condition.

    Args:
        condition: ``clean`` or a name of `CONDITIONS`.
        data: the data folder; babble is made from its RAVDESS voices.

    Returns:
        The operation, whose ``repr`` tells it from every other; None for ``clean``.

    Raises:
        OptionError: there is no such condition.
        InputError: babble is asked, and RAVDESS is not there.
    """
    if condition == CLEAN:
        return None
    if condition not in CONDITIONS:
        raise OptionError(
            f"there is no condition {condition!r}", advice=nearest(condition, [CLEAN, *CONDITIONS])
        )
    name, options = CONDITIONS[condition]
    if name == "babble":
        options = options | {"mix": mix_babble(data / "ravdess_audio")}
    return create_raw_operation(name, **options)


@cache
def mix_babble(folder: Path) -> NDArray[np.float32]:
    """Mix RAVDESS voices, half of them women, each as loud as the others.

    Args:
        folder: the one that holds ``Actor_01`` to ``Actor_24``.

    Returns:
        ``(480000,)``, 30 s at 16 kHz, peak 1.
    """
    generator = np.random.default_rng(BABBLE_SEED)
    clips = list_files(folder, "Actor_*/03-01-*", "RAVDESS is at zenodo.org/records/1188976")
    # Actors of even number are women.
    actors = [
        generator.choice(np.arange(first, 25, 2), BABBLE_VOICES // 2, replace=False)
        for first in (1, 2)
    ]
    count = int(BABBLE_S * 16_000)
    mix = np.zeros(count, dtype=np.float32)
    with Decoder() as decoder:
        for actor in np.concatenate(actors).tolist():
            spoken = [path for path in clips if path.stem.split("-")[6] == f"{actor:02d}"]
            order = generator.permutation(len(spoken))
            mix += _speech(decoder, [spoken[index] for index in order], count)
    return np.asarray(mix / np.abs(mix).max(), dtype=np.float32)


def _speech(decoder: Decoder, paths: Sequence[Path], count: int) -> NDArray[np.float32]:
    """Yield recordings of one voice after the other, without the silence around them."""
    parts: list[NDArray[np.float32]] = []
    while sum(len(part) for part in parts) < count:
        with decoder.stream(paths[len(parts) % len(paths)], video=False) as stream:
            heard = np.concatenate([item.values for item in stream if isinstance(item, Samples)])
        frames = heard[: len(heard) // 320 * 320].reshape(-1, 320)
        powers = np.square(frames).mean(1)
        loud = np.flatnonzero(powers > 0.02 * speech_power(heard))
        parts.append(frames[loud[0] : loud[-1] + 1].ravel())
    speech = np.concatenate(parts)[:count]
    return np.asarray(speech / np.sqrt(speech_power(speech)), dtype=np.float32)
