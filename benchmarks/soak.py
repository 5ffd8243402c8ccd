"""Kills `plexus` at random moments and goes on, until every run has ended: `python benchmarks/soak.py --kills 200`.

Fit, segment, represent and prune take turns; each process dies by SIGKILL after a random share of the time that the
whole run took undisturbed, and is resumed, until it ends. Then weights, models, predictions and records must equal
those of the undisturbed run, times aside, and nothing half-written may be left. The record names the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

import numpy as np
from PIL import Image

from plexus.record import atomic_write, machine, to_json, versions

TIMES = ("seconds", "latency_ms", "created", "command")
VERBS: dict[str, tuple[list[str], list[str]]] = {
    "fit": (["fit", "images", "--legos", "legos.py:three", "--epochs", "3", "--batch-size", "4"], ["fit"]),
    "segment": (
        ["segment", "train", "scans", "--cv", "2", "--epochs", "3", "--size", "32", "--width", "4", "--levels", "3"],
        ["segment", "train"],
    ),
    "represent": (
        ["represent", "train", "images", "--epochs", "3", "--dim", "4", "--size", "16"],
        ["represent", "train"],
    ),
    "prune": (["prune", "whole-fit", "--keep", "0.2"], ["fit"]),
}
"""Verb -> what begins such a run, and what goes on with it."""


LEGOS = """
from torch import nn

def three(in_shape):
    block = lambda: nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1))
    return [block() for _ in range(3)]
"""


def make_data(folder: Path) -> None:
    """Sixty images in two classes, and two dozen with masks."""
    (folder / "legos.py").write_text(LEGOS)
    rng = np.random.default_rng(0)
    for k, name in enumerate("ab"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            pixels[:, :, k] //= 3
            Image.fromarray(pixels).save(folder / "images" / name / f"{i}.png")
    (folder / "scans").mkdir()
    for i in range(24):
        pixels, mask = rng.integers(0, 100, (32, 32), dtype=np.uint8), np.zeros((32, 32), np.uint8)
        if i % 3:
            mask[8 : 9 + i // 2, 6:20] = 255
            pixels[mask > 0] += 120
        Image.fromarray(pixels).save(folder / "scans" / f"{i}.png")
        Image.fromarray(mask).save(folder / "scans" / f"{i}_mask.png")


def plexus(arguments: list[str], folder: Path, dies_after: float | None = None) -> int:
    """Run a command; return its exit code, -9 where it was killed."""
    with (folder / "err.txt").open("w") as err:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("plexus")), *arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        try:
            return process.wait(dies_after)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def timeless(part: Any) -> Any:
    """A record without what differs between any two runs."""
    if isinstance(part, dict):
        return {name: timeless(value) for name, value in part.items() if name not in TIMES}
    return [timeless(value) for value in part] if isinstance(part, list) else part


def differences(run: Path, whole: Path) -> list[str]:
    """Name what is not the same in two run folders."""
    files = [
        {
            str(p.relative_to(root)): p
            for p in root.rglob("*")
            if p.is_file() and "logs" not in p.relative_to(root).parts
        }
        for root in (run, whole)
    ]
    found = [f"only in one: {name}" for name in sorted(files[0].keys() ^ files[1].keys())]
    for name in sorted(files[0].keys() & files[1].keys()):
        ours, theirs = files[0][name].read_bytes(), files[1][name].read_bytes()
        if name in ("report.html", "config.yaml") or name.endswith("checksums.json"):
            continue  # times, places, and digests of what has times in it
        if name.endswith(".json"):
            ours, theirs = (timeless(json.loads(content)) for content in (ours, theirs))
        if ours != theirs:
            found.append(name)
    return found + [f"left behind: {p.name}" for p in [*run.rglob(".*"), *run.parent.glob(".*")]]


def soak(kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kill so often, and at least until the run that is under way has ended; return what was seen."""
    make_data(folder)
    chance, whole = random.Random(seed), dict[str, float]()
    done = {verb: {"kills": 0, "runs": 0, "equal": 0} for verb in VERBS}
    wrong = list[str]()
    while sum(one["kills"] for one in done.values()) < kills:
        for verb, (begin, again) in VERBS.items():
            if verb not in whole:
                start = time.monotonic()
                if code := plexus([*begin, "--run", f"whole-{verb}"], folder):
                    raise SystemExit(f"{verb} left with {code}: {(folder / 'err.txt').read_text()}")
                whole[verb] = time.monotonic() - start
            run = folder / "killed"
            while True:
                command = [*again, "--resume", run.name] if run.exists() else [*begin, "--run", run.name]
                code = plexus(command, folder, chance.uniform(0.1, 1.2) * whole[verb])
                if code != -9:
                    break
                done[verb]["kills"] += 1
            done[verb]["runs"] += 1
            found = [f"exit code {code}"] if code else differences(run, folder / f"whole-{verb}")
            done[verb]["equal"] += not found
            wrong += [f"{verb}: {what}" for what in found]
            print(verb, done[verb], found or "equal", flush=True)
            shutil.rmtree(run)
            if sum(one["kills"] for one in done.values()) >= kills:
                break
    return {"kills": sum(one["kills"] for one in done.values()), "seed": seed, "verbs": done, "differences": wrong}


def main() -> None:
    """Soak, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often a process is killed, at least")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "soak.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = soak(options.kills, options.seed, Path(folder))
    atomic_write(options.out, to_json({**seen, "versions": versions("torch", "lightning"), "machine": machine()}))
    sys.exit(bool(seen["differences"]))


if __name__ == "__main__":
    main()
