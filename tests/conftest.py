"""Where tests find recordings and golden vectors; they skip with a reason where those are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable) or ROOT / default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; set {variable} to run this test")
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    return _folder("MIEN_DATA", "../shared/data")


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return _folder("MIEN_GOLDEN", "../shared/golden")


@pytest.fixture(scope="session")
def java_clip(data_folder: Path) -> Path:
    """A real talking face with sound: actor 1, sentence 1, happiness."""
    return data_folder / "java_sed" / "01-01-03_01.mp4"
