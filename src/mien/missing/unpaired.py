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
from mien.missing._base import hide
from mien.signals import Signals

BOTH = "both"
_ROUNDING = 1e-6


def unpaired_kinds(length: int, shares: Mapping[str, float], seed: int) -> list[str]:
    """Which samples stay pairs, and of which one modality alone is kept.

    Samples are put in the order of a hash (SHA-256) of seed and index, and that order is divided:
    the same on every machine and in every version, with shares that are exact but for rounding to
    whole samples (largest remainders).

    Args:
        length: number of samples.
        shares: of ``both`` and of modalities kept alone, together 1, as
            ``{"both": 0.5, "audio": 0.25, "video": 0.25}``.
        seed: of the order.

    Returns:
        A key of `shares` for each sample.

    Raises:
        OptionError: an unknown kind, or shares that do not add up to 1.
    """
    _checks.shares("shares", shares, (BOTH, *_checks.NAMES))
    if not math.isclose(sum(shares.values()), 1, abs_tol=_ROUNDING):
        raise OptionError(
            f"shares add up to {sum(shares.values()):g}", advice="give some that add up to 1"
        )
    order = sorted(range(length), key=lambda index: _hash(seed, index))
    kinds = [""] * length
    place = 0
    for kind, count in _counts(length, shares).items():
        for index in order[place : place + count]:
            kinds[index] = kind
        place += count
    return kinds


def unpair(samples: Iterable[Signals], shares: Mapping[str, float], seed: int) -> list[Signals]:
    """The same samples, some with one modality alone; see `unpaired_kinds`.

    A sample that does not have the modality that it is to keep stays as it is.
    """
    given = list(samples)
    kinds = unpaired_kinds(len(given), shares, seed)
    return [_alone(signals, kind) for signals, kind in zip(given, kinds, strict=True)]


def _alone(signals: Signals, kind: str) -> Signals:
    if kind == BOTH:
        return signals
    who = signals.present(kind)
    return hide(signals, {name: torch.ones_like(who) for name in signals if name != kind})


def _hash(seed: int, index: int) -> bytes:
    return hashlib.sha256(f"{seed} {index}".encode()).digest()


def _counts(length: int, shares: Mapping[str, float]) -> dict[str, int]:
    exact = {kind: share * length for kind, share in shares.items()}
    counts = {kind: math.floor(number + _ROUNDING) for kind, number in exact.items()}
    rest = length - sum(counts.values())
    for kind in sorted(exact, key=lambda kind: counts[kind] - exact[kind])[:rest]:
        counts[kind] += 1
    return counts
