"""One step of a transformer decoder layer, and what it needs and leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = 1e-5  # of every normalisation


class Layer(NamedTuple):
    """Weights of a decoder layer that each step uses; matrices are ``(inputs, outputs)``."""

    past_in: Tensor
    past_in_bias: Tensor
    past_out: Tensor
    past_out_bias: Tensor
    norm_past: Tensor
    norm_past_bias: Tensor
    norm_cross: Tensor
    norm_cross_bias: Tensor
    feed_in: Tensor
    feed_in_bias: Tensor
    feed_out: Tensor
    feed_out_bias: Tensor
    norm_feed: Tensor
    norm_feed_bias: Tensor


class Cross(NamedTuple):
    """The other side of a cross-attention; ``slots`` are heads times modalities.

    ``keys`` and ``values`` ``(time, batch, slots, width)``, ``offsets`` ``(time, batch, slots)``,
    minus infinity where a modality is not there.
    """

    keys: Tensor
    offsets: Tensor
    values: Tensor

    def at(self, time: int) -> Cross:
        """Take one step of it."""
        return Cross(self.keys[time], self.offsets[time], self.values[time])


@dataclass
class Memory:
    """Queries, keys and values of the steps so far: ``(3, batch * heads, time, size)``."""

    rows: Tensor

    @staticmethod
    def empty(rows: int, time: int, size: int, like: Tensor) -> Memory:
        """Make room for that many steps."""
        return Memory(like.new_empty(3, rows, time, size))


class DecoderStep(NamedTuple):
    """What one step of one layer leaves behind for its gradient; ``(batch, …)`` each."""

    given: Tensor  # into the layer
    attention: Tensor  # (batch * heads, 1, steps so far)
    attended: Tensor  # before the output projection
    past: Tensor  # before its normalisation
    past_mean: Tensor
    past_scale: Tensor
    query: Tensor  # after it, into the cross-attention
    weights: Tensor  # (batch, slots)
    cross: Tensor
    cross_mean: Tensor
    cross_scale: Tensor
    fed: Tensor  # into the feed-forward network
    hidden: Tensor  # inside it, before the activation
    active: Tensor  # after it
    feed: Tensor
    feed_mean: Tensor
    feed_scale: Tensor
    output: Tensor


def step(
    layer: Layer,
    cross: Cross,
    memory: Memory,
    time: int,
    given: Tensor,
    masks: tuple[Tensor, ...] | None = None,
) -> DecoderStep:
    """Take one step of one layer; writes this step's row of the memory.

    Args:
        layer: its weights.
        cross: what it may ask, of this step.
        memory: what it attended to before.
        time: number of the step, from zero.
        given: ``(batch, width)``.
        masks: three factors ``(batch, width)`` of the sub-layers' outputs, or nothing.
    """
    batch, width = given.shape
    queries, keys, values = memory.rows
    projected = torch.addmm(layer.past_in_bias, given, layer.past_in)
    memory.rows[:, :, time] = (
        projected.view(batch, 3, -1, memory.rows.shape[3]).transpose(0, 1).flatten(1, 2)
    )
    scores = torch.bmm(queries[:, time : time + 1], keys[:, : time + 1].transpose(1, 2))
    attention = scores.softmax(dim=-1)
    attended = torch.bmm(attention, values[:, : time + 1]).view(batch, width)
    past = torch.addmm(layer.past_out_bias, attended, layer.past_out)
    past = _residual(given, past, masks, 0)
    query, past_mean, past_scale = _normalise(past, layer.norm_past, layer.norm_past_bias)

    asked = torch.baddbmm(cross.offsets.unsqueeze(2), cross.keys, query.unsqueeze(2))
    weights = asked.view(batch, len(queries) // batch, -1).softmax(dim=-1).view(batch, -1)
    answer = torch.bmm(weights.unsqueeze(1), cross.values).squeeze(1)
    crossed = _residual(query, answer, masks, 1)
    fed, cross_mean, cross_scale = _normalise(crossed, layer.norm_cross, layer.norm_cross_bias)

    hidden = torch.addmm(layer.feed_in_bias, fed, layer.feed_in)
    active = torch.nn.functional.gelu(hidden)
    feed = _residual(fed, torch.addmm(layer.feed_out_bias, active, layer.feed_out), masks, 2)
    output, feed_mean, feed_scale = _normalise(feed, layer.norm_feed, layer.norm_feed_bias)
    return DecoderStep(
        given, attention, attended, past, past_mean, past_scale, query, weights, crossed,
        cross_mean, cross_scale, fed, hidden, active, feed, feed_mean, feed_scale, output,
    )  # fmt: skip


def _residual(given: Tensor, added: Tensor, masks: tuple[Tensor, ...] | None, index: int) -> Tensor:
    return given + added if masks is None else torch.addcmul(given, added, masks[index])


def _normalise(values: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise a layer; with the mean and the inverse standard deviation for the gradient."""
    normal: tuple[Tensor, Tensor, Tensor] = torch.native_layer_norm(
        values, [values.shape[-1]], weight, bias, EPSILON
    )
    return normal
