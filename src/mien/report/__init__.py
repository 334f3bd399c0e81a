"""One self-contained page that shows a timeline: for reading, printing and passing on."""

from mien.report.page import render

__all__ = ["render"]
