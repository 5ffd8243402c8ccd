"""What import-linter cannot see: packages that load too much, and private modules reached by their name in a string.

The order of the packages, circles, and imports of private modules are contracts of import-linter, in pyproject.toml.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import plexus

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "lightning", "torchmetrics", "datasets", "pandas", "numba", "onnxruntime", "sklearn"}
NAMED = re.compile(
    r"""\b(?:import_module|__import__|importorskip|setattr|patch)\(\s*["']plexus\.(\w+)[\w.]*\._[a-z]\w*"""
)
"""A private module's name in a string, where a module is imported or replaced by its name; and its package."""
KERNELS = "tests/nn/test_rotation_kernels.py"  # the kernels' own tests may look inside


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("plexus", set()),
        ("plexus.errors", set()),
        ("plexus.graph", set()),
        ("plexus.record", set()),
        ("plexus.essays", set()),
        ("plexus.metrics", set()),
        ("plexus.audit", set()),
        ("plexus.report", set()),
        ("plexus.cli", set()),
        ("plexus.nn", {"torch"}),
    ],
)
def test_importing_it_loads_nothing_heavier(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= heavy


def test_private_modules_are_named_in_their_own_package_alone() -> None:
    hits = []
    for folder in ("src", "studies", "tests", "benchmarks", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            for match in NAMED.finditer(path.read_text(encoding="utf-8")):
                if not where.startswith(f"src/plexus/{match[1]}") and where != KERNELS:
                    hits.append(f"{where}: {match[0]}")
    assert hits == []


def test_completion_shows_every_public_name() -> None:
    names = [module.name for module in pkgutil.iter_modules(plexus.__path__) if not module.name.startswith("_")]
    for module in (plexus, *(importlib.import_module(f"plexus.{name}") for name in names)):
        assert set(getattr(module, "__all__", ())) <= set(dir(module)), module.__name__


def test_kernels_are_there_where_nothing_compiled_can_be_kept() -> None:
    # an installation that cannot be written, of a user without a home
    source = Path(plexus.__file__).parent
    compiled = [p for p in source.rglob("*.py") if re.search(r"^(import|from) numba", p.read_text("utf-8"), re.M)]
    names = [".".join(("plexus", *p.relative_to(source).with_suffix("").parts)) for p in sorted(compiled)]
    assert len(names) > 3
    code = """
import importlib, sys
from numba.core.caching import CacheImpl
CacheImpl._locator_classes = []
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
