"""The commands of the laboratory; `mien.cli` puts them beside the others."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from mien._console import (
    ERR,
    FAILED,
    OUT,
    Plugins,
    parse_choice,
    parse_options,
    split_list,
    split_pairs,
)
from mien.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.datasets import Unreadable
    from mien.experiments.laboratory import Report, RunOptions

_NO_EDGE = 1000  # columns, more than any table takes

Data = Annotated[
    Path | None, typer.Option(help="Folder with the corpora; by default that of MIEN_DATA.")
]
Quick = Annotated[bool, typer.Option("--quick", help="Only a small part, to see that it runs.")]
SoFar = Annotated[bool, typer.Option("--so-far", help="Run nothing; tables of what was run.")]
Out = Annotated[Path | None, typer.Option(help="Folder for tables and figures.")]
Force = Annotated[bool, typer.Option("--force", help="Train again what was trained before.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Stop at the first recording that cannot be read.")
]
Label = Annotated[
    str | None, typer.Option(help="Column of the table; several dimensions with commas.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Runs at a time; by default one a core.")]
Accelerator = Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")]
Devices = Annotated[int, typer.Option(min=1, help="Processes that share each batch.")]
Precision = Annotated[str, typer.Option(help="32-true, bf16-mixed, 16-mixed or 64-true.")]
Many = list[str] | None


def models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Trained models or files, to see their cards.")
    ] = None,
    audio: Annotated[int, typer.Option(help="Features of a step of sound, for the counts.")] = 74,
    video: Annotated[int, typer.Option(help="Features of a step of picture.")] = 35,
    plugin: Plugins = None,
) -> None:
    """List all models and the trained ones that `analyze` can use, or show cards of those."""
    from mien.plugins import load_plugins
    from mien.trained import list_trained, read_card

    load_plugins(plugin or ())
    if names:
        for name in names:
            _print_card(name, read_card(name))
        return
    _print_architectures(audio, video)
    OUT.print("Trained, for `mien analyze --model`; `mien models NAME` shows a card:")
    for name in list_trained():
        card = read_card(name)
        OUT.print(
            f"  {name}: {card['architecture']}, {_describe_task(card['task'])}, "
            f"licence {card['card']['licence']}",
            markup=False,
        )


def experiments(
    name: Annotated[str | None, typer.Argument(help="One of them.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print its YAML.")] = False,
) -> None:
    """List the experiments that ship with mien, or show one."""
    from mien.experiments.loading import list_experiments, list_parts, load_shipped, read_recipe

    if show and name is None:
        raise OptionError("it is not said which experiment to show", advice="give its name")
    if show and name is not None:
        OUT.print(read_recipe(name), markup=False)
        return
    for one in list_experiments() if name is None else list_parts(name):
        experiment = load_shipped(one)
        paper = "" if experiment.paper == "none" else f" ({experiment.paper})"
        OUT.print(f"{one:26} {experiment.title}{paper}", markup=False)


def reproduce(
    name: Annotated[str, typer.Argument(help="One of `mien experiments`.")],
    data: Data = None,
    quick: Quick = False,
    so_far: SoFar = False,
    out: Out = None,
    force: Force = False,
    strict: Strict = False,
    workers: Workers = None,
    accelerator: Accelerator = "cpu",
    devices: Devices = 1,
    precision: Precision = "32-true",
    plugin: Plugins = None,
) -> None:
    """Run an experiment that ships with mien: its table with the paper's numbers, its figures.

    Goes on where it was stopped. The exit code is 1 if a run came to nothing or a recording could
    not be read.
    """
    from mien.experiments import laboratory
    from mien.experiments.runner import Hardware

    options: RunOptions = {
        "data": data, "quick": quick, "so_far": so_far, "out": out, "force": force,
        "strict": strict, "workers": workers, "plugin": plugin or (), "console": ERR,
        "hardware": Hardware(accelerator, devices, precision),
    }  # fmt: skip
    _finish(laboratory.reproduce(name, **options))


def train(
    path: Annotated[
        Path | None,
        typer.Argument(help="Table of recordings (.csv), experiment (.yaml), or shipped one."),
    ] = None,
    label: Label = None,
    model: Annotated[
        str | None, typer.Option(help="For a table; see `mien models`. By default linear_probe.")
    ] = None,
    option: Annotated[Many, typer.Option(help="Of the model, as width=8. Repeatable.")] = None,
    feature: Annotated[
        Many, typer.Option(help="As audio=mfcc:count=13; others are not read. Repeatable.")
    ] = None,
    treatment: Annotated[
        str | None, typer.Option(help="What is hidden in training, as modality_dropout.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most.")] = None,
    seeds: Annotated[str, typer.Option(help="With commas; 0 by default.")] = "",
    folds: Annotated[int | None, typer.Option(help="How many; by default five.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Model file (.safetensors), or folder for tables and figures."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the model file.")] = "",
    data: Data = None,
    quick: Quick = False,
    so_far: SoFar = False,
    force: Force = False,
    strict: Strict = False,
    template: Annotated[
        str | None, typer.Option(help="Print a text to start from: manifest.")
    ] = None,
    workers: Workers = None,
    accelerator: Accelerator = "cpu",
    devices: Devices = 1,
    precision: Precision = "32-true",
    plugin: Plugins = None,
) -> None:
    """Train and measure: one model on a table of recordings, or what an experiment says.

    Of a table, the model is cross-validated by person; with --out mine.safetensors it is then
    fitted on everybody and saved. Goes on where it was stopped. The exit code is 1 if a run came
    to nothing or a recording could not be read.
    """
    if template is not None:
        _print_template(template)
        return
    if path is None:
        raise OptionError("it is not said what to train", advice="give a .csv or a .yaml file")
    from mien.experiments import laboratory
    from mien.experiments.runner import Hardware

    features = split_pairs(feature or (), "audio=mfcc")
    options: dict[str, Any] = {
        "option": parse_options(option or ()),
        "feature": {name: parse_choice(said) for name, said in features.items()},
        "treatment": None if treatment is None else parse_choice(treatment),
        "epochs": epochs, "seeds": _parse_seeds(seeds), "folds": folds, "out": out,
        "licence": licence, "data": data, "quick": quick, "so_far": so_far, "force": force,
        "strict": strict, "workers": workers, "plugin": plugin or (), "console": ERR,
        "hardware": Hardware(accelerator, devices, precision),
        "command": _say_command(),
    }  # fmt: skip
    _finish(laboratory.train(path, label=label, model=model, **options))


def evaluate(
    model: Annotated[
        str, typer.Argument(help="Trained model by name or file, or folder of a finished run.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Table of recordings; of a run the folder with the corpora."),
    ] = None,
    label: Label = None,
    protocol: Annotated[str, typer.Option(help="A name, or YAML with options.")] = "modalities",
    metrics: Annotated[str, typer.Option(help="With commas; by default by task.")] = "",
    out: Annotated[Path | None, typer.Option(help="CSV file for the table.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Measure a run although its data or code has changed.")
    ] = False,
    strict: Strict = False,
    plugin: Plugins = None,
) -> None:
    """Measure a trained model on recordings with labels, or a finished run on its test people.

    The exit code is 1 if a recording could not be read.
    """
    from mien.experiments import evaluating

    found = evaluating.evaluate(
        model, data=data, label=label, protocol=protocol, metrics=split_list(metrics),
        out=out, force=force, strict=strict, plugin=plugin or (), console=ERR,
    )  # fmt: skip
    OUT.print(found.table.to_string(index=False, na_rep=""), markup=False)
    _tell_skipped(found.unreadable)
    raise typer.Exit(FAILED if found.unreadable else 0)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, at any depth.")],
    metric: Annotated[str | None, typer.Option(help="By default the first of the runs.")] = None,
    condition: Annotated[str, typer.Option(help="As the table calls it.")] = "everything",
    protocol: Annotated[str | None, typer.Option(help="Where several have it.")] = None,
    level: Annotated[float | None, typer.Option(help="Where the condition has levels.")] = None,
) -> None:
    """Put models beside each other: means, paired t-tests, Holm-Bonferroni."""
    from mien.experiments import comparisons

    table = comparisons.compare(
        runs, metric=metric, condition=condition, protocol=protocol, level=level
    )
    OUT.print(table.to_string(index=False, na_rep="", float_format="%.4f"), markup=False)


COMMANDS = (models, experiments, reproduce, train, evaluate, compare)


def _parse_seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in split_list(text))
    except ValueError as error:
        raise OptionError(f"{text!r} are no seeds", advice="as 0,1,2") from error


def _say_command() -> str:
    """Return the command as it was typed, with file names instead of paths."""
    said = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return shlex.join(["mien", *said])


def _print_template(name: str) -> None:
    from mien.datasets.manifest import manifest_template

    if name != "manifest":
        raise OptionError(f"there is no template {name!r}", advice="choose manifest")
    OUT.print(manifest_template().rstrip("\n"), markup=False)


def _finish(report: Report) -> None:
    for path in report.files:
        OUT.print(str(path), markup=False)
    if report.failures:
        ERR.print(f"{len(report.failures)} runs came to nothing, see above", style="red")
    _tell_skipped(report.unreadable)
    raise typer.Exit(0 if report.complete else FAILED)


def _tell_skipped(unreadable: Sequence[Unreadable]) -> None:
    if unreadable:
        ERR.print(f"{len(unreadable)} recordings were skipped, see above", style="red")


def _print_architectures(audio: int, video: int) -> None:
    from rich import box
    from rich.table import Table

    from mien.models import COUNTED, describe_model, list_models

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
    (OUT if OUT.is_terminal else Console(highlight=False, width=_NO_EDGE)).print(table)


def _describe_task(task: Mapping[str, Any]) -> str:
    return f"{', '.join(task['names'])} per {task['per']}"


def _print_card(name: str, header: Mapping[str, Any]) -> None:
    """Print what the header of a trained model says."""
    card = header["card"]
    options = ", ".join(f"{key}={value}" for key, value in header["options"].items())
    OUT.print(f"{name}: {header['architecture']}{f' ({options})' if options else ''}", markup=False)
    rows = {
        "description": card["description"],
        "answers": _describe_task(header["task"]),
        **{f"{m} features": _describe_extractor(e) for m, e in header["extractors"].items()},
        "data": card["data"],
        "people": card["people"] or "unknown",
        "labels": card["labels_source"],
        "dimensions": card["dimensions_source"],
        "licence": card["licence"],
        "paper": card["paper"],
        "person's offset": "taken off" if header["offset"] == "person" else "",
        "temperature": f"{header['temperature']:.3g}" if header["temperature"] != 1 else "",
        "plugin": header["plugin"],
        "command": card["command"],
        "mien": card["mien_version"],
        "fingerprint": card["fingerprint"],
    }
    for key, value in rows.items():
        if value:
            OUT.print(f"  {key:15} {value}", markup=False)
    for row in card["metrics"]:
        level = "" if row["level"] is None else f" {row['level']:g}"
        spread = f" ± {row['deviation']:.3f}" if row["count"] > 1 else ""
        OUT.print(
            f"  {row['protocol']}, {row['condition']}{level}: {row['metric']} "
            f"{row['mean']:.3f}{spread} ({row['count']})",
            markup=False,
        )
    if card["how"]:
        OUT.print(f"  {card['how']}", markup=False)


def _describe_extractor(spec: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in spec["settings"].items())
    return f"{spec['name']} ({settings}), version {spec['version']}"
