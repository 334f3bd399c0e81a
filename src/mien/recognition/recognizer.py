"""A recording in, a timeline out, by any trained model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mien._closing import Closing
from mien.errors import MienError, OptionError
from mien.features.extractor import Extractor
from mien.features.reader import Observation, Reader
from mien.media import Decoder, Limits
from mien.recognition.scoring import learn_offset, score
from mien.recognition.tables import build_timeline
from mien.recognition.windows import Grid, Person, find_people, main_person
from mien.registry import nearest
from mien.standardisation import PersonOffset
from mien.timeline import Timeline
from mien.trained import DEFAULT_WINDOW_S, TrainedModel, load_model

DEFAULT_MODEL = "default"
BASELINE_MODEL = "default_baseline"
LEAST_BASELINE_S = 30.0
Progress = Callable[[float], None]


def _silent(seconds: float) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Analysis:
    """What became of one file of a batch: a timeline or an error, never both.

    Attributes:
        path: the file, as it was given.
        timeline: the result, None where it failed.
        error: why it failed, None where it did not.
    """

    path: Path
    timeline: Timeline | None = None
    error: MienError | None = None


class Recognizer(Closing):
    """Hold a trained model and its extractors, loaded once, and read recordings with them.

    Args:
        model: a `TrainedModel`, the name of a shipped one, or the path of a file. None for the
            default model, or for its form that takes a person's offset off if ``baseline``.
        baseline: all recordings of one call are of one person (of the face seen longest in each),
            whose offset is taken off by what all of them tell. Without it, a model that takes
            offsets off does so by each recording alone.
        window: seconds around each step that a model per clip sees; None for the model's own.
        hop: seconds from one step to the next.
        features: for modalities that the model knows from files of features: the file by
            modality, where ``{stem}`` and ``{name}`` stand for those of the recording and a
            relative path is relative to the recording's folder.
        limits: what the decoder may use.

    Attributes:
        trained: the model.
        grid: steps and windows.

    Raises:
        OptionError: the options make no sense.
        InputError: there is no such model file.
        ModelFileError: the file cannot be used.
        WeightError: a weight file is missing and cannot be fetched.
    """

    def __init__(
        self,
        model: TrainedModel | str | Path | None = None,
        *,
        baseline: bool = False,
        window: float | None = None,
        hop: float = 0.5,
        features: Mapping[str, str | Path] | None = None,
        limits: Limits | None = None,
    ) -> None:
        chosen = (BASELINE_MODEL if baseline else DEFAULT_MODEL) if model is None else model
        self.trained = chosen if isinstance(chosen, TrainedModel) else load_model(chosen)
        self.baseline = baseline
        if baseline and self.trained.offset != "person":
            raise OptionError(
                f"{self.trained.name} knows no personal baseline",
                advice=f"use {BASELINE_MODEL}, a model trained with `offset: person`, or no "
                "baseline",
            )
        if window is not None and self.trained.task.per == "frame":
            raise OptionError(
                f"{self.trained.name} reads whole recordings, so it has no window",
                advice="leave the window out",
            )
        own = max(self.trained.window or DEFAULT_WINDOW_S, hop)
        self.grid = Grid(own if window is None else window, hop)
        extractors = self.trained.load_extractors()
        self._files = dict(features or {})
        self._check_features(extractors)
        self._reader = Reader(extractors, limits=limits)

    @property
    def decoder(self) -> Decoder:
        """The decoder, with its child process."""
        return self._reader.decoder

    def close(self) -> None:
        """End the decoder's process."""
        self._reader.close()

    def analyze(
        self, path: str | Path, *, without: Collection[str] = (), progress: Progress = _silent
    ) -> Timeline:
        """Read one recording.

        Args:
            path: the recording.
            without: modalities to pretend missing.
            progress: called with the seconds decoded so far.

        Raises:
            MienError: the recording cannot be used.
        """
        for analysis in self.analyze_all([path], without=without, progress=progress):
            if analysis.timeline is not None:
                return analysis.timeline
            if analysis.error is not None:
                raise analysis.error
        raise AssertionError("every path has an analysis")

    def analyze_all(
        self,
        paths: Iterable[str | Path],
        *,
        without: Collection[str] = (),
        progress: Progress = _silent,
    ) -> Iterator[Analysis]:
        """Read recordings one after the other; a bad one does not stop the others.

        With a baseline all are observed before the first is scored, since they explain each other.

        Yields:
            An analysis for each path, in order.

        Raises:
            OptionError: the model has no such modality, or no other one.
        """
        withheld = self._check_withheld(without)
        observed = (self._observe(Path(path), withheld, progress) for path in paths)
        if self.baseline:
            yield from self._analyze_together(observed, withheld)
            return
        for seen in observed:
            yield self._analyze(seen, withheld)

    def _check_withheld(self, without: Collection[str]) -> frozenset[str]:
        names = [without] if isinstance(without, str) else list(without)
        known = tuple(self.trained.model.modalities)
        for name in names:
            if name not in known:
                raise OptionError(f"{name} cannot be withheld", advice=nearest(name, known))
        if set(names) >= set(known):
            raise OptionError(
                f"nothing is left without {' and '.join(names)}",
                advice=f"{self.trained.name} can use {' and '.join(known)}",
            )
        return frozenset(names)

    def _check_features(self, extractors: Mapping[str, Extractor]) -> None:
        needed = {name for name, one in extractors.items() if one.source == "file"}
        for name in self._files:
            if name not in needed:
                raise OptionError(
                    f"{self.trained.name} takes no file of {name} features",
                    advice=nearest(name, needed) if needed else "leave it out",
                )
        if needed == {*extractors} and not self._files:
            name = min(needed)
            raise OptionError(
                f"{self.trained.name} was trained on {_origin_of(extractors[name])}, which cannot "
                "be computed from a recording",
                advice=f"give files: features={{{name!r}: '{{stem}}.npz'}}, or on the command line "
                f"--features {name}={{stem}}.npz; where the recordings are these files themselves, "
                f"{name}={{name}}",
            )

    def _files_of(self, path: Path) -> dict[str, Path]:
        """Name the files of features of one recording; what is a template is filled in."""
        return {
            name: path.parent / str(file).replace("{stem}", path.stem).replace("{name}", path.name)
            for name, file in self._files.items()
        }

    def _observe(
        self, path: Path, withheld: frozenset[str], progress: Progress
    ) -> Observation | Analysis:
        try:
            seen = self._reader.observe(
                path, without=withheld, files=self._files_of(path), progress=progress
            )
        except MienError as error:
            return Analysis(path, error=error)
        for name, extractor in self._reader.extractors.items():
            if extractor.source == "file" and name not in {*self._files, *withheld}:
                seen.warnings.append(f"no file of {name} features was given")
        return seen

    def _analyze(
        self,
        seen: Observation | Analysis,
        withheld: frozenset[str],
        shared: PersonOffset | None = None,
    ) -> Analysis:
        if isinstance(seen, Analysis):
            return seen
        try:
            with seen:
                return Analysis(seen.path, self._timeline(seen, withheld, shared))
        except MienError as error:
            return Analysis(seen.path, error=error)

    def _analyze_together(
        self, observed: Iterable[Observation | Analysis], withheld: frozenset[str]
    ) -> Iterator[Analysis]:
        with ExitStack() as open_files:
            everything: list[Observation | Analysis] = []
            shared, seconds = PersonOffset(), 0.0
            for seen in observed:
                everything.append(seen)
                if isinstance(seen, Observation):
                    open_files.enter_context(seen)
                    main = main_person(seen, find_people(seen, self.grid))
                    learn_offset(shared, seen, main, self.grid)
                    seconds += float(main.anything.sum()) * self.grid.hop
            for seen in everything:
                if isinstance(seen, Observation) and seconds < LEAST_BASELINE_S:
                    seen.warnings.append(
                        f"the personal baseline rests on {seconds:.1f} s only; give more "
                        "recordings of the person"
                    )
                yield self._analyze(seen, withheld, shared)

    def _timeline(
        self, seen: Observation, withheld: frozenset[str], shared: PersonOffset | None
    ) -> Timeline:
        people = find_people(seen, self.grid)
        main = main_person(seen, people)
        scores = []
        for person in people:
            own = self.baseline and person is main
            offset = shared if own else self._own_offset(seen, person)
            scores.append(score(self.trained, seen, person, self.grid, offset))
        return build_timeline(
            self.trained, seen, self.grid, people, scores, withheld, baseline=self.baseline
        )

    def _own_offset(self, seen: Observation, person: Person) -> PersonOffset | None:
        if self.trained.offset != "person":
            return None
        own = PersonOffset()
        learn_offset(own, seen, person, self.grid)
        return own


def _origin_of(extractor: Extractor) -> str:
    """Say whose the features of files are."""
    corpus = extractor.settings.get("corpus")
    return f"the features that {corpus} gives out" if corpus else "files of features"
