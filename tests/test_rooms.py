"""Rooms: imports run only downward and make no circle, a class name is one thing."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import mien

ROOT = Path(mien.__file__).parent
LONGEST = 400  # lines of a file

# From top to bottom; modules of one floor may import each other, without circles.
FLOORS = (
    ("mien", "__main__", "cli", "_cli_lab", "_console", "api", "demo", "doctor"),
    ("recognition",),
    ("experiments",),
    ("evaluation",),
    ("training",),
    ("trained", "model_file", "card", "standardisation"),
    ("datasets",),
    ("models",),
    ("layers",),
    ("features",),
    ("timeline", "formats", "report", "_frame", "metadata"),
    ("media", "weights"),
    ("missing",),
    ("signals", "stream"),
    ("settings", "plugins"),
    ("schema", "registry", "annotations"),
    ("errors", "_closing", "_version"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


@cache
def modules():
    out = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("mien", *path.relative_to(ROOT).with_suffix("").parts)
        out[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return out


@cache
def parse(module):
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imports(module):
    """Every module of mien that a module imports, in functions and for types too."""
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "mien")
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: line {node.lineno} imports relatively"
            if node.module and node.module.split(".")[0] == "mien":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in modules() else node.module


def runs(module):
    """What an import of a module has Python run first: other modules and their packages."""
    for name in imports(module):
        parts = name.split(".")
        for end in range(2, len(parts) + 1):
            inner = ".".join(parts[:end])
            if not f"{module}.".startswith(f"{inner}."):
                yield inner


def room_of(module):
    return module.split(".")[1] if "." in module else module


def test_every_module_is_in_a_room():
    assert {room_of(module) for module in modules()} == set(FLOOR)


def test_imports_run_downward():
    upward = [
        f"{module} imports {name}"
        for module in modules()
        for name in imports(module)
        if FLOOR[room_of(name)] < FLOOR[room_of(module)]
    ]
    assert not upward


def test_imports_make_no_circle():
    done, open_now = set(), []

    def visit(module):
        if module in open_now:
            pytest.fail(" -> ".join([*open_now[open_now.index(module) :], module]))
        if module not in done:
            open_now.append(module)
            for name in runs(module):
                visit(name)
            done.add(open_now.pop())

    for module in modules():
        visit(module)


def test_a_class_name_is_one_thing():
    places = defaultdict(list)
    for module in modules():
        for node in ast.walk(parse(module)):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_file_is_too_long():
    lengths = {
        name: path.read_text(encoding="utf-8").count("\n") for name, path in modules().items()
    }
    assert [name for name, length in lengths.items() if length > LONGEST] == []
