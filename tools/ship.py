"""Train a model that comes with mien, and put it into the package.

    python -m tools.ship default vavl        # those; without a name, all of them

Each is what ``mien train NAME --out FILE`` makes of the recipe of the same name in
``mien.experiments.recipes``. Its weights are kept in half precision, the file's hash goes into the
index, the card beside the file, tables and figures into ``docs/results``. Needs the data folder
(``MIEN_DATA``). Runs that were finished before are not run again.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from rich.console import Console

import mien
from mien.card import Card
from mien.formats import write_text
from mien.trained import TrainedModel, load_model
from mien.weights.registry import TRAINED
from tools.common import DATA, RESULTS, note_in_index

SHIPPED = ("default", "default_baseline", "sfav", "mmte_ammtd", "vavl", "cross_attention", "mater")
WORK = Path("runs/shipped")
LAW = (
    "In the European Union inferring emotions of people at work and in education is prohibited, "
    "except for medical or safety reasons (Regulation (EU) 2024/1689, Article 5(1)(f)); other "
    "emotion recognition is high-risk."
)
MEANING = (
    "how much a stretch resembles what actors did when they were asked to show an "
    "emotion, not what a person feels. People, languages and rooms that are unlike those of the "
    "data were not measured; nor was any group of people by skin colour, age or gender."
)


def main() -> None:
    """Train the models that are asked for, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *SHIPPED], help="all, where none is named")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--workers", type=int, default=None)
    arguments = parser.parse_args()
    for name in arguments.names or SHIPPED:
        ship(name, arguments.data, arguments.workers)


def ship(name: str, data: Path, workers: int | None = None) -> None:
    """Train one model, and keep file, card, tables and figures.

    Raises:
        MienError: the data is not there, or a run came to nothing.
    """
    made = WORK / f"{name}.safetensors"
    report = mien.train(
        name,
        out=made,
        data=data,
        workers=workers,
        command=f"mien train {name} --out {made.name} --data DIR",
        console=Console(stderr=True),
    )
    if not report.complete:
        raise SystemExit(f"{name}: runs came to nothing or recordings were skipped; see above")
    model = load_model(made)
    path = TRAINED / made.name
    model.save(path, half=True)
    write_text(path.with_suffix(".md"), describe(name, model))
    note_in_index(path, licence=model.card.licence, card=f"{name}.md")
    for file in made.with_suffix("").iterdir():
        shutil.copyfile(file, RESULTS / file.name)


def describe(name: str, model: TrainedModel) -> str:
    """Write the card of a model for people who look into the folder."""
    card, task = model.card, model.task
    features = ", ".join(f"{m}: {spec['name']}" for m, spec in model.extractors.items())
    lines = [
        f"# {name}",
        "",
        card.description,
        "",
        f"- **Architecture** `{model.architecture}` ({card.paper}).",
        f"- **Answers** {', '.join(task.names)}, {task.kind} per {task.per}; features: {features}.",
        f"- **Trained on** {card.data} {card.people} people.",
        f"- **Labels** {card.labels_source}.",
        f"- **Made by** `{card.command}`; `python -m tools.ship {name}` puts it here.",
        f"- **Measured** [docs/results/{name}.md](../../../../docs/results/{name}.md). {card.how}",
        "",
        *_figures(card),
        "",
        f"- **Says** {MEANING}",
        f"- **Licence** {card.licence}.",
        f"- **Law** {LAW}",
        "",
    ]
    return "\n".join(lines)


def _figures(card: Card) -> list[str]:
    rows = [
        "| protocol | condition | metric | mean ± standard deviation | runs |",
        "|---|---|---|---|---|",
    ]
    for one in card.metrics:
        level = "" if one.level is None else f" {one.level:g}"
        value = f"{one.mean:.3f} ± {one.deviation:.3f}"
        rows.append(
            f"| {one.protocol} | {one.condition}{level} | {one.metric} | {value} | {one.count} |"
        )
    return rows


if __name__ == "__main__":
    main()
