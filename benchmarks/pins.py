"""Pins what a change of structure must not change: tensors and figures of small runs of every kind, bit by bit.

    python benchmarks/pins.py check            # compare with benchmarks/results/pins.json; exit code 1: they differ
    python benchmarks/pins.py write            # after a deliberate change, which docs/log.md then names
    python benchmarks/pins.py check fit audit  # some cases only; `cases` lists them

Every case runs the command line as a user would, one thread, fixed seeds, on data made here or bundled. Of each run the
SHA-256 of every tensor is kept, and of its record every number that does not measure time. Bits depend on the
processor and on the versions of torch and numpy, which the file names; `check` says where they differ.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FILE = Path(__file__).parent / "results" / "pins.json"
PLEXUS = Path(sys.executable).with_name("plexus")
ROOT = Path(__file__).parents[1]
TIMED = ("seconds", "latency_ms", "created", "command", "versions", "machine", "started", "version", "onnx_difference")
"""Parts of a record that differ from run to run."""
PLACES = ("data", "config", "settings", "spec", "name", "format", "run", "model")
"""Parts of a record that hold paths, words and options; they are compared by the tests of each record."""


def plexus(folder: Path, *arguments: object) -> str:
    """Runs a command on one thread; its standard output."""
    single = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(PLEXUS), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **single}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def digest(content: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def tensors(folder: Path) -> dict[str, str]:
    """Digest of every tensor in every weights and array file of a run: FILE:NAME -> digest."""
    from safetensors.numpy import load_file

    found = {}
    for path in sorted(folder.rglob("*.safetensors")):
        for name, value in sorted(load_file(path).items()):
            found[f"{path.relative_to(folder)}:{name}"] = digest(value.tobytes() + str(value.shape).encode())
    for path in sorted(folder.rglob("*.npz")):
        with np.load(path) as arrays:
            for name in sorted(arrays.files):
                found[f"{path.relative_to(folder)}:{name}"] = digest(arrays[name].tobytes())
    return found


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float | None]]:
    """Every number of a record, with its place, but for times and for parts that only name things."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in TIMED and not key.endswith("_seconds") and not (not path and key in PLACES):
                yield from numbers(part, f"{path}/{key}")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from numbers(part, f"{path}/{i}")
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield path, value


def figures(record: Path) -> dict[str, Any]:
    """The numbers of a record by its parts: how many, their sum, and the digest of all with their places."""
    parts: dict[str, list[tuple[str, float | None]]] = {}
    for place, value in numbers(json.loads(record.read_bytes())):
        if value is not None:
            parts.setdefault(place.split("/")[1], []).append((place, value))
    return {
        part: {
            "count": len(found),
            "sum": math.fsum(v for _, v in found if v is not None),
            "digest": digest(repr(sorted(found)).encode()),
        }
        for part, found in sorted(parts.items())
    }


def run_folder(folder: Path, record: str = "record.json") -> dict[str, Any]:
    """Tensors and figures of a run folder."""
    return {"tensors": tensors(folder), "figures": figures(folder / record)}


def classes(folder: Path, count: int = 24, side: int = 16) -> Path:
    """Three classes of coloured stripes in noise."""
    random = np.random.default_rng(7)
    for k, name in enumerate(("across", "down", "dots")):
        place = folder / "photos" / name
        place.mkdir(parents=True)
        y, x = np.mgrid[:side, :side]
        pattern = ((x // 2) % 2, (y // 2) % 2, (x + y) % 2)[k]
        for i in range(count):
            pixels = random.integers(0, 128, (side, side, 3)) + 96 * pattern[..., None] * random.random(3)
            Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i:02}.png")
    return folder / "photos"


def scans(folder: Path, count: int = 30, side: int = 32) -> Path:
    """Discs in speckle with masks, a third of them empty; two successive ones are of one patient."""
    place = folder / "scans"
    place.mkdir()
    y, x = np.mgrid[:side, :side]
    for i in range(count):
        random = np.random.default_rng(100 + i)
        row, column = random.uniform(0.3 * side, 0.7 * side, 2)
        mask = ((y - row) ** 2 + (x - column) ** 2 <= (side / 5) ** 2) & (i % 3 != 2)
        pixels = np.clip(random.rayleigh(30, (side, side)) + 90 * mask, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{i // 2}-{i}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(place / f"{i // 2}-{i}_mask.png")
    return place


def copies(folder: Path) -> Path:
    """Sixty scenes, some of them twice: shifted, brighter, with another class."""
    place, random = folder / "copies", np.random.default_rng(3)
    for i in range(60):
        coarse = random.integers(0, 256, (12, 16), dtype=np.uint8)
        scene = np.asarray(Image.fromarray(coarse).resize((112, 84), Image.Resampling.BICUBIC))
        noisy = np.clip(scene + random.normal(0, 6, scene.shape), 0, 255).astype(np.uint8)
        for j, (down, right) in enumerate(((4, 4), (5, 3))[: 2 if i % 6 == 0 else 1]):
            part = place / ("train" if i % 5 else "test") / ("ab"[(i + j) % 2])
            part.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy[down : down + 72, right : right + 96]).save(part / f"{i:02}{j}.png")
    return place


def fit(*options: object) -> Callable[[Path], dict[str, Any]]:
    """A fit of the digits."""

    def case(folder: Path) -> dict[str, Any]:
        plexus(folder, "fit", "digits", "--limit", 200, "--epochs", 4, "--seed", 3, "--run", "run", *options)
        return run_folder(folder / "run")

    return case


def fit_photos(folder: Path) -> dict[str, Any]:
    """A fit of image files in colour, which are augmented; then another budget."""
    classes(folder)
    options = ("--preset", "mix", "--epochs", 4, "--width", 8, "--batch-size", 16)
    plexus(folder, "fit", "photos", *options, "--run", "run")
    plexus(folder, "prune", "run", "--fan-in", 6, "--run", "again")
    return {"run": run_folder(folder / "run"), "again": run_folder(folder / "again")}


def represent(folder: Path) -> dict[str, Any]:
    """A representation of the digits from a few labels, and a fit that starts from it."""
    options = ("--limit", 200, "--epochs", 2, "--dim", 8, "--width", 8, "--labels", 5, "--run", "z")
    plexus(folder, "represent", "train", "digits", *options)
    plexus(folder, "fit", "digits", "--limit", 200, "--epochs", 4, "--start-from", "z", "--run", "run")
    return {"z": run_folder(folder / "z"), "fit": run_folder(folder / "run")}


def contrast(folder: Path) -> dict[str, Any]:
    """A variational representation without labels, its encoder's wiring learned."""
    options = ("--limit", 160, "--epochs", 3, "--dim", 8, "--width", 4, "--depth", 2, "--labels", "none")
    more = ("--objective", "vae", "--wiring", "learn", "--run", "z")
    plexus(folder, "represent", "train", "digits", *options, *more)
    return run_folder(folder / "z")


def segment(folder: Path) -> dict[str, Any]:
    """Three folds with learned skips; measured on other data."""
    scans(folder)
    options = ("--size", 32, "--width", 4, "--levels", 3, "--epochs", 3, "--batch-size", 4, "--wiring", "skips")
    plexus(folder, "segment", "train", "scans", *options, "--cv", 3, "--group-from", r"^(\d+)-", "--run", "run")
    plexus(folder, "segment", "train", "scans", *options[:-2], "--val", 0.3, "--run", "plain")
    plexus(folder, "segment", "evaluate", "plain", "scans", "--out", "measured")
    measured = figures(folder / "measured" / "evaluation.json")
    return {**{name: run_folder(folder / name) for name in ("run", "plain")}, "evaluation": measured}


def audit(folder: Path) -> dict[str, Any]:
    """Near-duplicates, contradictions and folds."""
    copies(folder)
    plexus(folder, "audit", "copies", "--out", "found", "--cache", "cache", "--write-clean", "clean")
    kept = {name: digest((folder / name).read_bytes()) for name in ("found/pairs.csv", "clean/keep.txt")}
    folds = json.loads((folder / "found" / "folds.json").read_bytes())
    return {
        "figures": figures(folder / "found" / "findings.json"),
        "files": kept | {"folds": digest(repr(sorted(folds["folds"].items() if "folds" in folds else [])).encode())},
    }


def probe(folder: Path) -> dict[str, Any]:
    """A net with rotation neurons at every angle."""
    options = ("--limit", 200, "--epochs", 3, "--neuron", "rot4", "--last", 2, "--run", "run")
    plexus(folder, "fit", "digits", *options)
    plexus(folder, "probe", "run", "digits", "--angles", 30, "--images", 40, "--out", "probed")
    return {p.name: figures(p) for p in sorted((folder / "probed").glob("*.json"))}


def trial(name: str, *variants: str, data: str = "digits") -> Callable[[Path], dict[str, Any]]:
    """One seed of some variants of a study, at its smallest scale."""

    def case(folder: Path) -> dict[str, Any]:
        where = scans(folder) if data == "scans" else data
        more = ("--data", where, "--scale", "quick", "--seeds", 1, "--only", *variants, "--results", folder / "results")
        plexus(ROOT, "study", "run", name, *more)
        found = sorted((folder / "results" / name / "quick").glob("*~0.json"))
        return {path.stem: figures(path)["metrics"] for path in found}

    return case


CASES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "fit": fit(),
    "fit-rot8": fit("--neuron", "rot8", "--last", 2),
    "fit-spherical": fit("--neuron", "spherical", "--dense", "unit", "--width", 6),
    "fit-concat": fit("--preset", "blocks", "--size", 16, "--keep", 0.5),
    "fit-photos": fit_photos,
    "represent": represent,
    "represent-contrast": contrast,
    "segment": segment,
    "audit": audit,
    "probe": probe,
    "study-gates": trial("gates", "sigmoid", "channel"),
    "study-merging": trial("merging", "default", "sum", "squeeze"),
    "study-pruning": trial("pruning", "full", "retrained", "finetuned", "random_1"),
    "study-rotation": trial("rotation", "baseline", "8_rot_1"),
    "study-neurons": trial("neurons", "baseline", "norm_conv_dense"),
    "study-representation": trial("representation", "pixels", "tuned"),
    "study-search": trial("search", "gradient", "random"),
    "study-absence": trial("absence", "none", "expected", data="scans"),
    "study-duplicates": trial("duplicates", "corrupted", "audited", data="scans"),
}


def environment() -> dict[str, str]:
    """What the bits depend on."""
    from importlib.metadata import version

    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {"processor": processor, **{name: version(name) for name in ("torch", "numpy", "scipy", "lightning")}}


def differences(was: Any, now: Any, path: str = "") -> Iterator[str]:
    """Where two results differ, one line each."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(k for k in now if k not in was)]:
            yield from differences(was.get(key, "not there"), now.get(key, "not there"), f"{path}/{key}")
    elif was != now:
        yield f"{path}: was {was}, is {now}"


def save(cases: dict[str, Any]) -> None:
    """Writes the pins, one case a line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(cases[name])}" for name in CASES if name in cases)
    FILE.write_text(f'{{"environment": {json.dumps(environment())},\n"cases": {{\n{lines}\n}}}}\n')


def main(verb: str = "check", *names: str) -> int:
    """Runs the cases; returns the exit code."""
    if verb == "cases":
        print("\n".join(CASES))
        return 0
    strange = set(names) - CASES.keys()
    if verb not in ("check", "write") or strange:
        sys.exit(f"say check, write or cases, then names of cases; not {verb} {' '.join(sorted(strange))}")
    kept = json.loads(FILE.read_text()) if FILE.exists() else {"environment": {}, "cases": {}}
    if verb == "check" and (other := dict(environment().items() - kept["environment"].items())):
        print(f"pinned elsewhere: here {other}; bits may differ for that reason alone")
    wrong = []
    for name in names or CASES:
        folder = Path(tempfile.mkdtemp(prefix=f"pins-{name}-"))
        found = json.loads(json.dumps(CASES[name](folder)))
        shutil.rmtree(folder)
        lines = list(differences(kept["cases"].get(name, {}), found))
        if verb == "write":
            kept["cases"][name] = found
            save(kept["cases"])
        else:
            wrong += [f"{name}{line}" for line in lines]
        print(f"{name}: {'as pinned' if not lines else f'{len(lines)} differ'}", flush=True)
    if verb == "write":
        return 0
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
