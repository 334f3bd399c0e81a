"""What a file of golden vectors of each system must hold: its inputs and its answer.

What was kept of the inside (layers, weights) may be less, and gradients may be left out as a whole:
what is there is compared. Names are patterns, so that a requirement may leave a choice; those of a
reading other than the main one carry their group, as ``output_repo/sum``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

Tensors = Mapping[str, Tensor]

GROUPS = re.compile(r"param|input|output|output_\w+|grad")


@dataclass(frozen=True)
class Case:
    """One run of a system: all of it must be there if any of it is, or if it is needed."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    gradients: tuple[str, ...] = ()
    needed: bool = True


def complaints(name: str, groups: Mapping[str, Tensors]) -> Iterator[tuple[str, str]]:
    """Keys that are lacking or mean nothing, each with what is wrong about it."""
    for group, tensors in groups.items():
        if not GROUPS.fullmatch(group):
            yield from ((f"{group}/{key}".rstrip("/"), "is of no known group") for key in tensors)
    inputs, gradients = groups.get("input", {}), groups.get("grad", {})
    outputs = {
        key if group == "output" else f"{group}/{key}"
        for group, tensors in groups.items()
        if group.startswith("output")
        for key in tensors
    }
    read: list[str] = []
    for case in cases(name, groups["param"], inputs):
        read += case.inputs
        if not case.needed and not _any(case.inputs, inputs) and not _any(case.outputs, outputs):
            continue
        yield from _missing("input", case.inputs, inputs)
        yield from _missing("output", case.outputs, outputs)
        if not gradients:
            continue
        # A gradient may be kept for one item of the batch.
        sampled = {re.sub(r"_sample\d+$", "", key) for key in gradients} | set(gradients)
        yield from _missing("grad", case.gradients, sampled)
    for key in inputs:
        if key not in read:
            yield f"input/{key}", "is read by nothing"


def _any(patterns: tuple[str, ...], names: set[str] | Tensors) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns for name in names)


def _missing(
    group: str, patterns: tuple[str, ...], names: set[str] | Tensors
) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        if not _any((pattern,), names):
            yield pattern if "/" in pattern else f"{group}/{pattern}", "is missing"


def cases(name: str, parameters: Tensors, inputs: Tensors) -> list[Case]:
    """The runs of a system of these sizes, without any that its inputs do not ask for."""
    found = CASES[name]
    return found(parameters, inputs) if callable(found) else found


def _i3d(parameters: Tensors, inputs: Tensors) -> list[Case]:
    """Of each clip what the deepest layer gave."""
    last = "logits"
    if "logits.conv3d.weight" not in parameters:  # the names count: Mixed_3b, Mixed_3c, Mixed_4b
        last = max({key.split(".")[0] for key in parameters}, key=lambda key: key.split("_")[1])
    short = {"Conv3d_1a_7x7": "stem", "Conv3d_2c_3x3": "conv2c"}
    clips = ["", *(key.removeprefix("clip") for key in inputs if key.startswith("clip_"))]
    deepest = f"{last}|{short.get(last, last)}_mean|features"
    return [Case((f"clip{which}",), (f"(?:{deepest}){which}",)) for which in clips]


def _mater(parameters: Tensors, _inputs: Tensors) -> list[Case]:
    names = tuple(key.split("_head.")[0] for key in parameters if key.endswith("_head.weight"))
    return [
        Case(names, ("logits",), names),
        Case(("position_table",), (), needed=False),
    ]


def _mult(parameters: Tensors, _inputs: Tensors) -> list[Case]:
    by_letter = {"l": "text", "a": "audio", "v": "video"}
    names = tuple(by_letter[x] for x in by_letter if f"proj_{x}.weight" in parameters)
    zeros = tuple(f"{name}_zero" for name in names)
    return [
        Case(names, ("prediction",), names),
        Case(zeros, ("prediction_zero",), needed=False),
    ]


_PAIR = ("audio", "video")

CASES: Mapping[str, list[Case] | Callable[[Tensors, Tensors], list[Case]]] = {
    "auxformer": [
        Case(_PAIR, ("main",), _PAIR),
        Case(("audio_keep", "video_zero"), ("main_zero",), needed=False),
    ],
    "ca_fusion": [Case(("X_a", "X_v"), ("X_att_a", "X_att_v"), ("X_a", "X_v", "W"))],
    "conformer_block": [Case(("x",), ("y",), ("x",))],
    "conformer_block_vavl": [Case(("x",), ("y",), ("x",))],
    "efficientface": [Case(("image",), ("logits",), ("image",))],
    "i3d": _i3d,
    "i3d_stem": _i3d,
    "mater": _mater,
    "mult": _mult,
    "mult_av": _mult,
    "mult_crossmodal": [
        Case(("query", "key"), ("cross",), ("query", "key")),
        Case(("query_zero", "key_zero"), ("cross_zero",), needed=False),
    ],
    "sfav_ia": [Case(_PAIR, ("logits",), _PAIR)],
    "sfav_it": [Case(_PAIR, ("logits",), _PAIR)],
    "sfav_lt": [Case(_PAIR, ("logits",), _PAIR)],
    "tcn": [Case(("x",), ("y",), ("x",))],
    "uavm": [Case(_PAIR, ("logits_mean",), _PAIR)],
}
