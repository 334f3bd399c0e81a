"""HTML as a tree, so that every text is escaped when it is written and none can be forgotten."""

from __future__ import annotations

import re
from xml.etree import ElementTree

Element = ElementTree.Element

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def element(tag: str, *children: Element | str | None, **attributes: str | None) -> Element:
    """Make an element with children and attributes; what is None is left out.

    Args:
        tag: its name.
        *children: elements and texts in order.
        **attributes: an underscore at the end is dropped (``class_``), others become hyphens
            (``aria_label``).
    """
    given = {
        name.rstrip("_").replace("_", "-"): _visible(value)
        for name, value in attributes.items()
        if value is not None
    }
    made = Element(tag, given)
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child is not None and last is None:
            made.text = (made.text or "") + _visible(child)
        elif child is not None and last is not None:
            last.tail = (last.tail or "") + _visible(child)
    return made


def raw(tag: str, content: str, **attributes: str | None) -> Element:
    """Make a ``style`` or ``script`` element, whose content HTML takes as it is.

    Raises:
        ValueError: the content would end the element early.
    """
    if "</" in content or "<!--" in content:
        raise ValueError(f"the content of {tag} must hold neither '</' nor '<!--'")
    made = element(tag, **attributes)
    made.text = content
    return made


def document(root: Element) -> str:
    """Write a whole HTML document."""
    return (
        "<!doctype html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"
    )


def _visible(text: str) -> str:
    """Text with control characters made visible, which HTML does not allow."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
