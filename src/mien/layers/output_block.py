"""The dense layers before MulT's output, which others borrowed."""

from __future__ import annotations

from torch import Tensor, nn

from mien.layers.dropout import dropout


class OutputBlock(nn.Module):
    """``h + W2 relu(W1 h)``.

    Of the released code of Tsai et al. (2019); Table III of Chumachenko et al. (2022) adds it to
    SFAV's models.

    Args:
        width: of ``h``.
        dropout: between the two layers.
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, h: Tensor) -> Tensor:
        """Transform ``(…, width)``; the shape stays."""
        inner = dropout(self.first(h).relu(), self.dropout, self.training)
        out: Tensor = h + self.second(inner)
        return out
