"""The page as a whole: heading, people, summary, notes.

The page loads nothing: style, script and pictures are inside it, and its Content-Security-Policy
forbids all else. Without script it is complete; with it, a cursor reads the charts' values.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import PurePath

import pandas as pd

from mien import schema
from mien.report import charts, words
from mien.report.elements import Element, document, element, raw
from mien.report.figure import draw_figure
from mien.timeline import Metadata, Segment, Timeline

_POINTS_PER_PAGE = 4320
_POINTS_PER_PERSON = 360
_PEOPLE_DRAWN = 24
_PASSAGES = 30
_FINGERPRINT = 12  # characters of a hash


def render(timeline: Timeline, *, title: str | None = None) -> str:
    """Render a timeline as one HTML document.

    A long recording is drawn with at most 360 points a person, each the mean of some steps; the
    page says so. The same timeline always gives the same text.

    Args:
        timeline: what to show; one part of the page per recording.
        title: the title; without it, the name of the recording. Of several recordings, each
            keeps its name as its heading.
    """
    metadata = timeline.metadata
    names = list(metadata.recordings)
    heading = title or (_base_name(names[0]) if len(names) == 1 else f"{len(names)} recordings")
    script = _asset("page.js")
    summary, segments = timeline.summary(), timeline.segments()
    parts = [
        _recording(
            timeline,
            name,
            summary[summary["file"] == name].reset_index(drop=True),
            [segment for segment in segments if segment.file == name],
            title if len(names) == 1 else None,
        )
        for name in names
    ]
    notes = _notes(metadata, pictures=bool(timeline.thumbnails))
    body = element("body", element("main", *parts, notes), raw("script", script))
    return document(element("html", _head(heading, script), body, lang="en"))


def _head(heading: str, script: str) -> Element:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{heading} · mien"),
        raw("style", _asset("page.css")),
    )


def _asset(name: str) -> str:
    return (resources.files("mien.report") / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _base_name(file: str) -> str:
    return PurePath(file).name or file


def _recording(
    timeline: Timeline, name: str, table: pd.DataFrame, segments: list[Segment], title: str | None
) -> Element:
    metadata = timeline.metadata
    longest = table.nlargest(_PEOPLE_DRAWN, "seconds", keep="first").index
    limit = min(_POINTS_PER_PERSON, _POINTS_PER_PAGE // max(1, len(longest)))
    rows = table.to_dict("records")
    return element(
        "article",
        _header(metadata, name, title, people=int((table["person"] != schema.VOICE_PERSON).sum())),
        _people_left_out(len(rows) - len(longest)),
        *(_person(rows[index], segments, timeline, limit) for index in sorted(longest)),
        _conclusion(table, metadata),
    )


def _header(metadata: Metadata, name: str, title: str | None, *, people: int) -> Element:
    recording = metadata.recordings[name]
    notices = words.list_notices(metadata, recording)
    sources = words.join_names(metadata.evidence(name) for name in metadata.modalities)
    facts = {
        "File": name if title or name != _base_name(name) else None,
        "Duration": words.format_seconds(recording.duration),
        "People": str(people),
        "Model": metadata.model,
        "Model file": metadata.model_fingerprint[:_FINGERPRINT] or None,
        "Window": _window(metadata),
        "Version": f"mien {metadata.mien_version}",
    }
    return element(
        "header",
        element("p", f"Emotion from {sources}", class_="eyebrow"),
        element("h1", element("bdi", title or _base_name(name))),
        element(
            "dl",
            *(
                element("div", element("dt", term), element("dd", element("bdi", value)))
                for term, value in facts.items()
                if value is not None
            ),
            class_="facts",
        ),
        element("ul", *(element("li", text) for text in notices), class_="notices")
        if notices
        else None,
        element(
            "p",
            words.write_caveat(metadata),
            " ",
            element("a", "How to read this page", href="#notes"),
        ),
    )


def _window(metadata: Metadata) -> str | None:
    """Say what the model looks at and how often; None where a file does not say."""
    if not metadata.hop:
        return None
    window = f"{metadata.window:g} s" if metadata.window else "the whole recording"
    return f"{window}, every {metadata.hop:g} s"


def _people_left_out(number: int) -> Element | None:
    if not number:
        return None
    text = f"Charts are of the {_PEOPLE_DRAWN} people seen longest; {number} more are in the table."
    return element("p", text)


def _conclusion(table: pd.DataFrame, metadata: Metadata) -> Element | None:
    if table.empty:
        return element("p", "Nobody was found in this recording.", class_="lead")
    return _summary_table(table, metadata) if table["seconds"].gt(0).any() else None


def _person(row: words.Row, segments: list[Segment], timeline: Timeline, limit: int) -> Element:
    metadata = timeline.metadata
    dimensions = words.write_averages(row, metadata) if metadata.labels else None
    return element(
        "section",
        element("h2", element("bdi", words.name_person(row["person"]))),
        element("p", words.write_lead(row, metadata), class_="lead"),
        element(
            "p",
            f"{dimensions} " if dimensions else None,
            words.write_observed(row, metadata),
            class_="aside",
        ),
        draw_figure(row, timeline, limit) if row["seconds"] > 0 else None,
        _passages([one for one in segments if one.person == row["person"]]),
        class_="person",
    )


def _passages(segments: list[Segment]) -> Element | None:
    if not segments:
        return None
    longest = sorted(segments, key=lambda one: one.start - one.end)[:_PASSAGES]
    lines = [
        element(
            "tr",
            element("td", charts.format_clock(one.start)),
            element("td", charts.format_clock(one.end)),
            element("td", element("bdi", one.emotion)),
            element("td", f"{one.confidence:.2f}"),
        )
        for one in sorted(longest)
    ]
    some = f"the {_PASSAGES} longest of {len(segments)}" if len(segments) > _PASSAGES else "all"
    return element(
        "details",
        element("summary", f"Passages in which one label leads ({some})"),
        _table("Passages", ("From", "To", "Label", "Mean probability"), lines),
    )


def _summary_table(summary: pd.DataFrame, metadata: Metadata) -> Element:
    """One column a person, for phones are narrow and models know many labels."""
    lines = [
        element(
            "tr",
            element("th", element("bdi", label), scope="row"),
            *(element("td", value) for value in values),
        )
        for label, values in _summary_rows(summary, metadata)
    ]
    people = [words.name_person(person) for person in summary["person"]]
    return element(
        "section",
        element("h2", "Summary"),
        element("p", "Averages over the steps in which anything was observed.", class_="aside"),
        _table("Summary", ("", *people), lines),
        class_="summary",
    )


def _summary_rows(summary: pd.DataFrame, metadata: Metadata) -> list[tuple[str, list[str]]]:
    rows = []
    if metadata.labels:
        best = ["–" if pd.isna(value) else value for value in summary["emotion"]]
        rows.append(("Most probable", best))
    for label in metadata.labels:
        column = summary[schema.probability_column(label)]
        rows.append((label, [words.format_number(value) for value in column]))
    for name, dimension in metadata.dimensions.items():
        rows.append((name, [words.format_number(value, dimension) for value in summary[name]]))
    observed = {
        f"{words.capitalize(metadata.evidence(name))} observed": schema.seconds_column(name)
        for name in metadata.modalities
    }
    for title, name in (observed | {"Anything observed": "seconds"}).items():
        rows.append((title, [words.format_seconds(value) for value in summary[name]]))
    if metadata.faces:
        rows.append(
            ("Face quality", [words.format_number(value) for value in summary["face_quality"]])
        )
    return rows


def _table(name: str, heads: tuple[str, ...], lines: list[Element]) -> Element:
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    table = element("table", element("thead", head), element("tbody", *lines))
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label=name)


def _notes(metadata: Metadata, *, pictures: bool) -> Element:
    return element(
        "section",
        element("h2", "How to read this page"),
        *(
            element("p", element("b", element("bdi", head), "."), " ", element("bdi", text))
            for head, text in words.list_notes(metadata)
        ),
        element(
            "p",
            element("b", "Faces."),
            " This page holds pictures of people’s faces: pass it on with the care that the "
            "recording itself deserves.",
        )
        if pictures
        else None,
        id="notes",
        class_="notes",
    )
