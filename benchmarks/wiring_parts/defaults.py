"""What the default fit costs: a step at every image size, and a folder of photos from start to end."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image

from plexus.data import load
from plexus.record import machine
from plexus.training import FitConfig
from plexus.training.nets import Nets

BATCH, RUNS = 64, 7
TARGETS = {32: None, 64: None, 128: 0.25, 224: 0.8}
PLEXUS = Path(sys.executable).with_name("plexus")


def steps(results: Any, **_: Any) -> None:
    """Processor seconds of a training step of the whole supernet, nothing cut yet, one thread."""
    torch.set_num_threads(1)
    for side in TARGETS:
        net = Nets(FitConfig(data="digits"), (3, side, side), 10).supernet().to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(net.parameters())
        images = torch.rand(BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, 10, (BATCH,))
        times = []
        for _run in range(RUNS):
            start = time.process_time()
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
            times.append(time.process_time() - start)
        results.put(f"step/{side}", {"seconds": statistics.median(times[2:]), "machine": machine()})


def photos(results: Any, *, data: str, **_: Any) -> None:
    """`plexus fit FOLDER` with its defaults on 2,000 images of 64 pixels and four classes, as a command."""
    split = load(data, limit=6_000).train
    chosen = [(i, int(label)) for i, label in enumerate(split.labels) if label < 4][:2_000]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        for i, label in chosen:
            path = folder / f"class{label}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = split.images[i].permute(1, 2, 0).numpy()
            Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(path)
        before, start, first, lines = _children(), time.perf_counter(), None, []
        command = [str(PLEXUS), "fit", str(folder), "--run", str(Path(scratch) / "run")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout or ():
                lines.append(line)
                if first is None and "epoch 1 " in line:
                    first = time.perf_counter() - start
        if process.returncode:
            raise SystemExit("".join(lines))
        results.put(
            "photos",
            {
                "images": len(chosen), "processor_seconds": _children() - before, "first_epoch_seconds": first,
                "seconds": time.perf_counter() - start, "machine": machine(),
            },
        )  # fmt: skip


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """The rows of these parts."""
    for side, target in TARGETS.items():
        if (step := values.get(f"step/{side}")) is not None:
            met = target is None or step["seconds"] <= target
            figure = f"default family, a step of {BATCH} images at {side} px, one thread: processor seconds"
            yield figure, f"<= {target}" if target else "", f"{step['seconds']:.2f}", met
    if (run := values.get("photos")) is not None:
        what = f"fit, defaults, {run['images']:,} images of 64 px"
        spent, first = run["processor_seconds"], run["first_epoch_seconds"]
        yield f"{what}: processor seconds", "<= 150", f"{spent:.0f}", spent <= 150
        yield f"{what}: seconds to the first epoch's line", "<= 10", f"{first:.1f}", first <= 10
