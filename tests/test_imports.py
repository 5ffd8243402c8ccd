"""The packages stand in one order, and each imports only from itself or from what stands below it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "plexus"

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli"}),
    frozenset({"report"}),
    frozenset({"experiments"}),
    frozenset({"represent"}),
    frozenset({"robustness"}),
    frozenset({"segment"}),
    frozenset({"training"}),
    frozenset({"models"}),
    frozenset({"wiring"}),
    frozenset({"nn"}),
    frozenset({"audit"}),
    frozenset({"data"}),
    frozenset({"metrics"}),
    frozenset({"graph", "record", "user_code", "errors"}),
    frozenset({"", "essays"}),  # "" is plexus/__init__.py; neither may import anything of plexus
)
HEIGHT = {name: -floor for floor, names in enumerate(FLOORS) for name in names}
BOTTOM = min(HEIGHT.values())
TORCHLESS = frozenset({"", "report", "audit", "metrics", "graph", "record", "errors", "essays"})
TORCH_WHEN_ASKED = frozenset({"audit"})  # inside a function, for fingerprints by a model of the user
TORCH = frozenset({"torch", "lightning", "lightning_utilities", "pytorch_lightning", "torchmetrics"})


class OnImport(ast.NodeTransformer):
    """Leaves what runs when a module is imported: no functions, nothing for type checkers alone."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Drop a function."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Drop what stands under ``if TYPE_CHECKING``."""
        guard = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return node.orelse if guard else self.generic_visit(node)


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the dotted name of everything a module imports, at any depth, relative imports resolved."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parts = package.split(".")
                parents = parts[: len(parts) - level + 1] if level else []
                base = ".".join([*parents, *([module] if module else [])])
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def room(name: str) -> str:
    """Return the top-level name below ``plexus`` that a dotted name belongs to."""
    parts = name.split(".")[1:]
    if not parts or (parts[0].startswith("__") and parts[0] != "__main__"):
        return ""
    return parts[0]


def offenses(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Say which laws the source of ``module`` breaks, one sentence for each."""
    here = room(module)
    if here not in HEIGHT:
        return [f"{module}: '{here}' has no place in the order"]
    found = []
    at_once = OnImport().visit(ast.parse(source)) if here in TORCH_WHEN_ASKED else ast.parse(source)
    needed = set(imported(at_once, "")) if here in TORCHLESS else set()
    for name in imported(ast.parse(source), module if is_package else module.rpartition(".")[0]):
        top = name.partition(".")[0]
        there = room(name)
        if top in TORCH and name in needed:
            found.append(f"{module}: imports {name}, and '{here}' knows no torch")
        if top != "plexus" or here == there != "":
            continue
        if there not in HEIGHT:
            found.append(f"{module}: imports {name}, which has no place in the order")
        elif HEIGHT[here] == BOTTOM:
            found.append(f"{module}: imports {name}, and must import nothing of plexus")
        elif HEIGHT[there] > HEIGHT[here]:
            found.append(f"{module}: imports {name}, which stands above it")
    return found


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
ROOMS = {room(name) for name in SOURCES}


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_only_what_stands_below(module: str) -> None:
    path = SOURCES[module]
    assert offenses(module, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("plexus.nn.connection", "from plexus.training import fit"),
        ("plexus.nn.connection", "from plexus import train"),
        ("plexus.nn.connection", "import plexus.wiring as w"),
        ("plexus.nn.connection", "from ..wiring import prune"),
        ("plexus.nn.connection", "from .. import wiring"),
        ("plexus.nn.connection", "def f():\n    from plexus.models import deep"),
        ("plexus.nn.connection", "import importlib\nimportlib.import_module('plexus.cli')"),
        ("plexus.nn.connection", "from plexus.elsewhere import thing"),
        ("plexus.record", "from plexus.report import write"),
        ("plexus.errors", "from plexus.metrics import accuracy"),
        ("plexus.report.page", "import torch.nn"),
        ("plexus.audit.fingerprint", "import torch"),
        ("plexus.audit.fingerprint", "import torch\ndef f():\n    from torch import nn"),
        ("plexus.metrics.dice", "def f():\n    import torch"),
        ("plexus.segment.task", "from plexus.robustness import rotation"),
        ("plexus.training.task", "from plexus.segment import predict"),
        ("plexus.report.page", "def f():\n    from torch import nn"),
        ("plexus.graph", "import torch"),
        ("plexus.essays.squares", "from plexus.errors import PlexusError"),
        ("plexus.essays.squares", "from plexus import __version__"),
        ("plexus", "from plexus.errors import PlexusError"),
        ("plexus.attic.old", "import json"),
        ("plexus.stray", "import json"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert len(offenses(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("plexus.nn.connection", "import torch\nfrom plexus.errors import ConfigError\nfrom .functional import merge"),
        ("plexus.nn.connection", "from plexus import __version__, data"),
        ("plexus.record", "from plexus.errors import RunError"),
        ("plexus.report.page", "from plexus.graph import Edge\nfrom plexus.record import FitRecord"),
        ("plexus.essays.squares", "from plexus.essays.kleiber import law\nfrom .fitness import run"),
        ("plexus.cli.fit", "import torch\nfrom plexus.report import write"),
        ("plexus.__main__", "from plexus.cli import main"),
        ("plexus.audit.fingerprint", "if TYPE_CHECKING:\n    import torch\ndef f():\n    from torch import nn"),
        ("plexus.segment.task", "from plexus.training import fit\nfrom plexus.audit import folds"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    assert offenses(module, source) == []


def test_a_package_resolves_its_relative_imports_from_itself() -> None:
    assert offenses("plexus.nn", "from .connection import Connection", is_package=True) == []
    assert len(offenses("plexus.nn", "from ..train import fit", is_package=True)) == 1


LIGHT = {
    "": {"torch", "lightning", "datasets", "numpy"},
    "errors": {"torch", "lightning", "datasets", "numpy"},
    "graph": {"torch", "lightning"},
    "record": {"torch", "lightning"},
    "metrics": {"torch", "lightning"},
    "report": {"torch", "lightning"},
    "cli": {"torch", "lightning", "datasets"},
}


@pytest.mark.parametrize("name", [name for name in LIGHT if name in ROOMS])
def test_importing_it_stays_light(name: str) -> None:
    module = f"plexus.{name}".rstrip(".")
    code = f"import sys, {module}; print(*sorted({LIGHT[name]!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
