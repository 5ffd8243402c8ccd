"""The site builds strictly, its links lead somewhere, every public name has its place, and it asks for no network."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab

from scripts import docs
from tests.docs.docstrings import public_names
from tests.docs.pages import ROOT

pytestmark = pytest.mark.page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    place = tmp_path_factory.mktemp("docs") / "site"
    docs.build(place)
    return place


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Keep it to itself."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_every_public_name_has_a_place_in_the_reference(site: Path) -> None:
    for module in docs.public_modules():
        anchors = docs.Page(site / "reference" / f"{module}.html").anchors
        missing = [n for n in public_names(importlib.import_module(module)) if f"{module}.{n}" not in anchors]
        assert missing == [], module


def test_the_architecture_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    parts = (ROOT / "src" / "plexus").iterdir()
    rooms = [part.stem for part in parts if part.suffix in ("", ".py") and not part.stem.startswith("_")]
    assert len(rooms) > 15
    assert [room for room in sorted(rooms) if f"`{room}`" not in text] == []


@pytest.mark.parametrize("width", [1280, 380])
def test_no_page_loads_anything_from_elsewhere_or_fails(tab: Tab, site: Path, address: str, width: int) -> None:
    asked: list[str] = []
    wrong: list[str] = []
    tab.set_viewport_size({"width": width, "height": 900})
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("response", lambda response: wrong.append(response.url) if response.status >= 400 else None)
    for path in sorted(site.rglob("*.html")):
        here = path.relative_to(site)
        if here.parts[0] == "gallery" or here.name == "404.html":  # `tests/page` opens such pages
            continue
        tab.goto(f"{address}/{here.as_posix()}", wait_until="load")
        wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{here} is {wide} pixels wider than the window"
    tab.wait_for_load_state("networkidle")
    assert wrong == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


def test_the_search_finds_a_public_name(tab: Tab, address: str) -> None:
    tab.goto(f"{address}/index.html", wait_until="networkidle")
    tab.keyboard.press("/")
    tab.keyboard.type("hausdorff95")
    tab.get_by_text("hausdorff95").first.wait_for()


@pytest.fixture
def tab(page: Tab) -> Tab:
    """A page of the browser; `page` is taken for what it shows."""
    return page


@pytest.mark.parametrize(
    ("page_text", "said"),
    [
        ('<a href="none.html">x</a>', "none.html, which is not there"),
        ('<a href="other.html#none">x</a>', "other.html#none, which has no such anchor"),
        ('<a href="#none">x</a>', "#none, which has no such anchor"),
        ('<img src="none.png">', "none.png, which is not there"),
        ('<script src="https://example.com/x.js"></script>', "loads https://example.com/x.js"),
        ('<link rel="stylesheet" href="//example.com/x.css">', "loads //example.com/x.css"),
    ],
)
def test_faults_are_found(tmp_path: Path, page_text: str, said: str) -> None:
    (tmp_path / "other.html").write_text('<h1 id="here">x</h1><a href="https://example.com/">a link</a>')
    (tmp_path / "index.html").write_text(f'<a href="other.html#here">x</a>{page_text}')
    (found,) = docs.faults(tmp_path)
    assert said in found


def test_a_style_that_loads_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("p { background: url(data:x) } @import 'https://example.com/font.css';")
    assert list(docs.faults(tmp_path)) == ["a.css: loads https://example.com/font.css"]
