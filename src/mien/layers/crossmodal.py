"""Crossmodal transformers: one modality asks, another answers.

Tsai, Y.-H. H., Bai, S., Liang, P. P., Kolter, J. Z., Morency, L.-P. and Salakhutdinov, R. (2019).
Multimodal Transformer for Unaligned Multimodal Language Sequences. ACL, 6558-6569 (MulT), sections
3.1 and 3.2. With ``blend`` the residuals of AuxFormer (Goncalves and Busso, ICASSP 2022).

A layer is pre-normalised: ``h = x + attention(LN0(x), LN0(m))``, ``y = h + W2 relu(W1 LN1(h))``.
The memory ``m`` is the embedded source, the same in every layer ("low-level features"), or ``x``
itself in a self-attention transformer. Positions are sinusoidal, sines then cosines, counted from
one.

Where the paper is silent:
- One normalisation serves queries and memory, and the input is scaled by the root of its width:
  what the authors' released code does, with which their numbers were made.
- ``causal``: step i sees step j of a memory iff ``j <= i + |difference of lengths|``, likewise.
  Lengths are counted per item up to its last valid step, so that padding changes nothing.
- A step that was not observed is no key, and a step that sees nothing adds nothing but its bias.
- Zeros that stand in for a missing modality carry no position, as zeros do in the released code.
  There, however, every step whose first channel happens to be exactly zero loses its position;
  ``unposition_zeros`` does so too, and is off because a position must not hang on one channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import OptionError
from mien.layers.dropout import attention, dropout
from mien.layers.steps import Steps, at

RUN = 64  # queries that are masked together


def sinusoids(time: int, width: int, like: Tensor) -> Tensor:
    """Compute positions 1 to `time`, ``(time, width)``: sines in one half, cosines in the other.

    Frequencies fall geometrically from 1 to 1/10000 radians a step; an odd width ends in a zero.
    """
    half = width // 2
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    steepness = math.log(10000) / max(half - 1, 1)
    frequency = torch.exp(torch.arange(half, dtype=dtype, device=like.device) * -steepness)
    phase = torch.arange(1, time + 1, dtype=dtype, device=like.device)[:, None] * frequency
    table = torch.cat([phase.sin(), phase.cos()], dim=1)
    return F.pad(table, (0, width - 2 * half)).to(like.dtype)


@dataclass(frozen=True)
class Sight:
    """What each query sees.

    Attributes:
        bias: added to the scores, ``(batch or 1, 1, queries, keys)``; None: everything is seen.
        triangular: the mask is the plain causal one, and `bias` is None.
        blind: ``(batch, queries, 1)`` bool, queries that see nothing; None: there are none.
        reach: query i sees no key behind ``i + reach``; None: it may see any.
    """

    bias: Tensor | None
    triangular: bool = False
    blind: Tensor | None = None
    reach: int | None = None

    def of_query(self, index: Tensor, keys: int) -> Sight:
        """Take the row of one query per item."""
        if self.triangular:
            later = torch.arange(keys, device=index.device) > index.unsqueeze(1)
            row = torch.zeros(later.shape, device=index.device).masked_fill(later, -math.inf)
            return Sight(row[:, None, None])
        bias, blind = self.bias, self.blind
        if bias is not None and bias.shape[2] > 1:
            bias = bias.expand(len(index), -1, -1, -1)
            bias = bias[torch.arange(len(index), device=index.device), :, index].unsqueeze(2)
        if blind is not None and blind.shape[1] > 1:
            blind = at(blind, index).unsqueeze(1)
        return Sight(bias, blind=blind)


def sight(query: Steps, memory: Steps, *, causal: bool) -> Sight:
    """Find which steps of `memory` each step of `query` may attend to."""
    complete = bool(memory.valid.all()) and (not causal or bool(query.valid[:, -1].all()))
    asked, answers = query.valid.shape[1], memory.valid.shape[1]
    if complete and (not causal or asked == answers):
        return Sight(None, triangular=causal, reach=0 if causal else None)
    seen = memory.valid.unsqueeze(1)
    farthest = None
    if complete:
        seen = seen[:1]
    if causal:
        key = torch.arange(answers, device=seen.device)
        reach = (memory.length - query.length).abs()[: len(seen), None, None]
        seen = seen & (key <= torch.arange(asked, device=seen.device)[:, None] + reach)
        farthest = int(reach.max())
    blind = ~seen.any(dim=2, keepdim=True)
    bias = torch.zeros(seen.shape, dtype=query.values.dtype, device=seen.device)
    # A row without any key would be 0/0: it looks at everything here and is put to zero afterwards.
    bias = bias.masked_fill(~(seen | blind), -math.inf).unsqueeze(1)
    return Sight(bias, blind=None if complete else blind, reach=farthest)


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Sight, rate: float = 0.0) -> Tensor:
    """Attend by scaled dot products, ``(batch, heads, queries, size)``.

    A mask or a dropout keeps the kernel from leaving out what a causal query cannot see; a few
    runs of queries, each with the keys in its reach, save half of that work and memory.
    """
    queries, keys = q.shape[2], k.shape[2]
    if seen.triangular and not rate:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    run = queries if seen.reach is None else RUN
    parts = []
    for start in range(0, queries, run):
        end = min(start + run, queries)
        visible = keys if seen.reach is None else min(keys, end + seen.reach)
        parts.append(
            attention(
                q[:, :, start:end],
                k[:, :, :visible],
                v[:, :, :visible],
                bias=_rows(seen, start, end, visible, q),
                rate=rate,
            )
        )
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _rows(seen: Sight, start: int, end: int, visible: int, like: Tensor) -> Tensor | None:
    """Compute the bias of some queries to the keys in their reach."""
    if seen.triangular:
        later = torch.full((end - start, visible), -math.inf, dtype=like.dtype, device=like.device)
        return later.triu(start + 1)
    if seen.bias is None:
        return None
    rows = slice(start, end) if seen.bias.shape[2] > 1 else slice(None)
    return seen.bias[:, :, rows, :visible].to(like.dtype)


class Attention(nn.Module):
    """Multi-head attention with one fused projection, as ``torch.nn.MultiheadAttention``.

    Args:
        width: of queries and memory.
        heads: must divide the width.
        dropout: of the weights.

    Raises:
        OptionError: the heads do not divide the width.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise OptionError(f"{heads} heads do not divide a width of {width}")
        self.heads, self.dropout = heads, dropout
        self.in_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_weight)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: Tensor, memory: Tensor, seen: Sight) -> Tensor:
        """Attend: ``(batch, queries, width)`` from these and ``(batch, keys, width)``."""
        width = query.shape[-1]
        if query is memory:
            parts = list(F.linear(query, self.in_weight, self.in_bias).chunk(3, dim=-1))
        else:
            asks = F.linear(query, self.in_weight[:width], self.in_bias[:width])
            answers = F.linear(memory, self.in_weight[width:], self.in_bias[width:])
            parts = [asks, *answers.chunk(2, dim=-1)]
        q, k, v = (self._split(part) for part in parts)
        found = attend(q, k, v, seen, self.dropout if self.training else 0.0)
        found = found.transpose(1, 2).flatten(2)
        if seen.blind is not None:
            found = found.masked_fill(seen.blind, 0.0)
        mixed: Tensor = self.out(found)
        return mixed

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


@dataclass(frozen=True)
class Dropouts:
    """Probabilities during training; the defaults are those of MulT's released code.

    Attributes:
        embedding: of scaled inputs with their positions.
        attention: of attention weights.
        relu: inside the feed-forward layers.
        residual: of what is added to a residual.
        output: in the dense layers before a model's output.
    """

    embedding: float = 0.25
    attention: float = 0.1
    relu: float = 0.1
    residual: float = 0.1
    output: float = 0.0

    @staticmethod
    def of(changes: Mapping[str, float] | None) -> Dropouts:
        """Change the defaults by name.

        Raises:
            OptionError: there is no dropout of that name.
        """
        known = [field.name for field in fields(Dropouts)]
        unknown = sorted(set(changes or {}) - set(known))
        if unknown:
            raise OptionError(
                f"no dropout is called {', '.join(unknown)}",
                advice=f"choose from {', '.join(known)}",
            )
        return Dropouts(**(changes or {}))


class Normalisation(nn.LayerNorm):
    """Layer normalisation without a slope where all numbers of a step are the same.

    Whatever such a step holds, its normalisation is the bias, yet the slope there is one over the
    root of epsilon, 316. Zeros that stand in for a missing modality are such steps in every layer,
    so that in fifteen layers the gradient would overflow.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, PyTorch's name
        """Normalise ``(…, width)`` over the width."""
        if torch.is_grad_enabled():
            constant = (input.detach() == input.detach()[..., :1]).all(dim=-1, keepdim=True)
            input = torch.where(constant, input.detach(), input)  # noqa: A001
        return super().forward(input)


class CrossmodalLayer(nn.Module):
    """One layer; see the module docstring.

    Args:
        width: of queries and memory.
        heads: of the attention.
        dropouts: during training.
        blend: residuals are ``alpha x + (1 - alpha) f(x)`` with one learned alpha (AuxFormer).
    """

    def __init__(self, width: int, heads: int, dropouts: Dropouts, *, blend: bool = False) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropouts.attention)
        self.attention_norm = Normalisation(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.feedforward_norm = Normalisation(width)
        self.dropouts = dropouts
        # Both ways alike at the start: the paper does not say.
        self.alpha = nn.Parameter(torch.full((1,), 0.5)) if blend else None
        for linear in (self.widen, self.narrow):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self, x: Tensor, memory: Tensor | None, seen: Sight, only: Tensor | None = None
    ) -> Tensor:
        """Let queries ``(batch, queries, width)`` attend to a memory, or to themselves.

        Args:
            x: queries.
            memory: ``(batch, keys, width)``; None: the queries.
            seen: what each query sees.
            only: ``(batch,)`` the one query of each item whose result is wanted.
        """
        normed = self.attention_norm(x)
        remembered = normed if memory is None else self.attention_norm(memory)
        if only is not None:
            seen = seen.of_query(only, remembered.shape[1])
            x, normed = at(x, only).unsqueeze(1), at(normed, only).unsqueeze(1)
        x = self._add(x, self.attention(normed, remembered, seen))
        inner = dropout(
            self.widen(self.feedforward_norm(x)).relu(), self.dropouts.relu, self.training
        )
        return self._add(x, self.narrow(inner))

    def _add(self, x: Tensor, change: Tensor) -> Tensor:
        change = dropout(change, self.dropouts.residual, self.training)
        return x + change if self.alpha is None else self.alpha * x + (1 - self.alpha) * change


class CrossmodalTransformer(nn.Module):
    """A stack of layers over an embedded query and an embedded memory.

    Args:
        width: of queries and memory.
        heads: of each attention.
        layers: how many.
        causal: whether a step sees only what is not later; see the module docstring.
        positions: whether positions are added.
        blend: residuals of AuxFormer.
        unposition_zeros: steps whose first channel is exactly zero get no position.
        dropouts: during training.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        *,
        causal: bool = True,
        positions: bool = True,
        blend: bool = False,
        unposition_zeros: bool = False,
        dropouts: Dropouts | None = None,
    ) -> None:
        super().__init__()
        self.causal, self.positions, self.unposition_zeros = causal, positions, unposition_zeros
        self.dropouts = dropouts or Dropouts()
        self.layers = nn.ModuleList(
            [CrossmodalLayer(width, heads, self.dropouts, blend=blend) for _ in range(layers)]
        )
        self.norm = Normalisation(width)

    def forward(self, query: Steps, memory: Steps | None = None, *, last: bool = False) -> Tensor:
        """Inform the query's steps ``(batch, queries, width)`` by the memory.

        Args:
            query: what is asked.
            memory: what is attended to; None: the query itself, layer by layer.
            last: only the last valid step of each item, ``(batch, 1, width)``.
        """
        seen = sight(query, query if memory is None else memory, causal=self.causal)
        x = self.embed(query)
        remembered = None if memory is None else self.embed(memory)
        for number, layer in enumerate(self.layers, start=1):
            only = query.last if last and number == len(self.layers) else None
            x = layer(x, remembered, seen, only)
        if last and not self.layers:
            x = at(x, query.last).unsqueeze(1)
        normed: Tensor = self.norm(x)
        return normed

    def embed(self, steps: Steps) -> Tensor:
        """Scale values and add positions, ``(batch, time, width)``."""
        values = steps.values
        x = math.sqrt(values.shape[-1]) * values
        if self.positions:
            where = steps.positioned
            if self.unposition_zeros:
                where = where & (values[..., 0] != 0)
            table = sinusoids(values.shape[1], values.shape[2], values)
            x = torch.where(where.unsqueeze(-1), x + table, x)
        return dropout(x, self.dropouts.embedding, self.training)
