"""Numbers in, whether they come as tensors or as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = Tensor | NDArray[Any]
Floats = NDArray[np.float64]


def to_tensor(values: Numbers) -> Tensor:
    """Convert to a tensor without a gradient on the CPU; integers stay integers."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    # Columns of a table are often read-only, which torch takes badly.
    return torch.from_numpy(np.array(values))


def to_double(values: Numbers) -> Tensor:
    """Convert to float64, with their gradient if they have one."""
    return (values if isinstance(values, Tensor) else to_tensor(values)).double()


def to_floats(values: Numbers) -> Floats:
    """Convert to an array of float64."""
    return np.asarray(to_tensor(values), dtype=np.float64)
