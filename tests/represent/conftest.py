"""Two small runs that many tests look at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plexus.represent import train
from tests.represent.shapes import small, write_shapes


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five classes of 14 images."""
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="session")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All labels, never interrupted, with ONNX; to be read alone."""
    run = tmp_path_factory.mktemp("runs") / "all"
    return train(small(shapes, onnx=True), run=run, command="plexus represent train shapes")


@pytest.fixture(scope="session")
def _three(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "three"
    return train(small(shapes, classes=("bar", "cross", "disc")), run=run)


@pytest.fixture
def three(_three: Path, tmp_path: Path) -> Path:
    """Trained on three classes of the five; this test's own, to be written to."""
    return Path(shutil.copytree(_three, tmp_path / "three"))
