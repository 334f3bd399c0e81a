"""Protocols: what is withheld when a model is measured, how much of it, how often.

A protocol turns a model and the examples of a test part into rows: condition, level, metric, value.
Most only name the operations of `mien.missing` that they measure under; those that look inside a
model are in `mien.evaluation.inside`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from mien.datasets import Example, Rated
from mien.errors import OptionError
from mien.evaluation.measures import measure, measure_dimensions
from mien.evaluation.predict import Answers, predict
from mien.missing import (
    Burst,
    Chain,
    KeepFirst,
    MaskFrames,
    NoiseWindows,
    Operation,
    Withhold,
)
from mien.models import Model
from mien.registry import Registry
from mien.schema import AUDIO, MODALITIES, VIDEO
from mien.settings import ByName, NamedSettings, register_settings
from mien.training import mix_seeds

EVERYTHING = "everything"
MEAN = "mean"
Levels = Annotated[tuple[float, ...], Field(min_length=1)]
Side = Literal["audio", "video", "both"]
Sides = Annotated[tuple[Side, ...], Field(min_length=1)]
_SIDES: Mapping[Side, tuple[str, ...]] = {"audio": (AUDIO,), "video": (VIDEO,), "both": MODALITIES}
NO_LEVEL = float("nan")
_WHOLE_CLIP_S = 1e6  # one window that is longer than anything


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
        protocol: its name.
        condition: what was there or what was done.
        level: how much of it, where that is a number; NaN where not.
        metric: what was measured; ``ccc/arousal`` for one of several dimensions.
        value: the number.
    """

    protocol: str
    condition: str
    level: float
    metric: str
    value: float


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        model: in evaluation mode.
        examples: of the test part.
        metrics: names of `mien.evaluation.measures.METRICS`.
        seed: of the operations.
        variants: the same clips after their recordings were degraded, by name.
        window: steps that the model is shown at once, None for whole sessions.
        post: applied to the scores before they are measured.
        rated: how people rated the clips, by the clips' names; none where nobody did.
    """

    model: Model
    examples: Sequence[Example]
    metrics: Sequence[str]
    seed: int = 0
    variants: Mapping[str, Callable[[], Sequence[Example]]] = field(default_factory=dict)
    window: int | None = None
    post: Callable[[Answers], Answers] = lambda answers: answers
    rated: Callable[[], Mapping[str, Rated]] = dict

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the model that anybody in the examples has."""
        some = {name for example in self.examples for name in example.signals}
        return tuple(name for name in self.model.modalities if name in some)


@dataclass(frozen=True)
class Condition:
    """One thing to measure under.

    Attributes:
        name: of the condition.
        level: how much, NaN where that is no number.
        operation: what is taken away, None for nothing.
        repeats: how often, with other seeds; the mean is the value.
        examples: other ones than the subject's.
    """

    name: str
    level: float = NO_LEVEL
    operation: Operation | None = None
    repeats: int = 1
    examples: Sequence[Example] | None = None


class Protocol(NamedSettings):
    """Base of the protocols: a subclass says its conditions, or measures in a way of its own.

    Example:
        >>> @register_protocol("without_sound")
        ... class WithoutSound(Protocol):
        ...     def conditions(self, subject):
        ...         yield Condition("without sound", operation=Withhold(("audio",)))
        >>> PROTOCOLS["without_sound"]().name
        'without_sound'
    """

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List the conditions to measure under."""
        raise NotImplementedError

    def measure(self, subject: Subject) -> list[Row]:
        """Measure a subject under all conditions."""
        rows = []
        for number, condition in enumerate(self.conditions(subject)):
            rows += _measure_under(self.name, condition, subject, number)
        return rows


PROTOCOLS: Registry[type[Protocol]] = Registry(
    "protocol",
    group="mien.protocols",
    modules=("mien.evaluation.protocols", "mien.evaluation.inside", "mien.evaluation.raters"),
)
AnyProtocol = Annotated[Protocol, ByName(PROTOCOLS)]
Registered = TypeVar("Registered", bound=Protocol)


def register_protocol(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Register a protocol; decorate its class, whose fields are its options.

    Args:
        name: by which an experiment asks for it.

    Raises:
        OptionError: (the decorator) the name is taken, or the class is no `Protocol`.
    """
    return register_settings(PROTOCOLS, Protocol, name)


def _measure_under(protocol: str, condition: Condition, subject: Subject, number: int) -> list[Row]:
    sums: dict[str, list[float]] = {}
    for repeat in range(condition.repeats):
        answers = subject.post(
            predict(
                subject.model,
                subject.examples if condition.examples is None else condition.examples,
                operation=condition.operation,
                seed=mix_seeds(subject.seed, number, repeat),
                window=subject.window,
            )
        )
        for metric, value in measure_all(answers, subject).items():
            sums.setdefault(metric, []).append(value)
    return [
        Row(protocol, condition.name, condition.level, metric, sum(values) / len(values))
        for metric, values in sums.items()
    ]


def measure_all(answers: Answers, subject: Subject) -> dict[str, float]:
    """Compute all metrics of some answers; for several dimensions each and their mean.

    Examples that were left without any answer do not count; where there are such, ``answered``
    says the fraction that does.
    """
    target, task = answers.labelled, subject.model.task
    scores = answers.scores.nan_to_num()  # where the target is a missing label
    out: dict[str, float] = {}
    for metric in subject.metrics:
        if task.kind == "dimensions" and len(task.names) > 1:
            each = measure_dimensions(metric, scores, target).tolist()
            out |= {f"{metric}/{name}": value for name, value in zip(task.names, each, strict=True)}
        out[metric] = measure(metric, scores, target, kind=task.kind)
    if answers.answered < 1:
        out["answered"] = answers.answered
    return out


class _WithMean(Protocol):
    """A protocol whose conditions have a mean."""

    def measure(self, subject: Subject) -> list[Row]:
        """Return the rows of the conditions, and their mean for each metric."""
        rows = super().measure(subject)
        for metric in dict.fromkeys(row.metric for row in rows):
            values = [row.value for row in rows if row.metric == metric]
            if len(values) > 1 and metric != "answered":
                mean = sum(values) / len(values)
                rows.append(Row(self.name, MEAN, NO_LEVEL, metric, mean))
        return rows


@register_protocol("modalities")
class Modalities(_WithMean):
    """Everything, each modality alone, and the mean of these (SFAV, Table II; VAVL, Table 1)."""

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List everything, then each alone."""
        for name, alone in isolate_each(subject):
            yield Condition(name, operation=alone)


@register_protocol("without_each")
class WithoutEach(Protocol):
    """Everything, and each modality missing (MMTE, Table 2)."""

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List everything, then without each."""
        yield Condition(EVERYTHING)
        for one in subject.modalities:
            if len(subject.modalities) > 1:
                yield Condition(f"without {one}", operation=Withhold((one,)))


@register_protocol("replaced_by_noise")
class ReplacedByNoise(_WithMean):
    """Everything, and each modality beside noise in place of the others (SFAV, third setting)."""

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List everything, then each with noise beside it."""
        yield Condition(EVERYTHING)
        for one in subject.modalities:
            others = [name for name in subject.modalities if name != one]
            if others:
                noise = NoiseWindows(1, _WHOLE_CLIP_S, others)
                yield Condition(f"{one} beside noise", operation=noise)


@register_protocol("masked_frames")
class MaskedFrames(Protocol):
    """Mask a random fraction of the frames (VAVL, Figures 2 and 3).

    Attributes:
        fractions: how much.
        of: in which modality.
        repeats: draws.
    """

    fractions: Levels = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    of: Sides = ("audio", "video", "both")
    repeats: Annotated[int, Field(ge=1)] = 1

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List each fraction in each modality."""
        for side in self.of:
            for fraction in self.fractions:
                masked = MaskFrames(fraction, _SIDES[side]) if fraction else None
                yield Condition(f"{side} masked", fraction, masked, self.repeats if fraction else 1)


@register_protocol("noisy_windows")
class NoisyWindows(Protocol):
    """Windows in random places are replaced by Gaussian noise (MATER, Figures 5 to 8).

    Attributes:
        windows: up to how many; an example with fewer has noise in all of its own.
        seconds: of a window.
        of: in which modality.
        repeats: draws; the paper takes ten.
    """

    windows: Annotated[int, Field(ge=1)] = 8
    seconds: Annotated[float, Field(gt=0)] = 0.5
    of: Sides = ("audio", "video", "both")
    repeats: Annotated[int, Field(ge=1)] = 10

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List none to all of the windows, in each modality."""
        for side in self.of:
            for count in range(self.windows + 1):
                noise = NoiseWindows(count, self.seconds, _SIDES[side]) if count else None
                repeats = self.repeats if count else 1
                yield Condition(f"noise in {side}", float(count), noise, repeats)


@register_protocol("first_windows")
class FirstWindows(Protocol):
    """Only the beginning is presented, to all modalities and to each alone (MATER, Figures 9, 10).

    A clip of which nothing was observed so far has no answer yet, and does not count.

    Attributes:
        seconds: of a window.
        windows: how many there are at most.
    """

    seconds: Annotated[float, Field(gt=0)] = 0.5
    windows: Annotated[int, Field(ge=1)] = 8

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List one window to all of them, for each modality."""
        for name, alone in isolate_each(subject):
            for count in range(1, self.windows + 1):
                first = KeepFirst(count * self.seconds, sparing=False)
                yield Condition(name, float(count), chain_both(alone, first))


@register_protocol("bursts")
class Bursts(Protocol):
    """A stretch is masked, as when a face is turned away.

    Attributes:
        seconds: how long.
        of: in which modality.
        repeats: draws of the place.
    """

    seconds: Levels = (0.5, 1.0, 2.0)
    of: tuple[Literal["audio", "video"], ...] = ("audio", "video")
    repeats: Annotated[int, Field(ge=1)] = 5

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List each length in each modality."""
        for side in self.of:
            for seconds in self.seconds:
                yield Condition(f"burst in {side}", seconds, Burst(side, seconds), self.repeats)


@register_protocol("recordings")
class Recordings(Protocol):
    """The recordings themselves were degraded before anything was extracted from them.

    Attributes:
        variants: names of the data set's degraded variants, None for all.
    """

    variants: tuple[str, ...] | None = None

    def conditions(self, subject: Subject) -> Iterator[Condition]:
        """List the recordings as they are, then each variant.

        Raises:
            OptionError: the data set has no such variant.
        """
        yield Condition("as recorded")
        persons = {example.person for example in subject.examples}
        for variant in subject.variants if self.variants is None else self.variants:
            if variant not in subject.variants:
                raise OptionError(
                    f"the data has no variant {variant}",
                    advice=f"choose from {sorted(subject.variants)}",
                )
            examples = [e for e in subject.variants[variant]() if e.person in persons]
            yield Condition(variant, examples=examples)


def isolate_each(subject: Subject) -> Iterator[tuple[str, Operation | None]]:
    """Yield everything, and each modality alone."""
    yield EVERYTHING, None
    for one in subject.modalities:
        others = tuple(name for name in subject.modalities if name != one)
        if others:
            yield one, Withhold(others)


def chain_both(one: Operation | None, other: Operation) -> Operation:
    """Chain an operation to another, if there is one before."""
    return other if one is None else Chain((one, other))
