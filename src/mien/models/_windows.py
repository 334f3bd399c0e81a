"""Models per frame over recordings longer than they can take: windows that overlap, averaged."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mien.errors import NothingPresent, OptionError
from mien.layers.time import CLOSE, count_steps
from mien.models._base import Prediction
from mien.signals import Signals


def window_starts(
    length: int, window: int, stride: int, multiple: int = 1, *, fixed: bool = False
) -> list[int]:
    """Find where windows start so that they cover a length; the last one ends with it.

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


def predict_in_windows(
    model: Callable[[Signals], Prediction],
    signals: Signals,
    window_steps: int,
    overlap: int,
    *,
    fill: float = math.nan,
    fixed: bool = False,
    windows_at_once: int = 64,
    embeddings: Collection[str] = (),
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
        embeddings: names of those, ``(batch, time, width)`` each, that are averaged as well.

    Returns:
        Scores ``(batch, time, names)``, those by modality and the chosen embeddings, averaged; no
        attention.

    Raises:
        OptionError: the windows do not overlap as they can, or the model answers per clip.
        NothingPresent: nothing was observed.
    """
    if not 0 <= overlap < window_steps:
        raise OptionError(f"windows of {window_steps} steps cannot overlap by {overlap}")
    names = getattr(model, "modalities", signals)
    signals = Signals({name: signals[name] for name in names if name in signals})
    grid = min((sequence.hop for sequence in signals.values()), default=1.0)
    time = max((count_steps(sequence, grid) for sequence in signals.values()), default=0)
    places = _places(signals, grid, window_steps, window_steps - overlap, time if fixed else None)
    if not places:
        raise NothingPresent("nothing was observed", advice="give audio, video or both")
    sums = _Sums(signals.batch, time, embeddings)
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
    """Cut the windows as a batch of their own; steps behind the end are not valid."""
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
    """Sums of scores and states by step, and how many windows gave one."""

    def __init__(self, batch: int, time: int, embeddings: Collection[str]) -> None:
        self.batch, self.time, self.embeddings = batch, time, tuple(embeddings)
        self.totals: dict[tuple[str, str], Tensor] = {}
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
        parts = {("scores", ""): scores}
        parts |= {("by_modality", name): x for name, x in prediction.by_modality.items()}
        parts |= {("embeddings", name): prediction.embeddings[name] for name in self.embeddings}
        for key, values in parts.items():
            if key not in self.totals:
                self.totals[key] = values.new_zeros(self.batch * self.time, values.shape[-1])
            self.totals[key] = self.totals[key].index_add(0, index, values[:, :steps][inside])

    def mean(self, fill: float) -> Prediction:
        assert self.counts is not None
        assert self.prediction is not None
        count = self.counts.unsqueeze(1)
        means: dict[str, dict[str, Tensor]] = {"scores": {}, "by_modality": {}, "embeddings": {}}
        for (kind, name), total in self.totals.items():
            mean = torch.where(count > 0, total / count.clamp(min=1), fill)
            means[kind][name] = mean.view(self.batch, self.time, -1)
        return replace(
            self.prediction,
            scores=means["scores"][""],
            by_modality=means["by_modality"],
            attention={},
            embeddings=means["embeddings"],
        )
