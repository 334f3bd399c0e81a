"""A training set of which only a part has both modalities, as VAVL (Goncalves et al.) learns from.

Algorithm 1 of the paper takes clips with voice alone, with face alone and with both. Where a corpus
is all pairs, taking one half of some of them away shows what unpaired clips are worth.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import torch

from mien.errors import OptionError
from mien.missing import _checks
from mien.missing._base import hide_modalities
from mien.signals import Signals

BOTH = "both"
_ROUNDING = 1e-6


def assign_kinds(length: int, fractions: Mapping[str, float], seed: int) -> list[str]:
    """Assign samples to stay pairs or to keep one modality alone.

    Samples are put in the order of a hash (SHA-256) of seed and index, and that order is divided:
    the same on every machine and in every version, with fractions that are exact but for rounding
    to whole samples (largest remainders).

    Args:
        length: number of samples.
        fractions: of ``both`` and of modalities kept alone, together 1, as
            ``{"both": 0.5, "audio": 0.25, "video": 0.25}``.
        seed: of the order.

    Returns:
        A key of `fractions` for each sample.

    Raises:
        OptionError: an unknown kind, or fractions that do not add up to 1.
    """
    _checks.check_fractions("fractions", fractions)
    if not math.isclose(sum(fractions.values()), 1, abs_tol=_ROUNDING):
        raise OptionError(
            f"fractions add up to {sum(fractions.values()):g}", advice="give some that add up to 1"
        )
    order = sorted(range(length), key=lambda index: _hash(seed, index))
    kinds = [""] * length
    place = 0
    for kind, count in _count_kinds(length, fractions).items():
        for index in order[place : place + count]:
            kinds[index] = kind
        place += count
    return kinds


def unpair(samples: Iterable[Signals], fractions: Mapping[str, float], seed: int) -> list[Signals]:
    """Take one half of some pairs away; see `assign_kinds`.

    A sample that does not have the modality that it is to keep stays as it is.
    """
    given = list(samples)
    kinds = assign_kinds(len(given), fractions, seed)
    return [_keep_alone(signals, kind) for signals, kind in zip(given, kinds, strict=True)]


def _keep_alone(signals: Signals, kind: str) -> Signals:
    if kind == BOTH:
        return signals
    who = signals.present(kind)
    return hide_modalities(
        signals, {name: torch.ones_like(who) for name in signals if name != kind}
    )


def _hash(seed: int, index: int) -> bytes:
    return hashlib.sha256(f"{seed} {index}".encode()).digest()


def _count_kinds(length: int, fractions: Mapping[str, float]) -> dict[str, int]:
    exact = {kind: fraction * length for kind, fraction in fractions.items()}
    counts = {kind: math.floor(number + _ROUNDING) for kind, number in exact.items()}
    rest = length - sum(counts.values())
    for kind in sorted(exact, key=lambda kind: counts[kind] - exact[kind])[:rest]:
        counts[kind] += 1
    return counts
