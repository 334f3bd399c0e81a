"""Experiments from YAML: those that ship with mien and anybody's own. Errors name the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mien.datasets.manifest import PLACE
from mien.errors import FormatError, InputError, OptionError
from mien.experiments.experiment import Experiment
from mien.experiments.spec import Place
from mien.registry import nearest

RECIPES = Path(__file__).parent / "recipes"


def list_experiments() -> tuple[str, ...]:
    """List the names of the experiments that ship with mien, sorted."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.yaml")))


def load_shipped(name: str) -> Experiment:
    """Load an experiment that ships with mien.

    Raises:
        OptionError: there is none of that name.
    """
    return load_experiment(RECIPES / f"{list_parts(name)[0]}.yaml")


def read_recipe(name: str) -> str:
    """Read the YAML of an experiment that ships with mien, and of all its parts.

    Raises:
        OptionError: there is none of that name.
    """
    paths = [RECIPES / f"{part}.yaml" for part in list_parts(name)]
    return "\n---\n".join(path.read_text(encoding="utf-8").rstrip("\n") for path in paths)


def list_parts(name: str) -> tuple[str, ...]:
    """List the experiments that make up a table: itself, or its parts, as ``mmte_table1_arousal``.

    Raises:
        OptionError: there is none of that name.
    """
    known = list_experiments()
    if name in known:
        return (name,)
    found = tuple(part for part in known if part.startswith(f"{name}_"))
    if not found:
        raise OptionError(
            f"no experiment is called {name!r}",
            advice=f"{nearest(name, known)}, or train a YAML file of your own",
        )
    return found


def load_experiment(path: str | Path) -> Experiment:
    """Load an experiment from a file.

    Raises:
        InputError: the file cannot be read.
        FormatError: it is no YAML, or does not say what an experiment has to; every line that is
            wrong is named, with what would be right.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot be read: {error}", path=path, advice="give a YAML file"
        ) from error
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FormatError(f"is no YAML: {error}", path=path) from error
    if not isinstance(given, dict):
        raise FormatError(
            "holds no experiment", path=path, advice="see mien train --template manifest"
        )
    try:
        return Experiment.model_validate(
            {"name": file.stem, **given}, context={PLACE: str(file.parent)}
        )
    except ValidationError as error:
        raise FormatError(describe_problems(error, tree), path=path) from error


def describe_problems(error: ValidationError, tree: yaml.Node | None = None) -> str:
    """Describe every problem of settings, with the line where there is a text."""
    found = error.errors()
    # Of a list whose items are all refused pydantic says as well that it is too short.
    own = [
        problem
        for problem in found
        if problem["type"] != "too_short"
        or not any(_is_inside(other["loc"], problem["loc"]) for other in found)
    ]
    return "; ".join(dict.fromkeys(_describe_problem(tree, problem) for problem in own))


def _is_inside(place: Place, outer: Place) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _describe_problem(tree: yaml.Node | None, problem: Any) -> str:  # noqa: ANN401, pydantic's
    message = problem["msg"].removeprefix("Value error, ")
    allowed = problem.get("ctx", {}).get("expected_tags") or problem.get("ctx", {}).get("expected")
    if allowed and str(allowed) not in message:
        message += f"; choose from {allowed}"
    if tree is None:
        place = ".".join(map(str, problem["loc"]))
        return f"{place}: {message}" if place else message
    line, known = _find_line(tree, problem["loc"])
    return f"line {line}, {'.'.join(known) or 'the whole'}: {message}"


def _find_line(node: yaml.Node | None, place: tuple[str | int, ...]) -> tuple[int, list[str]]:
    """Find the line of the deepest part of a place that the file has, and the names on the way."""
    line, known = (node.start_mark.line + 1 if node else 1), []
    for part in place:
        found = _find_child(node, part)
        if found is not None:
            key, node = found
            line = key.start_mark.line + 1
            known.append(str(part))
        elif isinstance(node, yaml.MappingNode) and part == place[-1]:
            known.append(str(part))
    return line, known


def _find_child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
