"""mien and the plain mathematics of `benchmarks.plain` in one run, in turns: seconds and memory."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from itertools import count

import torch

from benchmarks.pairs import PAIRS
from benchmarks.sides import Side

ROUNDS = 3
LONGEST_PAIR_S = 90.0  # of processor time; no further rounds after that
SHORTEST_PAIR_S = 4.0  # so that what takes milliseconds is repeated often


def least(works: tuple[Callable[[], object], ...], rounds: int = ROUNDS) -> list[float]:
    """Seconds of processor time of each, the least of several rounds in which they take turns.

    With one thread this is what the work takes, however busy the machine is otherwise.
    """
    best = [float("inf")] * len(works)
    began = time.process_time()
    for number in count():
        spent = time.process_time() - began
        if number > 1 and spent > (LONGEST_PAIR_S if number < rounds else SHORTEST_PAIR_S):
            break
        for place, work in enumerate(works):
            start = time.process_time()
            work()
            best[place] = min(best[place], time.process_time() - start)
    return best


def stepper(side: Side) -> Callable[[], None]:
    """Make a training step: forward, loss, backward and plain stochastic gradient descent."""
    optimizer = torch.optim.SGD(side.module.parameters(), lr=1e-6)

    side.module.train()

    def step() -> None:
        optimizer.zero_grad()
        side.loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def forward(side: Side) -> Callable[[], None]:
    """Make a forward pass in evaluation, without gradients."""
    side.module.eval()

    def run() -> None:
        assert side.scores is not None
        with torch.inference_mode():
            side.scores()

    return run


def compare(number: int) -> dict[str, object]:
    """One pair: the seconds of both sides, forward (where it is compared) and training step."""
    torch.manual_seed(0)
    pair = PAIRS[number]
    sides = pair.make(pair.batch)
    row: dict[str, object] = {"model": pair.name, "what": pair.what, "batch": pair.batch}
    if sides[0].scores is not None:
        row["forward_s"], row["plain_forward_s"] = least(tuple(map(forward, sides)))
    row["step_s"], row["plain_step_s"] = least(tuple(map(stepper, sides)))
    return row


def one_step(number: int, place: int) -> None:
    """One training step of one side, for the peak of memory of a process of its own."""
    torch.manual_seed(0)
    pair = PAIRS[number]
    side = pair.make(pair.batch)[place]
    gc.collect()  # the other side, which gave its weights
    stepper(side)()
