"""A trained model: one file that holds everything an answer depends on.

Architecture and options, weights, task, the extractor of each modality with settings and version,
standardisation, what is done with a person's offset, calibration, and a card. `mien.model_file`
knows how they lie in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mien import schema, weights
from mien.card import Card
from mien.datasets import Example
from mien.errors import (
    InputError,
    MienError,
    ModelFileError,
    NothingPresent,
    OptionError,
    PluginError,
)
from mien.features.extractor import Extractor, load_extractor
from mien.layers.time import grid_of
from mien.model_file import (
    DEFAULT_WINDOW_S,
    RUN_MODEL,
    Header,
    Offset,
    check_fit,
    is_trained_model,
    read_header,
    read_model,
    write_model_file,
)
from mien.models import MODELS, Model, Prediction, Task, predict_in_windows
from mien.plugins import blame_plugin
from mien.registry import nearest
from mien.signals import Sequence, Signals, as_signals
from mien.standardisation import PersonOffset, Standardisation, remove_person_offsets

__all__ = [
    "DEFAULT_WINDOW_S",
    "SUFFIX",
    "TrainedModel",
    "find_model",
    "list_trained",
    "load_model",
    "read_card",
]

MOST_FRAMES = 1500  # steps that a model per frame is shown at once where its file says no number
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class TrainedModel:
    """A model with everything that is between a recording and its answer.

    Attributes:
        architecture: name of the model, one of `mien.list_models`.
        model: with its weights, in evaluation mode.
        extractors: by modality, what `mien.features.extractor.Extractor.spec` says.
        options: the model's own.
        standardisation: of the features.
        offset: ``person``: features are centred and scaled by all that is known of the person
            before they are standardised; ``none``: they are not.
        temperature: by which logits of categories are divided (Guo et al. 2017, "On calibration of
            modern neural networks", section 4.2).
        window: seconds around each step of a timeline that a model per clip is shown; None for a
            model per frame, which reads the whole recording.
        frame_window: steps that a model per frame is shown at once; None for the whole recording.
        card: what people have to know of it.
        name: what it is called: its file's name without the suffix, or that of a shipped model.

    Raises:
        OptionError: the parts do not fit each other, or names of labels, dimensions and modalities
            cannot stand in one table (`mien.schema.check_names`).
        ModelFileError: an extractor is not installed, or of another version.

    Example:
        >>> import mien, torch
        >>> model = mien.load_model("default")
        >>> voice = torch.zeros(1, 15, 768)
        >>> model.predict({"audio": voice}).probabilities().shape
        torch.Size([1, 7])
    """

    architecture: str
    model: Model
    extractors: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    standardisation: Standardisation = field(default_factory=Standardisation)
    offset: Offset = "none"
    temperature: float = 1.0
    window: float | None = DEFAULT_WINDOW_S
    frame_window: int | None = None
    card: Card = field(default_factory=Card)
    name: str = "model"

    def __post_init__(self) -> None:
        names = self.task.names
        labels, dimensions = (names, ()) if self.task.kind == "categories" else ((), names)
        schema.check_names(labels, dimensions, self.model.modalities)
        check_fit(self.model, self.load_extractors(), self.standardisation)

    @property
    def task(self) -> Task:
        """What it answers."""
        return self.model.task

    def load_extractors(self) -> dict[str, Extractor]:
        """Create the extractor of each modality.

        Raises:
            ModelFileError: one is not installed, or of another version.
        """
        return {modality: load_extractor(spec) for modality, spec in self.extractors.items()}

    def prepare(
        self, signals: Signals | Mapping[str, Tensor], offset: PersonOffset | None = None
    ) -> Signals:
        """Return signals as the model wants them: offset taken off, standardised.

        Args:
            signals: as `mien.extract` gives them with this model's extractors.
            offset: of the person; where None, each item of the batch is taken for all that is known
                of its person. Not looked at unless the model takes offsets off.
        """
        known = self._known(signals)
        if self.offset == "person":
            known = offset.apply_to(known) if offset is not None else _by_item(known)
        return self.standardisation.apply_to(known)

    def prepare_examples(self, examples: Iterable[Example]) -> list[Example]:
        """Return examples as the model wants them, each person's offset over all of theirs."""
        known = [replace(e, signals=self._known(e.signals)) for e in examples]
        if self.offset == "person":
            known = remove_person_offsets(known)
        return self.standardisation.apply(known)

    @torch.inference_mode()
    def predict(
        self, signals: Signals | Mapping[str, Tensor], offset: PersonOffset | None = None
    ) -> Prediction:
        """Answer from whatever is observed.

        Args:
            signals: see `prepare`.
            offset: see `prepare`.

        Returns:
            Scores ``(batch, names)`` per clip, ``(batch, time, names)`` per frame: calibrated
            logits of categories (`Prediction.probabilities`), values of dimensions.

        Raises:
            NothingPresent: an item has no observed modality that the model knows.
            OptionError: a modality has another number of features than the model was made for.
        """
        return self.calibrate(self._answer(self.prepare(signals, offset)))

    def calibrate(self, prediction: Prediction) -> Prediction:
        """Divide logits of categories by the temperature."""
        if self.task.kind != "categories" or self.temperature == 1.0:
            return prediction
        cooled = {name: s / self.temperature for name, s in prediction.by_modality.items()}
        scores = prediction.scores / self.temperature
        return replace(prediction, scores=scores, by_modality=cooled)

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Write the file, whole or not at all.

        Args:
            path: where to; an existing file is replaced.
            half: round weights to half precision, for a file of half the size.

        Raises:
            OutputError: it could not be written, or a weight is not finite.
        """
        header = Header(
            architecture=self.architecture,
            plugin=MODELS.origin(self.architecture),
            options=dict(self.options),
            modalities=dict(self.model.modalities),
            task=dict(self.task.as_dict()),
            extractors={name: dict(spec) for name, spec in self.extractors.items()},
            offset=self.offset,
            temperature=self.temperature,
            window=self.window,
            frame_window=self.frame_window,
            card=self.card,
        )
        used = _select(self.standardisation, self.model.modalities)
        write_model_file(Path(path), header, self.model, used, half=half)

    def _answer(self, prepared: Signals) -> Prediction:
        try:
            prediction = self._run(prepared)
        except MienError:
            raise
        except Exception as error:
            if not (origin := MODELS.origin(self.architecture)):
                raise
            raise blame_plugin(error, f"the model {self.architecture}", origin) from error
        axes = 2 if self.task.per == "clip" else 3
        if prediction.scores.ndim != axes or prediction.scores.shape[-1] != len(self.task.names):
            raise PluginError(
                f"the model {self.architecture} gave scores of shape "
                f"{tuple(prediction.scores.shape)} for {len(self.task.names)} names per "
                f"{self.task.per}",
                path=MODELS.origin(self.architecture) or None,
                advice="mend it",
            )
        return prediction

    def _run(self, prepared: Signals) -> Prediction:
        window = self.frame_window
        known = list(prepared.values())
        if self.task.per == "clip" or not known:
            return self.model(prepared)
        if window is None and grid_of(known)[1] <= MOST_FRAMES:
            return self.model(prepared)
        window = window or MOST_FRAMES
        return predict_in_windows(self.model, prepared, window, window // 2)

    def _known(self, signals: Signals | Mapping[str, Tensor]) -> Signals:
        """Only the modalities that the model can use, with hops."""
        if not isinstance(signals, Mapping):
            return as_signals(signals)
        known = {name: s for name, s in signals.items() if name in self.model.modalities}
        if signals and not known:
            raise NothingPresent(
                f"{self.name} cannot use {', '.join(signals)}",
                advice=nearest(next(iter(signals)), self.model.modalities),
            )
        if isinstance(signals, Signals):
            found = Signals({name: signals[name] for name in known})
        else:
            hops = {n: float(spec["hop"]) for n, spec in self.extractors.items()}
            found = as_signals(known, hop=hops)
        self._check_shapes(found)
        return found

    def _check_shapes(self, signals: Signals) -> None:
        for name, sequence in signals.items():
            shape, wanted = tuple(sequence.values.shape[2:]), tuple(self.extractors[name]["shape"])
            if shape != wanted:
                raise OptionError(
                    f"{name} has steps of shape {shape}, {self.name} takes {wanted}",
                    advice="extract it with mien.extract and this model's extractors",
                )


def list_trained() -> tuple[str, ...]:
    """Return the names of the trained models that come with mien; a damaged file still has one."""
    return tuple(name for name, file in weights.trained().items() if _holds_model(file.path))


def _holds_model(path: Path) -> bool:
    try:
        return is_trained_model(path)
    except ModelFileError:
        return True


def load_model(name_or_path: str | Path) -> TrainedModel:
    """Load a trained model.

    Args:
        name_or_path: one of `list_trained`, or the path of a file that `TrainedModel.save` wrote.

    Raises:
        OptionError: no trained model has that name.
        InputError: there is no such file.
        ModelFileError: the file is no trained model, is damaged or cut short, was written by a
            newer mien, or needs a plugin or an extractor that is not here.
        WeightError: a shipped file is not what it should be.
    """
    path = find_model(name_or_path)
    header = read_header(path)
    model, standardisation = read_model(path, header)
    try:
        loaded = TrainedModel(
            header.architecture,
            model,
            header.extractors,
            header.options,
            standardisation,
            header.offset,
            header.temperature,
            header.window,
            header.frame_window,
            header.card,
            path.stem,
        )
        _try_out(loaded)
    except MienError as error:
        advice = error.advice or "train it again"
        raise ModelFileError(error.problem, path=path, advice=advice) from error
    return loaded


def read_card(name_or_path: str | Path) -> dict[str, Any]:
    """Return what the header of a trained model says, without loading it.

    Raises:
        OptionError: no trained model has that name.
        InputError: there is no such file.
        ModelFileError: the file is no trained model that this mien can read.
    """
    return read_header(find_model(name_or_path)).model_dump(mode="json")


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a trained model by name or path; a shipped one is verified by its hash.

    Args:
        name_or_path: one of `list_trained`, a file, or the folder of a finished run.

    Raises:
        OptionError: no trained model has that name.
        InputError: there is no such file.
    """
    text = str(name_or_path)
    shipped = weights.trained().get(text) if isinstance(name_or_path, str) else None
    if shipped is not None and _holds_model(shipped.path):
        return weights.locate(text)
    path = Path(name_or_path)
    for file in (path, path / RUN_MODEL):
        if file.is_file():
            return file
    if isinstance(name_or_path, Path) or path.suffix or len(path.parts) > 1:
        problem = "is a folder" if path.is_dir() else "is not there"
        raise InputError(problem, path=path, advice="give the file that `mien train … --out` wrote")
    raise OptionError(f"no trained model is called {text!r}", advice=nearest(text, list_trained()))


def _select(standardisation: Standardisation, names: Iterable[str]) -> Standardisation:
    """Only some modalities."""
    mean, deviation, basis = (
        {name: by[name] for name in names if name in by}
        for by in (standardisation.mean, standardisation.deviation, standardisation.basis)
    )
    return Standardisation(mean, deviation, basis)


@torch.inference_mode()
def _try_out(trained: TrainedModel) -> None:
    """Let a model answer two steps of zeros, so that what does not fit shows before any recording.

    Raises:
        ModelFileError: it does not answer.
    """
    signals = Signals(
        {
            name: Sequence(
                torch.zeros(1, 2, *extractor.shape), torch.ones(1, 2).bool(), extractor.hop
            )
            for name, extractor in trained.load_extractors().items()
        }
    )
    try:
        trained.predict(signals)
    except Exception as error:  # a damaged file may break a model anywhere
        problem = error.problem if isinstance(error, MienError) else repr(error)
        raise ModelFileError(
            f"holds a model that does not take what its extractors give: {problem}",
            advice="train it again",
        ) from error


def _by_item(signals: Signals) -> Signals:
    """Each item of a batch, centred and scaled by itself."""
    parts = []
    for row in range(signals.batch):
        one = signals.select(torch.tensor([row]))
        offset = PersonOffset()
        offset.add(one)
        parts.append(offset.apply_to(one))
    return Signals(
        {
            name: replace(s, values=torch.cat([part[name].values for part in parts]))
            for name, s in signals.items()
        }
    )
