"""The code of every page of the guide runs, block after block, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGES = sorted((Path(__file__).parents[1] / "docs" / "guide").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(params=PAGES, ids=lambda page: page.stem, scope="module")
def ran(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """A page's name, and what its code left."""
    page: Path = request.param
    text = page.read_text(encoding="utf-8")
    space: dict[str, Any] = {"__name__": page.stem}
    with torch.random.fork_rng():
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start(1))
            exec(compile("\n" * line + found[1], str(page), "exec"), space)
    assert BLOCK.search(text)
    return page.stem, space


def test_the_guide_runs(ran: tuple[str, dict[str, Any]]) -> None:
    name, space = ran
    if name == "rotation":
        before, after, augmented, both = (
            {group: space[curve].group(group)["accuracy"] for group in ("upright", "exact", "interpolated")}
            for curve in ("before", "after", "augmented", "both")
        )
        assert before["upright"] > 0.9 > 0.5 > before["exact"]
        for converted in (after, both):  # quarter turns change nothing
            assert converted["exact"] == pytest.approx(converted["upright"], abs=0.005)
        assert after["upright"] > 0.85
        assert after["interpolated"] > before["interpolated"]
        assert augmented["interpolated"] > before["interpolated"] + 0.2
        assert both["interpolated"] > augmented["interpolated"]
