"""What a run learns from and is measured on: the examples of its fold, and what is done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from mien.datasets import (
    DataSet,
    Example,
    Fold,
    Places,
    Rated,
    generate_examples,
    generate_ratings,
)
from mien.errors import OptionError
from mien.missing import unpair
from mien.models import Model
from mien.training.standardisation import Standardisation

if TYPE_CHECKING:  # a run stands on its material
    from mien.experiments.runs import Run


@dataclass(frozen=True)
class Material:
    """The examples of one fold, standardised by its training part."""

    train: list[Example]
    dev: list[Example]
    test: list[Example]
    standard: Standardisation
    fold: Fold


@lru_cache(maxsize=4)
def _everything(source: DataSet, places: Places, made_up: bool) -> tuple[Example, ...]:
    return tuple(generate_examples(source.shape()) if made_up else source.examples(places))


@lru_cache(maxsize=16)
def _variant(source: DataSet, places: Places, name: str) -> tuple[Example, ...]:
    return tuple(source.variants(places)[name]())


@lru_cache(maxsize=4)
def _more(source: DataSet, places: Places, name: str) -> tuple[Example, ...]:
    known = source.further(places)
    if name not in known:
        raise OptionError(
            f"{source.name} has nothing called {name}", advice=f"it has {list(known)}"
        )
    return tuple(known[name]())


def folds_of(source: DataSet, places: Places, made_up: bool) -> tuple[Fold, ...]:
    """The folds that a source is asked for."""
    if made_up:
        people = sorted({e.person for e in _everything(source, places, True)})
        return (Fold("made up", tuple(people[2:]), (people[1],), (people[0],)),)
    return source.split(_everything(source, places, False))[: source.folds]


def material(run: Run) -> Material:
    """The examples of a run's fold."""
    source = run.source
    fold = folds_of(source, run.places, run.made_up)[run.fold]
    everybody = {*fold.train, *fold.dev, *fold.test}
    chosen = [
        example
        for example in _everything(source, run.places, run.made_up)
        if example.person in everybody
    ]
    parts = fold.divide(chosen)
    standard = Standardisation()
    if source.standardise:
        standard = Standardisation.fit(parts[0], source.components)
    done, dev, test = (standard.apply(part) for part in parts)
    return Material(done, dev, test or dev, standard, fold)


def taught(run: Run, given: Material) -> list[Example]:
    """The training part after the treatment of the whole set."""
    examples = list(given.train)
    shares = run.treatment.unpaired
    if shares:
        changed = unpair([e.signals for e in examples], shares, run.seed)
        examples = [replace(e, signals=s) for e, s in zip(examples, changed, strict=True)]
    unseen = {*given.fold.dev, *given.fold.test}
    for name in () if run.made_up else run.treatment.extra:
        further = _more(run.source, run.places, name)
        examples += given.standard.apply(e for e in further if e.person not in unseen)
    return examples


def judged(run: Run, given: Material, model: Model) -> Mapping[str, Rated]:
    """What people said about the clips, by clip; nothing where the data has no votes."""
    if run.made_up:
        return generate_ratings(given.test, model.task)
    return run.source.rated(run.places)


def spoilt(run: Run, given: Material, name: str) -> list[Example]:
    """The fold's examples after their recordings were degraded, by the name of the variant."""
    return given.standard.apply(_variant(run.source, run.places, name))
