"""How fast a whole analysis is, where its time goes, and how much memory it takes.

    python -m benchmarks.analyze            # prints; about 10 minutes on two cores
    python -m benchmarks.analyze --write    # also writes docs/results/speed.md and speed.csv

Analyses the Java-SED clips one by one, then one file of 2 minutes and one of 60 that are made by
joining them, each in a process of its own. Needs the data folder (``MIEN_DATA``).
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import pandas as pd
from rich.console import Console
from tools.common import DATA, RESULTS, ROOT

from mien.features.face_detector import FaceDetector
from mien.features.face_encoder import FaceFerPlus
from mien.features.hearing import Hearing
from mien.formats import write_table, write_text
from mien.recognition import recognizer as room
from mien.recognition.batch import Batch
from mien.recognition.recognizer import Recognizer
from mien.timeline import Timeline

STAGES = ("decode", "detect faces", "encode faces", "read voice", "model", "write")
MEGABYTE = 1 << 20


def join(clips: Sequence[Path], seconds: float, joined: Path) -> None:
    """Repeat clips, without encoding them anew, until the file is that long."""
    with av.open(str(joined), "w") as out:
        tracks: dict[str, av.stream.Stream] = {}
        start = 0.0
        for path in itertools.cycle(clips):
            if start >= seconds:
                return
            with av.open(str(path)) as clip:
                streams = [*clip.streams.video[:1], *clip.streams.audio[:1]]
                for stream in streams:
                    if stream.type not in tracks:
                        tracks[stream.type] = out.add_stream_from_template(stream)
                end = start
                for packet in clip.demux(streams):
                    if packet.dts is None:
                        continue
                    shift = round(start / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    last = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    end = max(end, last)
                    packet.stream = tracks[packet.stream.type]
                    out.mux(packet)
                start = end


class Stages:
    """Processor seconds by stage, each counted in the thread that does the work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def count(self, owner: object, name: str, stage: str) -> None:
        """From now on, calls of ``owner.name`` count towards a stage."""
        inner: Callable[..., object] = getattr(owner, name)

        @functools.wraps(inner)
        def timed(*args: object, **options: object) -> object:
            before = time.thread_time()
            try:
                return inner(*args, **options)
            finally:
                self.seconds[stage] += time.thread_time() - before

        setattr(owner, name, timed)

    def count_items(self, owner: object, name: str, what: str) -> None:
        """From now on, what calls of ``owner.name`` return is counted."""
        inner: Callable[..., Sequence[object]] = getattr(owner, name)

        @functools.wraps(inner)
        def counted(*args: object, **options: object) -> Sequence[object]:
            items = inner(*args, **options)
            self.seconds[what] += len(items)
            return items

        setattr(owner, name, counted)


def measure(recordings: Sequence[Path]) -> dict[str, float]:
    """Analyse in this process and say what it took."""
    stages = Stages()
    stages.count(FaceDetector, "detect", "detect faces")
    stages.count(FaceFerPlus, "encode", "encode faces")
    stages.count_items(FaceFerPlus, "encode", "faces")
    stages.count(Hearing, "push", "read voice")
    stages.count(Hearing, "finish", "read voice")
    stages.count(room, "score", "model")
    stages.count(Timeline, "save", "write")
    quiet = Console(file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.monotonic(), time.process_time()
        with Recognizer() as reader:
            failed = Batch(["csv", "html"], Path(folder), quiet, quiet).run(reader, recordings, ())
            child_peak = peak_of(reader.decoder.child_pid)
        ended = time.monotonic()
        own = time.process_time() - cpu
        summary = pd.read_csv(Path(folder) / "summary.csv")
    if failed:
        raise SystemExit(f"{failed} recordings failed")
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    stages.seconds["decode"] = child.ru_utime + child.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "recordings": len(recordings),
        "recorded_s": float(summary.groupby("file")["end"].max().sum()),
        "analysis_s": ended - began,
        "processor_s": own + stages.seconds["decode"],
        **{stage: stages.seconds[stage] for stage in STAGES},
        "encode_ms_a_face": 1000 * stages.seconds["encode faces"] / max(stages.seconds["faces"], 1),
        "parent_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE,
        "child_peak_mb": child_peak,
    }


def peak_of(process: int | None) -> float:
    """Peak resident memory of another process so far in MB; NaN where the system does not say."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return math.nan
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def measured_apart(name: str, recordings: Sequence[Path]) -> dict[str, object]:
    """`measure` in a fresh process, so that peaks of memory are its own."""
    command = [sys.executable, "-m", "benchmarks.analyze", "--measure", *map(str, recordings)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)  # noqa: S603
    row: dict[str, object] = {"what": name, **json.loads(done.stdout.splitlines()[-1])}
    row["times_real_time"] = row["recorded_s"] / row["analysis_s"]  # type: ignore[operator]
    return row


def as_markdown(table: pd.DataFrame) -> str:
    """Return the table with what it was measured on and how."""
    shown = table.set_index("what").T
    lines = [
        "# Speed and memory of a whole analysis",
        "",
        f"Written by `python -m benchmarks.analyze --write` on {os.cpu_count()} cores "
        f"({_processor()}), one run. Java-SED clips: 360×270 at 29.97 frames a second with sound; "
        "the joined files repeat them. Faces are looked for in 5 frames a second. `analysis_s` "
        "includes loading the models. Stages are processor seconds; decoding, faces "
        "and voice run beside each other. Peaks are of resident memory.",
        "",
        "| | " + " | ".join(shown.columns) + " |",
        "|---|" + "---|" * len(shown.columns),
    ]
    for name, row in shown.iterrows():
        lines.append(f"| {name} | " + " | ".join(f"{value:.1f}" for value in row) + " |")
    two, sixty = (table[table["what"] == what].iloc[0] for what in ("2 minutes", "60 minutes"))
    for process in ("parent", "child"):
        ratio = sixty[f"{process}_peak_mb"] / two[f"{process}_peak_mb"]
        lines += ["", f"Peak of the {process}, 60 minutes to 2 minutes: {ratio:.2f}×."]
    both = [row["parent_peak_mb"] + row["child_peak_mb"] for row in (two, sixty)]
    lines += ["", f"Peak of both together, 60 minutes to 2 minutes: {both[1] / both[0]:.2f}×.", ""]
    return "\n".join(lines)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def main() -> None:
    """Measure all three, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--write", action="store_true", help="into docs/results")
    parser.add_argument("--measure", nargs="+", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    clips = sorted((arguments.data / "java_sed").glob("*.mp4"))
    if not clips:
        raise SystemExit(f"no clips in {arguments.data}/java_sed; set MIEN_DATA")
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured_apart(f"{len(clips)} Java-SED clips", clips)]
        for minutes in (2, 60):
            joined = Path(folder) / f"{minutes}.mp4"
            join(clips, 60.0 * minutes, joined)
            rows.append(measured_apart(f"{minutes} minutes", [joined]))
    table = pd.DataFrame(rows)
    text = as_markdown(table)
    print(text)
    if arguments.write:
        write_table(table, RESULTS / "speed.csv")
        write_text(RESULTS / "speed.md", text)


if __name__ == "__main__":
    main()
