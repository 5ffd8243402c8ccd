"""One small set with everything that can be wrong with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.audit.speckle import HIGH, WIDE, disc, pair, save, scene, view


@pytest.fixture(scope="session")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs below train and test: a contradiction, an overlap, a copy, a leak, and broken images."""
    root = tmp_path_factory.mktemp("sets") / "wrong"
    train, test = root / "train", root / "test"
    for i in range(30):
        pair(train, f"p{i % 5}_{i:02}", view(scene(i)), disc(60 + i, 90))
    pair(train, "p0_90", view(scene(0), 1, -2), np.zeros((HIGH, WIDE), bool))  # twin of 00 without its target
    pair(train, "p1_91", view(scene(1), -1, 1), disc(110, 30))  # twin of 01, elsewhere
    for name in ("p2_02.png", "p2_02_mask.png"):
        shutil.copy(train / name, train / name.replace("p2_02", "p2_92"))  # a copy
    pair(test, "p9_01", view(scene(3), 2, 2), disc(63, 90))  # twin of train's 03
    pair(test, "p9_02", view(scene(50)), disc(70, 80))
    pair(train, "p4_93", np.full((HIGH, WIDE), 7, np.uint8), disc(50, 50))
    pair(train, "p4_94", np.zeros((HIGH, WIDE), np.uint8), disc(50, 50))
    pair(train, "p4_95", view(scene(51)), disc(50, 50))
    (train / "p4_95.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    save(train / "p4_96.png", view(scene(52)))
    save(train / "p4_96_mask.png", np.ones((3, 3), bool))  # a mask of another size
    return root
