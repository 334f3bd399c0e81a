"""The command line: one verb for one public function, with the same argument names."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mien._version import __version__
from mien.errors import MienError, OptionError

if TYPE_CHECKING:
    from mien.experiments import laboratory

app = typer.Typer(
    help="Emotion from face and voice, and from whichever of the two is left.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

_NO_EDGE = 1000  # columns, more than any table takes
FAILED = 1
WRONG_USE = 2


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    """Split ``NAME=VALUE`` texts."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise OptionError(f"{text!r} is not MODALITY=FILE", advice="as audio=voice.npz")
        pairs[name.strip()] = value.strip()
    return pairs


def _version(wanted: bool) -> None:
    if wanted:
        _out.print(f"mien {__version__}")
        raise typer.Exit


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", help="Python file that registers a model, an extractor …. May be repeated."
    ),
]


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


@app.command()
def analyze(
    recordings: Annotated[list[Path], typer.Argument(help="Video or sound files.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for results; without it, beside each recording.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Comma-separated; see `mien formats`.")
    ] = "csv,html",
    without: Annotated[str, typer.Option(help="Pretend it is missing: audio or video.")] = "",
    model: Annotated[
        str | None,
        typer.Option(help="Name of a trained model or path of a file; see `mien models`."),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(help="All recordings are of one person, whose offset is taken off."),
    ] = False,
    window: Annotated[
        float | None, typer.Option(help="Seconds that a model per clip sees at once.")
    ] = None,
    hop: Annotated[float, typer.Option(help="Seconds from step to step.")] = 0.5,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="MODALITY=FILE of features for a model that was trained on such; {stem} and "
            "{name} stand for those of the recording. May be repeated."
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Read emotion from recordings: a table and a page for each, and summary.csv over all.

    Goes on past a file that cannot be used; the exit code is 1 if there was one.
    """
    from mien.plugins import load_plugins
    from mien.recognition.batch import Batch  # the help must not wait for torch
    from mien.recognition.recognizer import Recognizer

    load_plugins(plugin or ())
    batch = Batch(_listed(formats), out, _out, _err)
    with Recognizer(
        model, baseline=baseline, window=window, hop=hop, features=_pairs(features or ())
    ) as recognizer:
        failed = batch.run(recognizer, list(dict.fromkeys(recordings)), _listed(without))
    raise typer.Exit(FAILED if failed else 0)


@app.command()
def doctor(
    fetch: Annotated[bool, typer.Option(help="Fetch the weights that are missing.")] = False,
) -> None:
    """Say what is installed, which weights are here and verified, and how to get the rest."""
    from mien.doctor import examine

    raise typer.Exit(0 if examine(_out, fetch=fetch) else FAILED)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the clips and the results.")] = Path("demo"),
) -> None:
    """Analyse six real clips as they are, without sound and without face."""
    from mien.demo import run

    run(out, _out)


@app.command()
def formats() -> None:
    """List the formats that a timeline can be written in."""
    from mien.formats import FORMATS

    for name, kind in FORMATS.items():
        _out.print(f"{name:10} {kind.suffix:12} {kind.description}")


@app.command()
def models(
    audio: Annotated[int, typer.Option(help="Features of a step of sound, for the counts.")] = 74,
    video: Annotated[int, typer.Option(help="Features of a step of picture.")] = 35,
) -> None:
    """List all models, and the trained ones that `analyze` can use."""
    from rich import box
    from rich.table import Table

    from mien import weights
    from mien.models import COUNTED, describe_model, list_models, list_trained

    caption = (
        f"Parameters are those for {audio} features of audio and {video} of video, "
        f"{len(COUNTED)} categories per clip."
    )
    headings = ("name", "paper", "parameters", "tasks", "a missing modality")
    table = Table(*headings, box=box.SIMPLE, caption=caption, caption_justify="left")
    table.columns[0].no_wrap, table.columns[2].justify = True, "right"
    for name in list_models():
        facts = describe_model(name, {"audio": audio, "video": video})
        tasks = "all four" if len(facts.tasks) == 4 else ", ".join(facts.tasks)
        table.add_row(name, facts.paper, f"{facts.parameters:,}", tasks, facts.missing)
    # A file or a pipe has no edge to keep to, and what reads it wants every name whole.
    (_out if _out.is_terminal else Console(highlight=False, width=_NO_EDGE)).print(table)
    _out.print("Trained, for `mien analyze --model`:")
    files = weights.trained()
    for name in list_trained():
        _out.print(f"  {name}: {files[name].licence}", markup=False)


@app.command()
def experiments() -> None:
    """List the experiments that ship with mien."""
    from mien.experiments.loading import list_experiments, shipped

    for name in list_experiments():
        experiment = shipped(name)
        paper = "" if experiment.paper == "none" else f" ({experiment.paper})"
        _out.print(f"{name:26} {experiment.title}{paper}", markup=False)


Data = Annotated[
    Path | None, typer.Option(help="Folder with the corpora; by default that of MIEN_DATA.")
]
Quick = Annotated[bool, typer.Option(help="Only a small part, to see that it runs.")]
SoFar = Annotated[bool, typer.Option(help="Run nothing; tables of what was run before.")]
Out = Annotated[Path | None, typer.Option(help="Folder for tables and figures.")]
Workers = Annotated[int | None, typer.Option(help="Runs at a time; by default one a core.")]
Accelerator = Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")]
Devices = Annotated[int, typer.Option(help="Processes that share each batch.")]
Precision = Annotated[str, typer.Option(help="32-true, bf16-mixed, 16-mixed or 64-true.")]


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="One of `mien experiments`.")],
    data: Data = None,
    quick: Quick = False,
    so_far: SoFar = False,
    out: Out = None,
    workers: Workers = None,
    accelerator: Accelerator = "cpu",
    devices: Devices = 1,
    precision: Precision = "32-true",
) -> None:
    """Run an experiment that ships with mien: its table with the paper's numbers, its figures.

    Goes on where it was stopped. The exit code is 1 if a run came to nothing.
    """
    from mien.experiments import laboratory
    from mien.experiments.runner import Hardware

    hardware = Hardware(accelerator, devices, precision)
    report = laboratory.reproduce(
        name,
        data=data,
        quick=quick,
        so_far=so_far,
        out=out,
        workers=workers,
        hardware=hardware,
        console=_err,
    )
    _show(report)


@app.command()
def train(
    path: Annotated[Path, typer.Argument(help="A YAML file that says what to run.")],
    data: Data = None,
    quick: Quick = False,
    so_far: SoFar = False,
    out: Out = None,
    workers: Workers = None,
    accelerator: Accelerator = "cpu",
    devices: Devices = 1,
    precision: Precision = "32-true",
) -> None:
    """Train and measure what a YAML file says; as `reproduce`, with a file of your own."""
    from mien.experiments import laboratory
    from mien.experiments.runner import Hardware

    hardware = Hardware(accelerator, devices, precision)
    report = laboratory.train(
        path,
        data=data,
        quick=quick,
        so_far=so_far,
        out=out,
        workers=workers,
        hardware=hardware,
        console=_err,
    )
    _show(report)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    protocol: Annotated[str, typer.Option(help="A name, or YAML with options.")] = "modalities",
    data: Data = None,
) -> None:
    """Measure a finished run under a protocol, on the people it was tested on."""
    from mien.experiments import laboratory

    table = laboratory.evaluate(run, protocol=protocol, data=data)
    _out.print(table.to_string(index=False, na_rep=""), markup=False)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, at any depth.")],
    metric: Annotated[str | None, typer.Option(help="By default the first of the runs.")] = None,
    condition: Annotated[str, typer.Option(help="As the table calls it.")] = "everything",
    protocol: Annotated[str | None, typer.Option(help="Where several have it.")] = None,
    level: Annotated[float | None, typer.Option(help="Where the condition has levels.")] = None,
) -> None:
    """Put models beside each other: means, paired t-tests, Holm-Bonferroni."""
    from mien.experiments import laboratory

    table = laboratory.compare(
        runs, metric=metric, condition=condition, protocol=protocol, level=level
    )
    _out.print(table.to_string(index=False, na_rep="", float_format="%.4f"), markup=False)


def _show(report: laboratory.Report) -> None:
    for path in report.files:
        _out.print(str(path), markup=False)
    if report.failures:
        _err.print(f"{len(report.failures)} runs came to nothing, see above", style="red")
        raise typer.Exit(FAILED)


def main() -> None:
    """Run the command line; errors of mien become one line on stderr and a non-zero exit code."""
    try:
        app()
    except MienError as error:
        _err.print(f"mien: {error}", markup=False)
        sys.exit(WRONG_USE)
