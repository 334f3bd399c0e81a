"""A timeline as one self-contained page; see `mien.report`."""

from __future__ import annotations

from typing import BinaryIO

from mien import report
from mien.formats._registry import Format, register_format
from mien.timeline import Timeline


def write_page(timeline: Timeline, file: BinaryIO) -> None:
    """Write the page of a timeline, UTF-8."""
    file.write(report.render(timeline).encode())


register_format(
    "html", Format(".html", "one self-contained page for reading and printing", write_page)
)
