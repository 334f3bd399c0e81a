"""The mathematics of mien's models, written out plainly, to time ours against.

The official implementations do not run beside mien: some need text, other versions of torch or
packages of their own, and some were never released. These are what papers and releases compute, in
our own words, as such code is usually written: attention with its weights materialised or by
PyTorch's own layers, every step computed even where only the last is read, keys and values of the
past made anew at each step, every picture of an enlarged batch looked at. They know no masks and
take complete batches only. One set of weights goes into both, where parameters have official names
by these (`mien.models.from_official`), else in their order (`copy_in_order`), and both must give
the same scores; a test holds them to it.
"""

from __future__ import annotations

import torch
from torch import nn


def copy_in_order(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters of a module into one that has as many of the same sizes in the same order.

    A linear map and a convolution over one step differ by an axis of one.

    Raises:
        ValueError: they have not.
    """
    with torch.no_grad():
        for given, taking in zip(source.parameters(), target.parameters(), strict=True):
            if given.squeeze().shape != taking.squeeze().shape:
                raise ValueError(f"{tuple(given.shape)} is not {tuple(taking.shape)}")
            taking.copy_(given.reshape(taking.shape))
