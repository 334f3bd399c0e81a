"""Official checkpoints in mien: their parameters by their names, converted to ours.

Each model file that has an official counterpart registers one `Official`. The conversion is made of
differentiable operations (slices, transposes, renamings), so that gradients of our model can be
compared with those of the official one, parameter by parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mien.errors import OptionError, WeightError

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Official:
    """How one official implementation becomes ours.

    Attributes:
        build: our module with fresh weights, from official parameters (for their shapes) and sizes
            that no shape tells, as ``num_heads``.
        convert: our state from official parameters; raises KeyError where one is missing. Dead
            weights of the original are dropped by name, anything else that is left is an error.
        run: outputs by the names of the golden vectors, from the module and inputs by theirs.
    """

    build: Callable[..., nn.Module]
    convert: Callable[[Tensors], dict[str, Tensor]]
    run: Callable[[nn.Module, Tensors], dict[str, Tensor]]


OFFICIAL: dict[str, Official] = {}


def batches_tracked(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The counters of batch normalisation, which no result depends on, as zeros."""
    norms = (key for key in state if key.endswith(".running_mean"))
    return {key.replace("running_mean", "num_batches_tracked"): torch.tensor(0) for key in norms}


def from_official(name: str, state_dict: Tensors, **sizes: int) -> nn.Module:
    """A module of mien with the weights of an official checkpoint.

    Args:
        name: which implementation, as ``sfav_ia`` or ``efficientface``.
        state_dict: the checkpoint's parameters under their official names, without a ``module.``
            prefix.
        sizes: what the shapes do not tell, as ``num_heads=4``.

    Returns:
        The module in evaluation mode.

    Raises:
        OptionError: no official implementation of that name is known, or a size is not given.
        WeightError: parameters are missing, superfluous or of the wrong shape.
    """
    if name not in OFFICIAL:
        known = ", ".join(sorted(OFFICIAL))
        raise OptionError(f"no official checkpoint is called {name}", advice=f"choose from {known}")
    official = OFFICIAL[name]
    try:
        module = official.build(state_dict, **sizes)
        module.load_state_dict(official.convert(state_dict), strict=True)
    except TypeError as error:
        raise OptionError(
            f"{name}: {error}", advice="give the sizes that shapes cannot tell"
        ) from error
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        raise WeightError(
            f"this is no checkpoint of {name}: {error}", advice="check the name and the sizes"
        ) from error
    return module.eval()
