"""Plugins: a Python file of the user's own that registers a model, an extractor, a data set …."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from mien.errors import InputError, MienError, PluginError
from mien.registry import registering_from

_LOADED: dict[str, str] = {}


def load_plugin(path: str | Path) -> None:
    """Run a Python file that registers something; a file that was run already is left alone.

    The file runs with the rights of whoever calls mien: load only what you would run yourself.

    Args:
        path: the file.

    Raises:
        InputError: it cannot be read.
        PluginError: it raised something, at the line that the message names; or a file of the same
            place was loaded before and has changed since.
    """
    file = Path(path).resolve()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", path=path, advice="give the path of a Python file"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if _LOADED.get(str(file)) == digest:
        return
    if str(file) in _LOADED:
        raise PluginError(
            "has changed since it was loaded", path=path, advice="start a new process"
        )
    name = f"mien_plugin_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(file))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        with registering_from(str(path)):
            exec(compile(content, str(file), "exec"), module.__dict__)  # noqa: S102 - its purpose
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, MienError):
            raise PluginError(f"cannot be loaded: {error}", path=path) from error
        raise PluginError(
            f"line {_line_of(error, file)} raised {type(error).__name__}: {error}",
            path=path,
            advice="mend the plugin",
        ) from error
    _LOADED[str(file)] = digest


def load_plugins(paths: Iterable[str | Path]) -> None:
    """Load several; see `load_plugin`."""
    for path in paths:
        load_plugin(path)


def loaded_plugins() -> Mapping[str, str]:
    """Return the SHA-256 of every plugin file that was loaded, by its absolute path."""
    return MappingProxyType(_LOADED)


@contextmanager
def naming_plugins() -> Iterator[None]:
    """Turn what the code of a loaded plugin raises into an error that names its file and line.

    Raises:
        PluginError: a plugin raised something that is no `MienError`.
    """
    try:
        yield
    except MienError:
        raise
    except Exception as error:
        if _file_of(error) is None:
            raise
        raise blame_plugin(error) from error


def blame_plugin(error: Exception, what: str = "", origin: str = "") -> PluginError:
    """Make the error that says what the code of a plugin raised, and in which line.

    Args:
        error: what it raised.
        what: of the plugin, as ``the model mine``.
        origin: where that comes from, if the error itself does not tell.
    """
    file, place = _file_of(error), ""
    if file is not None:
        place = f"line {_line_of(error, Path(file))}" + (": " if what else "")
    return PluginError(
        f"{place}{what} raised {type(error).__name__}: {error}",
        path=file or origin or None,
        advice="mend it",
    )


def _file_of(error: Exception) -> str | None:
    """Find the plugin whose code raised an error, if one did."""
    steps = traceback.extract_tb(error.__traceback__)
    return next((step.filename for step in reversed(steps) if step.filename in _LOADED), None)


def _line_of(error: Exception, file: Path) -> int:
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    lines = [
        step.lineno
        for step in traceback.extract_tb(error.__traceback__)
        if step.filename == str(file) and step.lineno
    ]
    return lines[-1] if lines else 1
