"""The first blocks of Whisper's audio encoder: log-mel in, features at 50 Hz out.

Radford et al. (2023), "Robust speech recognition via large-scale weak supervision", section 2.2:
two convolutions with GELU (the second halves the rate), sinusoidal positions, residual blocks that
normalise before attention and before the perceptron. Ours stops after block 3 of tiny.en; middle
blocks carry how something is said, later ones what is said.

Positions are absolute, and the blocks carry them along: the same sound gives other features early
in the input than late. A classifier of emotion trained on single clips loses much of its accuracy
on the same clips inside a long recording, and almost none once the average drift over positions is
taken off (`WhisperEncoder.encode_steadily`; ``docs/results/voice_drift.md`` has the figures).

Long sound goes through the encoder in chunks of 10 s of which the outermost second on either side
is only context. The encoder's attention spans its whole input and its positions are absolute, so a
chunk is never exactly what the whole would have been: on four recordings of 28 s (Java-SED and
RAVDESS speech joined) it differs from the encoding of the whole by 0.19 of its length (L2; cosine
0.984 on average), and would by 0.32 if the drift over positions were left in. Margins of 0.5 or 2 s
are no better, chunks of 6 s give 0.22, of 20 s 0.12 at a higher price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mien import weights
from mien.errors import OptionError
from mien.features.extractor import Dtype, SoundExtractor, register_extractor
from mien.features.mel import WHISPER_RATE_HZ, whisper_log_mel

Floats = NDArray[np.float32]

WIDTH = 384
HEADS = 6
BLOCKS = 3
MAX_STEPS = 1500
CHUNK_STEPS = 500  # 10 s, how much of a long recording is encoded at once
MARGIN_STEPS = 50
DRIFT_RANK = 24
STEP_SAMPLES = 320
NATIVE_HOP = STEP_SAMPLES / WHISPER_RATE_HZ
_CHUNK_SAMPLES = CHUNK_STEPS * STEP_SAMPLES
_STRIDE_SAMPLES = (CHUNK_STEPS - 2 * MARGIN_STEPS) * STEP_SAMPLES


class WhisperEncoder(nn.Module):
    """Whisper tiny.en's audio encoder up to block 3, positions cut to the input's length.

    Parameters are named as OpenAI names them, without the leading ``encoder.``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(80, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positional_embedding = nn.Parameter(torch.zeros(MAX_STEPS, WIDTH))
        self.blocks = nn.ModuleList(_WhisperBlock() for _ in range(BLOCKS))
        self.drift_over_time = nn.Buffer(torch.zeros(MAX_STEPS, DRIFT_RANK))
        self.drift_over_features = nn.Buffer(torch.zeros(DRIFT_RANK, BLOCKS * WIDTH))

    @classmethod
    def pretrained(cls) -> WhisperEncoder:
        """Load the encoder with OpenAI's weights and our drift, in float32, for inference.

        Raises:
            WeightError: the weights cannot be had.
        """
        encoder = cls()
        parameters = weights.load("whisper_tiny_en") | weights.load("voice_drift")
        encoder.load_state_dict(parameters)
        return encoder.eval().requires_grad_(requires_grad=False)

    def forward(self, log_mel: Tensor, *, blocks: Sequence[int] = (2, 3)) -> Tensor:
        """Return outputs of the given blocks, beside each other.

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

    def encode_steadily(self, log_mel: Tensor, *, blocks: Sequence[int] = (2, 3)) -> Tensor:
        """Encode as `forward` does, less what the blocks give at each position on average.

        The average level over the first 10 s stays in.

        Raises:
            OptionError: no block, or one that is not there.
            ValueError: more than 3,000 frames.
        """
        outputs: Tensor = self(log_mel, blocks=blocks)
        drift: Tensor = self.drift_over_time[: outputs.shape[1]] @ self.drift_over_features
        by_block = drift.reshape(-1, BLOCKS, WIDTH)
        return outputs - by_block[:, [number - 1 for number in blocks]].flatten(1)


@register_extractor("whisper_tiny_en")
class WhisperTinyEn(SoundExtractor):
    """The voice as Whisper tiny.en hears it: outputs of its first encoder blocks, 384 each.

    Native steps are 20 ms; a step counts as observed where at least half of it was.

    Attributes:
        blocks: which blocks, counted from 1, each from 1 to 3.
        hop: seconds of a step, from 0.02.
        voiced_only: whether steps and their means leave out where nobody spoke.
    """

    edition: ClassVar[int] = 1
    weights: ClassVar[tuple[str, ...]] = ("whisper_tiny_en", "voice_drift")
    dtype: ClassVar[Dtype] = "float16"
    blocks: tuple[int, ...] = (2, 3)
    hop: float = 0.2
    voiced_only: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        check_blocks(self.blocks)
        super().__post_init__()

    @property
    def shape(self) -> tuple[int, ...]:
        """Features of a step."""
        return (WIDTH * len(self.blocks),)

    @property
    def native_hop(self) -> float:
        """20 ms."""
        return NATIVE_HOP

    def extract(self, samples: Floats) -> Floats:
        """Encode an unbroken stretch of sound; ``(round(n / 320), 384 * len(blocks))``."""
        stream = self.stream()
        return np.concatenate([stream.push(samples), stream.finish()])

    def stream(self) -> WhisperStream:
        """Begin a stretch of sound, in memory that does not grow with it."""
        return WhisperStream(_pretrained(), self.blocks)


class WhisperStream:
    """Encodes one unbroken stretch of sound in chunks; see the module docstring.

    The sound that is kept begins with the chunk that was encoded last, since the last chunk of all
    ends where the sound ends and so begins anywhere after that.

    Args:
        encoder: the network.
        blocks: which outputs.
    """

    def __init__(self, encoder: WhisperEncoder, blocks: Sequence[int]) -> None:
        self._encoder, self._blocks = encoder, tuple(blocks)
        self._sound = np.empty(0, dtype=np.float32)
        self._first = 0  # step at which the kept sound begins
        self._next = 0  # where in the kept sound the next chunk begins
        self._emitted = 0

    def push(self, samples: Floats) -> Floats:
        """Hear more; gives the rows that no later sound changes."""
        self._sound = np.concatenate([self._sound, samples])
        rows = [self._nothing()]
        while len(self._sound) > self._next + _CHUNK_SAMPLES:
            self._sound = self._sound[self._next :]
            self._first += self._next // STEP_SAMPLES
            self._next = _STRIDE_SAMPLES
            until = self._first + CHUNK_STEPS - MARGIN_STEPS
            rows.append(self._encode(self._sound[:_CHUNK_SAMPLES], self._first, until))
        return np.concatenate(rows)

    def finish(self) -> Floats:
        """Give the rows that were still open."""
        steps = (len(self._sound) + STEP_SAMPLES // 2) // STEP_SAMPLES
        until = self._first + steps
        if until <= self._emitted:
            return self._nothing()
        first = max(self._first, until - CHUNK_STEPS)
        whole = np.pad(self._sound, (0, STEP_SAMPLES))[: steps * STEP_SAMPLES]
        return self._encode(whole[(first - self._first) * STEP_SAMPLES :], first, until)

    def _encode(self, sound: Floats, first: int, until: int) -> Floats:
        log_mel = torch.from_numpy(whisper_log_mel(sound))
        with torch.inference_mode():
            values = self._encoder.encode_steadily(log_mel.unsqueeze(0), blocks=self._blocks)[0]
        begin, self._emitted = self._emitted, until
        rows: Floats = values[begin - first : until - first].numpy().copy()
        return rows

    def _nothing(self) -> Floats:
        return np.empty((0, WIDTH * len(self._blocks)), dtype=np.float32)


@cache
def _pretrained() -> WhisperEncoder:
    """Return the network of this process, loaded when first needed."""
    return WhisperEncoder.pretrained()


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


class _WhisperBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = _WhisperAttention()
        self.attn_ln = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.mlp_ln = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        attended: Tensor = x + self.attn(self.attn_ln(x))
        perceived: Tensor = self.mlp(self.mlp_ln(attended))
        return attended + perceived


class _WhisperAttention(nn.Module):
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
