"""Fingerprints: what a run was made of, part by part, so that a change is found and named.

A part is a name that a message can say, as ``labels`` or ``code of models``, with a digest. The
code that matters is that of the modules which a computation can reach, without docstrings and
comments, so that prose changes nothing.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mien.datasets import Example
from mien.evaluation.measures import METRICS
from mien.evaluation.protocols import PROTOCOLS
from mien.layers.losses import CRITERIA
from mien.missing import OPERATIONS
from mien.models import MODELS
from mien.plugins import loaded_plugins
from mien.registry import Registry

Parts = Mapping[str, str]

_ROOT = Path(__file__).parents[1]
# Modules of these decide about weights and answers; of the rest, features carry versions.
_ROOMS = ("evaluation", "layers", "missing", "models", "signals", "standardisation", "training")
_TRAINING = (
    "mien.training",
    "mien.standardisation",
    "mien.missing",
    "mien.evaluation.predict",
    "mien.signals",
)
_MEASURING = (
    "mien.evaluation.inside",
    "mien.evaluation.measures",
    "mien.evaluation.postprocess",
    "mien.evaluation.protocols",
    "mien.evaluation.raters",
)
_OF_TRAINING: tuple[Registry[Any], ...] = (MODELS, CRITERIA, OPERATIONS)
_OF_MEASURING: tuple[Registry[Any], ...] = (METRICS, PROTOCOLS)
_CHARACTERS = 16


def digest(content: object) -> str:
    """Return a short digest of anything that JSON can write."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_CHARACTERS]


def list_changes(before: Parts, now: Parts) -> tuple[str, ...]:
    """List the parts that differ, those that only one side has among them.

    Example:
        >>> list_changes({"labels": "a", "seed": "1"}, {"labels": "b", "seed": "1"})
        ('labels',)
    """
    names = dict.fromkeys((*now, *before))
    return tuple(name for name in names if before.get(name) != now.get(name))


def fingerprint_examples(examples: Sequence[Example]) -> dict[str, str]:
    """Digest examples: ``clips``, ``people``, ``parts``, ``labels``, ``features of …``."""
    columns = {
        "clips": [example.clip for example in examples],
        "people": [example.person for example in examples],
        "parts": [example.part for example in examples],
    }
    out = {name: digest(column) for name, column in columns.items()}
    labels = hashlib.sha256()
    features: dict[str, hashlib._Hash] = {}
    for example in examples:
        labels.update(f"{example.target.dtype} {tuple(example.target.shape)}".encode())
        labels.update(example.target.contiguous().numpy().tobytes())
        for modality, sequence in example.signals.items():
            found = features.setdefault(modality, hashlib.sha256())
            shape = tuple(sequence.values.shape)
            found.update(f"{example.clip} {sequence.hop} {sequence.values.dtype} {shape}".encode())
            found.update(sequence.valid.contiguous().numpy().tobytes())
            found.update(sequence.values.contiguous().numpy().tobytes())
    out["labels"] = labels.hexdigest()[:_CHARACTERS]
    for modality, found in sorted(features.items()):
        out[f"features of {modality}"] = found.hexdigest()[:_CHARACTERS]
    return out


def fingerprint_training_code(model: str) -> dict[str, str]:
    """Digest the code that decides about the weights of a model, and the plugins that are loaded.

    Args:
        model: one of `mien.models.list_models`.
    """
    roots = (*_TRAINING, MODELS[model].model.__module__)
    return {**_fingerprint_modules(roots), **_fingerprint_plugins(_OF_TRAINING)}


def fingerprint_measuring_code() -> dict[str, str]:
    """Digest the code that decides about what is measured of given weights, plugins included."""
    return {**_fingerprint_modules(_MEASURING), **_fingerprint_plugins(_OF_MEASURING)}


def _fingerprint_plugins(registries: Iterable[Registry[Any]]) -> dict[str, str]:
    """Digest plugin files, and name the versions of what is installed and adds to registries."""
    files = sorted(loaded_plugins().items())
    installed = sorted({name for registry in registries for name in registry.distributions})
    return {
        **{f"plugin {Path(path).name}": sha[:_CHARACTERS] for path, sha in files},
        **{f"plugin {name}": version(name) for name in installed},
    }


@cache
def _fingerprint_modules(roots: tuple[str, ...]) -> dict[str, str]:
    by_room: dict[str, list[str]] = {}
    for module, path in sorted(_reach(roots).items()):
        room = module.split(".")[1]
        by_room.setdefault(f"code of {room}", []).append(f"{module} {_digest_code(path)}")
    return {room: digest(lines) for room, lines in by_room.items()}


def _reach(roots: Iterable[str]) -> dict[str, Path]:
    """Find the modules that some modules import, directly or not, within the rooms that matter."""
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        path = _find(module)
        if path is not None and module not in found:
            found[module] = path
            waiting += _imports(path)
    return found


def _find(module: str) -> Path | None:
    package, _, rest = module.partition(".")
    if package != "mien" or rest.split(".")[0] not in _ROOMS:
        return None
    place = _ROOT.joinpath(*rest.split("."))
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _find(inner) else node.module


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _digest_code(path: Path) -> str:
    return hashlib.sha256(strip_prose(path.read_text(encoding="utf-8")).encode()).hexdigest()


def strip_prose(source: str) -> str:
    r"""Return Python source without comments, docstrings and its layout.

    Example:
        >>> strip_prose('def f(x):\n    "Add one."\n    return (x+1)  # so')
        'def f(x):\n    return x + 1'
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
