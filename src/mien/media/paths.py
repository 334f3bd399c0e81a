"""Which paths are opened at all: plain files that can be read and hold something."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mien.errors import InputError


def plain_file(path: str | Path) -> str:
    """Find the absolute path of a file, symbolic links resolved.

    Whatever a name looks like (a protocol, an option), it is the name of a local file.

    Raises:
        InputError: missing, a folder, a device or pipe, empty, or not readable.
    """
    try:
        resolved = Path(path).resolve()
        status = resolved.stat()
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError("it is a folder", path=path, advice="name the files inside it")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            "it is a device, pipe or socket, not a file",
            path=path,
            advice="save the recording to a file first",
        )
    if not os.access(resolved, os.R_OK):
        raise _unreachable(path, PermissionError())
    if status.st_size == 0:
        raise InputError("the file is empty", path=path, advice="copy or record it again")
    return str(resolved)


def _unreachable(path: str | Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return InputError("there is no such file", path=path, advice="check the name and folder")
    if isinstance(error, PermissionError):
        return InputError(
            "no permission to read the file", path=path, advice="ask its owner for read access"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"the path cannot be used ({reason})", path=path, advice="check the path")
