"""The figures of the guide that its own code prints: python benchmarks/guide.py [rotation study keystrokes].

The Python of a page runs as it stands there, in a minute each; what the page says of it is kept in
`benchmarks/results/guide.json`, from which `scripts/records.py` compares or fills it in.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from measure import run_parts

from plexus.essays.keystrokes import power
from plexus.experiments import records, summary

HERE = Path(__file__).parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(name: str) -> dict[str, Any]:
    """Run the blocks of a page of the guide one after the other; return what they named."""
    text = (HERE.parent / "docs" / "guide" / f"{name}.md").read_text("utf-8")
    known: dict[str, Any] = {"__name__": "guide"}
    sys.modules["guide"] = type(sys)("guide")
    with contextlib.redirect_stdout(sys.stderr):
        for code in BLOCK.findall(text):
            exec(compile(code, f"{name}.md", "exec"), known)
    return known


def rotation() -> dict[str, Any]:
    """Accuracy upright, at quarter turns and at all other angles, of the four nets of the page."""
    known = run_page("rotation")
    found: dict[str, Any] = {}
    for name in ("before", "after", "augmented", "both"):
        curve = known[name]
        accuracy = dict(zip(curve.angles, map(float, curve.accuracy), strict=True))
        quarters = [accuracy[angle] for angle in (90, 180, 270)]
        others = [value for angle, value in accuracy.items() if angle % 90]
        found[name] = [accuracy[0], sum(quarters) / len(quarters), sum(others) / len(others)]
    return found


def study() -> dict[str, Any]:
    """Differences of the study of the page, seed by seed, and what its report says."""
    known = run_page("studies")
    found = summary(known["STUDY"], records(known["results"], known["STUDY"], "quick"))
    variant = next(v for v in found["variants"] if v["name"] == "half")
    return {"differences": known["differences"], "reported": variant["difference"]}


def keystrokes() -> dict[str, Any]:
    """How often 2,000 keystrokes find the fingers where these may cross."""
    shares = (0.37, 0.32, 0.24, 0.07)
    (point,) = power(shares, keystrokes=[2000], prior="any")
    return {"shares": shares, "right": point.right}


PARTS = {"rotation": rotation, "study": study, "keystrokes": keystrokes}

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run_parts(__doc__ or "", PARTS, HERE / "results" / "guide.json", "torch")
