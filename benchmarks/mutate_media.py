"""The mutation test: damaged media files, each of which must end well or in a typed error.

    python -m benchmarks.mutate_media --write docs/results/mutations.md
    python -m benchmarks.mutate_media --analyze --write docs/results/mutations_analyzed.md

Healthy seed files of ten containers (and a real clip, where the environment variable MIEN_DATA or
the usual folder has one) are damaged in eight ways and streamed to their end through one decoder,
or, with ``--analyze``, go the whole way to a timeline. The exit status is 1 if anything but a clean
result or a `MienError` came out, or if a file overran its deadline.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from media.make import Picture, Sound, regular, tone, write  # noqa: E402
from mien.errors import MienError  # noqa: E402
from mien.formats import write_text  # noqa: E402
from mien.media import Decoder, Frame, Limits, Samples  # noqa: E402
from mien.recognition.recognizer import Recognizer  # noqa: E402

Judge = Callable[[Path], tuple[str, str]]
HEADER_BYTES = 512
OVERRUN_S = 5.0  # beyond the deadline: for the parent's own work on a busy machine


def seed_files(folder: Path) -> list[Path]:
    """Write the healthy files: a second or so of picture and sound in every container."""
    picture, sound = Picture(regular(30)), Sound(tone(1.2, 44_100))
    opus = Sound(tone(1.2, 48_000), 48_000, "libopus")
    mp3, pcm = (Sound(tone(1.2, 44_100), codec=codec) for codec in ("libmp3lame", "pcm_s16le"))
    flac, mpeg4 = Sound(tone(1.2, 44_100), codec="flac"), Picture(regular(30), "mpeg4")
    front = {"movflags": "faststart"}
    plan: list[tuple[str, Picture | None, Sound, dict[str, str]]] = [
        ("a.mp4", picture, sound, {}),
        ("front.mp4", picture, sound, front),
        ("a.mkv", picture, opus, {}),
        ("a.webm", Picture(regular(30), "libvpx-vp9"), opus, {}),
        ("a.avi", mpeg4, mp3, {}),
        ("a.mov", Picture(regular(30), "mjpeg", pixel_format="yuvj420p"), pcm, {}),
        ("a.flv", Picture(regular(30), "flv"), mp3, {}),
        ("a.mp3", None, mp3, {}),
        ("a.ogg", None, opus, {}),
        ("a.flac", None, flac, {}),
        ("a.wav", None, pcm, {}),
    ]
    return [write(folder / name, image, voice, options=o) for name, image, voice, o in plan]


def real_clips() -> list[Path]:
    """One real clip, if the data are there."""
    folder = Path(os.environ.get("MIEN_DATA") or ROOT.parent / "shared" / "data")
    return sorted((folder / "java_sed").glob("*.mp4"))[:1]


def _truncate(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(1, len(data))]


def _cut_header(data: bytearray, chance: random.Random) -> bytearray:
    return data[chance.randrange(1, min(HEADER_BYTES, len(data))) :]


def _flip_bits(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randrange(1, 200)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def _change_header(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randrange(1, 12)):
        data[chance.randrange(min(HEADER_BYTES, len(data)))] = chance.randrange(256)
    return data


def _zero_span(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.randrange(1, 4096))
    data[start:end] = bytes(end - start)
    return data


def _insert(data: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(data))
    data[at:at] = chance.randbytes(chance.randrange(1, 1024))
    return data


def _delete(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 1024)]
    return data


def _randomise(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.randrange(1, 8192))
    data[start:end] = chance.randbytes(end - start)
    return data


DAMAGES: dict[str, Callable[[bytearray, random.Random], bytearray]] = {
    "truncation": _truncate,
    "header cut": _cut_header,
    "bit flips": _flip_bits,
    "header bytes": _change_header,
    "zeroed span": _zero_span,
    "insertion": _insert,
    "deletion": _delete,
    "random span": _randomise,
}


def damaged(data: bytes, seed: int, index: int) -> tuple[str, bytes]:
    """Return the name of the damage and the damaged content of file number `index`."""
    chance = random.Random(f"{seed}/{index}")  # noqa: S311 - not for secrets
    name = list(DAMAGES)[index % len(DAMAGES)]
    return name, bytes(DAMAGES[name](bytearray(data), chance))


@dataclass
class Tally:
    """What became of the files.

    Attributes:
        outcomes: how many by damage and outcome.
        failures: what must not happen, one line each.
        slowest: seconds and description of the slowest file.
        starts: how many child processes were needed.
        seconds: for all files.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    starts: int = 0
    seconds: float = 0.0

    def by_outcome(self) -> Counter[str]:
        """How many by outcome alone."""
        counts: Counter[str] = Counter()
        for (_, outcome), count in self.outcomes.items():
            counts[outcome] += count
        return counts


def broken_promise(items: Iterable[Frame | Samples]) -> str:
    """Say what is wrong with the items of a stream, empty if nothing."""
    frame_time, sound_end = -1.0, 0.0
    for item in items:
        if not 0 <= item.time <= Limits().max_duration_s:
            return f"a time of {item.time}"
        if isinstance(item, Frame):
            if item.time <= frame_time or item.image.ndim != 3:
                return f"a frame at {item.time} after {frame_time}"
            frame_time = item.time
        else:
            if item.time < sound_end - 1e-3:
                return f"sound at {item.time} after {sound_end}"
            if not (np.isfinite(item.values).all() and np.abs(item.values).max() <= 1):
                return "values out of range"
            sound_end = item.time + len(item.values) / 16_000
    return ""


def outcome_of(decoder: Decoder, path: Path) -> tuple[str, str]:
    """Stream a file to its end; return the outcome and what must not happen about it."""
    try:
        stream = decoder.stream(path)
        problem = broken_promise(stream)
        stream.close()
    except MienError as error:
        return type(error).__name__, ""
    except Exception as error:
        return "unexpected", f"{type(error).__name__}: {error}"
    return ("decoded with warnings" if stream.warnings else "decoded"), problem


def analysis_of(recognizer: Recognizer, path: Path) -> tuple[str, str]:
    """Analyse a file; return the outcome and what must not happen about it."""
    try:
        timeline = recognizer.analyze(path)
    except MienError as error:
        return type(error).__name__, ""
    except Exception as error:
        return "unexpected", f"{type(error).__name__}: {error}"
    (notes,) = timeline.metadata.recordings.values()
    problem = "" if len(timeline.frame) else "a timeline without rows"
    return ("timeline with warnings" if notes.warnings else "timeline"), problem


def run(
    count: int,
    seed: int,
    *,
    limits: Limits | None = None,
    real: bool = True,
    analyze: bool = False,
) -> Tally:
    """Stream `count` damaged files through one decoder, or analyse them with one recognizer."""
    limits = limits or Limits()
    tally = Tally()
    with tempfile.TemporaryDirectory() as name, ExitStack() as open_things:
        folder = Path(name)
        if analyze:
            recognizer = open_things.enter_context(Recognizer(limits=limits))
            decoder, judge = recognizer.decoder, partial(analysis_of, recognizer)
        else:
            decoder = open_things.enter_context(Decoder(limits=limits))
            judge = partial(outcome_of, decoder)
        (folder / "seeds").mkdir()
        seeds = seed_files(folder / "seeds") + (real_clips() if real else [])
        contents = [(path.name, path.read_bytes()) for path in seeds]
        began = time.monotonic()
        for index in range(count):
            # Each seed meets every kind of damage before the first kind comes round again.
            origin, data = contents[index // len(DAMAGES) % len(contents)]
            damage, content = damaged(data, seed, index)
            path = folder / f"{index}-{origin}"
            path.write_bytes(content)
            _try(judge, path, damage, limits, tally)
            path.unlink()
        tally.starts, tally.seconds = decoder.starts, time.monotonic() - began
    return tally


def _try(judge: Judge, path: Path, damage: str, limits: Limits, tally: Tally) -> None:
    began = time.monotonic()
    outcome, problem = judge(path)
    took = time.monotonic() - began
    what = f"{path.name} ({damage})"
    tally.outcomes[damage, outcome] += 1
    tally.slowest = max(tally.slowest, (took, what))
    if problem:
        tally.failures.append(f"{what}: {problem}")
    if took > limits.deadline_s + OVERRUN_S:
        tally.failures.append(f"{what}: took {took:.1f} s")


def table(tally: Tally, count: int, seed: int) -> str:
    """Return the tally as Markdown."""
    outcomes = sorted(tally.by_outcome())
    rows = [["damage", *outcomes], ["---"] + ["---:"] * len(outcomes)]
    for damage in DAMAGES:
        rows.append([damage, *(str(tally.outcomes[damage, outcome]) for outcome in outcomes)])
    rows.append(["**all**", *(f"**{tally.by_outcome()[outcome]}**" for outcome in outcomes)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    slowest, which = tally.slowest
    summary = (
        f"{count} damaged files, seed {seed}: {tally.seconds:.0f} s ({count / tally.seconds:.0f} "
        f"files a second), {tally.starts} child process(es) started, slowest file {slowest:.2f} s "
        f"({which}), {len(tally.failures)} failure(s)."
    )
    failures = [f"- {failure}" for failure in tally.failures]
    return (
        "\n".join(["# Damaged media files", "", summary, "", *lines, "", *failures]).strip() + "\n"
    )


def save(text: str, path: Path) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; see the module's own text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=1, help="of the damage")
    parser.add_argument("--analyze", action="store_true", help="go the whole way to a timeline")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the table there")
    options = parser.parse_args(arguments)
    tally = run(options.count, options.seed, analyze=options.analyze)
    text = table(tally, options.count, options.seed)
    print(text)
    if options.write:
        save(text, options.write)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
