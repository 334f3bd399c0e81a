"""What an experiment's YAML says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mien.datasets import AnyDataSet
from mien.errors import MienError
from mien.evaluation.measures import METRICS
from mien.evaluation.postprocess import STEPS, PostProcessingStep
from mien.evaluation.protocols import AnyProtocol
from mien.missing import create_operation
from mien.models import list_models
from mien.training import Settings, Training


def _metric(name: str) -> str:
    try:
        METRICS[name]
    except MienError as error:
        raise ValueError(str(error)) from error
    return name


Metric = Annotated[str, AfterValidator(_metric)]
Options = Mapping[str, Any]
Seeds = Annotated[tuple[int, ...], Field(min_length=1)]


class Named(Settings):
    """Something by its name, with its own options."""

    name: str
    options: Options = Field(default_factory=dict)


class ModelEntry(Settings):
    """One row of the table.

    Attributes:
        label: what the table calls it; by default the model's name.
        model: one of `mien.models.list_models`.
        options: the model's own.
        modalities: those that it is built for, None for all of the data.
        sizes: features of a modality behind a backbone, where they are not those of the data.
        window: steps of a long session that it is shown at once when it is measured, None for all.
        training: what differs from the experiment's `training`.
        data: what differs from the experiment's `data`.
        treatments: labels of those that it is trained with, None for all.
    """

    model: str
    label: str = ""
    options: Options = Field(default_factory=dict)
    modalities: tuple[str, ...] | None = None
    sizes: Mapping[str, int] = Field(default_factory=dict)
    window: Annotated[int, Field(ge=2)] | None = None
    training: Options = Field(default_factory=dict)
    data: Options = Field(default_factory=dict)
    treatments: tuple[str, ...] | None = None

    @property
    def called(self) -> str:
        """What the table calls it."""
        return self.label or self.model

    @model_validator(mode="after")
    def _known(self) -> ModelEntry:
        if self.model not in list_models():
            raise ValueError(f"no model is called {self.model}; choose from {list_models()}")
        return self

    def quickly(self, quick: Quick, epochs: int) -> ModelEntry:
        """The same entry, smaller."""
        training = {**self.training}
        if "epochs" in training:
            training["epochs"] = min(int(training["epochs"]), epochs)
        options = {**self.options, **quick.options.get(self.model, {})}
        return self.model_copy(update={"training": training, "options": options})


class Hiding(Settings):
    """MMTE's optimised training: hide what another treatment's model turned out to need.

    Attributes:
        after: label of the treatment whose model is asked.
        each: probability, per batch, that an important modality is hidden, by how many there are.
        above: rise of the development loss from which on a modality is important.
    """

    after: str
    each: Mapping[int, float] = Field(default_factory=lambda: {1: 0.25, 2: 0.333})
    above: Annotated[float, Field(ge=0)] = 0.02


class Treatment(Settings):
    """One way to train.

    Attributes:
        label: what the table calls it.
        operation: what is done to each batch; see `mien.missing.OPERATIONS`.
        hide_important: instead of an operation.
        unpaired: shares of the training clips that keep ``both``, ``audio`` or ``video``.
        extra: names of further data of the data set to learn from, as single voices.
    """

    label: str
    operation: Named | None = None
    hide_important: Hiding | None = None
    unpaired: Mapping[str, float] = Field(default_factory=dict)
    extra: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Treatment:
        if self.operation is None:
            return self
        try:
            create_operation(self.operation.name, **self.operation.options)
        except MienError as error:
            raise ValueError(str(error)) from error
        return self


class PostProcessing(Settings):
    """RECOLA's chain on predictions per frame; its parameters come from the training part.

    Attributes:
        steps: those that may be used; see `mien.evaluation.postprocess`.
    """

    steps: tuple[PostProcessingStep, ...] = STEPS


class Reported(Settings):
    """A number of the paper.

    Attributes:
        value: as printed.
        model: label of the model.
        treatment: label of the treatment, None if the paper has but one.
        protocol: of the condition, None where only one has it.
        condition: as the protocol calls it.
        level: likewise.
        metric: of it.
    """

    value: float
    model: str
    metric: str
    treatment: str | None = None
    protocol: str | None = None
    condition: str = ""
    level: float | None = None


class Quick(Settings):
    """What `--quick` makes smaller.

    Attributes:
        seeds: instead of the experiment's.
        folds: how many.
        epochs: at most.
        models: labels of those that remain, None for all.
        options: by name of a model, options that take the place of those of its entries.
    """

    seeds: Seeds = (0,)
    folds: int = 1
    epochs: int = 3
    models: tuple[str, ...] | None = None
    options: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)


class Comparison(Settings):
    """A question to the results: who is better than whom; t-tests over paired runs, Holm adjusted.

    Attributes:
        by: whether models are compared within each treatment, treatments within each model, or
            conditions of the protocol within both.
        against: label, or condition, that all others are compared with.
        metric: by which.
        protocol: whose condition it is.
        condition: as the protocol calls it; not looked at where conditions are compared.
        level: of the condition, where it has levels.
        alternative: ``greater`` asks whether the others are above.
    """

    by: Literal["model", "treatment", "condition"]
    against: str
    metric: str
    protocol: str = "modalities"
    condition: str = "everything"
    level: float | None = None
    alternative: Literal["two-sided", "greater", "less"] = "two-sided"


class Experiment(Settings):
    """One table or figure.

    Attributes:
        name: of the file.
        title: a line for the head of the table.
        paper: which table or figure of which paper, or "none".
        data: see `mien.datasets`.
        models: the rows.
        treatments: ways to train.
        training: see `mien.training.Training`.
        protocols: what is withheld when it is measured; see `mien.evaluation.protocols`.
        metrics: what is measured.
        seeds: of weights, order, noise.
        post_processing: of the predictions, None for none.
        reported: the paper's numbers.
        comparisons: see `Comparison`.
        figures: drawn beside those that protocols with levels always get: the ``confusion`` of each
            model's answers, or the ``traces`` of sessions.
        traced: clips of which traces are drawn; the first of the first fold where empty.
        shown: labels of the models in curves, eight at most; the first eight where empty.
        note: what a reader of the table has to know, sentences.
        quick: see `Quick`.
    """

    name: str
    title: str
    paper: str
    data: AnyDataSet
    training: Training = Training()  # before the models, which are checked against it
    models: Annotated[tuple[ModelEntry, ...], Field(min_length=1)]
    treatments: Annotated[tuple[Treatment, ...], Field(min_length=1)] = (Treatment(label="none"),)
    protocols: Annotated[tuple[AnyProtocol, ...], Field(min_length=1)]
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)]
    seeds: Seeds = (0, 1, 2)
    post_processing: PostProcessing | None = None
    reported: tuple[Reported, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    figures: tuple[Literal["confusion", "traces"], ...] = ()
    traced: tuple[str, ...] = ()
    shown: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    note: str = ""
    quick: Quick = Quick()

    @field_validator("training")
    @classmethod
    def _selectable(cls, training: Training) -> Training:
        _metric(training.select)
        return training

    @field_validator("models")
    @classmethod
    def _trainable(
        cls, models: tuple[ModelEntry, ...], info: ValidationInfo
    ) -> tuple[ModelEntry, ...]:
        _unique("model", [entry.called for entry in models])
        for entry in models if "training" in info.data else ():
            try:
                Training.model_validate(_merged(info.data["training"], entry.training))
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                raise ValueError(f"{entry.called}: training.{place}: {first['msg']}") from error
        return models

    @field_validator("treatments")
    @classmethod
    def _treatable(cls, treatments: tuple[Treatment, ...]) -> tuple[Treatment, ...]:
        labels = [treatment.label for treatment in treatments]
        _unique("treatment", labels)
        for treatment in treatments:
            after = treatment.hide_important and treatment.hide_important.after
            _among("treatment", (after,) if after else (), labels)
        return treatments

    @field_validator("protocols")
    @classmethod
    def _tellable(cls, protocols: tuple[AnyProtocol, ...]) -> tuple[AnyProtocol, ...]:
        _unique("protocol", [protocol.name for protocol in protocols])
        return protocols

    @field_validator("traced")
    @classmethod
    def _drawn(cls, traced: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if traced and "traces" not in info.data.get("figures", ()):
            raise ValueError("clips are traced, but figures do not name traces")
        return traced

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        labels = [entry.called for entry in self.models]
        treatments = [treatment.label for treatment in self.treatments]
        protocols = [protocol.name for protocol in self.protocols]
        for entry in self.models:
            _among("treatment", entry.treatments or (), treatments)
        for number in self.reported:
            _among("model", (number.model,), labels)
            _among("treatment", (number.treatment,) if number.treatment else (), treatments)
        for comparison in self.comparisons:
            if comparison.by != "condition":
                known = labels if comparison.by == "model" else treatments
                _among(comparison.by, (comparison.against,), known)
            _among("protocol", (comparison.protocol,), protocols)
            _among("metric", (comparison.metric.partition("/")[0],), list(self.metrics))
        _among("model", (*(self.quick.models or ()), *self.shown), labels)
        return self

    def training_of(self, entry: ModelEntry) -> Training:
        """The training settings of one model."""
        return Training.model_validate(_merged(self.training, entry.training))

    def quickly(self) -> Experiment:
        """The same, small enough to be tried out."""
        quick, kept = self.quick, self.quick.models
        epochs = min(self.training.epochs, quick.epochs)
        models = [m.quickly(quick, epochs) for m in self.models if kept is None or m.called in kept]
        labels = {model.called for model in models}
        return self.model_copy(
            update={
                "models": tuple(models),
                "seeds": quick.seeds,
                "data": self.data.model_copy(update={"folds": quick.folds}),
                "training": self.training.model_copy(update={"epochs": epochs}),
                "reported": tuple(r for r in self.reported if r.model in labels),
                "comparisons": tuple(
                    c for c in self.comparisons if c.by != "model" or c.against in labels
                ),
            }
        )


def _merged(training: Training, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some of them changed, one level deep."""
    out = training.model_dump()
    for key, value in changes.items():
        inner = out.get(key)
        out[key] = (
            {**inner, **value} if isinstance(inner, dict) and isinstance(value, Mapping) else value
        )
    return out


def _unique(what: str, labels: Sequence[str]) -> None:
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"two entries have the {what} label {twice[0]}")


def _among(what: str, labels: Iterable[str], known: Sequence[str]) -> None:
    for label in labels:
        if label not in known:
            raise ValueError(f"no {what} is labelled {label}; choose from {list(known)}")
