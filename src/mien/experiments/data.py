"""What a run learns from and is measured on: the examples of one fold, standardised.

Examples, folds and digests of a data set are read once in a process; `forget_data` makes the next
call look at the files again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Self

from mien.datasets import (
    DataSet,
    Example,
    Examples,
    Fold,
    Places,
    Progress,
    Rated,
    Unreadable,
)
from mien.errors import OptionError
from mien.experiments.fingerprint import digest, fingerprint_examples
from mien.missing import unpair
from mien.registry import nearest
from mien.standardisation import Standardisation, remove_person_offsets

Key = tuple[DataSet, Places]
_MOST_SETS = 4  # in memory at once; their digests stay

_examples: OrderedDict[Key, Examples] = OrderedDict()
_digests: dict[Key, dict[str, str]] = {}
_folds: dict[Key, tuple[Fold, ...]] = {}


def forget_data() -> None:
    """Forget what was read of data sets in this process: their files may have changed."""
    for known in (_examples, _digests, _folds):
        known.clear()
    _read_variant.cache_clear()
    _read_further.cache_clear()
    fingerprint_ratings.cache_clear()
    resolve_data.cache_clear()


@lru_cache(maxsize=64)
def resolve_data(dataset: DataSet, places: Places) -> DataSet:
    """Return a data set with everything filled in that only the data can tell; once."""
    return dataset.resolve(places)


def load_examples(
    dataset: DataSet, places: Places, progress: Progress | None = None, *, strict: bool = False
) -> Examples:
    """Load all examples of a data set; once, as long as memory has place.

    Args:
        dataset: resolved.
        places: where data is.
        progress: is told after each recording how many are done, and of how many.
        strict: raise at the first recording that cannot be read, instead of skipping it.

    Raises:
        MienError: the data is not there or not as it should be.
    """
    key = (dataset, places)
    if key in _examples and not (strict and _examples[key].unreadable):
        _examples.move_to_end(key)
        return _examples[key]
    read = dataset.examples(places, progress, strict=strict)
    found = read if isinstance(read, Examples) else Examples(read)
    _examples[key] = found
    if len(_examples) > _MOST_SETS:
        _examples.popitem(last=False)
    return found


def list_unreadable(datasets: Iterable[DataSet], places: Places) -> tuple[Unreadable, ...]:
    """List the recordings that could not be read, each once."""
    found = {
        unreadable.path: unreadable
        for dataset in datasets
        for unreadable in load_examples(dataset, places).unreadable
    }
    return tuple(found.values())


def list_unobserved(datasets: Iterable[DataSet], places: Places) -> tuple[Path, ...]:
    """List the recordings that were left out since nothing was observed in them, each once."""
    found = (path for one in datasets for path in load_examples(one, places).unobserved)
    return tuple(dict.fromkeys(found))


def list_folds(dataset: DataSet, places: Places) -> tuple[Fold, ...]:
    """List the folds that a data set is asked for."""
    key = (dataset, places)
    if key not in _folds:
        _folds[key] = dataset.split(load_examples(dataset, places))[: dataset.folds]
    return _folds[key]


def fingerprint_data(dataset: DataSet, places: Places) -> dict[str, str]:
    """Digest the examples of a data set and how their features are made; see `fingerprint`."""
    key = (dataset, places)
    if key not in _digests:
        found = fingerprint_examples(load_examples(dataset, places))
        for modality, extractor in sorted(dataset.extractors().items()):
            found[f"extractor of {modality}"] = digest(extractor.spec())
        found["task"] = digest(dataset.task().as_dict())
        _digests[key] = found
    return _digests[key]


def fingerprint_further(dataset: DataSet, places: Places, names: Sequence[str]) -> dict[str, str]:
    """Digest further data that a treatment learns from."""
    return {
        f"further data {name}": digest(fingerprint_examples(_read_further(dataset, places, name)))
        for name in names
    }


@lru_cache(maxsize=64)
def fingerprint_ratings(dataset: DataSet, places: Places) -> str:
    """Digest how people rated the examples of a data set."""
    return digest({clip: vars(rated) for clip, rated in dataset.rated(places).items()})


@lru_cache(maxsize=16)
def _read_variant(dataset: DataSet, places: Places, name: str) -> tuple[Example, ...]:
    return tuple(dataset.variants(places)[name]())


@lru_cache(maxsize=4)
def _read_further(dataset: DataSet, places: Places, name: str) -> tuple[Example, ...]:
    known = dataset.further(places)
    if name not in known:
        raise OptionError(
            f"{dataset.name} has no further data {name!r}", advice=nearest(name, known)
        )
    return tuple(known[name]())


@dataclass(frozen=True)
class RunData:
    """The examples of one fold, standardised by its training part.

    Attributes:
        dataset: resolved.
        places: where its data is.
        fold: who is in which part; None where everybody is trained on.
        standardisation: fitted on the training part.
        train: examples to learn from.
        dev: examples that select the epoch; may be empty.
        test: examples that are measured; those of `dev` where the fold has nobody to test.
    """

    dataset: DataSet
    places: Places
    fold: Fold | None
    standardisation: Standardisation
    train: list[Example]
    dev: list[Example]
    test: list[Example]

    @classmethod
    def load(cls, dataset: DataSet, places: Places, fold: int | None) -> Self:
        """Load the examples of a fold.

        Args:
            dataset: resolved.
            places: where its data is.
            fold: its number, from 0; None to train on everybody.

        Raises:
            MienError: the data is not there or not as it should be.
        """
        examples: list[Example] = load_examples(dataset, places)
        chosen = None if fold is None else list_folds(dataset, places)[fold]
        parts: tuple[list[Example], ...] = (examples, [], [])
        if chosen is not None:
            people = {*chosen.train, *chosen.dev, *chosen.test}
            parts = chosen.divide([e for e in examples if e.person in people])
        train, dev, test = (_remove_offsets(dataset, part) for part in parts)
        standardisation = Standardisation()
        if dataset.standardise:
            standardisation = Standardisation.fit(train, dataset.components)
        train, dev, test = (standardisation.apply(part) for part in (train, dev, test))
        return cls(dataset, places, chosen, standardisation, train, dev, test or dev)

    def prepare(self, examples: Iterable[Example]) -> list[Example]:
        """Prepare other examples as those of the fold: person offsets, then standardisation."""
        return self.standardisation.apply(_remove_offsets(self.dataset, examples))

    def build_training_set(
        self, unpaired: Mapping[str, float], extra: Sequence[str], seed: int
    ) -> list[Example]:
        """Build what is learned from: the training part, treated as a whole, in pieces.

        Args:
            unpaired: see `mien.missing.unpair`; nothing is taken away where empty.
            extra: names of further data; people of the development and test parts are left out.
            seed: of what is taken away.
        """
        examples = list(self.train)
        if unpaired:
            changed = unpair([e.signals for e in examples], unpaired, seed)
            examples = [replace(e, signals=s) for e, s in zip(examples, changed, strict=True)]
        unseen = {*self.fold.dev, *self.fold.test} if self.fold else set()
        for name in extra:
            further = _read_further(self.dataset, self.places, name)
            examples += self.prepare(e for e in further if e.person not in unseen)
        return [piece for example in examples for piece in self.dataset.pieces(example)]

    def list_variants(self) -> dict[str, Callable[[], list[Example]]]:
        """List the degraded variants of all examples, by name; each is read when it is called."""
        return {
            name: lambda name=name: self.prepare(  # type: ignore[misc]
                _read_variant(self.dataset, self.places, name)
            )
            for name in self.dataset.variants(self.places)
        }

    def load_ratings(self) -> Mapping[str, Rated]:
        """Load how people rated the clips, by clip; empty where nobody did."""
        return self.dataset.rated(self.places)


def _remove_offsets(dataset: DataSet, examples: Iterable[Example]) -> list[Example]:
    if dataset.offset == "person":
        return remove_person_offsets(examples)
    return list(examples)
