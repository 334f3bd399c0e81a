"""Conformer blocks of two releases in mien; what they compute is in `mien.layers.conformer`.

- ``conformer_block``: the public PyTorch Conformer (sooftware/conformer), as its paper has it.
- ``conformer_block_vavl``: an older version of the same, inside the released VAVL, with another
  scale and positions that are not relative; the options ``scale`` and ``positions`` say how.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from mien.layers.conformer import ConformerBlock, Positions, Scale
from mien.models._official import OFFICIAL, Official, Tensors, batches_tracked

_ATTENTION = "sequential.1.module.attention."
_CONVOLUTION = "sequential.2.module.sequential."

_LAYERS = {
    "sequential.0.module.sequential.0.": "norms.0.",
    "sequential.0.module.sequential.1.linear.": "before.0.",
    "sequential.0.module.sequential.4.linear.": "before.3.",
    "sequential.1.module.layer_norm.": "norms.1.",
    f"{_ATTENTION}query_proj.linear.": "attention.query.",
    f"{_ATTENTION}key_proj.linear.": "attention.key.",
    f"{_ATTENTION}value_proj.linear.": "attention.value.",
    f"{_ATTENTION}out_proj.linear.": "attention.out.",
    f"{_CONVOLUTION}0.": "norms.2.",
    f"{_CONVOLUTION}2.conv.": "convolution.gated.",
    f"{_CONVOLUTION}5.": "convolution.norm.",
    f"{_CONVOLUTION}7.conv.": "convolution.out.",
    "sequential.3.module.sequential.0.": "norms.3.",
    "sequential.3.module.sequential.1.linear.": "after.0.",
    "sequential.3.module.sequential.4.linear.": "after.3.",
    "sequential.4.": "norms.4.",
}
_NAMES = {
    **{theirs + w: ours + w for theirs, ours in _LAYERS.items() for w in ("weight", "bias")},
    f"{_ATTENTION}pos_proj.linear.weight": "attention.position.weight",
    f"{_ATTENTION}u_bias": "attention.u",
    f"{_ATTENTION}v_bias": "attention.v",
    f"{_CONVOLUTION}4.conv.weight": "convolution.depthwise.weight",
    f"{_CONVOLUTION}5.running_mean": "convolution.norm.running_mean",
    f"{_CONVOLUTION}5.running_var": "convolution.norm.running_var",
}
# A counter, and the position table, which is computed: neither changes an output.
_DEAD = {
    f"{_CONVOLUTION}5.num_batches_tracked",
    "sequential.1.module.positional_encoding.pe",
}
_POINTWISE = {"convolution.gated.weight", "convolution.out.weight"}


def _build(
    parameters: Tensors, num_heads: int | None = None, *, positions: Positions, scale: Scale
) -> nn.Module:
    heads, head_width = parameters[f"{_ATTENTION}u_bias"].shape
    if num_heads not in {None, heads}:
        raise ValueError(f"the file has {heads} heads, not {num_heads}")
    width = heads * head_width
    inner = parameters["sequential.0.module.sequential.1.linear.weight"]
    block = ConformerBlock(
        width,
        heads,
        kernel_size=parameters[f"{_CONVOLUTION}4.conv.weight"].shape[-1],
        expansion=inner.shape[0] // width,
        positions=positions,
        scale=scale,
    )
    return block.to(torch.float64 if inner.dtype == torch.float64 else torch.float32)


def _convert(parameters: Tensors) -> dict[str, Tensor]:
    unknown = sorted(set(parameters) - set(_NAMES) - _DEAD)
    if unknown:
        raise KeyError(f"unknown parameters {', '.join(unknown)}")
    state = {ours: parameters[theirs] for theirs, ours in _NAMES.items()}
    # A pointwise convolution is a linear map; only its trailing kernel axis of one differs.
    state = {key: x.squeeze(-1) if key in _POINTWISE else x for key, x in state.items()}
    return state | batches_tracked(state)


OFFICIAL.register(
    "conformer_block", Official(partial(_build, positions="relative", scale="head"), _convert)
)
OFFICIAL.register(
    "conformer_block_vavl",
    Official(partial(_build, positions="absolute", scale="width"), _convert),
)
