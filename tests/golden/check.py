"""Compares mien with numbers that official implementations gave: ``check.py FILE.safetensors…``.

A file holds an official module's parameters (``param/*``), inputs (``input/*``), what it returned
(``output/*``, and readings of the same under ``output_<reading>/*``) and gradients (``grad/*``, of
the sum of one output with respect to an input, to one item of it, or to a parameter). Its metadata
say which implementation (``name``) and what no shape tells (``num_heads``).

Everything that `contents` asks of a file of its system must be there, and nothing else.

Exit code: 0 all there and within tolerance, 1 something is not, 2 a file cannot be read or is of no
implementation that mien knows.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mien.errors import MienError
from mien.models import _official

if __name__ == "__main__":  # as a script it is in no package
    sys.path.append(str(Path(__file__).resolve().parent.parent))
from golden.contents import complaints
from golden.outputs import compute_outputs

# The output whose sum was differentiated; `by gradient` where it depends on the gradient's name.
DIFFERENTIATED: Mapping[str, str | Mapping[str, str]] = {
    "auxformer": "mean",
    "ca_fusion": "X_concat",
    "conformer_block": "y",
    "conformer_block_vavl": "y",
    "mult": "prediction",
    "mult_av": "prediction",
    "mult_crossmodal": "cross",
    "tcn": "y",
    "uavm": {"audio": "logits_audio", "video": "logits_video"},
}
USUALLY_DIFFERENTIATED = "logits"

RELATIVE = {torch.float32: 1e-5, torch.float64: 1e-12}
RELATIVE_GRADIENT = {torch.float32: 3e-5, torch.float64: 1e-11}
# Outputs of scale one or less are held to the absolute tolerance that the papers' readers know.
ABSOLUTE_NAMES = re.compile(r"logits|prediction|main|aux_|mean")
# EfficientFace's logits, here of scale 6, are sums over a thousand features of scale 50, where its
# own rounding is 1.9e-5 and 1.3e-4: the features need no exception, and any 1e-3 in them shows.
WIDER: Mapping[tuple[str, str], float] = {("efficientface", "logits"): 5.0}
# A gradient that is zero by its mathematics (a bias before a softmax) is the rounding of others.
OF_LARGEST_GRADIENT = 1 / 30
# Its gradient in float32 is off by up to 0.6 % of itself, so the stored one is from float64.
GRADIENT_IN_FLOAT64 = frozenset({"efficientface"})


# What modules raise on tensors that are lacking or do not fit.
FAILURES = (MienError, RuntimeError, LookupError, TypeError, ValueError, AssertionError)


class Unreadable(Exception):
    """The file holds no golden vectors that can be checked."""


@dataclass(frozen=True)
class Difference:
    """One compared tensor.

    Attributes:
        what: its key in the file.
        largest: largest absolute difference; NaN where the two cannot be compared.
        tolerance: largest difference that is accepted.
        remark: why it cannot be compared.
    """

    what: str
    largest: float
    tolerance: float
    remark: str = ""

    @property
    def good(self) -> bool:
        return self.largest <= self.tolerance  # False for NaN


@dataclass(frozen=True)
class Golden:
    """The content of one file."""

    name: str
    sizes: dict[str, int]
    groups: dict[str, dict[str, Tensor]] = field(repr=False)
    order: tuple[str, ...] | None = None

    @property
    def parameters(self) -> dict[str, Tensor]:
        return self.groups["param"]

    @property
    def inputs(self) -> dict[str, Tensor]:
        return self.groups["input"]

    @property
    def outputs(self) -> dict[str, Tensor]:
        """By the name that `compute_outputs` gives."""
        found = dict(self.groups.get("output", {}))
        for group, tensors in self.groups.items():
            if group.startswith("output_"):
                found |= {f"{group}/{name}": value for name, value in tensors.items()}
        return found


def read(path: Path) -> Golden:
    """One file, with parameters of half precision widened to single.

    Raises:
        Unreadable: it is no such file, or of no implementation that mien knows.
    """
    try:
        with safe_open(path, framework="pt") as archive:
            notes = archive.metadata() or {}
            tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise Unreadable(str(error)) from error
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        group, _, name = key.partition("/")
        half = group == "param" and value.dtype == torch.float16
        groups.setdefault(group, {})[name] = value.float() if half else value
    name = notes.get("name", "")
    if name not in _official.OFFICIAL:
        known = ", ".join(sorted(_official.OFFICIAL))
        raise Unreadable(f"no official implementation is called {name!r}; known: {known}")
    lacking = [group for group in ("param", "input", "output") if not groups.get(group)]
    if lacking:
        raise Unreadable(f"it holds no {' and no '.join(lacking)}")
    try:
        sizes = {"num_heads": int(notes["num_heads"])} if "num_heads" in notes else {}
    except ValueError as error:
        raise Unreadable(f"its num_heads make no sense: {error}") from error
    return Golden(name, sizes, groups, _order(notes))


def _order(notes: Mapping[str, str]) -> tuple[str, ...] | None:
    if "param_order" not in notes:
        return None
    try:
        order = json.loads(notes["param_order"])
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"its param_order is no JSON: {error}") from error
    if not isinstance(order, list) or not all(isinstance(key, str) for key in order):
        raise Unreadable("its param_order is no list of names")
    return tuple(order)


def check_file(path: str | Path) -> list[Difference]:
    """Build, convert, run and compare; one entry per output, gradient or thing that is wrong.

    Raises:
        Unreadable: see `read`.
    """
    golden = read(Path(path))
    wrong = _unusable(golden)
    if wrong:
        return wrong
    try:
        module = _load(golden, _precision(golden.parameters))
    except FAILURES as error:
        return [_failure("param", str(error))]
    rows = [_failure(key, remark) for key, remark in complaints(golden.name, golden.groups)]
    try:
        with torch.no_grad():
            returned = compute_outputs(golden.name, module, golden.inputs)
    except FAILURES as error:
        return [*rows, _failure("input", f"mien cannot be run on it: {error!r}")]
    for name, expected in golden.outputs.items():
        key = name if "/" in name else f"output/{name}"
        if name not in returned:
            rows.append(_failure(key, "`compute_outputs` returns no such output"))
        else:
            wider = WIDER.get((golden.name, name), 1.0)
            rows.append(_compare(key, returned[name], expected, wider))
    for name, given in golden.inputs.items():  # some are tables that mien computes itself
        key = f"input/{name}"
        if key in returned:
            rows.append(_compare(key, returned[key], given))
    return rows + _gradients(golden)


def _unusable(golden: Golden) -> list[Difference]:
    """Parameters that are not those promised, and tensors with which nothing can be compared."""
    rows = []
    if golden.order is not None:
        stored, promised = set(golden.parameters), set(golden.order)
        rows += [_failure(f"param/{key}", "is missing") for key in sorted(promised - stored)]
        rows += [_failure(f"param/{key}", "is not expected") for key in sorted(stored - promised)]
    for group, tensors in golden.groups.items():
        for name, value in tensors.items():
            key = f"{group}/{name}".rstrip("/")
            if group != "param" and not value.numel():
                rows.append(_failure(key, "is empty"))
            elif not bool(value.double().isfinite().all()):
                rows.append(_failure(key, "has values that are not finite"))
    return rows


def _precision(tensors: Mapping[str, Tensor]) -> torch.dtype:
    double = any(value.dtype == torch.float64 for value in tensors.values())
    return torch.float64 if double else torch.float32


def _load(golden: Golden, precision: torch.dtype) -> nn.Module:
    # Built first in the right precision: filling a single-precision module would round.
    default = torch.get_default_dtype()
    torch.set_default_dtype(precision)
    try:
        module = _official.from_official(golden.name, golden.parameters, **golden.sizes)
    finally:
        torch.set_default_dtype(default)
    if any(p.is_floating_point() and p.dtype != precision for p in module.parameters()):
        raise MienError(f"the module was not built in {precision}")
    return module


def _compare(
    key: str, mine: Tensor, expected: Tensor, wider: float = 1.0, least: float = 1e-3
) -> Difference:
    """Within a tolerance that goes with the largest value, taken as at least `least`."""
    if expected.dtype not in RELATIVE:
        return _failure(key, f"is stored as {expected.dtype}, not in single or double precision")
    if mine.shape != expected.shape:
        return _failure(key, f"shape {tuple(mine.shape)} instead of {tuple(expected.shape)}")
    group, _, name = key.partition("/")
    if group != "grad" and ABSOLUTE_NAMES.search(name):
        least = 1.0
    single = torch.float32 in {mine.dtype, expected.dtype}
    relative = RELATIVE_GRADIENT if group == "grad" else RELATIVE
    relative = relative[torch.float32 if single else torch.float64]
    tolerance = wider * relative * max(float(expected.abs().max()), least)
    largest = float((mine.double() - expected.double()).abs().max())
    return Difference(key, largest, tolerance)


def _gradients(golden: Golden) -> list[Difference]:
    stored = golden.groups.get("grad", {})
    if not stored:
        return []
    precision = _precision(golden.parameters)
    if golden.name in GRADIENT_IN_FLOAT64:
        precision = torch.float64
    module = _load(golden, precision)
    inputs = {
        key: value.to(precision).requires_grad_() if value.is_floating_point() else value
        for key, value in golden.inputs.items()
    }
    try:
        returned = compute_outputs(golden.name, module, inputs)
    except FAILURES as error:
        return [_failure("grad", f"mien cannot be run on its inputs: {error!r}")]
    least = max(
        1e-3, OF_LARGEST_GRADIENT * max(float(x.double().abs().max()) for x in stored.values())
    )
    rows = []
    for name, expected in stored.items():
        key = f"grad/{name}"
        output = _differentiated(golden.name, name)
        if output not in returned:
            rows.append(_failure(key, f"`compute_outputs` returns no {output} to differentiate"))
            continue
        try:
            mine = _gradient(golden, module, inputs, returned[output].sum(), name)
        except FAILURES as error:
            rows.append(_failure(key, str(error)))
            continue
        rows.append(_compare(key, mine, expected, least=least))
    return rows


def _differentiated(system: str, gradient: str) -> str:
    output = DIFFERENTIATED.get(system, USUALLY_DIFFERENTIATED)
    return output if isinstance(output, str) else output.get(gradient, USUALLY_DIFFERENTIATED)


def _gradient(
    golden: Golden, module: nn.Module, inputs: Mapping[str, Tensor], scalar: Tensor, name: str
) -> Tensor:
    if name in inputs:
        return torch.autograd.grad(scalar, inputs[name], retain_graph=True)[0]
    sample = re.fullmatch(r"(.+)_sample(\d+)", name)
    if sample and sample[1] in inputs:
        whole = torch.autograd.grad(scalar, inputs[sample[1]], retain_graph=True)[0]
        return whole[int(sample[2])].unsqueeze(0)
    return _parameter_gradient(golden, module, scalar, name)


def _parameter_gradient(golden: Golden, module: nn.Module, scalar: Tensor, name: str) -> Tensor:
    """Through our parameters back to the official one, which they are functions of."""
    if name not in golden.parameters:
        raise KeyError(f"it is neither an input nor a parameter: {name}")
    ours = dict(module.named_parameters())
    gradients = torch.autograd.grad(
        scalar, list(ours.values()), retain_graph=True, allow_unused=True
    )
    official = {key: value.clone() for key, value in golden.parameters.items()}
    official[name].requires_grad_()
    converted = _official.OFFICIAL[golden.name].convert(official)
    pairs = [
        (converted[key], gradient)
        for key, gradient in zip(ours, gradients, strict=True)
        if gradient is not None and converted[key].requires_grad
    ]
    if not pairs:
        raise KeyError(f"nothing of mien comes from {name}")
    targets, weights = zip(*pairs, strict=True)
    return torch.autograd.grad(targets, official[name], weights)[0]


def _failure(what: str, remark: str) -> Difference:
    return Difference(what, float("nan"), 0.0, remark)


def main(paths: list[str]) -> int:
    """Check files, print what was found, and return the exit code."""
    if not paths:
        print(__doc__)  # noqa: T201
        return 2
    code = 0
    for path in paths:
        try:
            rows = check_file(path)
        except Exception as error:  # whatever is wrong with a file, the next one is checked
            said = error if isinstance(error, Unreadable) else repr(error)
            print(f"{path}: cannot be checked: {said}")  # noqa: T201
            code = max(code, 2)
            continue
        good = all(row.good for row in rows)
        print(f"{path}: {'good' if good else 'WRONG'}")  # noqa: T201
        for row in rows:
            verdict = "" if row.good else "  <-- WRONG"
            said = row.remark or f"{row.largest:.2e} of at most {row.tolerance:.2e}"
            print(f"  {row.what:32} {said}{verdict}")  # noqa: T201
        code = max(code, 0 if good else 1)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
