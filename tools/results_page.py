"""Write docs/results/README.md: what held up of each paper's claims here, in words and numbers.

    python -m tools.results_page

The words are below; every number is taken from the tables that `mien reproduce` wrote, so the page
cannot say what they do not. ``{table|model|treatment|condition|metric}`` is a mean, with ``|level``
or ``|protocol`` where there are several, and ``±`` in front of the table adds the deviation over
runs. Holm's p of a comparison is ``{p|table|by|metric|condition|within|one}``, likewise with
``|level``: ``by`` is ``model``, ``treatment`` or ``condition``, and ``one`` is what was compared
within a treatment or a model. One number is of the data itself: ``{mmmo median}``.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pandas as pd
import torch

from mien.datasets import Places
from mien.datasets.mfn import MfnSequences
from mien.formats import write_text
from tools.common import DATA, RESULTS

MEDIAN = "mmmo median"
USUAL = "modalities"  # whose conditions are meant where several protocols have them
TEMPLATE = Path(__file__).with_suffix(".md")
_PLACE = re.compile(r"\{(±?)([^{}]+)\}")


@cache
def read_table(name: str) -> pd.DataFrame:
    """Read a table of results."""
    return pd.read_csv(RESULTS / f"{name}.csv")


def format_number(place: str, *, spread: bool) -> str:
    """Format the number at a place.

    Raises:
        SystemExit: no row, or more than one, is at that place.
    """
    if place == MEDIAN:
        return f"{measure_median():.3f}"
    if place.startswith("p|"):
        return format_p(*place.split("|")[1:])
    name, model, treatment, condition, metric, *which = place.split("|")
    rows = read_table(name)
    chosen = rows[
        (rows["model"] == model)
        & (rows["treatment"] == treatment)
        & (rows["condition"] == condition)
        & (rows["metric"] == metric)
    ]
    named = [word for word in which if word.isidentifier()]
    if named or chosen["protocol"].nunique() > 1:
        chosen = chosen[chosen["protocol"] == (named or [USUAL])[0]]
    for level in set(which) - set(named):
        chosen = chosen[chosen["level"] == float(level)]
    values = chosen[["mean", "deviation"]].drop_duplicates()
    if len(values) != 1:
        raise SystemExit(f"{place}: {len(values)} rows")
    mean, deviation = values.iloc[0]
    return f"{mean:.3f} ± {deviation:.3f}" if spread else f"{mean:.3f}"


def format_p(
    name: str, by: str, metric: str, condition: str, within: str, one: str, level: str = ""
) -> str:
    """Format Holm's p of one test.

    Raises:
        SystemExit: no test, or more than one, is at that place.
    """
    rows = read_table(f"{name}_tests")
    other = "model" if by == "treatment" else "treatment"
    chosen = rows[
        (rows["by"] == by)
        & (rows["metric"] == metric)
        & (rows["condition"] == condition)
        & (rows[other] == within)
        & (rows["one"] == one)
    ]
    chosen = chosen[chosen["level"] == float(level)] if level else chosen[chosen["level"].isna()]
    if len(chosen) != 1:
        raise SystemExit(
            f"{name}, {by}, {metric}, {condition}, {within}, {one}: {len(chosen)} tests"
        )
    p = chosen["p_holm"].iloc[0]
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def measure_median() -> float:
    """Measure the mean absolute error on MMMO of always saying the training part's median."""
    dataset = MfnSequences(corpus="mmmo")
    examples = dataset.examples(Places(DATA, RESULTS))
    train, _, test = dataset.split(examples)[0].divide(examples)
    middle = torch.stack([example.target for example in train]).quantile(0.5)
    return float((torch.stack([example.target for example in test]) - middle).abs().mean())


def fill(text: str) -> str:
    """Fill numbers into the template."""
    return _PLACE.sub(lambda found: format_number(found[2], spread=bool(found[1])), text)


def main() -> None:
    """Write the page."""
    write_text(RESULTS / "README.md", fill(TEMPLATE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
