"""What a data set is: where examples come from, how people are split, what the examples look like.

A data set is a class in one file, found by name in `DATASETS`. One of a user's own is one file as
well, given as a plugin or announced under the entry point group ``mien.datasets``::

    @register_dataset("mine")
    class Mine(DataSet):
        def examples(self, places, progress=None, *, strict=False): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field

from mien.datasets.examples import Example
from mien.datasets.splits import Fold
from mien.datasets.votes import Rated
from mien.errors import MienError
from mien.features.extractor import Extractor
from mien.models import Task
from mien.registry import Registry
from mien.schema import AUDIO, VIDEO
from mien.settings import ByName, NamedSettings, register_settings

Progress = Callable[[int, int], None]  # recordings that are done, and all of them

DATASETS: Registry[type[DataSet]] = Registry(
    "data set",
    group="mien.datasets",
    modules=tuple(
        f"mien.datasets.{module}"
        for module in (
            "crema_d",
            "java_sed",
            "java_sed_sessions",
            "manifest",
            "mfn",
            "mosei",
            "msp_improv",
            "ravdess",
            "recola",
            "simulator",
            "ulm_tsst",
            "voices",
        )
    ),
)


@dataclass(frozen=True)
class Places:
    """Folders.

    Attributes:
        data: holds the corpora.
        cache: for what was extracted from recordings.
    """

    data: Path
    cache: Path


@dataclass(frozen=True)
class Shape:
    """What examples look like, known before there are any.

    Attributes:
        task: what is asked.
        modalities: features of a step of each, as an array's shape.
        hops: seconds of a step of each.
        steps: a usual number of steps of each.
    """

    task: Task
    modalities: Mapping[str, tuple[int, ...]]
    hops: Mapping[str, float]
    steps: Mapping[str, int]

    @property
    def sizes(self) -> dict[str, int]:
        """Features of each modality as one number."""
        return {name: prod(shape) for name, shape in self.modalities.items()}


@dataclass(frozen=True)
class Unreadable:
    """A recording that could not be used.

    Attributes:
        path: the recording, or its first file of features.
        error: why.
    """

    path: Path
    error: MienError


class Examples(list[Example]):
    """The examples of a data set.

    Attributes:
        unreadable: recordings that were skipped, each with its error.
        unobserved: recordings that were left out since nothing was observed in them, as in silence.
    """

    def __init__(
        self,
        examples: Iterable[Example] = (),
        unreadable: Iterable[Unreadable] = (),
        unobserved: Iterable[Path] = (),
    ) -> None:
        super().__init__(examples)
        self.unreadable, self.unobserved = tuple(unreadable), tuple(unobserved)


class DataSet(NamedSettings):
    """Base of all data sets; a subclass is registered by name and adds its own options.

    Attributes:
        folds: how many of its folds, None for all.
        standardise: whether features get mean 0 and standard deviation 1 over the training part.
        components: principal components of the training part that stand for the features of each
            modality that has more; None for the features themselves.
        offset: whether a person's own mean and standard deviation of each feature are taken off
            first: ``none`` or ``person``.
    """

    folds: Annotated[int, Field(ge=1)] | None = None
    standardise: bool = True
    components: Annotated[int, Field(ge=1)] | None = None
    offset: Literal["none", "person"] = "none"

    def __hash__(self) -> int:
        return hash((type(self), self.model_dump_json()))

    @property
    def note(self) -> str:
        """A sentence on what the data is, for the head of every table."""
        raise NotImplementedError

    def resolve(self, places: Places) -> Self:
        """Return the same data set with the options filled in that only the data can tell.

        Of most data sets nothing is open. A manifest reads its table: its labels and their order,
        ranges, and the columns of files of features. Everything is checked here, before anything is
        computed.

        Raises:
            MienError: the data is not as it should be.
        """
        del places
        return self

    def task(self) -> Task:
        """Describe what is asked."""
        return self.shape().task

    def shape(self) -> Shape:
        """Describe what its examples look like."""
        raise NotImplementedError

    def extractors(self) -> dict[str, Extractor]:
        """Create each modality's extractor, for whoever wants the same from a recording."""
        raise NotImplementedError

    def examples(
        self, places: Places, progress: Progress | None = None, *, strict: bool = False
    ) -> list[Example]:
        """Read all examples.

        Args:
            places: where data is.
            progress: is told after each recording how many are done, and of how many.
            strict: raise at the first recording that cannot be read, instead of skipping it.

        Returns:
            The examples; where recordings were read, `Examples` with a list of what was skipped.

        Raises:
            MienError: the corpus is not there or not as it should be.
        """
        raise NotImplementedError

    def split(self, examples: Sequence[Example]) -> tuple[Fold, ...]:
        """Divide people into all folds; `folds` of them are used."""
        raise NotImplementedError

    def pieces(self, example: Example) -> list[Example]:
        """Return what training makes of one example: itself, or its segments."""
        return [example]

    def further(self, places: Places) -> Mapping[str, Callable[[], list[Example]]]:
        """Name further examples to learn from; people of the test part are left out later."""
        del places
        return {}

    def variants(self, places: Places) -> Mapping[str, Callable[[], list[Example]]]:
        """Name the variants of the examples, made after their recordings were degraded."""
        del places
        return {}

    def rated(self, places: Places) -> Mapping[str, Rated]:
        """Read how people rated the examples, by clip; empty where nobody did."""
        del places
        return {}


AnyDataSet = Annotated[DataSet, ByName(DATASETS)]
Kind = TypeVar("Kind", bound=DataSet)


def register_dataset(name: str) -> Callable[[type[Kind]], type[Kind]]:
    """Return a class decorator that registers a data set by name.

    Args:
        name: by which an experiment asks for it, under ``data``.

    Raises:
        OptionError: (the decorator) the name is taken, or the class is no `DataSet`.
    """
    return register_settings(DATASETS, DataSet, name)


def pair_sizes(
    audio: tuple[int, ...] | int, video: tuple[int, ...] | int
) -> dict[str, tuple[int, ...]]:
    """Return the sizes of audio and video as a `Shape` wants them."""
    both = {AUDIO: audio, VIDEO: video}
    return {name: (size,) if isinstance(size, int) else size for name, size in both.items()}
