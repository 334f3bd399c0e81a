"""Forward and training step of every model at the sizes of its paper: seconds and peak memory.

    python -m benchmarks.models            # prints; about 15 minutes on two cores
    python -m benchmarks.models --write    # also writes docs/results/models.md and models.csv

Random inputs of the papers' shapes and batch sizes, everything present, each model in a process of
its own so that peaks of memory are its own. A training step is forward, loss, backward and a step
of plain stochastic gradient descent. The least of a few repetitions counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import torch
from experiments.common import RESULTS, ROOT

from mien.formats import write_table, write_text
from mien.models import Model, Task, create_model
from mien.signals import Sequence, Signals

REPETITIONS = 3
LONGEST_CASE_S = 120.0  # no more repetitions after that
SIX = Task("categories", ("a", "b", "c", "d", "e", "f"))
EIGHT = Task("categories", tuple("abcdefgh"))
AROUSAL = Task("dimensions", ("arousal",))
AROUSAL_FRAME = Task("dimensions", ("arousal",), "frame")


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: of the model.
        what: sizes in words.
        task: what it is asked.
        batch: clips.
        shapes: by modality, time and feature axes.
        options: of the model.
    """

    name: str
    what: str
    task: Task
    batch: int
    shapes: Mapping[str, tuple[int, ...]]
    options: Mapping[str, object] = field(default_factory=dict)

    def model(self) -> Model:
        """The model with fresh weights."""
        torch.manual_seed(0)
        sizes = {name: shape[-1] for name, shape in self.shapes.items()}
        if self.options.get("backbone"):
            sizes["video"] = 1024
        return create_model(self.name, task=self.task, modalities=sizes, **self.options)

    def signals(self) -> Signals:
        """Random signals, six seconds long."""
        generator = torch.Generator().manual_seed(1)
        return Signals(
            {
                name: Sequence(
                    torch.randn(self.batch, *shape, generator=generator),
                    torch.ones(self.batch, shape[0], dtype=torch.bool),
                    6.0 / shape[0],
                )
                for name, shape in self.shapes.items()
            }
        )

    def target(self) -> torch.Tensor:
        """Random labels that fit the task."""
        generator = torch.Generator().manual_seed(2)
        steps = max(shape[0] for shape in self.shapes.values())
        frames = (steps,) if self.task.per == "frame" else ()
        if self.task.kind == "categories":
            return torch.randint(len(self.task.names), (self.batch, *frames), generator=generator)
        shape = (self.batch, *frames, len(self.task.names))
        return torch.rand(shape, generator=generator) * 2 - 1


_RAVDESS = {"audio": (156, 10), "video": (15, 1024)}
_CROPS = {"audio": (156, 10), "video": (15, 3, 224, 224)}
_CREMA = {"audio": (131, 1024), "video": (79, 1408)}
_FIFTY = {"audio": (50, 1024), "video": (50, 1408)}
_TSST = {"audio": (250, 88), "video": (250, 20)}
_RECOLA = {"audio": (8, 1024), "video": (8, 1024)}
_MOSEI = {"text": (50, 300), "audio": (500, 74), "video": (500, 35)}

CASES = (
    *(
        Case(name, "RAVDESS, features", EIGHT, 8, _RAVDESS)
        for name in ("sfav_lt", "sfav_it", "sfav_ia", "tav", "tva")
    ),
    *(
        Case(name, "RAVDESS, from crops", EIGHT, 8, _CROPS, {"backbone": "efficientface"})
        for name in ("sfav_lt", "sfav_it", "sfav_ia")
    ),
    Case("mult", "MOSEI unaligned, three modalities", AROUSAL, 24, _MOSEI),
    *(
        Case(name, "Ulm-TSST segments", AROUSAL_FRAME, 64, _TSST)
        for name in ("mmte_ammtd", "mmte_fc", "mmte_lstm", "late_lstm")
    ),
    *(
        Case(name, "CREMA-D, 2.6 s", SIX, 32, _CREMA)
        for name in ("vavl", "unimodal_conformer", "auxformer", "tlstm")
    ),
    Case("uavm", "50 steps", SIX, 32, _FIFTY),
    *(
        Case(name, "RECOLA, 8 sub-sequences", AROUSAL, 16, _RECOLA)
        for name in (
            "cross_attention",
            "cross_attention_2stage",
            "concat",
            "lstm_fusion",
            "self_attention",
        )
    ),
    Case("mater", "RAVDESS, 8 windows", EIGHT, 64, {"audio": (8, 512), "video": (8, 512)}),
)


def least_seconds(work: Callable[[], object]) -> float:
    """The fastest of a few repetitions after one that warms up."""
    began = time.monotonic()
    work()
    times = [time.monotonic() - began]
    while len(times) <= REPETITIONS and time.monotonic() - began < LONGEST_CASE_S:
        start = time.monotonic()
        work()
        times.append(time.monotonic() - start)
    return min(times)


def measure(case: Case) -> dict[str, float]:
    """Seconds and peak memory of one case in this process."""
    model, signals, target = case.model(), case.signals(), case.target()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)

    def forward() -> None:
        with torch.inference_mode():
            model(signals)

    def step() -> None:
        optimizer.zero_grad()
        model.loss(model(signals), target).backward()
        optimizer.step()

    model.eval()
    forward_s = least_seconds(forward)
    forward_mb = _peak_mb()
    model.train()
    training_s = least_seconds(step)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "forward_s": forward_s,
        "training_step_s": training_s,
        "forward_peak_mb": forward_mb,
        "training_peak_mb": _peak_mb(),
    }


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)


def measured_apart(number: int) -> dict[str, object]:
    """One row of the table, measured in a fresh process."""
    case = CASES[number]
    command = [sys.executable, "-m", "benchmarks.models", "--measure", str(number)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)  # noqa: S603
    row = {"model": case.name, "what": case.what, "batch": case.batch}
    return row | json.loads(done.stdout.splitlines()[-1])


def as_markdown(table: pd.DataFrame) -> str:
    """The table with how it was measured."""
    lines = [
        "# Speed and memory of the models",
        "",
        f"Written by `python -m benchmarks.models --write` with torch {torch.__version__} on "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, one run. Random inputs of the "
        "papers' shapes, everything present; the least of a few repetitions. Peaks are of the "
        "whole process, libraries included. Nothing of an official implementation ran beside it: "
        "these figures compare with each other and with nothing else.",
        "",
        "| model | sizes | batch | parameters | forward, s | training step, s | forward peak, MB | "
        "training peak, MB |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in table.to_dict("records"):
        cells = [row["model"], row["what"], str(row["batch"]), f"{row['parameters']:,}"]
        cells += [f"{row['forward_s']:.4f}", f"{row['training_step_s']:.4f}"]
        cells += [f"{row['forward_peak_mb']:.0f}", f"{row['training_peak_mb']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure every case, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/results")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(CASES[arguments.measure])))
        return
    rows = []
    for number, case in enumerate(CASES):
        rows.append(measured_apart(number))
        print(f"{case.name}, {case.what}: {rows[-1]['training_step_s']:.3f} s", flush=True)
    table = pd.DataFrame(rows)
    text = as_markdown(table)
    print(text)
    if arguments.write:
        write_table(table, RESULTS / "models.csv")
        write_text(RESULTS / "models.md", text)


if __name__ == "__main__":
    main()
