"""One look for all figures, and how they are written: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mien.errors import OptionError
from mien.formats.atomic import write_atomically

P = ParamSpec("P")

# Okabe and Ito (2008), "Color universal design", ordered so that neighbours differ in lightness;
# dashes and marks tell apart what a grey print does not.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
INK, FAINT = "#222222", "#8a8a8a"
_DPI = 200

_STYLE = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so every machine draws the same
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "svg.hashsalt": "mien",
    "figure.constrained_layout.use": True,
}


def apply_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in our look whatever the user's own settings are, and leave those as they were."""

    @wraps(draw)
    def draw_styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _look():
            return draw(*args, **kwargs)

    return draw_styled


def make_canvas(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Make a figure of so many inches with panels side by side that share their axes."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, columns, squeeze=False, sharex=True, sharey=True)
    return figure, list(panels[0])


def get_line_style(index: int) -> dict[str, Any]:
    """Return colour, dashes and mark of the n-th line of a figure."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKS[index % len(MARKS)],
    }


def legend_beside(axes: Axes) -> None:
    """Put the legend to the right of the panel, where it hides nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=3.2)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG or SVG, whole or not at all, without a date.

    Args:
        figure: what to write.
        path: ends in ``.png`` or ``.svg``.

    Raises:
        OptionError: it ends in something else.
        OutputError: it cannot be written.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    nothing: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }
    if kind not in nothing:
        raise OptionError(f"no figure can be written as {path}", advice="end it in .png or .svg")
    # Drawn to memory first: matplotlib seeks in the files that it writes.
    buffer = io.BytesIO()
    with _look():
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=nothing[kind])
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def _look() -> AbstractContextManager[None]:
    # Asking for the backend would choose one and import it, for all of the user's program.
    usual: dict[Any, Any] = {k: v for k, v in mpl.rcParamsDefault.items() if k != "backend"}
    return mpl.rc_context(usual | _STYLE)
