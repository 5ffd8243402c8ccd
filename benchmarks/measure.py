"""What the benchmarks share: results in a file, times in turn, memory of a process."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from plexus.record import machine, versions

Step = Callable[[], Any]


class Results:
    """Named numbers in a JSON file, written after every one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def put(self, key: str, value: object) -> None:
        self.values = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.values[key] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            json.dump(self.values, file, indent=1, sort_keys=True)
        Path(file.name).replace(self.path)
        print(key, json.dumps(value), flush=True)


def run_parts(about: str, parts: Mapping[str, Callable[[], dict[str, Any]]], path: Path, *libraries: str) -> None:
    """Run the parts that the command line names, all by default, and keep the figures of each under its name."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(parts)}; all by default")
    chosen = parser.parse_args().parts or list(parts)
    if strange := set(chosen) - set(parts):
        parser.error(f"no part {', '.join(sorted(strange))}; choose from {', '.join(parts)}")
    for name in chosen:
        Results(path).put(name, parts[name]() | {"machine": machine(), "versions": versions(*libraries)})


def medians(steps: Mapping[str, Step], *, runs: int = 15) -> dict[str, float]:
    """Milliseconds of each step, the median of runs taken in turn, after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(runs + 3):
        for name, step in steps.items():
            _settle()
            start = time.perf_counter()
            step()
            _settle()
            if i >= 3:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(t) for name, t in times.items()}


def growth(step: Step) -> int:
    """Bytes by which this process grows at most while the step runs. Linux only; memory that was freed must be gone."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = _status("VmRSS")
    step()
    return _status("VmHWM") - before


def ratio(a: float, b: float) -> dict[str, float]:
    return {"ratio": a / b, "a": a, "b": b}


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))
