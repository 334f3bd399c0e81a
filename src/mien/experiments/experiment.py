"""An experiment: one table or figure, as its YAML says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mien.datasets import AnyDataSet, DataSet, Places
from mien.errors import OptionError
from mien.evaluation.protocols import AnyProtocol
from mien.experiments.spec import (
    CardText,
    Comparison,
    MetricName,
    ModelSpec,
    PostProcessingSettings,
    Quick,
    Reported,
    Seeds,
    Treatment,
    check_among,
    check_metric,
    check_unique,
    move_errors,
)
from mien.missing.unpaired import BOTH
from mien.registry import nearest
from mien.settings import Settings
from mien.training import Training

DEFAULT_METRICS: Mapping[str, tuple[str, ...]] = {
    "categories": ("accuracy", "uar", "f1_macro"),
    "dimensions": ("ccc", "pearson", "rmse"),
}
DEFAULT_SELECT: Mapping[str, str] = {"categories": "accuracy", "dimensions": "ccc"}
_ANY: TypeAdapter[DataSet] = TypeAdapter(AnyDataSet)


class Experiment(Settings):
    """One table or figure.

    Attributes:
        name: of the file.
        title: a line for the head of the table; by default the name.
        paper: which table or figure of which paper, or "none".
        data: one of `mien.datasets.DATASETS`.
        models: the rows.
        treatments: ways to train.
        training: see `mien.training.Training`.
        protocols: what is withheld when it is measured; see `mien.evaluation.protocols`.
        metrics: what is measured; where empty, those of `DEFAULT_METRICS` for the task.
        seeds: of weights, order, noise.
        post_processing: of the predictions, None for none.
        reported: the paper's numbers.
        comparisons: see `mien.experiments.spec.Comparison`.
        figures: drawn beside those that protocols with levels always get: the ``confusion`` of each
            model's answers, or the ``traces`` of sessions.
        traced: clips of which traces are drawn; the first of the first fold where empty.
        shown: labels of the models in curves, eight at most; the first eight where empty.
        note: what a reader of the table has to know, sentences.
        quick: see `mien.experiments.spec.Quick`.
        card: see `mien.experiments.spec.CardText`.
    """

    name: str
    title: str
    paper: str = "none"
    data: AnyDataSet  # before the models, as is the training: they are checked against both
    training: Training = Training()
    models: Annotated[tuple[ModelSpec, ...], Field(min_length=1)]
    treatments: Annotated[tuple[Treatment, ...], Field(min_length=1)] = (Treatment(label="none"),)
    protocols: Annotated[tuple[AnyProtocol, ...], Field(min_length=1)]
    metrics: tuple[MetricName, ...] = ()
    seeds: Seeds = (0, 1, 2)
    post_processing: PostProcessingSettings | None = None
    reported: tuple[Reported, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    figures: tuple[Literal["confusion", "traces"], ...] = ()
    traced: tuple[str, ...] = ()
    shown: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    note: str = ""
    quick: Quick = Quick()
    card: CardText = CardText()

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        title = str(given.get("name", "")).replace("_", " ")
        return {"title": title, "protocols": ["modalities"], **given}

    @field_validator("training")
    @classmethod
    def _check_select(cls, training: Training) -> Training:
        check_metric(training.select)
        return training

    @field_validator("models")
    @classmethod
    def _check_models(
        cls, models: tuple[ModelSpec, ...], info: ValidationInfo
    ) -> tuple[ModelSpec, ...]:
        check_unique("model", [model.name for model in models])
        for number, model in enumerate(models):
            for key, change in (("training", change_training), ("data", change_data)):
                if key not in info.data or not getattr(model, key):
                    continue
                try:
                    change(info.data[key], getattr(model, key))
                except ValidationError as error:
                    raise move_errors(error, (number, key)) from error
        return models

    @field_validator("treatments")
    @classmethod
    def _check_treatments(cls, treatments: tuple[Treatment, ...]) -> tuple[Treatment, ...]:
        labels = [treatment.label for treatment in treatments]
        check_unique("treatment", labels)
        for treatment in treatments:
            after = treatment.hide_important and treatment.hide_important.after
            check_among("treatment", (after,) if after else (), labels)
        return treatments

    @field_validator("protocols")
    @classmethod
    def _check_protocols(cls, protocols: tuple[AnyProtocol, ...]) -> tuple[AnyProtocol, ...]:
        check_unique("protocol", [protocol.name for protocol in protocols])
        return protocols

    @field_validator("traced")
    @classmethod
    def _check_traced(cls, traced: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if traced and "traces" not in info.data.get("figures", ()):
            raise ValueError("clips are traced, but figures do not name traces")
        return traced

    @model_validator(mode="after")
    def _check_labels(self) -> Experiment:
        labels = [model.name for model in self.models]
        treatments = [treatment.label for treatment in self.treatments]
        protocols = [protocol.name for protocol in self.protocols]
        for model in self.models:
            check_among("treatment", model.treatments or (), treatments)
        for number in self.reported:
            check_among("model", (number.model,), labels)
            check_among("treatment", (number.treatment,) if number.treatment else (), treatments)
        for comparison in self.comparisons:
            if comparison.by != "condition":
                known = labels if comparison.by == "model" else treatments
                check_among(comparison.by, (comparison.against,), known)
            check_among("protocol", (comparison.protocol,), protocols)
            if self.metrics:
                check_among("metric", (comparison.metric.partition("/")[0],), self.metrics)
        check_among("model", (*(self.quick.models or ()), *self.shown), labels)
        return self

    def training_of(self, model: ModelSpec) -> Training:
        """Return the training settings of one model."""
        return change_training(self.training, model.training)

    def data_of(self, model: ModelSpec) -> DataSet:
        """Return the data set of one model, unresolved."""
        return change_data(self.data, model.data) if model.data else self.data

    def list_data(self) -> list[DataSet]:
        """List the data sets of all models, unresolved, each once."""
        return list(dict.fromkeys(self.data_of(model) for model in self.models))

    def resolve(self, places: Places) -> Experiment:
        """Return the same with the metrics filled in that go with the task of the data.

        Args:
            places: where data is.

        Raises:
            MienError: the data is not as it should be.
        """
        data = self.data.resolve(places)
        self._check_modalities(data)
        kind = data.task().kind
        training = self.training
        if "select" not in training.model_fields_set:
            training = training.model_copy(update={"select": DEFAULT_SELECT[kind]})
        metrics = self.metrics or DEFAULT_METRICS[kind]
        return self.model_copy(update={"training": training, "metrics": metrics})

    def _check_modalities(self, data: DataSet) -> None:
        """Refuse a treatment of a modality that the data has not: it would take nothing away."""
        known = data.shape().modalities
        for treatment in self.treatments:
            chosen = treatment.operation
            named = () if chosen is None else chosen.create().list_modalities()
            for name in (*named, *treatment.unpaired):
                if name not in {*known, BOTH}:
                    raise OptionError(
                        f"the treatment {treatment.label} names {name!r}, which the data has not",
                        advice=nearest(name, known),
                    )

    def shrink(self) -> Experiment:
        """Return the same, small enough to be tried out."""
        quick, chosen = self.quick, self.quick.models
        epochs = min(self.training.epochs, quick.epochs)
        models = [
            m.shrink(quick, epochs) for m in self.models if chosen is None or m.name in chosen
        ]
        labels = {model.name for model in models}
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


def change_training(training: Training, changes: Mapping[str, Any]) -> Training:
    """Return training settings with some of them changed, one level deep.

    Raises:
        ValidationError: a change makes no sense.
    """
    out = training.model_dump(exclude_unset=True)
    for key, value in changes.items():
        inner = out.get(key)
        out[key] = (
            {**inner, **value} if isinstance(inner, dict) and isinstance(value, Mapping) else value
        )
    return Training.model_validate(out)


def change_data(data: DataSet, changes: Mapping[str, Any]) -> DataSet:
    """Return a data set with some of its options changed, or another one with what both know.

    Raises:
        ValidationError: a change makes no sense.
    """
    kind, name = type(data), changes.get("name", data.name)
    if name != data.name:
        kind = type(_ANY.validate_python(name))
    options = data.model_dump(exclude_unset=True)
    known = {key: value for key, value in options.items() if key in kind.model_fields}
    return kind.model_validate({**known, **changes})
