"""The command line: one verb for one public function, with the same argument names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mien import _cli_lab
from mien._console import ERR, FAILED, OUT, WRONG_USE, Plugins, split_list, split_pairs
from mien._version import __version__
from mien.errors import MienError

app = typer.Typer(
    help="Emotion from face and voice, and from whichever of the two is left.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        OUT.print(f"mien {__version__}")
        raise typer.Exit


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
    batch = Batch(split_list(formats), out, OUT, ERR)
    with Recognizer(
        model,
        baseline=baseline,
        window=window,
        hop=hop,
        features=split_pairs(features or (), "audio=voice.npz"),
    ) as recognizer:
        failed = batch.run(recognizer, list(dict.fromkeys(recordings)), split_list(without))
    raise typer.Exit(FAILED if failed else 0)


@app.command()
def doctor(
    fetch: Annotated[bool, typer.Option(help="Fetch the weights that are missing.")] = False,
) -> None:
    """Say what is installed, which weights are here and verified, and how to get the rest."""
    from mien.doctor import examine

    raise typer.Exit(0 if examine(OUT, fetch=fetch) else FAILED)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the clips and the results.")] = Path("demo"),
) -> None:
    """Analyse six real clips as they are, without sound and without face."""
    from mien.demo import run

    run(out, OUT)


@app.command()
def formats() -> None:
    """List the formats that a timeline can be written in."""
    from mien.formats import FORMATS

    for name, kind in FORMATS.items():
        OUT.print(f"{name:10} {kind.suffix:12} {kind.description}")


for command in _cli_lab.COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line; errors of mien become one line on stderr and a non-zero exit code."""
    try:
        app()
    except MienError as error:
        ERR.print(f"mien: {error}", markup=False)
        sys.exit(WRONG_USE)
