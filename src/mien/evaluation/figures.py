"""Pictures of results: each function takes numbers and gives a matplotlib figure; `save` writes it.

Colours can be told apart by colour-blind readers, and dashes, marks and hatches without any colour.
No figure is kept by matplotlib, and its settings are put back after each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.errors import OptionError
from mien.evaluation._arrays import Floats, Numbers, floats
from mien.evaluation._drawing import (
    COLOURS,
    FAINT,
    INK,
    canvas,
    legend_beside,
    look,
    save,
    styled,
)
from mien.evaluation.statistics import Ranks

__all__ = [
    "bars",
    "confusion_matrix",
    "critical_difference_diagram",
    "degradation",
    "entropy_by_layer",
    "response_times",
    "save",
    "traces",
]

_MARK: dict[str, Any] = {
    "linestyle": "",
    "marker": "D",
    "markersize": 6,
    "color": COLOURS[4],
    "markeredgecolor": "white",
}


@styled
def degradation(
    results: pd.DataFrame,
    *,
    level: str,
    value: str,
    by: str,
    labels: tuple[str, str],
    title: str = "",
) -> Figure:
    """How a metric falls as more is withheld: the mean of the runs, and a band of one deviation.

    Args:
        results: one row per run.
        level: the column that says how much was withheld.
        value: the column that holds the metric.
        by: the column that names the line.
        labels: of the axes, with units.
        title: of the figure.

    Raises:
        OptionError: there is no such column, or no row.
    """
    _require(results, level, value, by)
    figure, (axes,) = canvas(6.4, 3.4)
    for index, (name, rows) in enumerate(results.groupby(by, sort=False)):
        runs = rows.groupby(level)[value]
        mean, spread = runs.mean(), runs.std(ddof=1).fillna(0)
        at, middle, half = (
            floats(mean.index.to_numpy()),
            floats(mean.to_numpy()),
            floats(spread.to_numpy()),
        )
        axes.plot(at, middle, label=str(name), **look(index))
        colour = COLOURS[index % len(COLOURS)]
        axes.fill_between(at, middle - half, middle + half, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel=labels[0], ylabel=labels[1], title=title)
    legend_beside(axes)
    return figure


@styled
def confusion_matrix(counts: Numbers, names: Sequence[str], *, title: str = "") -> Figure:
    """Labels in rows, predictions in columns: share of the row by shade, and in per cent.

    Args:
        counts: ``(names, names)`` of `mien.evaluation.confusion`.
        names: of the categories.
        title: of the figure.

    Raises:
        OptionError: the counts do not fit the names.
    """
    table = floats(counts)
    if table.shape != (len(names), len(names)):
        raise OptionError(f"counts of shape {table.shape} do not fit {len(names)} names")
    totals = table.sum(1, keepdims=True)
    shares = np.divide(table, totals, out=np.full_like(table, np.nan), where=totals > 0)
    side = 1.6 + 0.55 * len(names)
    figure, (axes,) = canvas(side + 0.4, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = "–" if np.isnan(share) else f"{100 * share:.0f}"
        colour = "white" if share > 0.55 else INK
        weight = "bold" if row == column else "normal"
        axes.text(column, row, text, ha="center", va="center", color=colour, weight=weight)
    heads = [f"{name} ({total:g})" for name, total in zip(names, totals[:, 0], strict=True)]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), heads)
    axes.set(xlabel="predicted, % of the row", ylabel="labelled (clips)", title=title)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


@styled
def traces(
    gold: Numbers,
    predictions: Mapping[str, Numbers],
    *,
    hop: float,
    label: str,
    title: str = "",
) -> Figure:
    """Predictions over time against the annotation; where either is NaN its line breaks.

    Args:
        gold: ``(time,)`` annotation.
        predictions: ``(time,)`` by name.
        hop: seconds between two steps.
        label: of the axis of values, as ``arousal``.
        title: of the figure.

    Raises:
        OptionError: the lengths differ.
    """
    known = floats(gold)
    series = {name: floats(values) for name, values in predictions.items()}
    if any(values.shape != known.shape for values in series.values()):
        raise OptionError("predictions and annotation differ in length")
    seconds = np.arange(len(known)) * hop
    figure, (axes,) = canvas(7.2, 2.6)
    axes.plot(seconds, known, color=INK, linewidth=2.2, label="annotation")
    for index, (name, values) in enumerate(series.items()):
        axes.plot(seconds, values, label=name, **{**look(index), "marker": ""})
    axes.set(
        xlabel="time (s)", ylabel=label, title=title, xlim=(0, seconds[-1] if len(known) else 1)
    )
    legend_beside(axes)
    return figure


@styled
def entropy_by_layer(entropies: Mapping[str, Numbers], *, title: str = "") -> Figure:
    """Entropy of the representations of each layer (MATER, figure 4), and one deviation of clips.

    Args:
        entropies: by modality ``(clips, layers)`` of `mien.evaluation.representation_entropy`, in
            nats; NaN where a clip lacks the modality.
        title: of the figure.
    """
    figure, (axes,) = canvas(5.0, 3.0)
    deepest = 1
    for index, (modality, values) in enumerate(entropies.items()):
        table = floats(values)
        mean, half = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
        layers = np.arange(1, len(mean) + 1)
        deepest = max(deepest, len(mean))
        axes.plot(layers, mean, label=modality, **look(index))
        axes.fill_between(layers, mean - half, mean + half, color=COLOURS[index], alpha=0.15, lw=0)
    axes.set_xticks(range(1, deepest + 1))
    axes.set(xlabel="layer", ylabel="entropy (nats)", title=title)
    legend_beside(axes)
    return figure


@styled
def response_times(
    shares: Mapping[str, Numbers], *, ends: Numbers, told: Mapping[str, float], title: str = ""
) -> Figure:
    """When clips are first told right (MATER, figure 11): a histogram for each modality.

    Args:
        shares: by modality ``(windows,)``, of the clips that are ever told right those that are
            first told right in each window; sums to one.
        ends: ``(windows,)`` seconds at which the windows end.
        told: by modality the share of all clips that are ever told right.
        title: of the figure.

    Raises:
        OptionError: there is no modality.
    """
    if not shares:
        raise OptionError("there are no response times to draw")
    until = floats(ends)
    figure, panels = canvas(0.8 + 2.3 * len(shares), 2.7, len(shares))
    for index, (axes, (modality, values)) in enumerate(zip(panels, shares.items(), strict=True)):
        _histogram(axes, np.nan_to_num(floats(values)), until, COLOURS[index % len(COLOURS)])
        axes.set_title(f"{modality}: {100 * told[modality]:.0f} % told right")
    figure.supxlabel("end of the first window told right (s)", fontsize=9)
    panels[0].set_ylabel("% of these clips")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


@styled
def critical_difference_diagram(ranks: Ranks, *, title: str = "") -> Figure:
    """Average ranks on a line; a bar joins models that do not differ (Demsar 2006, figure 1).

    Args:
        ranks: of `mien.evaluation.statistics.rank_models`.
        title: of the figure.
    """
    average, names = floats(ranks.average.to_numpy()), [str(name) for name in ranks.average.index]
    count = len(names)
    left = (count + 1) // 2
    groups = _groups(average, ranks.critical_difference)
    depth = 0.28 * len(groups) + 0.5
    figure, (axes,) = canvas(6.4, 1.1 + 0.3 * (left + depth))
    axes.set(xlim=(0.6 - 0.25 * count, count * 1.25 + 0.4), ylim=(-left - depth - 0.2, 1.7))
    axes.axis("off")
    _rule(axes, count, ranks)
    for level, (first, last) in enumerate(groups):
        ends = (average[first] - 0.06, average[last] + 0.06)
        axes.plot(
            ends, (-0.35 - 0.28 * level,) * 2, color=INK, linewidth=3.2, solid_capstyle="butt"
        )
    for index, (name, rank) in enumerate(zip(names, average, strict=True)):
        low_ranked = index >= left
        row = -depth - (count - 1 - index if low_ranked else index) - 0.3
        edge = count + 0.15 if low_ranked else 0.85
        axes.plot([float(rank)] * 2 + [edge], (0, row, row), color=FAINT, linewidth=1)
        axes.plot(rank, 0, marker="o", markersize=4, color=INK)
        text = f" {rank:.2f}  {name}" if low_ranked else f"{name}  {rank:.2f} "
        axes.text(edge, row, text, ha="left" if low_ranked else "right", va="center")
    axes.set_title(title)
    return figure


@styled
def bars(
    results: pd.DataFrame,
    *,
    value: str,
    by: str,
    label: str,
    reported: Mapping[str, float] | None = None,
    title: str = "",
) -> Figure:
    """A bar for each model: mean of the runs, one deviation, and the paper's own number as a mark.

    Args:
        results: one row per run.
        value: the column that holds the metric.
        by: the column that names the model.
        label: of the axis of values.
        reported: what papers give, by model, quoted.
        title: of the figure.

    Raises:
        OptionError: there is no such column, or no row.
    """
    _require(results, value, by)
    runs = results.groupby(by, sort=False)[value]
    mean, spread = runs.mean(), runs.std(ddof=1).fillna(0)
    names = [str(name) for name in mean.index]
    figure, (axes,) = canvas(6.4, 0.9 + 0.34 * len(names))
    at = np.arange(len(names))
    axes.barh(at, mean, xerr=spread, height=0.62, color="#9cc3e0", ecolor=INK, capsize=2.5)
    if reported:
        numbers = [reported.get(name, np.nan) for name in names]
        # Below the middle, so that it does not hide the bar of the deviation.
        axes.plot(numbers, at + 0.2, label="as the paper reports", **_MARK)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderpad=0)
    axes.set_yticks(at, names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel=label, title=title)
    return figure


def _histogram(axes: Axes, shares: Floats, until: Floats, colour: str) -> None:
    """Shares of clips by window, and their mean as a line with its value."""
    starts = np.concatenate([[0.0], until[:-1]])
    axes.bar(starts, 100 * shares, until - starts, align="edge", color=colour, edgecolor="white")
    if shares.sum():
        mean = float((shares * until).sum() / shares.sum())
        axes.axvline(mean, color=INK, linestyle="--", linewidth=1.2)
        axes.annotate(
            f"mean {mean:.2f} s",
            (mean, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            va="top",
            fontsize=8,
        )


def _rule(axes: Axes, count: int, ranks: Ranks) -> None:
    """The line of ranks, and above it the critical difference at its length."""
    axes.plot((1, count), (0, 0), color=INK, linewidth=1.2)
    for rank in range(1, count + 1):
        axes.plot((rank, rank), (0, 0.16), color=INK, linewidth=1.2)
        axes.text(rank, 0.24, str(rank), ha="center", va="bottom", fontsize=8)
    ends = (1, 1 + ranks.critical_difference)
    axes.plot(ends, (1.0, 1.0), color=INK, marker="|", markersize=8, linewidth=1.6)
    text = f"critical difference {ranks.critical_difference:.2f} (Nemenyi, {ranks.alpha:g})"
    axes.text(1, 1.2, text, ha="left", va="bottom", fontsize=8)


def _groups(average: Floats, reach: float) -> list[tuple[int, int]]:
    """First and last model of every longest run of ranks within reach; ranks rise."""
    found: list[tuple[int, int]] = []
    for first in range(len(average)):
        last = int(np.searchsorted(average, average[first] + reach, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _require(results: pd.DataFrame, *columns: str) -> None:
    absent = [column for column in columns if column not in results]
    if absent or results.empty:
        problem = f"no column {', '.join(absent)}" if absent else "no row"
        raise OptionError(f"the results to draw have {problem}")
