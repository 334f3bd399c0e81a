"""How well predictions agree with labels."""

from mien.evaluation.metrics import mae, pearson, rmse
from mien.layers.concordance import ccc, ccc_loss

__all__ = ["ccc", "ccc_loss", "mae", "pearson", "rmse"]
