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
from mien.layers.masked import zeroed
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
        last: ``(batch,)`` index of the last step of each item's grid, with which the longest
            modality of this item ends.
        grid: seconds of a step of the whole batch; see `grid_of`.
        steps: steps of the whole batch.
    """

    values: Mapping[str, Tensor]
    valid: Mapping[str, Tensor]
    hop: Tensor
    last: Tensor
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

        The last step of an item's own grid is held to the end of the batch's: how far others go on,
        or what the item lacks, changes none of its answers.

        Args:
            frames: ``(batch, time, …)`` on the items' grids.

        Returns:
            ``(batch, steps, …)``.
        """
        if frames.shape[1] == self.steps and bool(
            ((self.hop == self.grid) & (self.last == self.steps - 1)).all()
        ):  # everybody is on this grid
            return frames
        index = step_under(self.steps, self.grid, self.hop)
        return take(frames, index.minimum(self.last.unsqueeze(1)))


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


def given(signals: Signals, modalities: Collection[str]) -> dict[str, Sequence]:
    """Those of some modalities that are there, in this order; one without a step is not."""
    known = {name: signals[name] for name in modalities if name in signals}
    return {name: sequence for name, sequence in known.items() if sequence.valid.shape[1]}


def grid_of(sequences: Collection[Sequence]) -> tuple[float, int]:
    """The steps on which a batch is answered: seconds of one, and how many.

    The finest hop of all, and as many steps as have their middle within the longest in seconds; at
    least one.

    Args:
        sequences: at least one.
    """
    hop = min(sequence.hop for sequence in sequences)
    return hop, max(_length(sequence, hop) for sequence in sequences)


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
    known = given(signals, modalities)
    if not known:
        raise NothingPresent("none of the model's modalities is there")
    grid, steps = grid_of(known.values())
    first = next(iter(known.values()))
    if all(
        s.hop == grid and s.valid.shape[1] == steps and bool(s.valid.all()) for s in known.values()
    ):  # complete and on one grid
        values = {name: sequence.values.flatten(2) for name, sequence in known.items()}
        valid = {name: sequence.valid for name, sequence in known.items()}
        hop = first.valid.new_full((len(first.valid),), grid, dtype=torch.float64)
        last = torch.full_like(hop, steps - 1, dtype=torch.long)
        return Aligned(values, valid, hop, last, grid, steps)
    hop = torch.full((len(first.valid),), math.inf, dtype=torch.float64, device=first.valid.device)
    for sequence in known.values():
        hop = torch.where(sequence.present, hop.clamp(max=sequence.hop), hop)
    hop = torch.where(hop.isinf(), grid, hop)
    lengths = torch.stack([_lengths(sequence, hop) for sequence in known.values()]).amax(dim=0)
    needed = int(lengths.max())
    values, valid = {}, {}
    for name, sequence in known.items():
        values[name], valid[name] = _resample(sequence, hop, needed, between)
    return Aligned(values, valid, hop, lengths - 1, grid, steps)


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
    features = sequence.values.flatten(2)
    if steps == last + 1 and bool((hop == sequence.hop).all()):  # it is on this grid
        return zeroed(features, sequence.valid), sequence.valid
    index = step_under(steps, hop, sequence.hop)
    inside = index <= last
    index = index.clamp(max=last)
    valid = take(sequence.valid, index) & inside
    values = torch.where(valid.unsqueeze(-1), take(features, index), 0.0)
    if between == "nearest":
        return values, valid
    middle = (torch.arange(steps, device=hop.device) + 0.5) * (hop / sequence.hop).unsqueeze(1)
    offset = middle - (index + 0.5)
    other = index + offset.sign().long()
    both = (other >= 0) & (other <= last) & valid
    other = other.clamp(0, last)
    both &= take(sequence.valid, other)
    share = torch.where(both, offset.abs(), 0.0).unsqueeze(-1).to(values.dtype)
    beside = torch.where(both.unsqueeze(-1), take(features, other), 0.0)
    return values + share * (beside - values), valid


def window_starts(
    length: int, window: int, stride: int, multiple: int = 1, *, fixed: bool = False
) -> list[int]:
    """Where windows start so that they cover a length; the last one ends with it.

    Args:
        length: steps to cover.
        window: steps of a window.
        stride: steps from one start to the next; a multiple of `multiple` if the starts are fixed.
        multiple: every start is a multiple of this.
        fixed: start at every stride instead, whatever the length; the last ones go beyond it.
    """
    if fixed:
        return list(range(0, length, stride))
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
    fixed: bool = False,
    windows_at_once: int = 64,
) -> Prediction:
    """Run a model per frame in windows that overlap, and average where they do.

    Each item is covered up to its last observed step, so that the padding of a batch changes
    nothing; the last window is moved back to end there. Windows in which an item has nothing are
    left out.

    Fixed windows are those of a stream, which knows neither where an item ends nor whether anything
    of it is still to come: one starts at every stride, those in the last window too; what is behind
    the end is not valid; none is left out, so that the model must bear an item without anything.

    Args:
        model: gives scores per frame on the finest hop.
        signals: of any length.
        window_steps: steps of a window on the finest hop, as the model's number of positions.
        overlap: steps that two neighbours share, from 0 to ``window_steps - 1``.
        fill: the score of steps that no window covers.
        fixed: start windows at 0, stride, 2 * stride, … over the whole time.
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
    places = _places(signals, grid, window_steps, window_steps - overlap, time if fixed else None)
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


def _places(
    signals: Signals, grid: float, window: int, stride: int, whole: int | None
) -> list[_Place]:
    """Windows by item; fixed ones over a whole time if that is given."""
    coarsest = max(sequence.hop for sequence in signals.values()) if signals else grid
    multiple = max(1, round(coarsest / grid))  # so that no window cuts a coarse step in two
    stride = max(multiple, stride // multiple * multiple)
    if whole is not None:
        anything = any(bool(s.valid.any()) for s in signals.values())
        starts = window_starts(whole, window, stride, multiple, fixed=True) if anything else []
        return [_Place(item, start) for item in range(signals.batch) for start in starts]
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
