"""A recording in, a timeline out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mien import schema
from mien._closing import Closing
from mien._version import __version__
from mien.errors import MienError, OptionError
from mien.features.observation import Observation
from mien.features.observe import observe
from mien.features.readers import DefaultReaders
from mien.media import Decoder, Limits
from mien.metadata import derived_from_labels
from mien.missing import check_withheld
from mien.models import LinearProbe, PersonBaseline, load_model
from mien.recognition.scoring import learn_baseline, score
from mien.recognition.windows import Grid, Role, face_steps, main_role, roles
from mien.timeline import Metadata, RecordingInfo, Thumbnail, Timeline, readable_name

LEAST_BASELINE_S = 30.0
Progress = Callable[[float], None]


def _silent(seconds: float) -> None:
    """No progress is shown."""


@dataclass(frozen=True)
class Result:
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
    """Holds a model and the encoders, loaded once, and reads recordings with them.

    Args:
        model: name of a trained model, one of `mien.models.list_trained`.
        baseline: standardise each person by their own recordings. All recordings of one call are
            then taken as of one person (of the face seen longest in each).
        window: seconds around each step that the model sees.
        hop: seconds from one step to the next.
        face_hz: frames a second in which faces are looked for.
        limits: what the decoder may use.

    Attributes:
        decoder: the decoder, with its child process.

    Raises:
        OptionError: the options make no sense.
        WeightError: a weight file is missing and cannot be fetched.
    """

    def __init__(
        self,
        model: str = "linear_probe",
        *,
        baseline: bool = False,
        window: float = 3.0,
        hop: float = 0.5,
        face_hz: float = 5.0,
        limits: Limits | None = None,
    ) -> None:
        self.grid = Grid(window, hop, face_hz)
        self.name, self.baseline = model, baseline
        self.model = load_model(f"{model}_baseline" if baseline else model)
        if baseline and not isinstance(self.model, LinearProbe):
            raise OptionError(
                f"{model} knows no personal baseline", advice="use linear_probe or no baseline"
            )
        self._readers = DefaultReaders()
        self.decoder = Decoder(limits=limits)

    def close(self) -> None:
        """End the decoder's process."""
        self.decoder.close()

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
        for result in self.analyze_all([path], without=without, progress=progress):
            if result.timeline is not None:
                return result.timeline
            if result.error is not None:
                raise result.error
        raise AssertionError("every path has a result")

    def analyze_all(
        self,
        paths: Iterable[str | Path],
        *,
        without: Collection[str] = (),
        progress: Progress = _silent,
    ) -> Iterator[Result]:
        """Read recordings one after the other; a bad one does not stop the others.

        With a baseline all are observed before the first is scored, since they explain each other.

        Yields:
            A result for each path, in order.
        """
        withheld = check_withheld(without)
        observed = (self._observe(Path(path), withheld, progress) for path in paths)
        if self.baseline:
            yield from self._together(observed, withheld)
            return
        for seen in observed:
            yield self._result(seen, withheld)

    def _observe(
        self, path: Path, withheld: frozenset[str], progress: Progress
    ) -> Observation | Result:
        try:
            return observe(
                path,
                decoder=self.decoder,
                readers=self._readers,
                without=withheld,
                face_hz=self.grid.face_hz,
                progress=progress,
            )
        except MienError as error:
            return Result(path, error=error)

    def _result(
        self,
        seen: Observation | Result,
        withheld: frozenset[str],
        shared: PersonBaseline | None = None,
    ) -> Result:
        if isinstance(seen, Result):
            return seen
        try:
            with seen:
                return Result(seen.path, self._timeline(seen, withheld, shared))
        except MienError as error:
            return Result(seen.path, error=error)

    def _together(
        self, observed: Iterable[Observation | Result], withheld: frozenset[str]
    ) -> Iterator[Result]:
        with ExitStack() as open_files:
            everything = []
            for seen in observed:
                everything.append(seen)
                if isinstance(seen, Observation):
                    open_files.enter_context(seen)
            shared = PersonBaseline()
            for seen in everything:
                if isinstance(seen, Observation):
                    main = main_role(roles(seen, self.grid))
                    learn_baseline(shared, self.model, seen, main, self.grid)
            seconds = shared.items * self.grid.hop
            for seen in everything:
                if isinstance(seen, Observation) and seconds < LEAST_BASELINE_S:
                    seen.warnings.append(
                        f"the personal baseline rests on {seconds:.1f} s only; give more "
                        "recordings of the person"
                    )
                yield self._result(seen, withheld, shared)

    def _timeline(
        self, seen: Observation, withheld: frozenset[str], shared: PersonBaseline | None
    ) -> Timeline:
        people = roles(seen, self.grid)
        main = main_role(people)
        tables = []
        for role in people:
            baseline = shared if role is main else self._own_baseline(seen, role)
            scores = score(self.model, seen, role, self.grid, baseline)
            tables.append(_table(seen, role, self.grid, self.model.task.names, scores))
        return Timeline(
            frame=pd.concat(tables, ignore_index=True),
            metadata=self._metadata(seen, withheld),
            thumbnails={
                (readable_name(seen.path), role.person): tuple(
                    Thumbnail(time, jpeg) for time, jpeg in role.track.thumbnails
                )
                for role in people
                if role.track is not None
            },
        )

    def _own_baseline(self, seen: Observation, role: Role) -> PersonBaseline | None:
        if not self.baseline:
            return None
        own = PersonBaseline()
        learn_baseline(own, self.model, seen, role, self.grid)
        return own

    def _metadata(self, seen: Observation, withheld: frozenset[str]) -> Metadata:
        labels = self.model.task.names
        probe = seen.probe
        holds = {
            schema.AUDIO: probe is not None and probe.audio is not None,
            schema.VIDEO: probe is not None and probe.video is not None,
        }
        return Metadata(
            mien_version=__version__,
            model=self.name,
            labels=labels,
            dimensions=derived_from_labels() if schema.derivable(labels) else {},
            modalities=schema.MODALITIES,
            faces=True,
            window=self.grid.window,
            hop=self.grid.hop,
            withheld=tuple(sorted(withheld)),
            baseline=self.baseline,
            recordings={
                readable_name(seen.path): RecordingInfo(
                    duration=seen.duration,
                    modalities=tuple(name for name, there in holds.items() if there),
                    warnings=tuple(seen.warnings),
                )
            },
        )


def _table(
    seen: Observation,
    role: Role,
    grid: Grid,
    names: tuple[str, ...],
    scores: NDArray[np.float64],
) -> pd.DataFrame:
    """The rows of one person.

    Args:
        seen: the recording.
        role: the person.
        grid: steps.
        names: emotions in the order of the scores.
        scores: ``(rows, emotions)`` probabilities, NaN where nothing was observed.
    """
    observed = role.audio | role.video
    best = np.where(observed, np.nan_to_num(scores).argmax(axis=1), 0)
    table: dict[str, object] = {
        "file": readable_name(seen.path),
        "person": role.person,
        "start": role.steps * grid.hop,
        "end": np.minimum((role.steps + 1) * grid.hop, seen.duration),
        "audio": role.audio,
        "video": role.video,
        "emotion": pd.Series(np.array(names)[best], dtype="string").where(observed),
        "confidence": np.where(observed, scores[np.arange(len(best)), best], np.nan),
    }
    for emotion, column in zip(names, scores.T, strict=True):
        table[schema.probability_column(emotion)] = column
    derived = schema.derived_dimensions(dict(zip(names, scores.T, strict=True)))
    table |= derived
    boxes, quality = face_steps(role, grid)
    table |= dict(zip(schema.FACE_BOX, boxes.T, strict=True)) | {"face_quality": quality}
    return pd.DataFrame(table)[list(schema.timeline_columns(names, derived, faces=True))]
