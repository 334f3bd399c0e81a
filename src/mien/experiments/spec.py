"""What an experiment's YAML says of its models, treatments, comparisons and numbers of papers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from mien.errors import MienError
from mien.evaluation.measures import METRICS
from mien.evaluation.postprocess import STEPS, PostProcessingStep
from mien.missing import Operation, create_operation
from mien.models import MODELS, check_model_options
from mien.settings import Settings

Options = Mapping[str, Any]
Seeds = Annotated[tuple[int, ...], Field(min_length=1)]
Place = tuple[int | str, ...]


def check_metric(name: str) -> str:
    """Return the name of a metric, as a validator.

    Raises:
        ValueError: there is no such metric; the message names the nearest.
    """
    _explain(lambda: METRICS[name])
    return name


MetricName = Annotated[str, AfterValidator(check_metric)]


class OperationChoice(Settings):
    """An operation of `mien.missing.OPERATIONS` by name, with its own options.

    Attributes:
        name: of the operation.
        options: its own.
    """

    name: str
    options: Options = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _take_a_name(cls, given: object) -> object:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _check(self) -> OperationChoice:
        _explain(self.create)
        return self

    def create(self) -> Operation:
        """Create the operation."""
        return create_operation(self.name, **self.options)


class ModelSpec(Settings):
    """One row of the table; a plain name stands for the model of that name.

    Attributes:
        model: one of `mien.models.list_models`.
        label: what the table calls it; by default the model's name.
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

    @model_validator(mode="before")
    @classmethod
    def _take_a_name(cls, given: object) -> object:
        return {"model": given} if isinstance(given, str) else given

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str) -> str:
        _explain(lambda: MODELS[model])
        return model

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: Options, info: ValidationInfo) -> Options:
        if "model" in info.data:
            check_options_of(info.data["model"], options)
        return options

    @property
    def name(self) -> str:
        """What the table calls it."""
        return self.label or self.model

    def shrink(self, quick: Quick, epochs: int) -> ModelSpec:
        """Return the same model, smaller."""
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
    """One way to train; a plain name stands for the operation of that name.

    Attributes:
        label: what the table calls it.
        operation: what is done to each batch; see `mien.missing.OPERATIONS`.
        hide_important: instead of an operation.
        unpaired: proportions of the training clips that keep ``both``, ``audio`` or ``video``.
        extra: names of further data of the data set to learn from, as single voices.
    """

    label: str
    operation: OperationChoice | None = None
    hide_important: Hiding | None = None
    unpaired: Mapping[str, float] = Field(default_factory=dict)
    extra: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _take_a_name(cls, given: object) -> object:
        return {"label": given, "operation": given} if isinstance(given, str) else given


class PostProcessingSettings(Settings):
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


class CardText(Settings):
    """What only the maker of a trained model can say of it; see `mien.card.Card`.

    Attributes:
        description: a sentence or two; by default title, model and labels.
        labels_source: where the labels come from.
        dimensions_source: what a timeline says of its dimensions.
        licence: of the weights.
    """

    description: str = ""
    labels_source: str = ""
    dimensions_source: str = ""
    licence: str = "unknown"


class Quick(Settings):
    """What `--quick` makes smaller.

    Attributes:
        seeds: instead of the experiment's.
        folds: how many.
        epochs: at most.
        models: labels of those that remain, None for all.
        options: by name of a model, options that take the place of those of its rows.
    """

    seeds: Seeds = (0,)
    folds: int = 1
    epochs: int = 3
    models: tuple[str, ...] | None = None
    options: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: Mapping[str, Options]) -> Mapping[str, Options]:
        for model, own in options.items():
            try:
                check_options_of(model, own)
            except ValidationError as error:
                raise move_errors(error, (model,)) from error
        return options


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


def check_options_of(model: str, options: Options) -> None:
    """Check the options of a model where they are written.

    Raises:
        ValidationError: there is no such model, option or value; at the place of the option.
    """
    try:
        check_model_options(model, options)
    except MienError as error:
        place = next(((name,) for name in options if repr(name) in error.problem), ())
        raise error_at(place, str(error)) from error


def error_at(place: Place, message: str) -> ValidationError:
    """Make an error that has a place below that of the field which is being checked."""
    problem = InitErrorDetails(
        type=PydanticCustomError("setting", "{message}", {"message": message}),
        loc=place,
        input=None,
    )
    return ValidationError.from_exception_data("settings", [problem])


def move_errors(error: ValidationError, place: Place) -> ValidationError:
    """Put a place in front of those of all problems of an error."""
    problems = [
        InitErrorDetails(
            type=PydanticCustomError("setting", "{message}", {"message": problem["msg"]}),
            loc=(*place, *problem["loc"]),
            input=problem["input"],
        )
        for problem in error.errors()
    ]
    return ValidationError.from_exception_data(error.title, problems)


def check_unique(what: str, labels: Iterable[str]) -> None:
    """Check that no label comes twice.

    Raises:
        ValueError: one does.
    """
    seen = set()
    for label in labels:
        if label in seen:
            raise ValueError(f"two entries have the {what} label {label}")
        seen.add(label)


def check_among(what: str, labels: Iterable[str], known: Iterable[str]) -> None:
    """Check that labels are known.

    Raises:
        ValueError: one is not.
    """
    known = list(known)
    for label in labels:
        if label not in known:
            raise ValueError(f"no {what} is labelled {label}; choose from {known}")


def _explain(check: Callable[[], object]) -> None:
    """Turn an error of mien into one that pydantic gives a place."""
    try:
        check()
    except MienError as error:
        raise ValueError(str(error)) from error
