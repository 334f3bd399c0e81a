"""Time steps of different length, and sequences longer than a model was made for.

A step of a sequence stands for the span ``[index * hop, (index + 1) * hop)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from mien.errors import NothingPresent, OptionError
from mien.signals import Sequence, Signals

if TYPE_CHECKING:  # models stand on layers, not the other way round
    from mien.models._base import Prediction

CLOSE = 1e-6  # of a step: rounding of hops such as 0.1 must not move a step


@dataclass(frozen=True)
class Aligned:
    """Modalities on one grid per item.

    Attributes:
        values: by modality, ``(batch, time, features)``, zero where not valid.
        valid: by modality, ``(batch, time)`` bool.
        hop: ``(batch,)`` float64, seconds of a step of each item: the finest hop of the modalities
            that this item has. What an item lacks must not change how it is read, so it does not
            change the grid either.
        grid: seconds of a step of the whole batch, the finest of all modalities.
        steps: steps of the whole batch.
    """

    values: Mapping[str, Tensor]
    valid: Mapping[str, Tensor]
    hop: Tensor
    grid: float
    steps: int

    @property
    def signals(self) -> Signals:
        """The same as signals; the hop is one step, since items differ in theirs."""
        return Signals({n: Sequence(v, self.valid[n], 1.0) for n, v in self.values.items()})

    @property
    def observed(self) -> Tensor:
        """``(batch, time)`` bool: was anything observed at that step of the item's grid."""
        return torch.stack(list(self.valid.values())).any(dim=0)

    def spread(self, frames: Tensor) -> Tensor:
        """From the items' grids to that of the batch, each step held for as long as it lasts.

        Args:
            frames: ``(batch, time, …)`` on the items' grids.

        Returns:
            ``(batch, steps, …)``.
        """
        index = step_under(self.steps, self.grid, self.hop)
        return take(frames, index.clamp(max=frames.shape[1] - 1))


def take(values: Tensor, index: Tensor) -> Tensor:
    """``values[b, index[b, t]]``: ``(batch, time, …)`` by ``(batch, steps)`` indices."""
    return values[torch.arange(len(values), device=values.device).unsqueeze(1), index]


def step_under(steps: int, hop: Tensor | float, source: Tensor | float) -> Tensor:
    """Which step of a source spans the middle of each step of a grid.

    Args:
        steps: of the grid.
        hop: of the grid, seconds, or ``(batch,)`` of each item.
        source: hop of the source, likewise.

    Returns:
        ``(steps,)`` indices, or ``(batch, steps)`` if either hop is one for each item; beyond the
        end of the source where the grid is longer.
    """
    ratio = torch.as_tensor(hop / source, dtype=torch.float64)
    middle = torch.arange(steps, dtype=torch.float64, device=ratio.device) + 0.5
    return (middle * ratio.unsqueeze(-1) + CLOSE).floor().long()


def align(
    signals: Signals,
    modalities: Collection[str],
    *,
    between: Literal["nearest", "linear"] = "nearest",
) -> Aligned:
    """Put modalities of different hop on the finest hop that each item has.

    Args:
        signals: with any hops and lengths; all start together.
        modalities: which to take, in this order, as far as they are there.
        between: ``nearest`` holds a coarse step for its span, so that nothing of the future is
            used; ``linear`` goes from the middle of one step to that of the next where both are
            valid, and holds otherwise.

    Raises:
        NothingPresent: there is none of these modalities.
    """
    known = {name: signals[name] for name in modalities if name in signals}
    if not known:
        raise NothingPresent("none of the model's modalities is there")
    grid = min(sequence.hop for sequence in known.values())
    first = next(iter(known.values()))
    hop = torch.full((len(first.valid),), math.inf, dtype=torch.float64, device=first.valid.device)
    for sequence in known.values():
        hop = torch.where(sequence.present, hop.clamp(max=sequence.hop), hop)
    hop = torch.where(hop.isinf(), grid, hop)
    steps = max(_length(sequence, grid) for sequence in known.values())
    needed = max(int(_lengths(sequence, hop).max()) for sequence in known.values())
    values, valid = {}, {}
    for name, sequence in known.items():
        values[name], valid[name] = _resample(sequence, hop, needed, between)
    return Aligned(values, valid, hop, grid, steps)


def _length(sequence: Sequence, hop: float) -> int:
    """Steps of another hop whose middle lies within a sequence; at least one."""
    return max(1, math.ceil(sequence.valid.shape[1] * sequence.hop / hop - 0.5 - CLOSE))


def _lengths(sequence: Sequence, hop: Tensor) -> Tensor:
    """The same for each item; nothing for one that does not have the modality."""
    whole = (sequence.valid.shape[1] * sequence.hop / hop - 0.5 - CLOSE).ceil().clamp(min=1)
    return torch.where(sequence.present, whole, 1).long()


def _resample(
    sequence: Sequence, hop: Tensor, steps: int, between: Literal["nearest", "linear"]
) -> tuple[Tensor, Tensor]:
    last = sequence.valid.shape[1] - 1
    given = sequence.values.flatten(2)
    if steps == last + 1 and bool((hop == sequence.hop).all()):  # it is on this grid
        return torch.where(sequence.valid.unsqueeze(-1), given, 0.0), sequence.valid
    index = step_under(steps, hop, sequence.hop)
    inside = index <= last
    index = index.clamp(max=last)
    valid = take(sequence.valid, index) & inside
    values = torch.where(valid.unsqueeze(-1), take(given, index), 0.0)
    if between == "nearest":
        return values, valid
    middle = (torch.arange(steps, device=hop.device) + 0.5) * (hop / sequence.hop).unsqueeze(1)
    offset = middle - (index + 0.5)
    other = index + offset.sign().long()
    both = (other >= 0) & (other <= last) & valid
    other = other.clamp(0, last)
    both &= take(sequence.valid, other)
    share = torch.where(both, offset.abs(), 0.0).unsqueeze(-1).to(values.dtype)
    beside = torch.where(both.unsqueeze(-1), take(given, other), 0.0)
    return values + share * (beside - values), valid


def window_starts(length: int, window: int, stride: int, multiple: int = 1) -> list[int]:
    """Where windows start so that they cover a length; the last one ends with it.

    Args:
        length: steps to cover.
        window: steps of a window.
        stride: steps from one start to the next.
        multiple: every start is a multiple of this.
    """
    if length <= window:
        return [0]
    last = math.ceil((length - window) / multiple) * multiple
    return [*range(0, last, stride), last]


def sliding(
    model: Callable[[Signals], Prediction],
    signals: Signals,
    window_steps: int,
    overlap: int,
    *,
    fill: float = math.nan,
    windows_at_once: int = 64,
) -> Prediction:
    """Run a model per frame in windows that overlap, and average where they do.

    Each item is covered up to its last observed step, so that the padding of a batch changes
    nothing; the last window is moved back to end there. Windows in which an item has nothing are
    left out.

    Args:
        model: gives scores per frame on the finest hop.
        signals: of any length.
        window_steps: steps of a window on the finest hop, as the model's number of positions.
        overlap: steps that two neighbours share, from 0 to ``window_steps - 1``.
        fill: the score of steps that no window covers.
        windows_at_once: largest batch that the model is given.

    Returns:
        Scores ``(batch, time, names)`` and by modality, averaged; no attention, no embeddings.

    Raises:
        OptionError: the windows do not overlap as they can, or the model answers per clip.
        NothingPresent: nobody has anything.
    """
    if not 0 <= overlap < window_steps:
        raise OptionError(f"windows of {window_steps} steps cannot overlap by {overlap}")
    names = getattr(model, "modalities", signals)
    signals = Signals({name: signals[name] for name in names if name in signals})
    grid = min((sequence.hop for sequence in signals.values()), default=1.0)
    time = max((_length(sequence, grid) for sequence in signals.values()), default=0)
    places = _places(signals, grid, window_steps, window_steps - overlap)
    if not places:
        raise NothingPresent("nothing was observed", advice="give audio, video or both")
    sums = _Sums(signals.batch, time)
    for first in range(0, len(places), windows_at_once):
        some = places[first : first + windows_at_once]
        prediction = model(_cut(signals, some, grid, window_steps))
        sums.add(prediction, some, window_steps)
    return sums.mean(fill)


@dataclass(frozen=True)
class _Place:
    """One window of one item."""

    item: int
    start: int


def _places(signals: Signals, grid: float, window: int, stride: int) -> list[_Place]:
    coarsest = max(sequence.hop for sequence in signals.values()) if signals else grid
    multiple = max(1, round(coarsest / grid))  # so that no window cuts a coarse step in two
    stride = max(multiple, stride // multiple * multiple)
    places = []
    for item in range(signals.batch):
        # Half-open spans of what was observed, in steps of the grid.
        seen = torch.cat(
            [
                torch.stack([at * ratio, (at + 1) * ratio], dim=1)
                for s in signals.values()
                for ratio, at in [(s.hop / grid, s.valid[item].nonzero().flatten().double().cpu())]
            ]
        )
        if not len(seen):
            continue
        length = math.ceil(float(seen.max()) - CLOSE)
        for start in window_starts(length, window, stride, multiple):
            within = (seen[:, 0] < start + window - CLOSE) & (seen[:, 1] > start + CLOSE)
            if bool(within.any()):
                places.append(_Place(item, start))
    return places


def _cut(signals: Signals, places: list[_Place], grid: float, window: int) -> Signals:
    """The windows as a batch of their own; steps behind the end are not valid."""
    cut = {}
    for name, sequence in signals.items():
        ratio, device = sequence.hop / grid, sequence.valid.device
        count = max(1, math.floor(window / ratio + 0.5))
        starts = torch.tensor([round(place.start / ratio) for place in places], device=device)
        items = torch.tensor([place.item for place in places], device=device).unsqueeze(1)
        index = starts.unsqueeze(1) + torch.arange(count, device=device)
        inside = index < sequence.valid.shape[1]
        index = index.clamp(max=sequence.valid.shape[1] - 1)
        cut[name] = replace(
            sequence,
            values=sequence.values[items, index],
            valid=sequence.valid[items, index] & inside,
        )
    return Signals(cut)


class _Sums:
    """Sums of scores by step, and how many windows gave one."""

    def __init__(self, batch: int, time: int) -> None:
        self.batch, self.time = batch, time
        self.totals: dict[str | None, Tensor] = {}
        self.counts: Tensor | None = None
        self.prediction: Prediction | None = None

    def add(self, prediction: Prediction, places: list[_Place], window: int) -> None:
        scores = prediction.scores
        if scores.ndim != 3:
            raise OptionError("windows need a model that answers per frame")
        steps = min(window, scores.shape[1])
        device = scores.device
        starts = torch.tensor([place.start for place in places], device=device).unsqueeze(1)
        items = torch.tensor([place.item for place in places], device=device).unsqueeze(1)
        step = starts + torch.arange(steps, device=device)
        inside = step < self.time
        index = (items * self.time + step)[inside]
        self.prediction = prediction
        if self.counts is None:
            self.counts = torch.zeros(self.batch * self.time, device=device)
        self.counts = self.counts.index_add(0, index, torch.ones(len(index), device=device))
        for name, given in ((None, scores), *prediction.by_modality.items()):
            if name not in self.totals:
                self.totals[name] = given.new_zeros(self.batch * self.time, given.shape[-1])
            self.totals[name] = self.totals[name].index_add(0, index, given[:, :steps][inside])

    def mean(self, fill: float) -> Prediction:
        assert self.counts is not None
        assert self.prediction is not None
        count = self.counts.unsqueeze(1)
        means = {
            name: torch.where(count > 0, total / count.clamp(min=1), fill).view(
                self.batch, self.time, -1
            )
            for name, total in self.totals.items()
        }
        by_modality = {name: mean for name, mean in means.items() if name is not None}
        return replace(
            self.prediction,
            scores=means[None],
            by_modality=by_modality,
            attention={},
            embeddings={},
        )
