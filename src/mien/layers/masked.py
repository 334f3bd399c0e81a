"""Statistics over the steps that were observed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def zero_missing(values: Tensor, valid: Tensor) -> Tensor:
    """Zero values ``(…, width)`` where ``(…)`` is not valid; no copy where everything is."""
    return values if bool(valid.all()) else torch.where(valid.unsqueeze(-1), values, 0.0)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Average over the valid steps: ``(batch, time, width)`` to ``(batch, width)``; 0 if none."""
    return zero_missing(values, valid).sum(dim=1) / valid.sum(dim=1, keepdim=True).clamp(min=1)


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm over channels whose statistics are those of the observed steps only.

    A batch of fewer than two observed steps has no variance; it is normalised by the running
    statistics and leaves them as they are.
    """

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise.

        Args:
            values: ``(batch, channels, time)``, as convolutions give them.
            valid: ``(batch, time)`` bool.

        Returns:
            The shape of the values, of memory of its own; meaningless where not valid.
        """
        if not self.training:
            return self._by_running(values)
        if bool(valid.all()) and valid.numel() > 1:
            return super().forward(values)
        steps = values.transpose(1, 2)
        observed = steps[valid]
        if len(observed) < 2:
            return self._by_running(values)
        normal = super().forward(observed)
        out = torch.zeros_like(steps).masked_scatter(valid.unsqueeze(-1), normal)
        return out.transpose(1, 2).contiguous()

    def _by_running(self, values: Tensor) -> Tensor:
        return F.batch_norm(
            values,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=False,
            eps=self.eps,
        )
