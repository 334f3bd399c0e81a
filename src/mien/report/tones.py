"""Which colour stands for which label or dimension; the style sheet holds the colours.

The first nine tones are those of the vocabulary of emotions and differ for people of any colour
vision; nine more keep as much distance as is left. Names stand in the bands and in the legend, so
that no page depends on colours alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mien import schema

TONES = 18
LINES = 6


def choose_label_tones(labels: Sequence[str]) -> dict[str, str]:
    """Give each label a class of the style sheet; the same labels always get the same.

    Emotions of the vocabulary keep their colours. Others take what is left, in the model's order;
    when all 18 are used, colours come again.

    Example:
        >>> choose_label_tones(["anger", "wide awake"])
        {'anger': 'tone-4', 'wide awake': 'tone-0'}
    """
    own = {emotion: index for index, emotion in enumerate(schema.EMOTIONS)}
    return {name: f"tone-{index}" for name, index in _places(labels, own, TONES).items()}


def choose_line_tones(dimensions: Sequence[str]) -> dict[str, str]:
    """Give each dimension of a chart a class of the style sheet; see `choose_label_tones`.

    Lines differ in how they are dashed as well.
    """
    own = {dimension: index for index, dimension in enumerate(schema.DIMENSIONS)}
    return {name: f"line-{index}" for name, index in _places(dimensions, own, LINES).items()}


def _places(names: Sequence[str], own: Mapping[str, int], count: int) -> dict[str, int]:
    taken = {own[name] for name in names if name in own}
    free = [index for index in range(count) if index not in taken] or list(range(count))
    places = {}
    others = 0
    for name in names:
        if name in own:
            places[name] = own[name]
        else:
            places[name] = free[others % len(free)]
            others += 1
    return places
