from __future__ import annotations

import wave

import numpy as np
import pytest
from tests.datasets.manifest_material import SECONDS


@pytest.fixture
def folder(tmp_path):
    """Six recordings of two seconds, two channels each."""
    (tmp_path / "clips").mkdir()
    chance = np.random.default_rng(0)
    for name in ("a", "b", "c", "d", "e", "f"):
        with wave.open(str(tmp_path / "clips" / f"{name}.wav"), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(16_000)
            noise = chance.normal(scale=3000, size=(int(16_000 * SECONDS), 2))
            file.writeframes(noise.astype("<i2").tobytes())
    return tmp_path
