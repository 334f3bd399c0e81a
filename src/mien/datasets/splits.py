"""Who is trained on, who selects, who is measured: splits by person, those of the papers first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from mien.errors import OptionError


class OfPerson(Protocol):
    """Anything that has a person: a `Clip` or an `Example`."""

    @property
    def person(self) -> str:
        """Who is in it."""
        ...


class OfPart(OfPerson, Protocol):
    """Anything that has a person and an official part."""

    @property
    def part(self) -> str:
        """``train``, ``valid``, ``test`` or empty."""
        ...


_Item = TypeVar("_Item", bound=OfPerson)


@dataclass(frozen=True)
class Fold:
    """People, each in one part only.

    Attributes:
        name: of the fold, as ``sfav/1``.
        train: who is trained on.
        dev: who selects the epoch; may be empty.
        test: who is measured; may be empty where a paper measures on ``dev``.

    Raises:
        OptionError: somebody is in two parts, nobody is trained on, or nobody is left to judge.
    """

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        parts = {"train": set(self.train), "dev": set(self.dev), "test": set(self.test)}
        for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
            both = sorted(parts[one] & parts[other])
            if both:
                raise OptionError(
                    f"fold {self.name}: {', '.join(both[:5])} in {one} and in {other}",
                    advice="put every person into one part only",
                )
        if not self.train or not (self.dev or self.test):
            raise OptionError(
                f"fold {self.name}: {len(self.train)} people to train on, {len(self.dev)} in dev "
                f"and {len(self.test)} in test",
                advice="put people into train, and into dev or test",
            )

    def divide(self, items: Iterable[_Item]) -> tuple[list[_Item], list[_Item], list[_Item]]:
        """Divide clips or examples into train, dev and test, each in the order given.

        Raises:
            OptionError: an item is of a person who is in no part.
        """
        part_of = {
            person: index
            for index, part in enumerate((self.train, self.dev, self.test))
            for person in part
        }
        parts: tuple[list[_Item], list[_Item], list[_Item]] = ([], [], [])
        for item in items:
            if item.person not in part_of:
                raise OptionError(
                    f"fold {self.name} does not say where {item.person} belongs",
                    advice="give the fold all people, or leave that person's clips out",
                )
            parts[part_of[item.person]].append(item)
        return parts


def _actors(corpus: str, numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"{corpus}/{number:02d}" for number in numbers)


def sfav_folds() -> tuple[Fold, ...]:
    """List the five folds of RAVDESS that SFAV's results are averaged over.

    Four actors in test, the next four in dev, the other 16 in train; actors 21 to 24 are never
    tested. Chumachenko et al. (2022), section IV; the lists of actors are those of the authors'
    repository before May 2023. Its train list of the third fold names actor 9, who is in test
    there, where 19 is missing; here it is 19.
    """
    folds = []
    for index in range(5):
        first = 1 + 4 * index
        test, dev = range(first, first + 4), range(first + 4, first + 8)
        train = [actor for actor in range(1, 25) if actor not in test and actor not in dev]
        folds.append(
            Fold(
                f"sfav/{index + 1}",
                *(_actors("ravdess", numbers) for numbers in (train, dev, test)),
            )
        )
    return tuple(folds)


def mater_folds(people: Iterable[str], count: int) -> tuple[Fold, ...]:
    """Make subject-disjoint folds as MATER does: everybody is tested once, nobody selects.

    The paper has 12 folds for RAVDESS (two actors each) and 10 for CREMA-D; its actors of each fold
    are not published. Here neighbours in sorted order are a fold, which for RAVDESS is one man and
    one woman; the 91 actors of CREMA-D give one fold of ten and nine of nine. Ghaleb et al. (2022),
    section 4.1. There is no dev part, so a schedule cannot look at anything but training data.

    Args:
        people: everybody.
        count: number of folds.

    Raises:
        OptionError: there are not two folds, or fewer people than folds.
    """
    names = _everybody(people)
    if not 2 <= count <= len(names):
        raise OptionError(
            f"{count} folds of {len(names)} people", advice=f"give 2 to {len(names)} folds"
        )
    chunks = [chunk.tolist() for chunk in np.array_split(np.array(names), count)]
    return tuple(
        Fold(f"mater/{i + 1}", tuple(n for n in names if n not in chunk), (), tuple(chunk))
        for i, chunk in enumerate(chunks)
    )


def vavl_partitions(people: Iterable[str], count: int = 5, seed: int = 0) -> tuple[Fold, ...]:
    """Partition by speaker, about 70, 15 and 15 %, drawn anew each time.

    As of VAVL (Goncalves et al., section 4.3), whose results are means over five partitions. The
    fractions are of speakers; test parts of two partitions may overlap, as theirs do.

    Args:
        people: everybody; at least four.
        count: number of partitions.
        seed: of the first; the next has the next seed.
    """
    names = _everybody(people)
    few = max(1, round(0.15 * len(names)))
    return tuple(
        folds_of_people(names, test=few, dev=few, seed=seed + index, name=f"vavl/{index + 1}")
        for index in range(count)
    )


def avec2016() -> Fold:
    """Split RECOLA as AVEC 2016: nine people to train on, nine in dev, on whom papers measure.

    Valstar et al. (2016), AVEC 2016. Names are those of its files, ``train_1`` to ``train_9`` and
    ``dev_1`` to ``dev_9``. The labels of its test part were never published.
    """
    train, dev = (tuple(f"recola/{part}_{i}" for i in range(1, 10)) for part in ("train", "dev"))
    return Fold("avec2016", train, dev, ())


def muse(examples: Iterable[OfPart], seed: int = 0) -> Fold:
    """Split Ulm-TSST as MMTE does: 35, 10 and 10 people out of the labelled 55.

    The challenge's test labels are not public, so Vazquez-Rodriguez et al. (2023, section 5.1) draw
    six people of the official train part and four of the official devel part for test; the other
    35 train, the other ten are dev. Their draw is not published, ours has a seed.

    Args:
        examples: of the labelled parts, with their official part (``train`` and ``valid``).
        seed: of the draw.

    Raises:
        OptionError: there are not 41 people in train and 14 in devel.
    """
    parts = _by_part(examples)
    train, dev = parts.get("train", []), parts.get("valid", [])
    if (len(train), len(dev)) != (41, 14):
        raise OptionError(
            f"Ulm-TSST has 41 labelled people in train and 14 in devel, not {len(train)} and "
            f"{len(dev)}",
            advice="use folds_of_people for a part of the corpus",
        )
    draw = np.random.default_rng(seed)
    test = {*draw.choice(train, 6, replace=False).tolist()}
    test |= {*draw.choice(dev, 4, replace=False).tolist()}
    return Fold(
        f"muse/{seed}",
        tuple(person for person in train if person not in test),
        tuple(person for person in dev if person not in test),
        tuple(sorted(test)),
    )


def folds_of_people(
    people: Iterable[str], *, test: int, dev: int, seed: int, name: str = ""
) -> Fold:
    """Draw one random fold.

    Args:
        people: everybody; the order does not matter.
        test: how many are measured.
        dev: how many select.
        seed: of the draw.
        name: of the fold; by default it says the seed.

    Raises:
        OptionError: nobody is left to train on.
    """
    names = _everybody(people)
    if min(test, dev) < 0 or test + dev >= len(names):
        raise OptionError(
            f"{test} in test and {dev} in dev leave nobody of {len(names)} people to train on",
            advice="ask for fewer",
        )
    order: Sequence[str] = np.random.default_rng(seed).permutation(names).tolist()
    return Fold(
        name or f"seed {seed}",
        tuple(sorted(order[test + dev :])),
        tuple(sorted(order[test : test + dev])),
        tuple(sorted(order[:test])),
    )


def rotating_folds(people: Iterable[str], test: int, dev: int) -> tuple[Fold, ...]:
    """Make folds that test everybody once; the next people in the order select the epoch.

    Args:
        people: everybody; sorted first.
        test: how many are tested in a fold; the last fold may have fewer.
        dev: how many of those that follow, around the end, select.
    """
    names = _everybody(people)
    folds = []
    for number, start in enumerate(range(0, len(names), test), start=1):
        tested = names[start : start + test]
        follow = names[start + test :] + names[:start]
        folds.append(
            Fold(f"rotating/{number}", tuple(follow[dev:]), tuple(follow[:dev]), tuple(tested))
        )
    return tuple(folds)


def cross_validate(
    people: Iterable[str], count: int | None = None, dev: int | None = None
) -> tuple[Fold, ...]:
    """Divide people into folds of about the same size; everybody is tested once.

    Args:
        people: everybody; neighbours in sorted order are tested in different folds.
        count: of folds; None for five, or as many as there are people where they are fewer.
        dev: people of each fold's training part who select the epoch instead; None for a sixth of
            them, one at least.

    Raises:
        OptionError: there are fewer than two people (three, where one has to select), or fewer
            people than folds.

    Example:
        >>> [fold.test for fold in cross_validate("abcdef", 3)]
        [('a', 'd'), ('b', 'e'), ('c', 'f')]
    """
    names = _everybody(people)
    needed = 2 if dev == 0 else 3
    if len(names) < needed:
        raise OptionError(
            f"{len(names)} people cannot be divided into train{', dev' * (dev != 0)} and test",
            advice=f"give recordings of at least {needed} people",
        )
    folds = min(5, len(names)) if count is None else count
    if not 2 <= folds <= len(names):
        raise OptionError(
            f"{folds} folds of {len(names)} people", advice=f"give 2 to {len(names)} folds"
        )
    groups = {str(index + 1): names[index::folds] for index in range(folds)}
    return rotate_groups(groups, dev, name="people")


def rotate_groups(
    groups: Mapping[str, Sequence[str]], dev: int | None = None, *, name: str
) -> tuple[Fold, ...]:
    """Test each of some groups of people once; the others train.

    Args:
        groups: people by the name of their group.
        dev: people of each training part who select the epoch instead, those who follow the group;
            None for a sixth of them, one at least.
        name: of the split, in front of the names of the groups.

    Raises:
        OptionError: there are not two groups, or nobody is left to train on.
    """
    if len(groups) < 2:
        raise OptionError(
            f"{len(groups)} group of people cannot be both trained on and tested",
            advice="divide people into two folds or more",
        )
    keys, folds = list(groups), []
    for index, key in enumerate(keys):
        others = [person for k in keys[index + 1 :] + keys[:index] for person in groups[k]]
        few = max(1, round(len(others) / 6)) if dev is None else dev
        if few >= len(others):
            raise OptionError(
                f"fold {name}/{key}: {len(others)} people cannot be divided into train and dev",
                advice="give recordings of more people",
            )
        train, chosen, test = (tuple(sorted(p)) for p in (others[few:], others[:few], groups[key]))
        folds.append(Fold(f"{name}/{key}", train, chosen, test))
    return tuple(folds)


def official(examples: Iterable[OfPart]) -> Fold:
    """Return the split that the corpus itself publishes.

    Args:
        examples: each with its part: ``train``, ``valid`` or ``test``.

    Raises:
        OptionError: one has no such part, or a person is in two.
    """
    parts = _by_part(examples)
    unknown = sorted(set(parts) - {"train", "valid", "test"})
    if unknown:
        raise OptionError(
            f"{', '.join(map(repr, unknown))} is no official part of {parts[unknown[0]][0]}",
            advice="use a split by person for a corpus without parts",
        )
    return Fold("official", *(tuple(parts.get(part, ())) for part in ("train", "valid", "test")))


def _by_part(examples: Iterable[OfPart]) -> dict[str, list[str]]:
    parts: dict[str, set[str]] = {}
    for example in examples:
        parts.setdefault(example.part, set()).add(example.person)
    return {part: sorted(persons) for part, persons in parts.items()}


def _everybody(people: Iterable[str]) -> list[str]:
    return sorted(set(people))
