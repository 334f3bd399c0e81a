"""Official checkpoints in mien: their parameters by their names, converted to ours.

Each model file that has an official counterpart registers one `Official`. The conversion is made of
differentiable operations (slices, transposes, renamings), so that gradients of our model can be
compared with those of the official one, parameter by parameter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.errors import OptionError, WeightError
from mien.registry import Registry

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Official:
    """How one official implementation becomes ours.

    Attributes:
        build: our module with fresh weights, from official parameters (for their shapes) and sizes
            that no shape tells, as ``num_heads``.
        convert: our state from official parameters; raises KeyError where one is missing. Dead
            weights of the original are dropped by name, anything else that is left is an error.
    """

    build: Callable[..., nn.Module]
    convert: Callable[[Tensors], dict[str, Tensor]]


OFFICIAL: Registry[Official] = Registry(
    "official checkpoint",
    group="mien.official",
    modules=(
        "mien.models._official_conformer",
        "mien.models._official_mult",
        "mien.models._official_sfav",
        "mien.models.cross_attention",
        "mien.models.efficientface",
        "mien.models.i3d",
        "mien.models.mater",
        "mien.models.mmte",
        "mien.models.uavm",
    ),
)

_PARALLEL = "module."  # what torch.nn.DataParallel puts in front of every name


def batches_tracked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Make the counters of batch normalisation, which no result depends on, as zeros."""
    norms = (key for key in state if key.endswith(".running_mean"))
    return {key.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for key in norms}


def from_official(name: str, state_dict: Tensors, **sizes: int) -> nn.Module:
    """Build a module of mien with the weights of an official checkpoint.

    Names and shapes are compared before the module is allocated.

    Args:
        name: which implementation, as ``sfav_ia`` or ``efficientface``.
        state_dict: the checkpoint's parameters under their official names. A ``module.`` in front
            of all of them, which training on several devices leaves, is taken off.
        sizes: what the shapes do not tell, as ``num_heads=4``.

    Returns:
        The module in evaluation mode.

    Raises:
        OptionError: no official implementation of that name is known, a size is not given or makes
            no sense, or `state_dict` is empty or holds anything but tensors by name.
        WeightError: parameters are missing, superfluous or of the wrong shape.
    """
    official = OFFICIAL[name]
    parameters = _parameters(name, state_dict)
    _require_sizes(name, official, sizes)
    try:
        converted = official.convert(parameters)
        state = batches_tracked(converted) | converted
        with torch.device("meta"):  # shapes without memory: those of a wrong file may be immense
            planned = official.build(parameters, **sizes)
    except (LookupError, RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        raise _no_checkpoint(name, _explain(error, parameters)) from error
    misfits = _describe_misfits(planned, state)
    if misfits:
        raise _no_checkpoint(name, misfits)
    module = official.build(parameters, **sizes)
    module.load_state_dict(state, strict=True)
    return module.eval()


def _no_checkpoint(name: str, why: str) -> WeightError:
    return WeightError(
        f"this is no checkpoint of {name}: {why}", advice="check the name and the sizes"
    )


def _parameters(name: str, state_dict: object) -> dict[str, Tensor]:
    """Return the tensors by their official names, whatever a user calls a state dict."""
    if not isinstance(state_dict, Mapping):
        raise OptionError(
            f"{name}: a {type(state_dict).__name__} is no state dict",
            advice="pass the parameters by their names, as torch.nn.Module.state_dict() gives them",
        )
    if not state_dict:
        raise OptionError(
            f"{name}: the state dict is empty", advice="pass the parameters by their official names"
        )
    for key, value in state_dict.items():
        if not isinstance(key, str):
            raise OptionError(f"{name}: {key!r} is no name", advice=_advise(state_dict))
        if not isinstance(value, Tensor):
            raise OptionError(
                f"{name}: {key} is no tensor but of type {type(value).__name__}",
                advice=_advise(state_dict),
            )
    wrapped = all(key.startswith(_PARALLEL) for key in state_dict)
    return {key.removeprefix(_PARALLEL) if wrapped else key: x for key, x in state_dict.items()}


def _advise(checkpoint: Mapping[object, object]) -> str:
    """Where in a training checkpoint the parameters are."""
    inner = [
        key
        for key, value in checkpoint.items()
        if isinstance(value, Mapping)
        and value
        and all(isinstance(x, Tensor) for x in value.values())
    ]
    if inner:
        return f"pass checkpoint[{inner[0]!r}]"
    return "pass the parameters alone, as torch.nn.Module.state_dict() gives them"


def _require_sizes(name: str, official: Official, sizes: Mapping[str, int]) -> None:
    for key, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise OptionError(
                f"{name}: {key} is {value!r}", advice="give a whole number of at least 1"
            )
    try:
        inspect.signature(official.build).bind({}, **sizes)
    except TypeError as error:
        raise OptionError(
            f"{name}: {error}", advice="give the sizes that shapes cannot tell"
        ) from error


def _describe_misfits(planned: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Names, shapes and kinds of numbers that are not the same; empty if all are."""
    ours = planned.state_dict()
    wrong = [f"{key} is missing" for key in ours if key not in state]
    wrong += [f"{key} is superfluous" for key in state if key not in ours]
    for key in ours.keys() & state.keys():
        if ours[key].shape != state[key].shape:
            mine, theirs = tuple(ours[key].shape), tuple(state[key].shape)
            wrong.append(f"{key} has the shape {theirs} instead of {mine}")
        elif ours[key].is_floating_point() != state[key].is_floating_point():
            wrong.append(f"{key} holds {state[key].dtype}")
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return "; ".join(sorted(wrong)[:3]) + more


def _explain(error: Exception, parameters: Tensors) -> str:
    """Explain what a conversion or a construction meant by the error that it raised."""
    if isinstance(error, KeyError):
        what = str(error.args[0])
        if what in parameters:
            return f"unknown parameter {what}"
        return what if " " in what else f"parameter {what} is missing or unknown"
    return f"its shapes do not go together ({error})"
