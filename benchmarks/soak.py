"""Kills `plexus` at random moments and goes on, until every run has ended: `python benchmarks/soak.py --kills 200`.

Fit, segment, represent, prune and a study take turns; each process dies by SIGKILL after a random share of the time
that the whole run took undisturbed, and is resumed, until it ends. Then weights, models, predictions and records must
equal those of the undisturbed run, times aside, nothing half-written may be left, and no worker may outlive its driver.
Every fifth run is made of processes of their own; the others are forks of this one, which has loaded the libraries, so
that kills meet the work and not its imports.

The part `memory` fits for `--epochs` epochs and notes the memory of the process from epoch to epoch.

Every run is kept in the record as it ends; the same command goes on with those that lack. The record names the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}

import numpy as np
from measure import Results
from PIL import Image

from plexus.record import machine, versions

TIMES = ("seconds", "processor_seconds", "train_seconds", "latency_ms", "created", "started", "command")
LOADED = (
    *("plexus.cli", "plexus.training", "plexus.segment", "plexus.represent", "plexus.report", "plexus.experiments"),
    *("lightning.pytorch", "onnx", "onnxruntime", "altair", "vl_convert", "scipy.stats", "sklearn.linear_model"),
)
STUDY = ["study", "run", "toy.py", "--scale", "quick", "--data", "images", "--resume", "--results"]
VERBS: dict[str, tuple[list[str], list[str]]] = {
    "fit": (
        ["fit", "images", "--legos", "legos.py:three", "--epochs", "3", "--batch-size", "4", "--run"],
        ["fit", "--resume"],
    ),
    "segment": (
        [
            *("segment", "train", "scans", "--cv", "2", "--epochs", "3", "--size", "32", "--width", "4"),
            *("--levels", "3", "--run"),
        ],
        ["segment", "train", "--resume"],
    ),
    "represent": (
        ["represent", "train", "images", "--epochs", "3", "--dim", "4", "--size", "16", "--run"],
        ["represent", "train", "--resume"],
    ),
    "prune": (["prune", "whole-fit", "--keep", "0.2", "--run"], ["fit", "--resume"]),
    "study": (STUDY, STUDY),
}
"""Verb -> what begins such a run, and what goes on with it; the folder's name follows."""
OWN = 5
"""Every so manieth run is made of processes of its own."""
LEGOS = """
from torch import nn

def three(in_shape):
    block = lambda: nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1))
    return [block() for _ in range(3)]
"""
TOY = """
import hashlib

import torch

from plexus.experiments import Scale, Study, Variant


def trial(job):
    generator = torch.Generator().manual_seed(job.seed)
    x, y = torch.randn(64, 8, generator=generator), torch.randn(64, 1, generator=generator)
    net = torch.nn.Linear(8, 1)
    with torch.no_grad():
        net.weight.normal_(generator=generator)
        net.bias.zero_()
    optimizer = torch.optim.SGD(net.parameters(), job.variant.options["rate"])
    losses = []
    for _ in range(2000):
        loss = (net(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    weights = hashlib.sha256(net.weight.detach().numpy().tobytes()).hexdigest()
    return {"test_accuracy": 100 - losses[-1], "train_loss": losses[::200], "weights": weights}


STUDY = Study("toy", "Which rate?", "slow", (Variant("slow", {"rate": 0.001}), Variant("fast", {"rate": 0.01})),
              {"quick": Scale(None, 1, 3)}, "images", trial=trial)
"""


def make_data(folder: Path) -> None:
    """Sixty images in two classes, two dozen with masks, legos and a study."""
    (folder / "legos.py").write_text(LEGOS)
    (folder / "toy.py").write_text(TOY)
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


def start(arguments: list[str], folder: Path, *, own: bool) -> int:
    """Start a command in a process of its own or in a fork of this one; return its number."""
    if pid := os.fork():
        return pid
    code = 70
    try:
        os.chdir(folder)
        for target, number in ((os.devnull, 1), ("err.txt", 2)):
            os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = [str(Path(sys.executable).with_name("plexus")), *arguments]
        if own:
            os.execv(sys.argv[0], sys.argv)
        import_module("plexus.cli").main(arguments)
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(code)


def plexus(arguments: list[str], folder: Path, dies_after: float | None = None, *, own: bool = False) -> int:
    """Run a command; return its exit code, -9 where it was killed."""
    pid, begun = start(arguments, folder, own=own), time.monotonic()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if dies_after is not None and time.monotonic() - begun > dies_after:
            os.kill(pid, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        time.sleep(0.005)


def outlived(folder: Path, seconds: float = 10.0) -> bool:
    """Tell whether a process that works in this folder is still there after some seconds."""
    end = time.monotonic() + seconds
    while living := list(_working_in(folder)):
        if time.monotonic() > end:
            for pid in living:
                os.kill(pid, signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def _working_in(folder: Path) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) != os.getpid() and (entry / "cwd").readlink() == folder:
                yield int(entry.name)
        except OSError:  # it has ended, or is none of ours
            continue


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
    usual = {p.name for p in whole.rglob(".*")}  # the lock of a folder of records stays
    return found + [f"left behind: {p.name}" for p in [*run.rglob(".*"), *run.parent.glob(".*")] if p.name not in usual]


def survive(verb: str, chance: random.Random, whole: float, folder: Path, *, own: bool) -> dict[str, Any]:
    """Kill one run until it ends; return how often, and what differs from the whole one."""
    (begin, again), run = VERBS[verb], folder / "killed"
    kills, left, begun = 0, False, time.monotonic()
    while True:
        command = [*(again if run.exists() else begin), run.name]
        code = plexus(command, folder, chance.uniform(0.05, 1.1) * whole, own=own)
        left |= outlived(folder)
        if code != -signal.SIGKILL:
            break
        kills += 1
    found = differences(run, folder / f"whole-{verb}")
    if code:
        found = [f"exit code {code}: {(folder / 'err.txt').read_text().strip()[-300:]}"]
    found += ["a worker outlived its driver by ten seconds"] * left
    shutil.rmtree(run, ignore_errors=True)  # what failed at once has left none
    return {"kills": kills, "differences": found, "own": own, "seconds": round(time.monotonic() - begun, 1)}


def soak(kills: int, seed: int, folder: Path, results: Results) -> None:
    """Kill so often, and at least until the run that is under way has ended."""
    make_data(folder)
    for name in LOADED:
        import_module(name)
    whole: dict[tuple[str, bool], float] = {}
    for verb, (begin, _) in VERBS.items():
        begun = time.monotonic()
        if code := plexus([*begin, f"whole-{verb}"], folder):
            raise SystemExit(f"{verb} left with {code}: {(folder / 'err.txt').read_text()}")
        whole[verb, False] = time.monotonic() - begun
    turn = 0
    while sum(run["kills"] for key, run in results.values.items() if key.startswith("run/")) < kills:
        verb, own = list(VERBS)[turn % len(VERBS)], turn // len(VERBS) % OWN == OWN - 1
        if (key := f"run/{seed}/{verb}/{turn // len(VERBS)}") not in results:
            if (verb, own) not in whole:
                begun = time.monotonic()
                plexus([*VERBS[verb][0], "once-more"], folder, own=own)
                whole[verb, own] = time.monotonic() - begun
                shutil.rmtree(folder / "once-more")
            results.put(key, survive(verb, random.Random(key), whole[verb, own], folder, own=own))
        turn += 1


def memory(epochs: int, folder: Path) -> dict[str, Any]:
    """Fit for many epochs; return the megabytes of the process in the first tenth after warming up, and in the last."""
    make_data(folder)
    pid = start([*VERBS["fit"][0][:5], str(epochs), "--batch-size", "8", "--run", "long"], folder, own=True)
    seen = dict[int, float]()
    while not os.waitpid(pid, os.WNOHANG)[0]:
        try:
            epoch = max(map(int, re.findall(r"epoch (\d+) of", (folder / "err.txt").read_text())), default=0)
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, ValueError):
            pages = epoch = 0
        if 0 < epoch < epochs:  # what comes after the last belongs to judging and writing
            seen[epoch] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        time.sleep(0.05)
    first = [mb for epoch, mb in seen.items() if 0.1 <= epoch / epochs <= 0.2]
    last = [mb for epoch, mb in seen.items() if epoch / epochs > 0.9]
    if not first or not last:
        raise SystemExit(f"the fit was not seen at work: {(folder / 'err.txt').read_text()[-300:]}")
    early, late = statistics.median(first), statistics.median(last)
    return {"epochs": epochs, "seen": len(seen), "early_mb": early, "late_mb": late, "grown": late / early - 1}


def main() -> None:
    """Soak, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how often a process is killed, at least")
    parser.add_argument("--epochs", type=int, default=200, help="of the fit whose memory is watched; 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "soak.json")
    options = parser.parse_args()
    results = Results(options.out)
    results.put("machine", {**machine(), "versions": versions("torch", "lightning")})
    if options.epochs and "memory" not in results:
        with tempfile.TemporaryDirectory() as folder:
            results.put("memory", memory(options.epochs, Path(folder).resolve()))
    with tempfile.TemporaryDirectory() as folder:
        soak(options.kills, options.seed, Path(folder).resolve(), results)
    runs = {key: run for key, run in results.values.items() if key.startswith("run/")}
    wrong = {key: run["differences"] for key, run in runs.items() if run["differences"]}
    print(
        f"{sum(run['kills'] for run in runs.values())} kills, {len(runs)} runs, {len(runs) - len(wrong)} as if nothing"
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
