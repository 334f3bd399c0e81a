"""Published formats into what is kept: safetensors, which holds numbers and nothing that runs."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mien.errors import WeightError

ENCODER_BLOCKS = 3
_PREFIX = "encoder."
_WHOLE = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "positional_embedding")


def whisper_encoder(published: Path, kept: Path) -> None:
    """Write the convolutions, the position table and the first three blocks of Whisper's encoder.

    Names are OpenAI's without the leading ``encoder.``; values stay float16, as published.

    Args:
        published: OpenAI's ``tiny.en.pt``, its hash already checked.
        kept: the safetensors file to write.

    Raises:
        WeightError: the file does not hold such an encoder.
    """
    try:
        parameters = torch.load(published, map_location="cpu", weights_only=True)
        picked = _first_blocks(parameters["model_state_dict"])
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightError(
            f"this is no Whisper checkpoint ({type(error).__name__})", path=published
        ) from error
    save_file(picked, kept)


def _first_blocks(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    blocks = tuple(f"blocks.{block}." for block in range(ENCODER_BLOCKS))
    picked = {name: parameters[_PREFIX + name].contiguous() for name in _WHOLE}
    for name, value in parameters.items():
        short = name.removeprefix(_PREFIX)
        if name.startswith(_PREFIX) and short.startswith(blocks):
            picked[short] = value.contiguous()
    return picked
