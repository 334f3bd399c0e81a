"""One training example at the level of features: signals of one clip, and what it is labelled."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from mien.errors import OptionError
from mien.signals import Signals


@dataclass(frozen=True)
class Example:
    """Signals of one clip with their target.

    Attributes:
        clip: unique name, as ``mmmo/train/0007``.
        person: who is in it, unique over corpora, as ``java_sed/01``.
        signals: a batch of one.
        target: without the batch axis: a class index ``()``, shares ``(names,)`` or numbers
            ``(names,)``; with a time axis in front where every frame has a label. Which names, and
            in which order, the reader of the corpus says. Where nobody knows, an index is -100 and
            a number NaN.
        part: the official part: ``train``, ``valid`` or ``test``; empty where there is none.
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
        """Was anything observed at all; no model can say anything about what was not."""
        return any(bool(sequence.valid.any()) for sequence in self.signals.values())


def segments(example: Example, length: int, hop: int) -> list[Example]:
    """Overlapping pieces of an example whose every frame has a label.

    A piece starts every ``hop`` steps until one reaches the end, which may be shorter than the
    others: 600 steps give eight pieces of 250 with a hop of 50. So does MMTE train
    (Vazquez-Rodriguez et al. 2023, section 5.3), as did the MuSe challenges.

    Args:
        example: with signals ``(1, time, …)`` and a target ``(time, …)`` of the same steps.
        length: steps of a piece.
        hop: steps between the starts of two.

    Returns:
        The pieces in order, named after the example and their first step.

    Raises:
        OptionError: length or hop is not positive, or signals and target differ in their steps.
    """
    if min(length, hop) < 1:
        raise OptionError(f"length {length} and hop {hop}", advice="give steps, at least one")
    steps = len(example.target) if example.target.ndim else 0
    unlike = [name for name, s in example.signals.items() if s.valid.shape[1] != steps]
    if unlike or not steps:
        raise OptionError(
            f"{example.clip}: {' and '.join(unlike) or 'the target'} has no label for each step",
            advice="segments need signals and target on the same steps",
        )
    starts = range(0, max(steps - length, 0) + hop, hop)
    return [_piece(example, start, min(start + length, steps)) for start in starts]


def _piece(example: Example, start: int, stop: int) -> Example:
    cut = {
        name: replace(s, values=s.values[:, start:stop], valid=s.valid[:, start:stop])
        for name, s in example.signals.items()
    }
    return replace(
        example,
        clip=f"{example.clip}/{start:05d}",
        signals=Signals(cut),
        target=example.target[start:stop],
    )
