"""`plexus audit` from the command line to its files, and back with decisions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.audit.conftest import wrong  # noqa: F401 - a fixture
from tests.e2e.commands import plexus

pytestmark = pytest.mark.e2e


@pytest.fixture
def nerves(wrong: Path, tmp_path: Path) -> Path:  # noqa: F811
    return Path(shutil.copytree(wrong, tmp_path / "nerves"))


def test_it_finds_writes_and_takes_decisions(nerves: Path, tmp_path: Path) -> None:
    options = ("--group-from", r"^(p\d)", "--folds", 2, "--cache", "cache")
    done = plexus("audit", "nerves", *options, "--write-clean", "clean", "--link", folder=tmp_path)
    assert done.code == 0, done.err
    assert "4 near-duplicate pairs, all of them sure, 1 exact copy," in done.out
    assert "2 contradictory pairs: 1 of presence, 1 of overlap" in done.out
    assert "open audit-nerves/audit.html" in done.out
    out = tmp_path / "audit-nerves"
    assert sorted(p.name for p in out.iterdir()) == ["audit.html", "findings.json", "folds.json", "pairs.csv"]
    findings = json.loads((out / "findings.json").read_text())
    folds = json.loads((out / "folds.json").read_text())
    kept = {i["name"] for i in findings["images"] if i["keep"]}
    assert set(folds["folds"]) == kept == set((tmp_path / "clean" / "keep.txt").read_text().split())
    assert set(folds["dropped"]) == {i["name"] for i in findings["images"]} - kept
    assert all((tmp_path / "clean" / name).is_file() for name in kept)
    assert (out / "audit.html").read_text().count("data:image/jpeg;base64,") == 8

    decisions = {"format": 1, "kind": "audit-decisions", "decisions": {"train/p0_90.png": "keep"}}
    (tmp_path / "mine.json").write_text(json.dumps(decisions))
    done = plexus("audit", "nerves", *options, "--decisions", "mine.json", "--json", "--out", "two", folder=tmp_path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["dropped"] == len(folds["dropped"])
    images = {i["name"]: i for i in json.loads((tmp_path / "two" / "findings.json").read_text())["images"]}
    assert images["train/p0_90.png"]["keep"]
    assert images["train/p0_00.png"]["why"] == "contradicts train/p0_90.png"


def test_names_of_files_are_no_elements_of_the_page(tmp_path: Path) -> None:
    from tests.audit.speckle import save, scene, view

    for i in range(24):
        save(tmp_path / "set" / f"{i:02}.png", view(scene(i)))
    save(tmp_path / "set" / "<img src=x onerror=alert(1)>.png", np.asarray(view(scene(0), 1, 1)))
    done = plexus("audit", "set", "--cache", "cache", folder=tmp_path)
    assert done.code == 0, done.err
    assert "1 near-duplicate pair," in done.out
    assert "<img src=x" not in (tmp_path / "audit-set" / "audit.html").read_text()
