"""What a model is asked to say: one of several categories, or a number for each dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict, get_args

from mien import schema
from mien.errors import OptionError
from mien.registry import check_options, nearest

Kind = Literal["categories", "dimensions"]
Per = Literal["clip", "frame"]


class TaskDict(TypedDict, total=False):
    """A `Task` as plain JSON; ``ranges`` are there for dimensions alone."""

    kind: str
    names: list[str]
    per: str
    ranges: dict[str, list[float]]


@dataclass(frozen=True)
class Task:
    """What a model is asked to say; checked when it is made.

    Attributes:
        kind: ``categories`` (one of several names) or ``dimensions`` (a number for each name).
        names: the categories or dimensions, any words, in the order of the scores.
        per: one answer per ``clip`` or per ``frame``.
        low: smallest value of any dimension.
        high: largest value of any dimension.
        ranges: smallest and largest value of each dimension by its name; those not given are
            from `low` to `high`. Empty for categories.

    Raises:
        OptionError: the kind or `per` is unknown, there is no name, a name is empty, no text or
            there twice, a range is empty or not finite, or belongs to no dimension.

    Example:
        >>> Task("dimensions", ("arousal", "mood"), ranges={"mood": (1, 7)}).ranges
        {'arousal': (-1.0, 1.0), 'mood': (1.0, 7.0)}
        >>> Task("categories", ("calm", "calm"))
        Traceback (most recent call last):
        mien.errors.OptionError: the task names 'calm' twice; give each name once
    """

    kind: Kind
    names: tuple[str, ...]
    per: Per = "clip"
    low: float = -1.0
    high: float = 1.0
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for what, word, known in (("kind", self.kind, Kind), ("per", self.per, Per)):
            if word not in get_args(known):
                raise OptionError(
                    f"a task's {what} is not {word!r}", advice=nearest(str(word), get_args(known))
                )
        object.__setattr__(self, "names", _check_names(self.names))
        if self.kind == "categories":
            if self.ranges or (self.low, self.high) != (-1.0, 1.0):
                raise OptionError(
                    "categories have no range", advice="leave low, high and ranges out"
                )
            return
        check_options("the task", self.ranges, self.names)
        ranges = {
            name: _check_range(name, self.ranges.get(name, (self.low, self.high)))
            for name in self.names
        }
        object.__setattr__(self, "ranges", ranges)
        object.__setattr__(self, "low", min(low for low, _ in ranges.values()))
        object.__setattr__(self, "high", max(high for _, high in ranges.values()))

    @staticmethod
    def emotions(names: Sequence[str], per: Per = "clip") -> Task:
        """Make a task of emotions of the vocabulary, put into its order.

        Args:
            names: some of `mien.schema.EMOTIONS`; for other words use ``Task("categories", …)``.
            per: one answer per ``clip`` or per ``frame``.

        Raises:
            OptionError: a name is not in the vocabulary, or as for every task.

        Example:
            >>> Task.emotions(("sadness", "anger")).names
            ('sadness', 'anger')
            >>> Task.emotions(("anger", "sadness")).names
            ('sadness', 'anger')
        """
        task = Task("categories", tuple(names), per)
        for name in task.names:
            if name not in schema.EMOTIONS:
                raise OptionError(
                    f"{name!r} is not in the vocabulary of emotions",
                    advice=f"{nearest(name, schema.EMOTIONS)}; Task('categories', …) takes any "
                    "words",
                )
        return replace(task, names=schema.sort_emotions(task.names))

    def as_dict(self) -> TaskDict:
        """Give the task as plain JSON, from which `from_dict` makes an equal one."""
        plain: TaskDict = {"kind": self.kind, "names": list(self.names), "per": self.per}
        if self.kind == "dimensions":
            plain["ranges"] = {name: list(limits) for name, limits in self.ranges.items()}
        return plain

    @staticmethod
    def from_dict(plain: object) -> Task:
        """Make a task of what `as_dict` gave.

        Args:
            plain: with exactly the keys that `as_dict` gives.

        Raises:
            OptionError: it is no dictionary, a key is lacking or unknown, or a value makes no
                sense.
        """
        if not isinstance(plain, Mapping):
            raise OptionError(f"a task is no {type(plain).__name__}", advice="give a dictionary")
        known = ["kind", "names", "per"]
        if plain.get("kind") == "dimensions":
            known.append("ranges")
        check_options("the task", map(str, plain), known, needed=known)
        names, ranges = _check_names(plain["names"]), plain.get("ranges", {})
        if not isinstance(ranges, Mapping):
            raise OptionError("the task's ranges are no dictionary")
        if "ranges" in known and (lacking := [name for name in names if name not in ranges]):
            raise OptionError(f"the task has no range for {', '.join(lacking)}")
        return Task(plain["kind"], names, plain["per"], ranges=ranges)


def _check_names(names: object) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise OptionError(f"the task's names are {names!r}", advice="give a list of words")
    if not names:
        raise OptionError("the task has no names", advice="give at least one")
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name or name != name.strip():
            raise OptionError(
                f"the task cannot name {name!r}",
                advice="give words without blanks around them, as text",
            )
        if name in names[:place]:
            raise OptionError(f"the task names {name!r} twice", advice="give each name once")
    return tuple(names)


def _check_range(name: str, limits: object) -> tuple[float, float]:
    if (
        not isinstance(limits, Sequence)
        or len(limits) != 2
        or not all(isinstance(limit, int | float) for limit in limits)
        or not all(map(math.isfinite, limits))
        or not limits[0] < limits[1]
    ):
        raise OptionError(
            f"{name} cannot be in the range {limits!r}",
            advice="give two finite numbers, the smaller one first",
        )
    return float(limits[0]), float(limits[1])
