"""Weight files: which exist, where they come from, and how to have them on this machine.

Files of others are fetched once, on first use, announced on stderr; they are verified by SHA-256
before anything opens them and again whenever they are located. Our own lie in the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from mien.errors import OptionError, WeightError
from mien.weights.cache import cache_folder, how_to_get, is_cached, keep, offline
from mien.weights.fetch import sha256_of
from mien.weights.registry import PUBLISHED, TrainedFile, WeightFile, Wheel, trained

__all__ = [
    "PUBLISHED",
    "TrainedFile",
    "WeightFile",
    "WeightStatus",
    "Wheel",
    "cache_folder",
    "find_digest",
    "load",
    "locate",
    "names",
    "offline",
    "status",
    "trained",
]


@dataclass(frozen=True)
class WeightStatus:
    """How a weight file stands on this machine.

    Attributes:
        name: what the code calls it.
        what: what it is, for people.
        licence: its licence.
        path: where it lies, or would lie.
        present: is there a file.
        verified: is it the file that it should be, by SHA-256.
        size_bytes: of the file there; 0 where there is none.
        advice: how to get it; empty where it is present and verified.
    """

    name: str
    what: str
    licence: str
    path: Path
    present: bool
    verified: bool
    size_bytes: int
    advice: str


def names() -> tuple[str, ...]:
    """List the names of all weight files, those of others first."""
    return (*PUBLISHED, *trained())


def locate(name: str) -> Path:
    """Find the verified local file of this name, fetched on first use.

    A cached file that is no longer what was kept is fetched again (refused when offline).

    Raises:
        OptionError: no weight file has this name.
        WeightError: it cannot be had, or is not the file that it should be.
    """
    if name in PUBLISHED:
        entry = PUBLISHED[name]
        return cache_folder() / entry.file if is_cached(entry) else keep(entry)
    return _verify(_trained_file(name))


def load(name: str) -> dict[str, Tensor]:
    """Load the tensors of a safetensors weight file, on the CPU, in the precision that was kept.

    Raises:
        OptionError: no weight file has this name, or it holds no tensors (an ONNX network).
        WeightError: it cannot be had, or is not the file that it should be.
    """
    path = locate(name)
    if path.suffix != ".safetensors":
        raise OptionError(f"{name} is kept as {path.suffix}", advice="use locate() for its path")
    return load_file(path)


def find_digest(name: str) -> str:
    """Look up the SHA-256 of a file as it was published; nothing is fetched or read.

    Raises:
        OptionError: no weight file has this name.
        WeightError: the list of trained weights cannot be read.
    """
    return PUBLISHED[name].sha256 if name in PUBLISHED else _trained_file(name).sha256


def status() -> list[WeightStatus]:
    """Check how every weight file stands on this machine; never touches the network."""
    return [
        *(_published_status(entry) for entry in PUBLISHED.values()),
        *(_trained_status(entry) for entry in trained().values()),
    ]


def _trained_file(name: str) -> TrainedFile:
    known = trained()
    if name not in known:
        raise OptionError(f"no weights are called {name}", advice=f"known: {', '.join(names())}")
    return known[name]


def _verify(entry: TrainedFile) -> Path:
    if not entry.path.is_file():
        raise WeightError("the weights are not there", path=entry.path, advice="install mien again")
    if sha256_of(entry.path) != entry.sha256:
        raise WeightError(
            "this is not the file that mien was released with (its SHA-256 is another)",
            path=entry.path,
            advice="install mien again",
        )
    return entry.path


def _published_status(entry: WeightFile) -> WeightStatus:
    path = cache_folder() / entry.file
    verified = is_cached(entry)
    return WeightStatus(
        name=entry.name,
        what=entry.what,
        licence=entry.licence,
        path=path,
        present=path.is_file(),
        verified=verified,
        size_bytes=path.stat().st_size if path.is_file() else 0,
        advice="" if verified else how_to_get(entry),
    )


def _trained_status(entry: TrainedFile) -> WeightStatus:
    present = entry.path.is_file()
    verified = present and sha256_of(entry.path) == entry.sha256
    return WeightStatus(
        name=entry.name,
        what=f"trained by mien; see {entry.card}",
        licence=entry.licence,
        path=entry.path,
        present=present,
        verified=verified,
        size_bytes=entry.path.stat().st_size if present else 0,
        advice="" if verified else "install mien again",
    )
