"""One training example at the level of features: signals of one clip, and what it is labelled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from mien.errors import OptionError
from mien.layers.time import CLOSE, grid_of
from mien.signals import Signals


@dataclass(frozen=True)
class Example:
    """Signals of one clip with their target.

    Attributes:
        clip: unique name, as ``mmmo/train/0007``.
        person: who is in it, unique over corpora, as ``java_sed/01``.
        signals: a batch of one.
        target: without the batch axis: a class index ``()``, soft label ``(names,)`` or numbers
            ``(names,)``; with a time axis in front where every frame has a label. Which names, and
            in which order, the data set's task says. A missing label is an index of -100, or NaN.
        part: the official part, ``train``, ``valid`` or ``test``, or the fold in which the person
            is tested; empty where there is neither.
    """

    clip: str
    person: str
    signals: Signals
    target: Tensor
    part: str = ""

    def __post_init__(self) -> None:
        if self.signals.batch != 1:
            raise ValueError(f"{self.clip}: signals hold {self.signals.batch} clips, not one")

    @property
    def observed(self) -> bool:
        """Whether anything was observed at all; no model can say anything about what was not."""
        return any(bool(sequence.valid.any()) for sequence in self.signals.values())


def cut_segments(example: Example, length: int, stride: int) -> list[Example]:
    """Cut an example whose every frame has a label into overlapping segments.

    A segment starts every ``stride`` steps until one reaches the end, which may be shorter than the
    others: 600 steps give eight segments of 250 with a stride of 50. So does MMTE train
    (Vazquez-Rodriguez et al. 2023, section 5.3), as did the MuSe challenges. Where a modality has
    longer steps than the labels, segments start and end with its steps: ``stride`` and ``length``
    are rounded up to the next of them.

    Args:
        example: with signals ``(1, time, …)`` and a target ``(steps, …)`` on the grid of the
            finest hop; see `mien.layers.time.grid_of`.
        length: steps of a segment.
        stride: steps between the starts of two.

    Returns:
        The segments in order, named after the example and their first step.

    Raises:
        OptionError: length or stride is not positive, the target has not a label for each step of
            the grid, or a hop is no multiple of the finest.
    """
    if min(length, stride) < 1:
        raise OptionError(f"length {length} and stride {stride}", advice="give steps, at least one")
    hop, expected = grid_of(example.signals.values())
    steps = len(example.target) if example.target.ndim else 0
    if steps != expected:
        raise OptionError(
            f"{example.clip}: the target has {steps} steps, its signals {expected}",
            advice="segments need a label for each step of the finest signal",
        )
    ratios = {name: round(s.hop / hop) for name, s in example.signals.items()}
    for name, ratio in ratios.items():
        if abs(example.signals[name].hop / hop - ratio) > CLOSE:
            raise OptionError(
                f"{example.clip}: the hop of {name}, {example.signals[name].hop:g} s, is no "
                f"multiple of {hop:g} s",
                advice="choose hops that are multiples of the finest, or longer segments than any",
            )
    whole = math.lcm(*ratios.values())
    length, stride = (math.ceil(number / whole) * whole for number in (length, stride))
    starts = range(0, max(steps - length, 0) + stride, stride)
    return [_cut(example, ratios, start, min(start + length, steps)) for start in starts]


def _cut(example: Example, ratios: Mapping[str, int], start: int, stop: int) -> Example:
    cut = {}
    for name, s in example.signals.items():
        span = slice(start // ratios[name], math.ceil(stop / ratios[name]))
        cut[name] = replace(s, values=s.values[:, span], valid=s.valid[:, span])
    return replace(
        example,
        clip=f"{example.clip}/{start:05d}",
        signals=Signals(cut),
        target=example.target[start:stop],
    )
