"""Forward and training step of every model at the sizes of its paper: seconds and peak memory.

    python -m benchmarks.models            # prints; about half an hour on one core
    python -m benchmarks.models --write    # also writes docs/results/models*.csv and models.md

Random inputs of the papers' shapes and batch sizes, everything present, each model in a process of
its own so that peaks of memory are its own. A training step is forward, loss, backward and a step
of plain stochastic gradient descent. The least of a few repetitions counts, in seconds of the
processor, with one thread: other work on the machine then hardly shows.

First each model alone, then some beside the same mathematics written plainly (`benchmarks.plain`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from tools.common import RESULTS, ROOT

from benchmarks.beside import ROUNDS, compare, forward, least, one_step, stepper
from benchmarks.pairs import PAIRS
from benchmarks.sides import ours
from mien.formats import write_table, write_text
from mien.models import Model, Task, create_model
from mien.signals import Sequence, Signals

# With its usual settings the GNU C library gives large blocks back to the system and asks for them
# anew in each pass, whose pages the system then clears: up to half of a step, and never the same.
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 33), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
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
        """Return the model with fresh weights."""
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


def measure(case: Case, rounds: int) -> dict[str, float]:
    """Seconds and peak memory of one case in this process."""
    model, signals, target = case.model(), case.signals(), case.target()
    side = ours(model, signals, target)
    (forward_s,) = least((forward(side),), rounds)
    forward_mb = _peak_mb()
    (training_s,) = least((stepper(side),), rounds)
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


def apart(*arguments: object, keep: bool = True) -> dict[str, Any]:
    """Run this module and return what it prints last, in a fresh process with one thread.

    Args:
        arguments: of the command line.
        keep: whether the C library keeps what was freed (see `KEEP`).
    """
    command = [sys.executable, "-m", "benchmarks.models", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (KEEP if keep else {})
    done = subprocess.run(  # noqa: S603
        command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(number: int) -> dict[str, object]:
    """One row of the first table."""
    case = CASES[number]
    row = {"model": case.name, "what": case.what, "batch": case.batch}
    peaks = apart("--measure", number, "--once", keep=False)
    return row | apart("--measure", number) | {n: peaks[n] for n in peaks if n.endswith("_mb")}


def beside(number: int) -> dict[str, object]:
    """One row of the second table."""
    row = apart("--compare", number)
    for place, name in enumerate(("step_peak_mb", "plain_step_peak_mb")):
        row[name] = apart("--peak", number, place, keep=False)["peak_mb"]
    return row


HEAD = f"""# Speed and memory of the models

Written by `python -m benchmarks.models --write` with torch {torch.__version__}, one thread, one
run. Seconds are those of the processor, the least of a few repetitions, while the C library keeps
what was freed (`MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`); without, the system clears the
pages of large blocks anew in each pass, which can double a training step from face crops. Random
inputs of the papers' shapes, everything present. Peaks are of the whole process with the C
library's usual settings, libraries included.

## Each model alone
"""
BESIDE = """
## Beside the same mathematics, written plainly

The official implementations did not run here. `benchmarks/plain` holds what they compute, in our
own words and as such code is usually written: attention with its weights in memory, every step
computed even if only the last is read, four small networks for the quarters of a face, every copy
of a picture looked at. Both sides have the same weights and inputs and give the same scores
(`tests/models/test_plain.py`), and took turns in one process. A ratio above one says that mien is
faster, or takes less memory; it is a ratio to that code, not to the official one.

Modality dropout makes of each batch four: full, both attenuated, without audio, without video. The
plain step sees all pictures of it, black ones too. mien's sees each picture once and black ones
never (`SFAV.describe`); where it attenuates features instead of pictures, which is not what the
release does, it need not look at attenuated ones either.

The plain decoder of MMTE computes keys and values of all earlier outputs anew at each step, and its
temporal networks pad both ends and cut, as their release does. Where a pass takes a few
milliseconds (the fusions of RECOLA's features, `tav`, `tva`), what mien does beside the
mathematics, looking at masks and lengths, is what is seen.
"""


def _rows(table: pd.DataFrame, columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return a table in Markdown; by heading the column and its format."""
    lines = [f"| {' | '.join(columns)} |"]
    lines.append("|" + "|".join("---:" if kind else "---" for _, kind in columns.values()) + "|")
    for row in table.to_dict("records"):
        cells = [
            "" if isinstance(row[name], float) and math.isnan(row[name]) else f"{row[name]:{kind}}"
            for name, kind in columns.values()
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def as_markdown(each: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Both tables with how they were measured."""
    named = {"model": ("model", ""), "sizes": ("what", ""), "batch": ("batch", "d")}
    first = named | {
        "parameters": ("parameters", ",d"),
        "forward, s": ("forward_s", ".4f"),
        "training step, s": ("training_step_s", ".4f"),
        "forward peak, MB": ("forward_peak_mb", ".0f"),
        "training peak, MB": ("training_peak_mb", ".0f"),
    }
    ratios = pairs.assign(
        forward=pairs["plain_forward_s"] / pairs["forward_s"],
        step=pairs["plain_step_s"] / pairs["step_s"],
        peak=pairs["plain_step_peak_mb"] / pairs["step_peak_mb"],
    )
    second = named | {
        "forward, s": ("forward_s", ".4f"),
        "plain": ("plain_forward_s", ".4f"),
        "ratio": ("forward", ".2f"),
        "step, s": ("step_s", ".3f"),
        "plain ": ("plain_step_s", ".3f"),
        "ratio ": ("step", ".2f"),
        "step peak, MB": ("step_peak_mb", ".0f"),
        "plain  ": ("plain_step_peak_mb", ".0f"),
        "ratio  ": ("peak", ".2f"),
    }
    return "\n".join([HEAD, *_rows(each, first), BESIDE, *_rows(ratios, second), ""])


def main() -> None:
    """Measure every case and pair, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/results")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--compare", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--peak", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure is not None:
        print(json.dumps(measure(CASES[arguments.measure], 1 if arguments.once else ROUNDS)))
    elif arguments.compare is not None:
        print(json.dumps(compare(arguments.compare)))
    elif arguments.peak is not None:
        one_step(*arguments.peak)
        print(json.dumps({"peak_mb": _peak_mb()}))
    else:
        _tables(arguments.write)


def _tables(write: bool) -> None:
    pairs, each = [], []
    for number in range(len(PAIRS)):
        pairs.append(beside(number))
        print(pairs[-1], flush=True)
    for number in range(len(CASES)):
        each.append(alone(number))
        print(each[-1], flush=True)
    tables = {"models": pd.DataFrame(each), "models_beside": pd.DataFrame(pairs)}
    text = as_markdown(tables["models"], tables["models_beside"])
    print(text)
    if write:
        for name, table in tables.items():
            write_table(table, RESULTS / f"{name}.csv")
        write_text(RESULTS / "models.md", text)


if __name__ == "__main__":
    main()
