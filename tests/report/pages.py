"""A page taken apart: its elements, its text, its charts, the data that its scripts and its links carry."""

import base64
import csv
import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

THIN, MINUS, NONE = "\u202f", "\u2212", "\u2013"


class Elements(HTMLParser):
    """Every element of a page with its attributes, and its text outside of style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inside: list[str] = []
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        raw = self.inside[-1] if self.inside and self.inside[-1] in self.raw else None
        (self.raw[raw] if raw else self.words).append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def said(page: str) -> str:
    """The text of a page, its thin spaces as plain ones."""
    return Elements(page).text.replace(THIN, " ")


def embedded(page: str, name: str = "data") -> Any:
    """What the page's script reads."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def charts(page: str) -> dict[str, str]:
    """Every chart of a page by its name, each of them drawn once."""
    whole = re.findall(r'<svg [^>]*class="chart.*?</svg>', page, re.DOTALL)
    found = [svg.split('aria-label="', 1)[1].split('"', 1)[0] for svg in whole]
    assert len(whole) == len(found) == len(set(found))
    return dict(zip(map(unescape, found), whole, strict=True))


def chart(page: str, start: str) -> str:
    """The one chart whose name begins so; empty where there is none."""
    found = [svg for name, svg in charts(page).items() if name.startswith(start)]
    assert len(found) <= 1
    return found[0] if found else ""


def marks(svg: str) -> list[str]:
    """Labels of everything a pointer can read in a chart."""
    root = ElementTree.fromstring(svg)
    return [e.attrib["aria-label"] for e in root.iter() if "aria-label" in e.attrib and e is not root]


def ticks(svg: str) -> list[str]:
    """The texts of a chart: the marks of its axes, their titles, its words."""
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def links(page: str) -> dict[str, list[dict[str, str]]]:
    """The data links of a page by the names of their files, read back."""
    found = {}
    for link in Elements(page).named("a"):
        if link.get("class") == "csv":
            kind, _, text = link["href"].partition(",")
            assert kind == "data:text/csv;base64"
            found[link["download"]] = list(csv.DictReader(io.StringIO(base64.b64decode(text).decode())))
    return found
