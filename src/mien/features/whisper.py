"""The first blocks of Whisper's audio encoder: log-mel in, features at 50 Hz out.

Radford et al. (2023), "Robust speech recognition via large-scale weak supervision", section 2.2:
two convolutions with GELU (the second halves the rate), sinusoidal positions, residual blocks that
normalise before attention and before the perceptron. Ours stops after block 3 of tiny.en; middle
blocks carry how something is said, later ones what is said.

Positions are absolute, and the blocks carry them along: the same sound gives other features early
in the input than late. A classifier of emotion trained on single clips loses much of its accuracy
on the same clips inside a long recording, and almost none once the average drift over positions is
taken off (`WhisperEncoder.steady`; ``docs/results/voice_drift.md`` has the figures).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien import weights
from mien.errors import OptionError

WIDTH = 384
HEADS = 6
BLOCKS = 3
MAX_STEPS = 1500
CHUNK_STEPS = 500  # 10 s, how much of a long recording is encoded at once
DRIFT_RANK = 24


class WhisperEncoder(nn.Module):
    """Whisper tiny.en's audio encoder up to block 3, positions cut to the input's length.

    Parameters are named as OpenAI names them, without the leading ``encoder.``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(80, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positional_embedding = nn.Parameter(torch.zeros(MAX_STEPS, WIDTH))
        self.blocks = nn.ModuleList(_Block() for _ in range(BLOCKS))
        self.drift_over_time = nn.Buffer(torch.zeros(MAX_STEPS, DRIFT_RANK))
        self.drift_over_features = nn.Buffer(torch.zeros(DRIFT_RANK, BLOCKS * WIDTH))

    @classmethod
    def pretrained(cls) -> WhisperEncoder:
        """The encoder with OpenAI's weights and our drift, in float32, for inference.

        Raises:
            WeightError: the weights cannot be had.
        """
        encoder = cls()
        parameters = weights.load("whisper_tiny_en") | weights.load("voice_drift")
        encoder.load_state_dict(parameters)
        return encoder.eval().requires_grad_(requires_grad=False)

    def forward(self, log_mel: Tensor, *, blocks: Sequence[int] = (2, 3)) -> Tensor:
        """Outputs of the given blocks, beside each other.

        Args:
            log_mel: ``(batch, frames, 80)`` as of `mien.features.mel.whisper_log_mel`; at most
                3,000 frames (30 s).
            blocks: which, counted from 1, each from 1 to 3; the outputs come in this order.

        Returns:
            ``(batch, ceil(frames / 2), 384 * len(blocks))``.

        Raises:
            OptionError: no block, or one that is not there.
            ValueError: more than 3,000 frames.
        """
        check_blocks(blocks)
        x = functional.gelu(self.conv1(log_mel.transpose(1, 2)))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        if x.shape[1] > MAX_STEPS:
            raise ValueError(f"at most {2 * MAX_STEPS} frames, got {log_mel.shape[1]}")
        x = x + self.positional_embedding[: x.shape[1]]
        outputs = []
        for block in self.blocks[: max(blocks)]:
            x = block(x)
            outputs.append(x)
        return torch.cat([outputs[number - 1] for number in blocks], dim=-1)

    def steady(self, log_mel: Tensor, *, blocks: Sequence[int] = (2, 3)) -> Tensor:
        """As `forward`, less what the blocks give at each position on average, whatever is said.

        The average level over the first 10 s stays in.

        Raises:
            OptionError: no block, or one that is not there.
            ValueError: more than 3,000 frames.
        """
        outputs: Tensor = self(log_mel, blocks=blocks)
        drift: Tensor = self.drift_over_time[: outputs.shape[1]] @ self.drift_over_features
        by_block = drift.reshape(-1, BLOCKS, WIDTH)
        return outputs - by_block[:, [number - 1 for number in blocks]].flatten(1)


def check_blocks(blocks: Sequence[int]) -> None:
    """Check a choice of blocks.

    Raises:
        OptionError: no block, or one that is not there.
    """
    if not blocks or not set(blocks) <= set(range(1, BLOCKS + 1)):
        raise OptionError(
            f"the speech encoder has no blocks {tuple(blocks)}",
            advice=f"choose from 1 to {BLOCKS}",
        )


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = _Attention()
        self.attn_ln = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.mlp_ln = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        attended: Tensor = x + self.attn(self.attn_ln(x))
        perceived: Tensor = self.mlp(self.mlp_ln(attended))
        return attended + perceived


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        heads = functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.out(heads.transpose(1, 2).flatten(2))
        return mixed
