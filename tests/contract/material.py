"""What the promises are checked with: tasks, small random signals, and ways to change them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mien.errors import OptionError
from mien.models import Model, Task, create_model
from mien.signals import Sequence, Signals

TASKS = {
    "categories, clip": Task.emotions(("neutral", "happiness", "sadness", "anger")),
    "categories, frame": Task.emotions(("neutral", "happiness", "sadness", "anger"), "frame"),
    "dimensions, clip": Task("dimensions", ("arousal", "valence")),
    "dimensions, frame": Task("dimensions", ("arousal", "valence"), "frame"),
}
POISONS = (float("nan"), float("inf"), -float("inf"), 1e30)
PADDING = 4  # steps added behind the signals


@dataclass(frozen=True)
class Modality:
    """How one modality of the test signals looks.

    Attributes:
        shape: its feature axes.
        steps: time steps of the whole sequence.
        hop: seconds between them.
        size: what the model is told of its feature size; by default the last axis.
    """

    shape: tuple[int, ...]
    steps: int
    hop: float
    size: int | None = None

    def told(self) -> int:
        return self.size or self.shape[-1]


@dataclass(frozen=True)
class Subject:
    """A model by name, its options, what it is given and how far two results may be apart."""

    name: str
    modalities: Mapping[str, Modality]
    options: Mapping[str, object] = field(default_factory=dict)
    tolerance: float = 1e-5

    def create(self, task: Task, seed: int = 0) -> Model:
        torch.manual_seed(seed)
        sizes = {name: modality.told() for name, modality in self.modalities.items()}
        return create_model(self.name, task=task, modalities=sizes, **self.options).eval()

    def signals(self, batch: int = 4, seed: int = 1) -> Signals:
        """Everything present, lengths from whole to one quarter, a hole inside the second item."""
        generator = torch.Generator().manual_seed(seed)
        sequences = {}
        for name, modality in self.modalities.items():
            steps = modality.steps
            values = torch.randn(batch, steps, *modality.shape, generator=generator)
            valid = torch.ones(batch, steps, dtype=torch.bool)
            for item in range(batch):
                valid[item, steps - (item * steps) // batch :] = False
            valid[1:2, steps // 4 : steps // 4 + max(1, steps // 8)] = False
            sequences[name] = Sequence(values, valid, modality.hop)
        return Signals(sequences)


def accepts(subject: Subject, task: Task) -> bool:
    """False where creating the model says that its mathematics forbids the task."""
    try:
        subject.create(task)
    except OptionError as error:
        if len(error.problem) < 10:
            raise AssertionError(f"the refusal should say why: {error}") from error
        return False
    return True


def scores(model: Model, signals: Signals) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(signals).scores
    return found


def only(signals: Signals, names: tuple[str, ...]) -> Signals:
    return Signals({name: signals[name] for name in names})


def hidden(signals: Signals, names: tuple[str, ...], items: slice = slice(None)) -> Signals:
    """The same signals, nothing of these modalities observed for these items."""
    sequences = dict(signals)
    for name in names:
        valid = sequences[name].valid.clone()
        valid[items] = False
        sequences[name] = replace(sequences[name], valid=valid)
    return Signals(sequences)


def poisoned(signals: Signals, poison: float) -> Signals:
    """Another value wherever nothing was observed."""
    sequences = {}
    for name, sequence in signals.items():
        valid = sequence.valid.view(*sequence.valid.shape, *[1] * (sequence.values.ndim - 2))
        values = torch.where(valid, sequence.values, torch.tensor(poison))
        sequences[name] = replace(sequence, values=values)
    return Signals(sequences)


def padded(signals: Signals, poison: float = 3.0) -> Signals:
    """Steps behind the end where nothing is observed; equally long in seconds for all."""
    longest = max(sequence.hop for sequence in signals.values())
    sequences = {}
    for name, sequence in signals.items():
        steps = round(PADDING * longest / sequence.hop)
        tail = torch.full_like(sequence.values[:, :1], poison).repeat_interleave(steps, dim=1)
        unseen = torch.zeros(len(tail), steps, dtype=torch.bool)
        sequences[name] = Sequence(
            torch.cat([sequence.values, tail], dim=1),
            torch.cat([sequence.valid, unseen], dim=1),
            sequence.hop,
        )
    return Signals(sequences)


def item(signals: Signals, index: int) -> Signals:
    part = slice(index, index + 1)
    return Signals(
        {n: replace(s, values=s.values[part], valid=s.valid[part]) for n, s in signals.items()}
    )


def mixed(signals: Signals) -> Signals:
    """Item 0 complete; each following item lacks one more modality in turn; holes stay."""
    names = list(signals)
    for index in range(1, signals.batch):
        if len(names) > 1:
            lost = (names[index % len(names)],)
            signals = hidden(signals, lost, slice(index, index + 1))
    return signals


def subsets(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for bits in range(1, 2 ** len(names)):
        yield tuple(name for place, name in enumerate(names) if bits >> place & 1)


def shortened(signals: Signals, names: tuple[str, ...], steps: int) -> Signals:
    """The same signals, these modalities ending after so many steps."""
    sequences = dict(signals)
    for name in names:
        whole = signals[name]
        sequences[name] = Sequence(whole.values[:, :steps], whole.valid[:, :steps], whole.hop)
    return Signals(sequences)


def uneven(signals: Signals) -> Iterator[tuple[str, Signals]]:
    """The same signals with one modality in turn much shorter than the others."""
    for name in signals if len(signals) > 1 else ():
        yield f"{name} ends early", shortened(signals, (name,), 3)


def hop_of(signals: Signals) -> float:
    return min(sequence.hop for sequence in signals.values())


def steps_of(signals: Signals) -> int:
    """Steps of the finest hop that the longest modality lasts, the last one by half at least."""
    hop = hop_of(signals)
    seconds = [sequence.valid.shape[1] * sequence.hop for sequence in signals.values()]
    return max(1, math.ceil(max(seconds) / hop - 0.5 - 1e-6))


def observed(signals: Signals) -> Tensor:
    """``(batch, time)``: at which steps of the batch's grid anything was observed."""
    steps, hop = torch.arange(steps_of(signals)), hop_of(signals)
    found = torch.zeros(signals.batch, len(steps), dtype=torch.bool)
    for sequence in signals.values():
        places = ((steps + 0.5) * (hop / sequence.hop) + 1e-6).long()
        inside = places < sequence.valid.shape[1]
        found |= sequence.valid[:, places.clamp(max=sequence.valid.shape[1] - 1)] & inside
    return found


def assert_equal(subject: Subject, mine: Tensor, expected: Tensor, why: str) -> None:
    assert bool(expected.isfinite().all()), f"{why}: not finite"
    limit = subject.tolerance * max(1.0, float(expected.abs().max()))
    difference = float((mine - expected).abs().max())
    assert difference <= limit, f"{why}: scores differ by {difference:.2e}, allowed {limit:.2e}"


def assert_equal_where_observed(
    subject: Subject, task: Task, mine: Tensor, expected: Tensor, signals: Signals, why: str
) -> None:
    """Per frame only steps at which something was observed are compared."""
    if task.per == "frame":
        seen = observed(signals)
        mine, expected = mine[:, : seen.shape[1]][seen], expected[:, : seen.shape[1]][seen]
    assert_equal(subject, mine, expected, why)


def target_of(task: Task, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    if task.kind == "dimensions":
        return torch.rand(like.shape, generator=generator) * 2 - 1
    return torch.randint(0, len(task.names), like.shape[:-1], generator=generator)


def gradients(model: Model, task: Task, signals: Signals) -> dict[str, Tensor | None]:
    model.zero_grad()
    torch.manual_seed(3)  # the same dropout each time
    prediction = model(signals)
    loss = model.loss(prediction, target_of(task, prediction.scores))
    assert loss.ndim == 0, f"the loss has shape {tuple(loss.shape)}"
    assert bool(loss.isfinite()), "the loss is not finite"
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
