"""Reading files of safetensors that anybody may have written: typed errors, nothing executed."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from mien.errors import ModelFileError


def read_metadata(path: Path) -> dict[str, str]:
    """Return the strings in the header of a file of safetensors.

    Raises:
        ModelFileError: it is no whole file of safetensors.
    """
    try:
        with safe_open(path, framework="pt") as archive:
            return dict(archive.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _explain_damage(path, error) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a file of safetensors, on the CPU.

    Raises:
        ModelFileError: it is no whole file of safetensors.
    """
    try:
        with safe_open(path, framework="pt") as archive:
            return {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _explain_damage(path, error) from error


def _explain_damage(path: Path, error: Exception) -> ModelFileError:
    return ModelFileError(
        f"is no safetensors file, or is damaged or cut short ({error})",
        path=path,
        advice="copy it again, or give a file that `mien train … --out` wrote",
    )
