"""One small run that many tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from plexus.segment import train
from tests.segment.discs import small, write_discs


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 images of 8 patients; every fourth shows nothing."""
    return write_discs(tmp_path_factory.mktemp("data") / "scans")


@pytest.fixture(scope="session")
def crossed(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds by patients, never interrupted."""
    run = tmp_path_factory.mktemp("runs") / "crossed"
    config = small(scans, cv=2, group_from=r"^p\d+", epochs=3)
    return train(config, run=run, command="plexus segment train scans")
