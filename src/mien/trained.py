"""A trained model: one file that holds everything an answer depends on.

A `.safetensors` file whose header carries, under the key ``mien``, one JSON object (`_Header`):
architecture and options, task, the extractor of each modality with settings and version, what is
done with a person's offset, calibration, and a card. Its tensors are the weights (``model.…``) and
the standardisation (``standard.…``). Nothing in it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save
from torch import Tensor

from mien import weights
from mien.card import Card
from mien.datasets import Example
from mien.errors import InputError, MienError, ModelFileError, OptionError
from mien.features.extractor import Extractor, load_extractor
from mien.formats.atomic import write_atomically
from mien.models import MODELS, Model, Prediction, Task, create_model, predict_in_windows
from mien.registry import nearest
from mien.signals import Signals, as_signals
from mien.training.standardisation import PersonOffset, Standardisation, remove_person_offsets
from mien.weights.archive import read_metadata, read_tensors

FORMAT = 1
MOST_FRAMES = 1500  # steps that a model per frame is shown at once where its file says no number
SUFFIX = ".safetensors"
DEFAULT_WINDOW_S = 3.0
_HEADER = "mien"
_MODEL, _STANDARD = "model.", "standard."
Offset = Literal["none", "person"]


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: int
    architecture: str
    plugin: str = ""
    options: dict[str, Any] = {}
    modalities: dict[str, Annotated[int, Field(ge=1)]]
    task: dict[str, Any]
    extractors: dict[str, dict[str, Any]]
    offset: Offset = "none"
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    window: float | None = Field(default=DEFAULT_WINDOW_S, gt=0, allow_inf_nan=False)
    frame_window: int | None = Field(default=None, ge=2)
    card: Card = Card()


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

    @property
    def task(self) -> Task:
        """What it answers."""
        return self.model.task

    def load_extractors(self) -> dict[str, Extractor]:
        """The extractor of each modality.

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
        known = self._known(as_signals(signals, hop=self._hops()))
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
            NothingPresent: an item has no observed modality.
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
            OutputError: it could not be written.
        """
        header = _Header(
            format=FORMAT,
            architecture=self.architecture,
            plugin=MODELS.origin(self.architecture),
            options=dict(self.options),
            modalities=dict(self.model.modalities),
            task=self.task.as_dict(),
            extractors={name: dict(spec) for name, spec in self.extractors.items()},
            offset=self.offset,
            temperature=self.temperature,
            window=self.window,
            frame_window=self.frame_window,
            card=self.card,
        )
        tensors = {f"{_MODEL}{n}": t for n, t in self.model.state_dict().items()}
        tensors |= {f"{_STANDARD}{n}": t for n, t in self.standardisation.packed().items()}
        kept = {n: _as_kept(t, half and n.startswith(_MODEL)) for n, t in tensors.items()}
        content = save(kept, metadata={_HEADER: header.model_dump_json()})
        write_atomically(Path(path), lambda file: file.write(content))

    def _answer(self, prepared: Signals) -> Prediction:
        if self.task.per == "clip":
            return cast(Prediction, self.model(prepared))
        window = self.frame_window
        if window is None:
            steps = max(s.valid.shape[1] for s in prepared.values()) if prepared else 0
            if steps <= MOST_FRAMES:
                return cast(Prediction, self.model(prepared))
            window = MOST_FRAMES
        return predict_in_windows(self.model, prepared, window, window // 2)

    def _known(self, signals: Signals) -> Signals:
        """Only the modalities that the model can use."""
        return Signals({name: s for name, s in signals.items() if name in self.model.modalities})

    def _hops(self) -> dict[str, float]:
        return {name: float(spec["hop"]) for name, spec in self.extractors.items()}


def list_trained() -> tuple[str, ...]:
    """Return the names of the trained models that come with mien."""
    return tuple(n for n, file in weights.trained().items() if _HEADER in read_metadata(file.path))


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
    header = _parse_header(path)
    task = Task.from_dict(header.task)
    try:
        with torch.device("cpu"):
            model = create_model(
                header.architecture, task=task, modalities=header.modalities, **header.options
            )
    except MienError as error:
        plugin = f"needs the plugin {header.plugin}: " if header.plugin else ""
        advice = f"give it with --plugin {header.plugin}" if header.plugin else "upgrade mien"
        raise ModelFileError(f"{plugin}{error.problem}", path=path, advice=advice) from error
    tensors = read_tensors(path)
    _fill(model, {n[len(_MODEL) :]: t for n, t in tensors.items() if n.startswith(_MODEL)}, path)
    standard = {n[len(_STANDARD) :]: t for n, t in tensors.items() if n.startswith(_STANDARD)}
    try:
        loaded = TrainedModel(
            header.architecture,
            model.eval(),
            header.extractors,
            header.options,
            Standardisation.unpacked(standard),
            header.offset,
            header.temperature,
            header.window,
            header.frame_window,
            header.card,
            path.stem,
        )
        loaded.load_extractors()
    except ModelFileError as error:
        raise ModelFileError(error.problem, path=path, advice=error.advice) from error
    return loaded


def read_card(name_or_path: str | Path) -> dict[str, Any]:
    """Return what the header of a trained model says, without loading it.

    Raises:
        OptionError: no trained model has that name.
        InputError: there is no such file.
        ModelFileError: the file is no trained model that this mien can read.
    """
    return _parse_header(find_model(name_or_path)).model_dump(mode="json")


def find_model(name_or_path: str | Path) -> Path:
    """Return the file of a trained model by name or path; a shipped one is verified by its hash.

    Raises:
        OptionError: no trained model has that name.
        InputError: there is no such file.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and text in list_trained():
        return weights.locate(text)
    path = Path(name_or_path)
    if path.is_file():
        return path
    if isinstance(name_or_path, Path) or path.suffix or len(path.parts) > 1:
        problem = "is a folder" if path.is_dir() else "is not there"
        raise InputError(problem, path=path, advice="give the file that `mien train … --out` wrote")
    raise OptionError(f"no trained model is called {text!r}", advice=nearest(text, list_trained()))


def _parse_header(path: Path) -> _Header:
    text = read_metadata(path).get(_HEADER)
    if text is None:
        raise ModelFileError(
            "holds no trained model of mien",
            path=path,
            advice="give a file that `mien train … --out` wrote, or a name of `mien models`",
        )
    try:
        said = json.loads(text)
        version = said["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError("has a damaged header", path=path, advice="copy it again") from error
    if version != FORMAT:
        raise ModelFileError(
            f"is of format {version}, this mien reads format {FORMAT}",
            path=path,
            advice="upgrade mien"
            if isinstance(version, int) and version > FORMAT
            else "train it again",
        )
    try:
        return _Header.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelFileError(
            f"has a header in which {place} is wrong: {first['msg']}",
            path=path,
            advice="copy it again or train it again",
        ) from error


def _fill(model: Model, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a model; every one must be there, of the right shape, and no other."""
    wanted = model.state_dict()
    missing = sorted(set(wanted) - set(tensors))
    unknown = sorted(set(tensors) - set(wanted))
    other = sorted(n for n in set(wanted) & set(tensors) if wanted[n].shape != tensors[n].shape)
    for what, names in (("lacks", missing), ("has unknown", unknown), ("has misshapen", other)):
        if names:
            some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
            raise ModelFileError(
                f"{what} weights: {some}", path=path, advice="copy it again or train it again"
            )
    model.load_state_dict({n: t.to(wanted[n].dtype) for n, t in tensors.items()})


def _as_kept(tensor: Tensor, half: bool) -> Tensor:
    kept = tensor.detach().cpu()
    return (kept.half() if half and kept.is_floating_point() else kept).contiguous()


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
