"""Cost of rotation-max and unit-norm layers over torch.nn.Conv2d, each with its target.

Command: python benchmarks/rotation.py PART... [--out FILE]
    train     forward and backward, 8 and 4 rotations, CPU                (2 minutes)
    infer     forward without gradients                                   (1 minute)
    memory    peak memory of a training step, one process for each        (1 minute)
    bank      twelve shapes against one convolution with all kernels      (2 minutes)
    unit      unit-norm layers in training, and folded                    (1 minute)
    escnn     escnn's C8 lifting and group pooling, where it is installed
    cuda      the same on a GPU, where there is one
    report    prints all results so far as a table
Ratios of medians, taken in turn in one process; random inputs. Every number is kept in FILE as soon as it is known.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import torch
import torch.nn.functional as F
from measure import Results, Step, growth, medians, ratio
from torch import Tensor, nn

from plexus.nn import RotConv2d, UnitConv2d, UnitLinear, fold

MAIN = [(16, 64, 16), (32, 64, 16), (16, 128, 16), (32, 128, 16), (16, 256, 16), (32, 256, 16)]
SHALLOW = [(16, 32, 32), (32, 32, 32)]
TWELVE = [
    *((32, 3, 32, 32), (32, 16, 16, 32), (32, 32, 32, 32), (16, 64, 64, 16), (16, 64, 128, 16), (16, 128, 128, 16)),
    *((8, 256, 256, 16), (64, 16, 32, 8), (64, 128, 128, 8), (1, 64, 64, 32), (1, 3, 16, 64), (4, 32, 64, 64)),
]  # fmt: skip
# what the allocator does with freed memory: keep it, so that no timing is one of page faults; or give it back
KEPT = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_TOP_PAD_": "268435456"}
RETURNED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}


def train(results: Results) -> None:
    """Forward and backward with gradients of input and weight."""
    for images, maps, size in [*MAIN, *SHALLOW]:
        steps = {"plain": _step(images, maps, maps, size, 0)}
        steps |= {f"rot{k}": _step(images, maps, maps, size, k) for k in (8, 4)}
        steps["bank"] = _forced("bank", _step(images, maps, maps, size, 8))
        times = medians(steps, runs=9)
        for name in ("rot8", "rot4", "bank"):
            results.put(f"train/{name} {maps}@{size} N{images}", ratio(times[name], times["plain"]))


def infer(results: Results) -> None:
    """Forward without gradients."""
    for images, maps, size in [*MAIN, *SHALLOW]:
        times = medians({f"rot{k}": _step(images, maps, maps, size, k, grad=False) for k in (0, 8)})
        results.put(f"infer/rot8 {maps}@{size} N{images}", ratio(times["rot8"], times["rot0"]))


def memory(results: Results) -> None:
    """Growth of a process in one training step."""
    for images, maps, size in [(16, 64, 16), (32, 128, 16), (32, 32, 32)]:
        used = {}
        for kind in ("0", "8", "bank"):
            command = [sys.executable, __file__, "grow", kind, str(images), str(maps), str(size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **RETURNED})
            used[kind] = int(done.stdout)
        for kind, name in (("8", "rot8"), ("bank", "bank")):
            results.put(f"memory/{name} {maps}@{size} N{images}", ratio(used[kind], used["0"]))


def bank(results: Results) -> None:
    """The chosen route against the bank."""
    for images, maps, kernels, size in TWELVE:
        steps = {"auto": _step(images, maps, kernels, size, 8)}
        steps["bank"] = _forced("bank", _step(images, maps, kernels, size, 8))
        times = medians(steps, runs=9)
        results.put(f"bank/{maps}->{kernels}@{size} N{images}", ratio(times["auto"], times["bank"]))


def unit(results: Results) -> None:
    """A training step of one layer, and inference after folding."""
    for images, maps, size in MAIN[:4] + SHALLOW:
        x = torch.randn(images, maps, size, size)
        layers = {"plain": nn.Conv2d(maps, maps, 3, padding=1), "unit": UnitConv2d(maps, maps, 3, padding=1)}
        times = medians({name: _descent(layer, x) for name, layer in layers.items()}, runs=61)
        results.put(f"unit/conv {maps}@{size} N{images}", ratio(times["unit"], times["plain"]))
        folded = {"plain": layers["plain"], "fold": fold(layers["unit"])}
        times = medians({name: _answer(layer, x) for name, layer in folded.items()}, runs=61)
        results.put(f"unit/fold {maps}@{size} N{images}", ratio(times["fold"], times["plain"]))
    x = torch.randn(128, 2048)
    layers = {"plain": nn.Linear(2048, 512), "unit": UnitLinear(2048, 512)}
    times = medians({name: _descent(layer, x) for name, layer in layers.items()}, runs=31)
    results.put("unit/linear 2048->512 N128", ratio(times["unit"], times["plain"]))


def escnn(results: Results) -> None:
    """C8 lifting and group pooling: as many maps out, as many kernels in all rotations."""
    try:
        from escnn import gspaces
        from escnn import nn as enn
    except ImportError as error:
        print(f"escnn is not installed ({error}); try: pip install --no-deps escnn lie_learn joblib pymanopt autograd")
        return
    space = gspaces.rot2dOnR2(8)
    for images, maps, size in [(16, 64, 16), (16, 32, 32)]:
        given = enn.FieldType(space, maps * [space.trivial_repr])
        lifted = enn.FieldType(space, maps * [space.regular_repr])
        net = nn.Sequential(enn.R2Conv(given, lifted, 3, padding=1), enn.GroupPooling(lifted))
        x = torch.randn(images, maps, size, size, requires_grad=True)

        def step(net: nn.Module = net, x: Tensor = x, given: Any = given) -> None:
            net(enn.GeometricTensor(x, given)).tensor.sum().backward()

        times = medians({"escnn": step, "plain": _step(images, maps, maps, size, 0)}, runs=5)
        results.put(f"escnn/{maps}@{size} N{images}", ratio(times["escnn"], times["plain"]))


def cuda(results: Results) -> None:
    """Forward and backward on a GPU, in bfloat16 and in TF32."""
    if not torch.cuda.is_available():
        print("cuda: this machine has no GPU that torch can use")
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    for name, dtype in (("bf16", torch.bfloat16), ("tf32", torch.float32)):
        for maps in (64, 128, 256):
            steps = {f"rot{k}": _step(128, maps, maps, 32, k, device="cuda", dtype=dtype) for k in (0, 8)}
            times = medians(steps, runs=31)
            results.put(f"cuda/{name} {maps}@32 N128", ratio(times["rot8"], times["rot0"]))


def report(results: Results) -> None:
    """All results as a table, the range over shapes in each row."""
    print("| figure | target | measured | met |\n| --- | --- | --- | --- |")
    for figure, prefix, without, target in FIGURES:
        found = [
            v["ratio"] for k, v in results.values.items() if k.startswith(prefix) and not (without and without in k)
        ]
        if found:
            low, high = min(found), max(found)
            verdict = "" if target is None else "yes" if high <= target else "no"
            print(f"| {figure} | {'' if target is None else f'<= {target}x'} | {low:.2f} to {high:.2f}x | {verdict} |")


FIGURES = [
    ("8 rotations, training step, 64 to 256 maps at 16x16", "train/rot8", " 32@32", 2.5),
    ("8 rotations, training step, 32 maps at 32x32", "train/rot8 32@32", None, 4),
    ("4 rotations, training step, all shapes", "train/rot4", None, 2),
    ("one bank of 8 rotated kernels, training step", "train/bank", None, None),
    ("escnn, C8 lifting and group pooling, training step", "escnn/", None, None),
    ("8 rotations, forward without gradients", "infer/", None, 2.5),
    ("8 rotations, peak memory of a training step", "memory/rot8", None, 3),
    ("one bank of 8 rotated kernels, peak memory", "memory/bank", None, None),
    ("8 rotations over the bank, training step, twelve shapes", "bank/", None, 1),
    ("8 rotations on a GPU, bf16 and TF32", "cuda/", None, 2),
    ("UnitConv2d, training step", "unit/conv", None, 1.05),
    ("UnitConv2d folded, forward", "unit/fold", None, None),
    ("UnitLinear 2048 to 512, 128 rows, training step", "unit/linear", None, None),
]

PARTS = {f.__name__: f for f in (train, infer, memory, bank, unit, escnn, cuda, report)}


def _step(
    images: int,
    maps: int,
    kernels: int,
    size: int,
    rotations: int,
    *,
    grad: bool = True,
    device: str = "cpu",
    dtype: Any = None,
) -> Step:
    """One layer, 3x3 with padding 1; 0 rotations is the plain one."""
    more = {"device": device, "dtype": dtype}
    if rotations:
        layer: nn.Module = RotConv2d(maps, kernels, 3, padding=1, rotations=rotations, **more)
    else:
        layer = nn.Conv2d(maps, kernels, 3, padding=1, **more)
    x = torch.randn(images, maps, size, size, **more).requires_grad_(grad)
    if not grad:
        return _answer(layer, x)
    out = torch.randn(images, kernels, size, size, **more)
    return lambda: layer(x).backward(out)


def _descent(layer: nn.Module, x: Tensor) -> Step:
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)

    def step() -> None:
        optimizer.zero_grad()
        F.relu(layer(x)).mean().backward()
        optimizer.step()

    return step


def _answer(layer: nn.Module, x: Tensor) -> Step:
    def step() -> None:
        with torch.no_grad():
            layer(x)

    return step


def _forced(backend: str, step: Step) -> Step:
    def inside() -> None:
        with _backend(backend):
            step()

    return inside


@contextmanager
def _backend(name: str) -> Iterator[None]:
    os.environ["PLEXUS_ROT_BACKEND"] = name
    try:
        yield
    finally:
        del os.environ["PLEXUS_ROT_BACKEND"]


def main() -> None:
    if sys.argv[1:2] == ["grow"]:
        kind, images, maps, size = sys.argv[2], *map(int, sys.argv[3:])
        with _backend("bank" if kind == "bank" else "auto"):
            rotations = 8 if kind == "bank" else int(kind)
            _step(1, maps, maps, size, rotations)()  # compiles, loads libraries
            print(growth(_step(images, maps, maps, size, rotations)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "rotation.json")
    arguments = parser.parse_args()
    results = Results(arguments.out)
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for part in arguments.parts:
        PARTS[part](results)


if __name__ == "__main__":
    if "MALLOC_TOP_PAD_" not in os.environ:  # read when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEPT})
    main()
