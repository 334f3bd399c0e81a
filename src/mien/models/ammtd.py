"""AMMTD: auto-regressive multimodal transformer decoder.

Vazquez-Rodriguez, Lefebvre, Cumin and Crowley (2023), "Accommodating missing modalities in
time-continuous multimodal emotion recognition", ACII, section 3.2. At step ``t`` the decoder takes
what it said before, ``[d_0, …, d_{t-1}]``, adds positions (equation 8), attends to it (9), asks the
modalities' representations of time ``t`` alone (10), passes a feed-forward network (11) and so
makes ``d_t``.

Where we depart. Read to the letter, equations 10 and 11 renew the whole sequence at each step: all
``h_i`` attend to the representations of time ``t``, and become "the newly generated sequence". The
final ``[d_1, …, d_T]`` would have been written at step ``T``, all of it from the representations of
the last instant, and nothing of the input before would reach an answer except through the encoder.
So only the newest query is new here: it alone attends to time ``t``, what was said stays said, and
with the keys and values of the past kept a step costs ``O(t)``.

Where the paper is silent:

- Normalisation follows each sub-layer, as in Vaswani et al. (2017), which it cites, and as in the
  encoder that it builds on (Gabeur et al. 2020).
- ``d_0`` is learned from a standard normal start: a fixed random vector would only be less able.
- Dropout acts on the sum of input and position and on each sub-layer's output (Vaswani et al.,
  section 5.4), not on attention weights: those are the modality weighting that is to be read.
- The gradient flows through all earlier outputs; ``truncate`` cuts it every so many steps.
- Where no modality is there the cross-attention adds nothing: the decoder goes on from its past.

What does not depend on the step is done for all steps at once: keys and values of the
cross-attention, with the query's and the output's projections multiplied in, and in the backward
pass every gradient of a weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from mien.errors import OptionError
from mien.models._decoder_step import Cross, Layer, Memory, step
from mien.models._unroll import Unroll


class DecoderLayer(nn.Module):
    """Parameters of one transformer decoder layer; `AMMTD` runs it.

    Args:
        width: of the representations.
        heads: of both attentions.
        hidden: width inside the feed-forward network.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.past_in = nn.Linear(width, 3 * width)
        self.past_out = nn.Linear(width, width)
        self.cross_in = nn.Linear(width, 3 * width)
        self.cross_out = nn.Linear(width, width)
        self.feed_in = nn.Linear(width, hidden)
        self.feed_out = nn.Linear(hidden, width)
        self.norm_past = nn.LayerNorm(width)
        self.norm_cross = nn.LayerNorm(width)
        self.norm_feed = nn.LayerNorm(width)

    def weights(self) -> Layer:
        """Collect every step's weights, transposed and with the query's scale multiplied in."""
        width = self.past_out.in_features
        scale = self.past_in.weight.new_ones(3 * width)
        scale[:width] = (width // self.heads) ** -0.5
        return Layer(
            (self.past_in.weight * scale.unsqueeze(1)).t().contiguous(),
            self.past_in.bias * scale,
            self.past_out.weight.t().contiguous(),
            self.past_out.bias,
            self.norm_past.weight,
            self.norm_past.bias,
            self.norm_cross.weight,
            self.norm_cross.bias,
            self.feed_in.weight.t().contiguous(),
            self.feed_in.bias,
            self.feed_out.weight.t().contiguous(),
            self.feed_out.bias,
            self.norm_feed.weight,
            self.norm_feed.bias,
        )

    def cross(self, representations: Tensor, valid: Tensor) -> Cross:
        """Compute what of the cross-attention does not depend on the query, for all steps.

        The score of a modality is ``(W_q h + b_q) · k / √e = h · (W_qᵀ k / √e) + b_q · k / √e``,
        and what it adds is ``W_o v``; both products are made here.

        Args:
            representations: ``(time, batch, modalities, width)``.
            valid: ``(time, batch, modalities)`` bool.
        """
        time, batch, modalities, width = representations.shape
        size = width // self.heads
        query, query_bias = self.cross_in.weight[:width], self.cross_in.bias[:width]
        both = nn.functional.linear(
            representations, self.cross_in.weight[width:], self.cross_in.bias[width:]
        )
        key, value = both.view(time, batch, modalities, 2, self.heads, size).unbind(3)
        key = key / math.sqrt(size)
        keys = torch.einsum("tbmhe,hed->tbhmd", key, query.view(self.heads, size, width))
        offsets = torch.einsum("tbmhe,he->tbhm", key, query_bias.view(self.heads, size))
        out = self.cross_out.weight.view(width, self.heads, size)
        values = torch.einsum("tbmhe,dhe->tbhmd", value, out) + self.cross_out.bias / self.heads
        there = valid.unsqueeze(2).expand(-1, -1, self.heads, -1)
        # A row without any modality keeps finite scores, of values that are zero.
        hide = ~there & there.any(dim=-1, keepdim=True)
        offsets = offsets.masked_fill(hide, -math.inf)
        values = values.masked_fill(~there.unsqueeze(-1), 0.0)
        return Cross(keys.flatten(2, 3), offsets.flatten(2), values.flatten(2, 3))


@dataclass
class DecoderState:
    """Where a decoder is that goes step by step.

    Attributes:
        time: steps that were made.
        last: ``(batch, width)``, the newest output.
        memories: keys and values of each layer's past.
    """

    time: int
    last: Tensor
    memories: list[Memory]


class AMMTD(nn.Module):
    """See the module docstring.

    Args:
        width: of the representations.
        layers: number of transformer decoder layers.
        heads: of each attention.
        hidden: width inside the feed-forward network.
        dropout: probability.
        positions: most steps that can be decoded.
        truncate: steps after which the gradient is cut; nothing for never.

    Raises:
        OptionError: the width is no multiple of the heads, or a number is not positive.
    """

    def __init__(
        self,
        width: int = 64,
        *,
        layers: int = 1,
        heads: int = 1,
        hidden: int = 256,
        dropout: float = 0.2,
        positions: int = 250,
        truncate: int | None = None,
    ) -> None:
        super().__init__()
        if width % heads or min(layers, heads, positions, truncate or 1) < 1:
            raise OptionError(
                f"a decoder of width {width} with {heads} heads, {layers} layers, {positions} "
                f"positions, truncated after {truncate} steps",
                advice="the width must be a multiple of the heads, and all of them positive",
            )
        self.start = nn.Parameter(torch.randn(width))
        self.positions = nn.Parameter(torch.randn(positions, width) * 0.02)
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden) for _ in range(layers))
        self.dropout = dropout
        self.truncate = truncate

    def forward(self, representations: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Decode a whole sequence.

        Args:
            representations: ``(batch, time, modalities, width)``, finite everywhere.
            valid: ``(batch, time, modalities)`` bool.

        Returns:
            Outputs ``(batch, time, width)``, and the weight of each modality ``(batch, time,
            modalities)`` in the last layer's cross-attention, averaged over its heads, zero where
            nothing was there; no gradient flows through these weights.

        Raises:
            OptionError: the sequence is longer than the learned positions.
        """
        time = representations.shape[1]
        if time > len(self.positions):
            raise OptionError(
                f"{time} steps are more than the {len(self.positions)} learned positions",
                advice="use mien.models.predict_in_windows",
            )
        heads = _as_layer(self.layers[0]).heads
        # Many small products gain nothing from half precision, and a long recursion loses by it.
        with torch.autocast(representations.device.type, enabled=False):
            outputs, weights = self._unroll(representations.to(self.start.dtype), valid)
        return outputs.transpose(0, 1), _by_modality(weights.transpose(0, 1), heads, valid)

    def _unroll(self, representations: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        batch, time, _, width = representations.shape
        layers = list(map(_as_layer, self.layers))
        by_time, there = representations.transpose(0, 1), valid.transpose(0, 1)
        tensors: list[Tensor] = []
        for layer in layers:
            tensors += (*layer.cross(by_time, there), *layer.weights())
        outputs, weights = Unroll.apply(  # type: ignore[no-untyped-call]
            layers[0].heads,
            self.truncate or time,
            torch.is_grad_enabled(),
            self._masks(time, batch, width),
            self.start,
            self.positions[:time],
            *tensors,
        )
        return outputs, weights

    def begin(self, batch: int) -> DecoderState:
        """Make the state before the first step of `advance`."""
        time, width = self.positions.shape
        size = width // _as_layer(self.layers[0]).heads
        rows = batch * (width // size)
        memories = [Memory.empty(rows, time, size, self.start) for _ in self.layers]
        return DecoderState(0, self.start.detach().expand(batch, width), memories)

    @torch.no_grad()
    def advance(self, state: DecoderState, representations: Tensor, valid: Tensor) -> Tensor:
        """Take one step; equal to `forward` in evaluation mode.

        Args:
            state: from `begin`, brought forward in place.
            representations: ``(batch, modalities, width)`` of this step.
            valid: ``(batch, modalities)`` bool.

        Returns:
            ``(batch, width)``.
        """
        hidden = state.last + self.positions[state.time]
        for layer, memory in zip(map(_as_layer, self.layers), state.memories, strict=True):
            cross = layer.cross(representations.unsqueeze(0), valid.unsqueeze(0))
            hidden = step(layer.weights(), cross.at(0), memory, state.time, hidden).output
        state.last = hidden
        state.time += 1
        return hidden

    def _masks(self, time: int, batch: int, width: int) -> Tensor | None:
        """Dropout of all steps at once: inputs, then three sub-layers for each layer."""
        if not self.training or self.dropout == 0:
            return None
        shape = (1 + 3 * len(self.layers), time, batch, width)
        keep = torch.rand(shape, device=self.start.device) >= self.dropout
        return keep.to(self.start.dtype) / (1 - self.dropout)


def _by_modality(weights: Tensor, heads: int, valid: Tensor) -> Tensor:
    batch, time, _ = weights.shape
    mean = weights.view(batch, time, heads, -1).mean(dim=2)
    return torch.where(valid, mean, 0.0)


def _as_layer(module: nn.Module) -> DecoderLayer:
    return cast(DecoderLayer, module)
