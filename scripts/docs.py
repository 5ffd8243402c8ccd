"""Build the site of the documentation, strictly: python scripts/docs.py [SITE]; the default is site/.

What is built lies in build/docs while it is made: the pages of docs/, the changelog, a page of the reference for every
public module, and one for the command line. A warning is an error; so is a link to nothing, and anything that a page
would load from the network.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import plexus

ROOT = Path(__file__).resolve().parents[1]
NO_LIBRARY = frozenset({"cli", "start"})  # the command: its reference is that of the command line
EMPTY = '{ "Reference" = [] }'
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("link", "href")}
"""Attributes of elements that make a browser fetch something by itself."""
LOADING_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "manifest", "prefetch"}
FETCHED = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)")


def public_modules() -> list[str]:
    """Every module without an underscore beside `plexus/__init__.py`, and every module that one of them exports."""
    todo = [f"plexus.{m.name}" for m in pkgutil.iter_modules(plexus.__path__)]
    public = []
    for name in todo:
        last = name.rpartition(".")[2]
        if last.startswith("_") or last in NO_LIBRARY:
            continue
        module = importlib.import_module(name)
        public.append(name)
        todo += [f"{name}.{k}" for k in getattr(module, "__all__", ()) if inspect.ismodule(getattr(module, k))]
    return sorted(public)


def stage(draft: Path) -> None:
    """Lay out all that the site is built from."""
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(ROOT / "docs", draft / "docs")
    shutil.copy(ROOT / "CHANGELOG.md", draft / "docs" / "changelog.md")
    for name in ("src", "scripts"):
        (draft / name).symlink_to(ROOT / name)
    pages = draft / "docs" / "reference"
    pages.mkdir()
    (pages / "cli.md").write_text(_command_line())
    entries = ['{ "Command line" = "reference/cli.md" }']
    for name in public_modules():
        (pages / f"{name}.md").write_text(f"# `{name}`\n\n::: {name}\n{_members(name)}{_options(name)}")
        entries.append(f'{{ "{name}" = "reference/{name}.md" }}')
    config = (ROOT / "zensical.toml").read_text()
    if config.count(EMPTY) != 1:
        sys.exit(f"zensical.toml: expected one {EMPTY} in nav")
    if lost := [page for page in _pages(draft / "docs") if f'"{page}"' not in config]:
        sys.exit(f"zensical.toml: nav has no entry for {', '.join(lost)}")
    (draft / "zensical.toml").write_text(config.replace(EMPTY, f'{{ "Reference" = [{", ".join(entries)}] }}'))


def _pages(docs: Path) -> list[str]:
    """The pages that people write, as nav names them."""
    names = (path.relative_to(docs).as_posix() for path in sorted(docs.rglob("*.md")))
    return [page for page in names if not page.startswith("reference/")]


def _command_line() -> str:
    """The help of all verbs, as cyclopts writes it."""
    from plexus.cli import app

    text = app.generate_docs(output_format="markdown")
    return re.sub(r"## Table of Contents\n.*?(?=\*\*Commands)", "", text, flags=re.DOTALL).replace(
        "# plexus\n", "# Command line\n", 1
    )


def _members(name: str) -> str:
    """The names that a module exports; the `__all__` of a lazy one is known at run time only."""
    module = importlib.import_module(name)
    exported = [name for name in getattr(module, "__all__", ()) if not inspect.ismodule(getattr(module, name))]
    return f"    options:\n      members: [{', '.join(exported)}]\n" if exported else ""


def _options(name: str) -> str:
    """A table of the options of each class of options that a module exports."""
    from plexus.training import Options, declared

    module, tables = importlib.import_module(name), ""
    for title in getattr(module, "__all__", ()):
        thing = getattr(module, title)
        if isinstance(thing, type) and issubclass(thing, Options):
            rows = [
                f"| `{key}` | {o.text} {_choices(o.choices)}| {o.default or ''} |" for key, o in declared(thing).items()
            ]
            tables += "\n".join(
                [f"\n## Options of `{title}`\n", "| option | what it is | default |", "| --- | --- | --- |", *rows, ""]
            )
    return tables


def _choices(choices: tuple[object, ...]) -> str:
    return f"({', '.join(f'`{choice}`' for choice in choices)}) " if choices else ""


class Page(HTMLParser):
    """The links of one page, all that it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for every element."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        for name, value in values.items():
            if (tag, name) in LOADED and (tag != "link" or LOADING_LINKS & set(values.get("rel", "").split())):
                self.loads.append(value)
            elif tag == "a" and name == "href":
                self.links.append(value)


def faults(site: Path) -> Iterator[str]:
    """Links to nothing, and whatever would be loaded from the network; one line each."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        here = path.relative_to(site)
        if here.name == "404.html":  # may be shown at any address, and so links from the root
            continue
        for link in page.loads:
            if re.match(r"(https?:)?//", link):
                yield f"{here}: loads {link}"
        for link in [*page.links, *page.loads]:
            where, anchor = urldefrag(link)
            if re.match(r"[a-z]+:", link) or link.startswith("//"):
                continue
            target = (path.parent / unquote(where)).resolve() if where else path
            if not target.exists():
                yield f"{here}: links to {link}, which is not there"
            elif target in pages and unquote(anchor) not in pages[target].anchors:
                yield f"{here}: links to {link}, which has no such anchor"
    for path in [*pages, *site.rglob("*.css")]:
        for match in FETCHED.finditer(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: loads {match[1] or match[2]}"


def build(site: Path) -> None:
    """Build the site; leave with a message where anything is wrong."""
    draft = ROOT / "build" / "docs"
    stage(draft)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=draft, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or "griffe:" in done.stdout:  # griffe's warnings are none to zensical
        sys.exit(f"{done.stdout}the documentation was not built: mend what is said above")
    if wrong := list(faults(draft / "site")):
        sys.exit("\n".join([*wrong, "the documentation was built with the faults above"]))
    shutil.rmtree(site, ignore_errors=True)
    shutil.move(draft / "site", site)
    print(f"open {site / 'index.html'}")


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site")
