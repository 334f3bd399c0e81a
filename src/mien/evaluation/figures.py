"""Pictures of results: each function takes numbers and gives a matplotlib figure; `save` writes it.

Colours can be told apart by colour-blind readers, and dashes, marks and hatches without any colour.
No figure is kept by matplotlib, and its settings are put back after each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mien.errors import OptionError
from mien.evaluation._arrays import Floats, Numbers, to_floats
from mien.evaluation._drawing import (
    COLOURS,
    FAINT,
    INK,
    apply_style,
    get_line_style,
    legend_beside,
    make_canvas,
    save,
)
from mien.evaluation.statistics import Ranks

__all__ = [
    "draw_confusion_matrix",
    "draw_critical_differences",
    "draw_degradation",
    "draw_entropy_by_layer",
    "draw_response_times",
    "draw_traces",
    "save",
]


@apply_style
def draw_degradation(
    results: pd.DataFrame,
    *,
    level: str,
    value: str,
    by: str,
    labels: tuple[str, str],
    title: str = "",
) -> Figure:
    """Draw how a metric falls as more is withheld: mean of the runs, band of a standard deviation.

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
    _check_columns(results, level, value, by)
    figure, (axes,) = make_canvas(6.4, 3.4)
    for index, (name, rows) in enumerate(results.groupby(by, sort=False)):
        runs = rows.groupby(level)[value]
        mean, spread = runs.mean(), runs.std(ddof=1).fillna(0)
        at, middle, half = (
            to_floats(mean.index.to_numpy()),
            to_floats(mean.to_numpy()),
            to_floats(spread.to_numpy()),
        )
        axes.plot(at, middle, label=str(name), **get_line_style(index))
        colour = COLOURS[index % len(COLOURS)]
        axes.fill_between(at, middle - half, middle + half, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel=labels[0], ylabel=labels[1], title=title)
    legend_beside(axes)
    return figure


@apply_style
def draw_confusion_matrix(counts: Numbers, names: Sequence[str], *, title: str = "") -> Figure:
    """Draw labels in rows, predictions in columns: fraction of the row by shade, and in per cent.

    Args:
        counts: ``(names, names)`` of `mien.evaluation.confusion_matrix`.
        names: of the categories.
        title: of the figure.

    Raises:
        OptionError: the counts do not fit the names.
    """
    table = to_floats(counts)
    if table.shape != (len(names), len(names)):
        raise OptionError(f"counts of shape {table.shape} do not fit {len(names)} names")
    totals = table.sum(1, keepdims=True)
    fractions = np.divide(table, totals, out=np.full_like(table, np.nan), where=totals > 0)
    side = 1.6 + 0.55 * len(names)
    figure, (axes,) = make_canvas(side + 0.4, side)
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for (row, column), fraction in np.ndenumerate(fractions):
        text = "–" if np.isnan(fraction) else f"{100 * fraction:.0f}"
        colour = "white" if fraction > 0.55 else INK
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


@apply_style
def draw_traces(
    gold: Numbers,
    predictions: Mapping[str, Numbers],
    *,
    hop: float,
    label: str,
    title: str = "",
) -> Figure:
    """Draw predictions over time against the annotation; where either is NaN its line breaks.

    Args:
        gold: ``(time,)`` annotation.
        predictions: ``(time,)`` by name.
        hop: seconds between two steps.
        label: of the axis of values, as ``arousal``.
        title: of the figure.

    Raises:
        OptionError: the lengths differ.
    """
    known = to_floats(gold)
    series = {name: to_floats(values) for name, values in predictions.items()}
    if any(values.shape != known.shape for values in series.values()):
        raise OptionError("predictions and annotation differ in length")
    seconds = np.arange(len(known)) * hop
    figure, (axes,) = make_canvas(7.2, 2.6)
    axes.plot(seconds, known, color=INK, linewidth=2.2, label="annotation")
    for index, (name, values) in enumerate(series.items()):
        axes.plot(seconds, values, label=name, **{**get_line_style(index), "marker": ""})
    axes.set(
        xlabel="time (s)", ylabel=label, title=title, xlim=(0, seconds[-1] if len(known) else 1)
    )
    legend_beside(axes)
    return figure


@apply_style
def draw_entropy_by_layer(entropies: Mapping[str, Numbers], *, title: str = "") -> Figure:
    """Draw the entropy of each layer (MATER, figure 4), with a standard deviation of clips.

    Args:
        entropies: by modality ``(clips, layers)`` of `mien.evaluation.representation_entropy`, in
            nats; NaN where a clip lacks the modality.
        title: of the figure.
    """
    figure, (axes,) = make_canvas(5.0, 3.0)
    deepest = 1
    for index, (modality, values) in enumerate(entropies.items()):
        table = to_floats(values)
        mean, half = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
        layers = np.arange(1, len(mean) + 1)
        deepest = max(deepest, len(mean))
        axes.plot(layers, mean, label=modality, **get_line_style(index))
        axes.fill_between(layers, mean - half, mean + half, color=COLOURS[index], alpha=0.15, lw=0)
    axes.set_xticks(range(1, deepest + 1))
    axes.set(xlabel="layer", ylabel="entropy (nats)", title=title)
    legend_beside(axes)
    return figure


@apply_style
def draw_response_times(
    fractions: Mapping[str, Numbers],
    *,
    ends: Numbers,
    correct: Mapping[str, float],
    title: str = "",
) -> Figure:
    """Draw when clips are first classified correctly (MATER, figure 11), a histogram a modality.

    Args:
        fractions: by modality ``(windows,)``, of the clips that are ever classified correctly those
            that first are in each window; sums to one.
        ends: ``(windows,)`` seconds at which the windows end.
        correct: by modality the fraction of all clips that are ever classified correctly.
        title: of the figure.

    Raises:
        OptionError: there is no modality.
    """
    if not fractions:
        raise OptionError("there are no response times to draw")
    until = to_floats(ends)
    figure, panels = make_canvas(0.8 + 2.3 * len(fractions), 2.7, len(fractions))
    for index, (axes, (modality, values)) in enumerate(zip(panels, fractions.items(), strict=True)):
        _draw_histogram(
            axes, np.nan_to_num(to_floats(values)), until, COLOURS[index % len(COLOURS)]
        )
        axes.set_title(f"{modality}: {100 * correct[modality]:.0f} % correct")
    figure.supxlabel("end of the first correct window (s)", fontsize=9)
    panels[0].set_ylabel("% of these clips")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


@apply_style
def draw_critical_differences(ranks: Ranks, *, title: str = "") -> Figure:
    """Draw average ranks on a line; a bar joins models that do not differ (Demsar 2006, figure 1).

    Args:
        ranks: of `mien.evaluation.statistics.rank_models`.
        title: of the figure.
    """
    average, names = (
        to_floats(ranks.average.to_numpy()),
        [str(name) for name in ranks.average.index],
    )
    count = len(names)
    left = (count + 1) // 2
    groups = _find_groups(average, ranks.critical_difference)
    depth = 0.28 * len(groups) + 0.5
    figure, (axes,) = make_canvas(6.4, 1.1 + 0.3 * (left + depth))
    axes.set(xlim=(0.6 - 0.25 * count, count * 1.25 + 0.4), ylim=(-left - depth - 0.2, 1.7))
    axes.axis("off")
    _draw_rule(axes, count, ranks)
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


def _draw_histogram(axes: Axes, fractions: Floats, until: Floats, colour: str) -> None:
    """Draw fractions of clips by window, and their mean as a line with its value."""
    starts = np.concatenate([[0.0], until[:-1]])
    axes.bar(starts, 100 * fractions, until - starts, align="edge", color=colour, edgecolor="white")
    if fractions.sum():
        mean = float((fractions * until).sum() / fractions.sum())
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


def _draw_rule(axes: Axes, count: int, ranks: Ranks) -> None:
    """Draw the line of ranks, and above it the critical difference at its length."""
    axes.plot((1, count), (0, 0), color=INK, linewidth=1.2)
    for rank in range(1, count + 1):
        axes.plot((rank, rank), (0, 0.16), color=INK, linewidth=1.2)
        axes.text(rank, 0.24, str(rank), ha="center", va="bottom", fontsize=8)
    ends = (1, 1 + ranks.critical_difference)
    axes.plot(ends, (1.0, 1.0), color=INK, marker="|", markersize=8, linewidth=1.6)
    text = f"critical difference {ranks.critical_difference:.2f} (Nemenyi, {ranks.alpha:g})"
    axes.text(1, 1.2, text, ha="left", va="bottom", fontsize=8)


def _find_groups(average: Floats, reach: float) -> list[tuple[int, int]]:
    """First and last model of every longest run of ranks within reach; ranks rise."""
    found: list[tuple[int, int]] = []
    for first in range(len(average)):
        last = int(np.searchsorted(average, average[first] + reach, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _check_columns(results: pd.DataFrame, *columns: str) -> None:
    absent = [column for column in columns if column not in results]
    if absent or results.empty:
        problem = f"no column {', '.join(absent)}" if absent else "no row"
        raise OptionError(f"the results to draw have {problem}")
