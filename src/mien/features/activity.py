"""Voice activity: was somebody speaking, every 20 ms.

The network is Silero VAD for 16 kHz (Silero Team, MIT; no paper), written again in plain torch
around the weights that release 6.2.3 publishes as safetensors: over windows of 512 samples (32 ms),
each with the 64 samples before it, a short-time Fourier transform as a convolution, four
convolutions over its magnitudes, one LSTM over the windows, one logistic unit. Its probabilities
become yes or no with hysteresis and least lengths.

The release's ONNX file has the same layers but other values, of another training. With those, this
code gives ONNX Runtime's probabilities within 2e-5; with ours, as many windows of acted speech
count as voice (61 %), and mains hum counts less often.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mien import weights

STEP_SAMPLES = 320
WINDOW_SAMPLES = 512
_CONTEXT_SAMPLES = 64
_MIRRORED_SAMPLES = 64
_BINS = 129
_UNITS = 128

ON_PROBABILITY = 0.5
OFF_PROBABILITY = 0.35
SHORTEST_SPEECH = 6  # steps of 20 ms
SHORTEST_SILENCE = 10
# The network always runs over this many windows at once (0.8 s, 40 steps), however the sound
# arrives: other batch sizes round differently in the last bit.
_BLOCK_WINDOWS = 25
_BLOCK_SAMPLES = _BLOCK_WINDOWS * WINDOW_SAMPLES


class ActivityState(NamedTuple):
    """What the network remembers between calls.

    Attributes:
        context: ``(64,)``, the samples before the next window.
        hidden: ``(1, 1, 128)``, the LSTM's output.
        cell: ``(1, 1, 128)``, the LSTM's cell.
    """

    context: Tensor
    hidden: Tensor
    cell: Tensor

    @classmethod
    def fresh(cls) -> ActivityState:
        """Begin with nothing heard."""
        memory = torch.zeros(1, 1, _UNITS)
        return cls(torch.zeros(_CONTEXT_SAMPLES), memory, memory)


class ActivityNetwork(nn.Module):
    """Silero VAD for 16 kHz: samples in, one probability of speech per 32 ms out."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = nn.Conv1d(1, 2 * _BINS, 256, stride=128, bias=False)
        self.convolutions = nn.Sequential(
            nn.Conv1d(_BINS, 128, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(128, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(64, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv1d(64, _UNITS, 3, padding=1),
            nn.ReLU(),
        )
        self.lstm = nn.LSTM(_UNITS, _UNITS, batch_first=True)
        self.output = nn.Linear(_UNITS, 1)

    @classmethod
    def pretrained(cls) -> ActivityNetwork:
        """Load the network with Silero's weights, for inference.

        Raises:
            WeightError: the weights cannot be had.
        """
        network = cls()
        network.load_state_dict(_rename(weights.load("silero_vad")))
        return network.eval().requires_grad_(requires_grad=False)

    def forward(self, samples: Tensor, state: ActivityState) -> tuple[Tensor, ActivityState]:
        """Compute probabilities of speech for whole windows, and the state after them.

        Args:
            samples: ``(windows * 512,)``, 16 kHz, from -1 to 1.
            state: as the call before left it.

        Returns:
            ``(windows,)`` from 0 to 1, and the state for the next call.
        """
        sound = torch.cat([state.context, samples])
        windows = sound.unfold(0, _CONTEXT_SAMPLES + WINDOW_SAMPLES, WINDOW_SAMPLES)
        mirrored = functional.pad(windows.unsqueeze(1), (0, _MIRRORED_SAMPLES), mode="reflect")
        real, imaginary = self.stft(mirrored).chunk(2, dim=1)
        features = self.convolutions((real**2 + imaginary**2).sqrt())
        sequence = features.squeeze(2).unsqueeze(0)
        hidden, (last, cell) = self.lstm(sequence, (state.hidden, state.cell))
        probabilities = torch.sigmoid(self.output(torch.relu(hidden)))
        return probabilities.flatten(), ActivityState(sound[-_CONTEXT_SAMPLES:], last, cell)


def _rename(published: dict[str, Tensor]) -> dict[str, Tensor]:
    places = {"stft_conv": "stft", "final_conv": "output"}
    places |= {f"conv{number}": f"convolutions.{2 * number - 2}" for number in range(1, 5)}
    renamed = {}
    for name, value in published.items():
        layer, _, parameter = name.partition(".")
        if layer == "lstm_cell":
            renamed[f"lstm.{parameter}_l0"] = value
        else:
            renamed[f"{places[layer]}.{parameter}"] = value
    renamed["output.weight"] = renamed["output.weight"].flatten(1)
    return renamed


class SpeechDecision:
    """Probabilities into yes or no, step by step.

    Speech begins at ``ON_PROBABILITY`` and ends below ``OFF_PROBABILITY``; then silences of fewer
    than ``SHORTEST_SILENCE`` steps inside speech are filled, and what is shorter than
    ``SHORTEST_SPEECH`` after that is no speech. A step is decided at most
    ``SHORTEST_SPEECH + SHORTEST_SILENCE`` steps later.
    """

    def __init__(self) -> None:
        self._loud = False
        self._confirmed = False
        self._speech = 0
        self._silence = 0

    def push(self, probabilities: NDArray[np.float32]) -> list[bool]:
        """Return the steps that are decided now, in order."""
        decided: list[bool] = []
        for probability in probabilities.tolist():
            threshold = OFF_PROBABILITY if self._loud else ON_PROBABILITY
            self._loud = probability >= threshold
            decided += self._heard() if self._loud else self._not_heard()
        return decided

    def finish(self) -> list[bool]:
        """Return the steps that were still open."""
        return [False] * (self._speech + self._silence)

    def _heard(self) -> list[bool]:
        self._speech += self._silence + 1
        self._silence = 0
        self._confirmed = self._confirmed or self._speech >= SHORTEST_SPEECH
        if not self._confirmed:
            return []
        decided = [True] * self._speech
        self._speech = 0
        return decided

    def _not_heard(self) -> list[bool]:
        if not (self._confirmed or self._speech):
            return [False]
        self._silence += 1
        if self._silence < SHORTEST_SILENCE:
            return []
        self._confirmed = False
        decided = [False] * (self._speech + self._silence)
        self._speech = self._silence = 0
        return decided


class ActivityDetector:
    """Voice or not, over one unbroken stretch of sound that arrives piece by piece.

    The answers do not depend on how the sound was cut into pieces.

    Args:
        network: as of `ActivityNetwork.pretrained`.
    """

    def __init__(self, network: ActivityNetwork) -> None:
        self._network = network
        self._state = ActivityState.fresh()
        self._waiting = np.empty(0, dtype=np.float32)
        self._decision = SpeechDecision()

    def push(self, samples: NDArray[np.float32]) -> list[bool]:
        """Hear more.

        Args:
            samples: ``(samples,)``, 16 kHz, finite.

        Returns:
            The 20 ms steps that are decided now, in order; at most 1.12 s behind.
        """
        self._waiting = np.concatenate([self._waiting, samples])
        decided: list[bool] = []
        while len(self._waiting) >= _BLOCK_SAMPLES:
            decided += self._decide(self._waiting[:_BLOCK_SAMPLES], _BLOCK_SAMPLES // STEP_SAMPLES)
            self._waiting = self._waiting[_BLOCK_SAMPLES:]
        return decided

    def finish(self) -> list[bool]:
        """Return the steps that were still open; half a step at the end counts as one."""
        steps = (len(self._waiting) + STEP_SAMPLES // 2) // STEP_SAMPLES
        missing = -len(self._waiting) % WINDOW_SAMPLES
        decided = self._decide(np.pad(self._waiting, (0, missing)), steps) if steps else []
        return decided + self._decision.finish()

    def _decide(self, windows: NDArray[np.float32], steps: int) -> list[bool]:
        with torch.inference_mode():
            probabilities, self._state = self._network(torch.from_numpy(windows), self._state)
        # A step takes the probability of the window that holds its middle.
        middles = np.arange(steps) * STEP_SAMPLES + STEP_SAMPLES // 2
        return self._decision.push(probabilities.numpy()[middles // WINDOW_SAMPLES])
