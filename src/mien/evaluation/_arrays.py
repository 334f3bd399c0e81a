"""Numbers in, whether they come as tensors or as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = Tensor | NDArray[Any]
Floats = NDArray[np.float64]


def tensor(values: Numbers) -> Tensor:
    """The same numbers as a tensor without a gradient on the CPU; integers stay integers."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    # Columns of a table are often read-only, which torch takes badly.
    return torch.from_numpy(np.array(values))


def double(values: Numbers) -> Tensor:
    """The same numbers as float64, with their gradient if they have one."""
    return (values if isinstance(values, Tensor) else tensor(values)).double()


def floats(values: Numbers) -> Floats:
    """The same numbers as an array of float64."""
    return np.asarray(tensor(values), dtype=np.float64)
