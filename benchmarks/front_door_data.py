"""Images of any number and shape: memory and time of a set larger than memory, aspect ratios, folders of many files.

Claims: 20,000 photos of 256x256 are learned from in less than 4 GB, and reading them takes at most 1.2 times what
decoding and resizing them takes; of the ways to bring photos of several shapes to one size the default is the best; a
folder of 60,000 files is opened in seconds, whatever its layout.

    python benchmarks/front_door_data.py                  # all parts
    python benchmarks/front_door_data.py memory reading   # some of them

Each part writes its own key of `benchmarks/results/front_door.json` and leaves the others as they are.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import run_parts
from PIL import Image

RECORD = Path(__file__).parent / "results" / "front_door.json"
PLEXUS = Path(sys.executable).with_name("plexus")
COUNT, SIDE, DISTINCT = 20_000, 256, 400
CIFAR = Path(__file__).parents[1] / "../shared/data/cifar10"


def photos(root: Path, count: int = COUNT) -> Path:
    """Write JPEGs of smooth noise in two class folders; some hundred are different, the others are their copies."""
    rng = np.random.default_rng(0)
    for i in range(count):
        if i < DISTINCT:
            small = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
            file = io.BytesIO()
            noise = rng.integers(-12, 13, (SIDE, SIDE, 3))
            pixels = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) + noise
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
            (root / f"content{i}").write_bytes(file.getvalue())
        path = root / "d" / "ab"[i % 2] / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((root / f"content{i % DISTINCT}").read_bytes())
    return root / "d"


def reading(count: int = COUNT) -> dict[str, Any]:
    """Processor seconds of reading a set into a mapped file at 128 pixels, and of decoding and resizing it alone."""
    from concurrent.futures import ThreadPoolExecutor

    from plexus.data import load, open_samples
    from plexus.record import cores

    with tempfile.TemporaryDirectory() as folder:
        root = photos(Path(folder), count)
        samples = open_samples(root)

        def decode(size: tuple[int, int] | None) -> float:
            start = time.process_time()
            with ThreadPoolExecutor(cores()) as pool:
                for _ in pool.map(lambda i: samples.pixels(i, size) is None, range(count), chunksize=8):
                    pass
            return time.process_time() - start

        def read(cache: str) -> float:
            start = time.process_time()
            load(root, size=128, cache=cache)
            return time.process_time() - start

        decode(None)
        times: dict[str, list[float]] = {}
        for i in range(3):
            steps: dict[str, Callable[[], float]] = {
                "decoded": lambda: decode(None),
                "decoded and resized": lambda: decode((128, 128)),
                "read into a mapped file": lambda i=i: read(f"{folder}/cache{i}"),  # type: ignore[misc]
                "found in a mapped file": lambda i=i: read(f"{folder}/cache{i}"),  # type: ignore[misc]
                "read into memory": lambda: read("none"),
            }
            for name, step in steps.items():
                times.setdefault(name, []).append(step())
    seconds = {name: statistics.median(all_) for name, all_ in times.items()}
    whole = seconds["read into a mapped file"]
    ratios = {f"over what is {name}": whole / seconds[name] for name in ("decoded", "decoded and resized")}
    return {"images": count, "processor_seconds": seconds, "ratios": ratios, "runs": 3}


def memory(count: int = COUNT) -> dict[str, Any]:
    """Memory of `plexus fit --size 128 --epochs 1`, at its peak: of the process alone, and with mapped pages."""
    with tempfile.TemporaryDirectory() as folder:
        root = photos(Path(folder), count)
        command = [
            *(PLEXUS, "fit", root, "--size", 128, "--epochs", 1, "--run", f"{folder}/run"),
            *("--cache", f"{folder}/cache"),
        ]
        start = time.monotonic()
        process = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True)
        peak = {"RssAnon": 0, "RssFile": 0, "VmHWM": 0}
        while process.poll() is None:
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                break
            for line in lines:
                name, _, value = line.partition(":")
                if name in peak:
                    peak[name] = max(peak[name], 1024 * int(value.split()[0]))
            time.sleep(0.2)
        error = process.communicate()[1]
        if process.returncode:
            sys.exit(error)
    gigabytes = {name: value / 1e9 for name, value in peak.items()}
    return {
        "images": count,
        "gigabytes": {
            "of the process": gigabytes["RssAnon"],
            "mapped pages that were in memory": gigabytes["RssFile"],
            "both at the peak": gigabytes["VmHWM"],
        },
        "seconds": time.monotonic() - start,
        "load": os.getloadavg()[0],
    }


def aspect(seeds: int = 3, images: int = 3000, epochs: int = 16) -> dict[str, Any]:
    """Test accuracy on CIFAR-10 as photos of three aspect ratios (4:3, 1:1, 3:4), by the way to one size."""
    from datasets import load_dataset

    files = [str(path) for path in sorted(CIFAR.resolve().rglob("train*.parquet"))]
    rows = load_dataset("parquet", data_files=files, split="train")
    rows = rows.shuffle(seed=0).select(range(images))
    names = rows.features["label"].names
    accuracy: dict[str, list[float]] = {"squash": [], "letterbox": [], "crop": []}
    with tempfile.TemporaryDirectory() as folder:
        for i, row in enumerate(rows):
            # A photo of another format shows less of one side: the object keeps its shape in it.
            width, height = ((32, 24), (32, 32), (24, 32))[i % 3]
            left, top = (32 - width) // 2, (32 - height) // 2
            picture = row["img"].convert("RGB").crop((left, top, left + width, top + height))
            path = Path(folder, "d", names[row["label"]], f"{i}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
        for seed in range(seeds):
            for fit, figures in accuracy.items():
                run = f"{folder}/{fit}{seed}"
                options = ("--size", 32, "--fit", fit, "--seed", seed, "--epochs", epochs, "--run", run)
                command = [str(word) for word in (PLEXUS, "fit", f"{folder}/d", *options)]
                subprocess.run(command, check=True, capture_output=True)
                record = json.loads(Path(run, "record.json").read_text())
                figures.append(record["results"][0]["accuracy"])
                print(fit, seed, figures[-1], flush=True)
    means = {fit: statistics.mean(figures) for fit, figures in accuracy.items()}
    return {"images": images, "epochs": epochs, "accuracy": accuracy, "mean": means}


def opening(count: int = 60_000) -> dict[str, Any]:
    """Processor seconds to open a folder of so many files, by its layout."""
    from plexus.data import open_samples

    layouts = {
        "bare": [f"IMG_{i:05}.png" for i in range(count)],
        "class folders": [f"c{i % 10}/{i:05}.png" for i in range(count)],
        "a class for every two": [f"c{i // 2}/{i:05}.png" for i in range(count)],
        "splits": [f"{('train', 'val', 'test')[i % 3]}/c{i % 10}/{i}.png" for i in range(count)],
        "masks beside": [f"{i}{word}.png" for i in range(count // 2) for word in ("", "_mask")],
        "two folders": [f"{word}/{i}.png" for i in range(count // 2) for word in ("images", "masks")],
    }
    seconds = {}
    for name, files in layouts.items():
        with tempfile.TemporaryDirectory() as folder:
            for parent in {os.path.dirname(file) for file in files}:
                Path(folder, parent).mkdir(exist_ok=True, parents=True)
            for file in files:
                os.close(os.open(f"{folder}/{file}", os.O_CREAT | os.O_WRONLY))
            start = time.process_time()
            open_samples(folder)
            seconds[name] = time.process_time() - start
    return {"files": count, "processor_seconds": seconds}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "opening": opening,
    "reading": reading,
    "memory": memory,
    "aspect": aspect,
}


if __name__ == "__main__":
    run_parts(__doc__, PARTS, RECORD, "torch", "pillow", "numpy")
