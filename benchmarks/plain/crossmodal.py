"""MulT (Tsai et al. 2019) and AuxFormer (Goncalves and Busso 2022), time first as released."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.layers.crossmodal import Dropouts

RATES = Dropouts()  # those of the release


class Attention(nn.Module):
    """Multi-head attention by batched products of matrices."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Return ``(steps, batch, width)``."""
        steps, batch, width = query.shape
        size = width // self.heads
        rows = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, bias).contiguous().view(-1, batch * self.heads, size)
            for x, weight, bias in zip((query, key, value), *rows, strict=True)
        )
        q, k, v = (x.transpose(0, 1) for x in (q * size**-0.5, k, v))
        scores = torch.bmm(q, k.transpose(1, 2))
        scores = scores if mask is None else scores + mask
        weights = F.dropout(F.softmax(scores, dim=-1), self.dropout, self.training)
        found = torch.bmm(weights, v).transpose(0, 1).contiguous().view(steps, batch, width)
        out: Tensor = self.out_proj(found)
        return out


class Layer(nn.Module):
    """Pre-normalised; with `blend` the residuals of AuxFormer."""

    def __init__(
        self, width: int, heads: int, attention: float, *, blend: bool, causal: bool
    ) -> None:
        super().__init__()
        self.causal = causal
        self.self_attn = Attention(width, heads, attention)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.layer_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.alpha = nn.Parameter(torch.full((1,), 0.5)) if blend else None

    def forward(self, x: Tensor, key: Tensor | None, value: Tensor | None) -> Tensor:
        """Return ``(steps, batch, width)``."""
        norm = self.layer_norms[0]
        normed = norm(x)
        keys = normed if key is None else norm(key)
        values = normed if value is None else norm(value)
        mask = future_mask(len(normed), len(keys)) if self.causal else None
        x = self._add(x, self.self_attn(normed, keys, values, mask))
        inner = F.relu(self.fc1(self.layer_norms[1](x)))
        inner = F.dropout(inner, RATES.relu, self.training)
        return self._add(x, self.fc2(inner))

    def _add(self, x: Tensor, change: Tensor) -> Tensor:
        change = F.dropout(change, RATES.residual, self.training)
        return x + change if self.alpha is None else self.alpha * x + (1 - self.alpha) * change


def future_mask(steps: int, keys: int) -> Tensor:
    """Minus infinity where a query must not look, ``(steps, keys)``."""
    return torch.triu(torch.full((steps, keys), -math.inf), 1 + abs(keys - steps))


def positions(x: Tensor) -> Tensor:
    """``(batch, steps, width)`` sines and cosines; none where the first channel is zero."""
    batch, steps, width = x.shape
    half = width // 2
    frequency = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
    phase = torch.arange(steps + 1).unsqueeze(1) * frequency
    table = torch.cat((phase.sin(), phase.cos()), dim=1)
    table[0] = 0
    index = torch.arange(1, steps + 1) * (x[..., 0] != 0)
    return table.index_select(0, index.flatten()).view(batch, steps, width)


class Encoder(nn.Module):
    """A stack of layers over embedded queries and, if given, embedded keys and values."""

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        *,
        attention: float = RATES.attention,
        placed: bool = True,
        blend: bool = False,
        causal: bool = True,
    ) -> None:
        super().__init__()
        self.placed = placed
        self.layers = nn.ModuleList(
            Layer(width, heads, attention, blend=blend, causal=causal) for _ in range(layers)
        )
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, source: Tensor | None = None) -> Tensor:
        """Return ``(steps, batch, width)``."""
        x = self._embedded(x)
        key = None if source is None else self._embedded(source)
        value = None if source is None else self._embedded(source)
        for layer in self.layers:
            x = layer(x, key, value)
        out: Tensor = self.layer_norm(x)
        return out

    def _embedded(self, x: Tensor) -> Tensor:
        scaled = math.sqrt(x.shape[-1]) * x
        if self.placed:
            scaled = scaled + positions(x.transpose(0, 1)).transpose(0, 1)
        return F.dropout(scaled, RATES.embedding, self.training)


class Mult(nn.Module):
    """Text, audio and video, ``(batch, steps, features)`` each, to scores."""

    def __init__(
        self, sizes: dict[str, int], *, width: int = 30, heads: int = 5, layers: int = 5
    ) -> None:
        super().__init__()
        self.letters = {name: name[0] if name != "text" else "l" for name in sizes}
        inner = width * (len(sizes) - 1)
        for name, letter in self.letters.items():
            self.add_module(f"proj_{letter}", nn.Conv1d(sizes[name], width, 1, bias=False))
            for source in self.letters.values():
                if source != letter:
                    rate = RATES.attention if source == "l" else 0.0
                    encoder = Encoder(width, heads, layers, attention=rate)
                    self.add_module(f"trans_{letter}_with_{source}", encoder)
            self.add_module(f"trans_{letter}_mem", Encoder(inner, heads, max(3, layers)))
        joined = inner * len(sizes)
        self.proj1, self.proj2 = nn.Linear(joined, joined), nn.Linear(joined, joined)
        self.out_layer = nn.Linear(joined, 1)

    def forward(self, **sequences: Tensor) -> Tensor:
        """``(batch, 1)``."""
        inner = {}
        for name, letter in self.letters.items():
            x = sequences[name].transpose(1, 2)
            x = F.dropout(x, RATES.embedding, self.training) if name == "text" else x
            inner[letter] = self.get_submodule(f"proj_{letter}")(x).permute(2, 0, 1)
        last = []
        for letter, x in inner.items():
            found = [
                self.get_submodule(f"trans_{letter}_with_{source}")(x, inner[source])
                for source in inner
                if source != letter
            ]
            last.append(self.get_submodule(f"trans_{letter}_mem")(torch.cat(found, dim=2))[-1])
        h = torch.cat(last, dim=1)
        scores: Tensor = self.out_layer(h + self.proj2(F.relu(self.proj1(h))))
        return scores


class AuxFormer(nn.Module):
    """Audio and 50 parameters of the face, ``(batch, steps, features)``, to the scores of heads."""

    def __init__(
        self,
        audio: int = 1024,
        *,
        width: int = 50,
        heads: int = 10,
        layers: int = 5,
        names: int = 6,
    ) -> None:
        super().__init__()
        self.conv_1d_a = nn.Conv1d(audio, width, 1, bias=False)
        for letter in "av":
            memory = Encoder(width, heads, layers, placed=False, blend=True)
            self.add_module(f"trans_{letter}_mem", memory)
            self.add_module(f"{letter}_mem", Encoder(width, heads, layers, placed=False))
        self.trans_a_with_v = Encoder(width, heads, layers)
        self.trans_v_with_a = Encoder(width, heads, layers)
        self.proj_aux1, self.proj_aux2 = nn.Linear(width, 512), nn.Linear(512, 256)
        self.proj_aux3, self.out_layer_aux = nn.Linear(256, width), nn.Linear(width, names)
        self.proj1, self.proj2 = (nn.Linear(2 * width, 2 * width) for _ in range(2))
        self.out_layer = nn.Linear(2 * width, names)

    def forward(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of the fusion and of both auxiliary heads, ``(batch, names)``."""
        a = self.conv_1d_a(audio.transpose(1, 2)).permute(2, 0, 1)
        v = video.permute(1, 0, 2)
        fused = (self.trans_a_with_v(a, v), self.trans_v_with_a(v, a))
        names = ("trans_a_mem", "trans_v_mem")
        last = [self.get_submodule(n)(x)[-1] for n, x in zip(names, fused, strict=True)]
        h = torch.cat(last, dim=1)
        main = self.out_layer(h + self.proj2(F.relu(self.proj1(h))))
        return main, self._alone("a_mem", a), self._alone("v_mem", v)

    def _alone(self, encoder: str, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.get_submodule(encoder)(x)
        h = x[-1]
        inner = self.proj_aux3(F.relu(self.proj_aux2(F.relu(self.proj_aux1(h)))))
        scores: Tensor = self.out_layer_aux(h + inner)
        return scores
