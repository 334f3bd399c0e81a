"""Files that appear whole or not at all, and the folders that they go to."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mien.errors import OutputError

_ADVICE = {
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "free some of your quota or choose another disk",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "choose another folder, for a part of the path is a file",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def write_atomically(path: str | Path, writer: Callable[[BinaryIO], object]) -> None:
    """Let a function fill a file that appears under its name only when it is whole.

    The bytes go to a temporary file in the same folder, reach the disk, and are renamed. On any
    failure the temporary file goes, and an older file of that name stays as it was. A symbolic
    link is followed.

    Args:
        path: the name in the end.
        writer: fills the open file.

    Raises:
        OutputError: the folder or the disk does not take it, or the path is no place for a file.
    """
    try:
        target = Path(path).resolve()
        _check(target, path)
        _fill(target, writer)
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror or error}",
            path=path,
            advice=_ADVICE.get(error.errno or 0, "choose a folder that you may write to"),
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text as UTF-8; see `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode()))


def make_folder(path: str | Path, advice: str = "choose another folder") -> None:
    """Make a folder, with those above it, where it is not there yet.

    Args:
        path: the folder.
        advice: what to do where it cannot be made.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot be used as a folder ({error.strerror})", path=path, advice=advice
        ) from error


def _check(target: Path, path: str | Path) -> None:
    # Renaming onto a device such as /dev/null would replace the device itself.
    if target.exists() and not target.is_file():
        problem = "is a folder" if target.is_dir() else "is no regular file"
        raise OutputError(problem, path=path, advice="give the name of a file")


def _fill(target: Path, writer: Callable[[BinaryIO], object]) -> None:
    temporary = target.with_name(f".mien-{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            writer(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
