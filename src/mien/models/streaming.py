"""Step by step: the encoder and decoder of ``mmte_ammtd`` with their state.

A step of the encoder's first layer can be made once its look-ahead has come in, one of the second
once the first has gone as far again, and so on; the decoder then goes on by one. For as many steps
as there are learned positions, what comes out is what the model gives for the whole sequence with
the same look-ahead.

Beyond them a stream goes through windows, as every model does, but it cannot choose them so that
the last one ends with the sequence. A window begins after every stride, and where windows overlap
they are averaged: `predict_in_windows` with fixed starts, which
`MMTEWithAMMTD.predict_as_stream` runs over a whole sequence of any length. By default one window
begins where another ends, since one that overlaps the first would take part before it is known that
the sequence is longer than the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import NothingPresent, OptionError
from mien.models.ammtd import AMMTD

if TYPE_CHECKING:
    from mien.models.mmte_encoder import MMTE, EncoderLayer


class Answer(NamedTuple):
    """Scores of one step.

    Attributes:
        step: its number, from zero.
        scores: ``(batch, names)``.
    """

    step: int
    scores: Tensor


def check_stride(positions: int, stride: int | None) -> int:
    """Check the steps between the starts of a stream's windows.

    Args:
        positions: steps of a window.
        stride: what was asked for; nothing for as many as there are positions.

    Raises:
        OptionError: less than one, or windows would leave steps out.
    """
    stride = positions if stride is None else stride
    if not 0 < stride <= positions:
        raise OptionError(
            f"windows of {positions} steps every {stride}",
            advice=f"let one begin every 1 to {positions} steps",
        )
    return stride


class MMTEStream:
    """Scores as time goes on. `MMTEWithAMMTD.stream` makes one.

    All modalities come on one grid, a value of each with every step; one that is missing at a step
    is left out or not valid.

    Attributes:
        delay: steps from a step's coming in to its answer.

    Args:
        encoder: in evaluation mode, with a causal TCN.
        decoder: in evaluation mode.
        regression: from the decoder's output to scores.
        batch: streams side by side.
        stride: steps between the starts of windows; nothing for one after the other.

    Raises:
        OptionError: see `MMTEWithAMMTD.stream`.
    """

    def __init__(
        self,
        encoder: MMTE,
        decoder: AMMTD,
        regression: nn.Module,
        batch: int = 1,
        *,
        stride: int | None = None,
    ) -> None:
        self.stride = check_stride(len(encoder.positions), stride)
        self.encoder, self.decoder, self.regression, self.batch = (
            encoder,
            decoder,
            regression,
            batch,
        )
        self._ended = False
        self._check_state()
        self.delay = encoder.ahead * len(encoder.stack)
        self.time = 0
        self._seen = torch.zeros(batch, dtype=torch.bool, device=encoder.positions.device)
        self._answered = 0
        self._windows: list[_Window] = []
        self._sums: dict[int, tuple[int, Tensor]] = {}
        self._begin()

    @torch.no_grad()
    def push(
        self, values: Mapping[str, Tensor], valid: Mapping[str, Tensor] | None = None
    ) -> Answer | None:
        """Take one step in.

        Args:
            values: by modality, ``(batch, features)``.
            valid: by modality, ``(batch,)`` bool; one that is not named is valid.

        Returns:
            The answer to the step `delay` steps ago, or nothing in the beginning.

        Raises:
            OptionError: a modality that the model does not know, another number of streams or
                features than it was made for, a stream that has ended, or a model in training mode.
                The stream stays as it was.
        """
        self._check_state()
        valid = valid or {}
        self._check_step(values, valid)
        for name in values:
            self._seen |= valid.get(name, torch.ones_like(self._seen))
        if self.time and self.time % self.stride == 0:
            self._begin()
        for window in self._windows:
            window.push(values, valid)
            if window.full:
                window.close()
            self._collect(window)
        self._windows = [window for window in self._windows if not window.full]
        self.time += 1
        return self._next() if self.time > self.delay else None

    @torch.no_grad()
    def finish(self) -> list[Answer]:
        """Answer the last steps, whose look-ahead ends with the sequence.

        Raises:
            NothingPresent: no step ever came in, or nothing was ever observed of somebody, which
                the model refuses for a whole sequence too. The stream stays as it was.
            OptionError: it has ended already, or the model is in training mode.
        """
        self._check_state()
        if not self.time:
            raise NothingPresent("the stream is empty", advice="push a step first")
        if not bool(self._seen.all()):
            lost = (~self._seen).nonzero().flatten().tolist()
            raise NothingPresent(
                f"nothing was ever observed in streams {lost} of the batch",
                advice=f"push {' or '.join(self.encoder.fronts)} that is valid at some step",
            )
        self._ended = True
        for window in self._windows:
            window.close()
            self._collect(window)
        self._windows = []
        return [self._next() for _ in range(self.time - self._answered)]

    def _check_state(self) -> None:
        if any(module.training for module in (self.encoder, self.decoder, self.regression)):
            raise OptionError("a model in training mode cannot stream", advice="call eval() first")
        if self._ended:
            raise OptionError("the stream has ended", advice="begin another one")

    def _check_step(self, values: Mapping[str, Tensor], valid: Mapping[str, Tensor]) -> None:
        fronts = self.encoder.fronts
        unknown = sorted(set(values) - set(fronts))
        if unknown:
            raise OptionError(
                f"no modality {', '.join(unknown)}", advice=f"give {', '.join(fronts)}"
            )
        for name, given in values.items():
            expected = self.batch, fronts[name].features
            if tuple(given.shape) != expected:
                raise OptionError(
                    f"a step of {name} is {tuple(given.shape)}",
                    advice=f"give (streams, features), here {expected}",
                )
            if name in valid and tuple(valid[name].shape) != expected[:1]:
                raise OptionError(
                    f"what is valid of {name} is {tuple(valid[name].shape)}",
                    advice=f"give one answer per stream, here {expected[:1]}",
                )

    def _begin(self) -> None:
        self._windows.append(_Window(self.encoder, self.decoder, self.batch, self.time))

    def _collect(self, window: _Window) -> None:
        for step, decoded in window.take():
            count, total = self._sums.get(step, (0, torch.zeros(())))
            self._sums[step] = count + 1, total + self.regression(decoded)

    def _next(self) -> Answer:
        count, total = self._sums.pop(self._answered)
        self._answered += 1
        return Answer(self._answered - 1, total / count)


class _Window:
    """The state of one run over the learned positions."""

    def __init__(self, encoder: MMTE, decoder: AMMTD, batch: int, start: int) -> None:
        self.encoder, self.decoder, self.start, self.came = encoder, decoder, start, 0
        self.tcns = {name: tcn.start(batch) for name, tcn in encoder.fronts.items()}
        self.stages = [_LayerStage(layer, encoder) for layer in encoder.stack]
        self.valid: list[Tensor] = []
        self.decoded = decoder.begin(batch)
        self.ready: list[tuple[int, Tensor]] = []
        self.batch = batch

    @property
    def full(self) -> bool:
        return self.came == len(self.encoder.positions)

    def push(self, values: Mapping[str, Tensor], valid: Mapping[str, Tensor]) -> None:
        position = self.encoder.positions[self.came]
        embedded, there = [], []
        for name, tcn in self.encoder.fronts.items():
            given = values.get(name)
            here = torch.zeros(self.batch, dtype=torch.bool, device=position.device)
            if given is None:
                given = position.new_zeros(self.batch, tcn.features)
            else:
                here = valid.get(name, ~here)
            local = tcn.step(given, here, self.tcns[name])
            row = local + position + self.encoder.kinds[name]
            embedded.append(torch.where(here.unsqueeze(-1), row, 0.0))
            there.append(here)
        self.came += 1
        self.valid.append(torch.stack(there, dim=1))
        self._pass(torch.stack(embedded, dim=1))

    def close(self) -> None:
        """Take no more steps: what is ahead of the last ones ends here."""
        for index, stage in enumerate(self.stages):
            stage.closed = True
            self._drain(index)

    def take(self) -> list[tuple[int, Tensor]]:
        """Take the outputs of the decoder since the last call, with the steps they belong to."""
        ready, self.ready = self.ready, []
        return ready

    def _pass(self, embedded: Tensor) -> None:
        self.stages[0].push(embedded)
        self._drain(0)

    def _drain(self, index: int) -> None:
        while (made := self.stages[index].make(self.valid)) is not None:
            if index + 1 < len(self.stages):
                self.stages[index + 1].push(made)
                self._drain(index + 1)
                continue
            step = self.decoded.time
            decoded = self.decoder.advance(self.decoded, made, self.valid[step])
            self.ready.append((self.start + step, decoded))


class _LayerStage:
    """One encoder layer: what came in, and how far it has got."""

    def __init__(self, layer: EncoderLayer, encoder: MMTE) -> None:
        self.layer, self.back, self.ahead = layer, encoder.mask_length, encoder.ahead
        self.given: list[Tensor] = []  # (batch, modalities, width)
        self.projected: list[tuple[Tensor, Tensor, Tensor]] = []
        self.made = 0
        self.closed = False

    def push(self, given: Tensor) -> None:
        self.given.append(given)
        self.projected.append(self.layer.project(given))

    def make(self, valid: list[Tensor]) -> Tensor | None:
        """Make the next step, if all that it sees has come in."""
        step, came = self.made, len(self.given)
        if step >= came or (step + self.ahead >= came and not self.closed):
            return None
        first, last = max(0, step - self.back), min(came, step + self.ahead + 1)
        keys = torch.cat([key for _, key, _ in self.projected[first:last]], dim=2)
        values = torch.cat([value for _, _, value in self.projected[first:last]], dim=2)
        seen = torch.cat(valid[first:last], dim=1)
        modalities = self.given[step].shape[1]
        itself = torch.zeros(modalities, keys.shape[2], dtype=torch.bool, device=keys.device)
        itself[:, (step - first) * modalities : (step - first + 1) * modalities].fill_diagonal_(
            True
        )
        attended = F.scaled_dot_product_attention(
            self.projected[step][0], keys, values, attn_mask=seen[:, None, None] | itself
        )
        self.made += 1
        return self.layer.finish(self.given[step], attended)
