"""Planted near-duplicates: how many the audit finds, and what it costs, each with its target.

Command: python benchmarks/audit.py PART... [--out FILE] [--work FOLDER]
    planted   recall and precision on 2,000 images 420x580, and time against decoding alone  (4 minutes)
    memory    peak memory of an audit of 5,635 images 420x580, in a process of its own       (6 minutes)
    photos    the command on CIFAR-10's 60,000 images, without and with a cache              (3 minutes)
    scale     10,000 to 250,000 fingerprints: time and peak memory                          (10 minutes)
    faiss     the approximate search against the exact one, where faiss is installed         (1 minute)
    notes     the notes' fingerprint, as published and as meant, on real ultrasound          (10 seconds)
    labels_mnist, labels_cifar10, labels_cifar10_long
              3 % wrong labels planted in 10,000 images, found by cross-validation           (15 minutes each)
    opening   60,000 files in class folders: time to find them                               (1 minute)
    kinds     copies of every kind of 100 photos and 100 speckle images: recall of each      (10 minutes)
    embedding the same copies of photos, by the likeness of --fingerprint embedding          (2 minutes)
    brute     the search against the registration of all pairs of 3,000 images               (7 minutes)
    report    prints all results so far as a table
Images are made from a seed and kept as PNG files below FOLDER (default: the system's temporary folder). Times of the
two sides of a ratio are taken in turn in one process; every number is kept in FILE as soon as it is known.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from audit_brute import brute
from audit_kinds import CIFAR10, embedding, kinds
from audit_labels import labels_cifar10, labels_cifar10_long, labels_mnist, opening
from measure import Results
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from plexus.audit import Fingerprints, NearDuplicates, contradictions, fingerprint, folds, near_duplicates
from plexus.data import SampleSet, open_samples

HIGH, WIDE, MARGIN = 420, 580, 4
SEED = 20
USGRA = Path(__file__).parents[2] / "shared" / "data" / "usgra"
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


def planted(results: Results, work: Path) -> None:
    """1,800 scenes and 200 copies of some of them; default settings."""
    folder = planted_set(work, 2000)
    samples = open_samples(folder)
    workers = len(os.sched_getaffinity(0))
    steps: dict[str, Callable[[], Any]] = {
        "decode": lambda: decode(samples, workers),
        "audit": lambda: whole(samples),
        "notes": lambda: notes_vectorised(samples, workers),
    }
    near = whole(samples.take(range(64)))  # libraries are loaded, tables made
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(4):
        for name, step in steps.items():
            if name == "notes" and turn:  # once is enough for what is only shown beside
                continue
            start, used = time.perf_counter(), time.process_time()
            found = step()
            cpu[name].append(time.process_time() - used)
            wall[name].append(time.perf_counter() - start)
            if name == "audit":
                near = found
    truth = true_pairs(samples)
    results.put("planted/default", {**scored(pairs_of(near), truth), "threshold": near.threshold})
    for side in ("audit", "notes"):
        for kind, times in (("wall", wall), ("cpu", cpu)):
            results.put(
                f"planted/{side} {kind}",
                {
                    "ratio": statistics.median(a / b for a, b in zip(times[side], times["decode"], strict=False)),
                    "ratios": [a / b for a, b in zip(times[side], times["decode"], strict=False)],
                    "a": statistics.median(times[side]),
                    "b": statistics.median(times["decode"]),
                },
            )
    results.put("planted/notes", scored(set(notes_vectorised(samples, workers)), truth))
    results.put("planted/thumbnail 32x24", best_thumbnail(samples, truth))


def whole(samples: SampleSet) -> NearDuplicates:
    """Everything that a first audit computes, without the page."""
    near = near_duplicates(fingerprint(samples))
    contradictions(samples, near)
    folds(samples, near)
    return near


def decode(samples: SampleSet, workers: int) -> int:
    """Every image once, in as many threads."""
    with ThreadPoolExecutor(workers) as threads:
        return sum(threads.map(lambda i: samples.pixels(i).shape[0], range(len(samples))))


def notes_vectorised(samples: SampleSet, workers: int) -> list[tuple[int, int]]:
    """Histograms of blocks in the same threads, cosines as one tiled product, pairs below .008."""
    prints = fingerprint(samples, "blockhist", size=(HIGH, WIDE), workers=workers)
    return sorted(pairs_of(near_duplicates(prints, threshold=0.008, neighbours=1000)))


def best_thumbnail(samples: SampleSet, truth: set[tuple[int, int]]) -> dict[str, float]:
    """The best known simple hash: 32x24 boxes, centred, cosine above .98."""
    made = np.stack(
        [
            np.asarray(Image.fromarray(samples.pixels(i)).resize((32, 24), Image.Resampling.BOX), np.float32).ravel()
            for i in range(len(samples))
        ]
    )
    made -= made.mean(1, keepdims=True)
    near = near_duplicates(made_of(made, "blockhist"), threshold=0.02, neighbours=1000)
    return scored(pairs_of(near), truth)


def memory(results: Results, work: Path) -> None:
    """The whole first audit in a process of its own; links to 2,000 files make up the number, bytes appended."""
    folder = planted_set(work, 2000)
    many = work / "5635"
    if not (many / "done").exists():
        many.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob("*.png"))
        for i in range(5635):  # a byte after the end of a PNG changes its hash, and no pixel
            content = files[i % len(files)].read_bytes() + bytes([i // len(files)])
            (many / f"{i:05}.png").write_bytes(content)
        (many / "done").touch()
    code = (
        "import resource, sys, time; from plexus.data import open_samples; from plexus.audit import audit\n"
        "start = time.time(); found = audit(open_samples(sys.argv[1])).findings\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "print(peak, time.time() - start, found.summary.pairs)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(many)], check=True, capture_output=True, text=True)
    peak, seconds, pairs = done.stdout.split()
    results.put("memory/5635", {"bytes": int(peak), "seconds": float(seconds), "pairs": int(pairs)})


def photos(results: Results, work: Path) -> None:
    """The command on CIFAR-10's 60,000 images, with nothing in the cache and then with everything."""
    if not CIFAR10.is_dir():
        print(f"{CIFAR10} is not there: put the parquet files of uoft-cs/cifar10 there")
        return
    with tempfile.TemporaryDirectory(dir=work) as folder:
        command = [sys.executable, "-m", "plexus", "audit", str(CIFAR10), "--cache", f"{folder}/cache"]
        for turn in ("cold", "warm"):
            start = time.perf_counter()
            child = subprocess.Popen([*command, "--out", f"{folder}/{turn}"], stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise subprocess.CalledProcessError(child.returncode, command)
            found = json.loads(Path(folder, turn, "findings.json").read_text())
            results.put(
                f"photos/{turn}",
                {
                    "seconds": time.perf_counter() - start,
                    "cpu": used.ru_utime + used.ru_stime,
                    "bytes": used.ru_maxrss * 1024,
                    "page": Path(folder, turn, "audit.html").stat().st_size,
                    **{key: found["summary"][key] for key in ("pairs", "sure", "dropped")},
                },
            )


def scale(results: Results, work: Path) -> None:
    """Reduced copies of smooth random fields, 1 % of them twice with noise; each number in a process of its own."""
    for n in (10_000, 30_000, 100_000, 250_000):
        done = subprocess.run(
            [sys.executable, __file__, "grow", str(n)], check=True, capture_output=True, text=True, env=os.environ
        )
        peak, wall, cpu, found, planted_pairs, pairs = map(float, done.stdout.split())
        results.put(
            f"scale/{n}",
            {"bytes": int(peak), "seconds": wall, "cpu": cpu, "recall": found / planted_pairs, "pairs": int(pairs)},
        )


def grow(n: int) -> None:
    """One number of fingerprints, in this process."""
    prints, twins = random_fingerprints(n)
    start, used = time.perf_counter(), time.process_time()
    near = near_duplicates(prints)
    wall, cpu = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(peak, wall, cpu, len(pairs_of(near) & twins), len(twins), len(near))


def random_fingerprints(n: int) -> tuple[Fingerprints, set[tuple[int, int]]]:
    """Copies as `fingerprint` would keep them, and which of them are twins."""
    random = np.random.default_rng(SEED)
    copies = np.empty((n, 72, 96), np.uint8)
    for i in range(0, n, 1000):
        noise = random.standard_normal((min(1000, n - i), 72, 96), dtype=np.float32)
        smooth = gaussian_filter(noise, (0, 1.5, 1.5))
        copies[i : i + 1000] = np.clip(128 + 30 * smooth / smooth.std(), 0, 255)
    first, second = random.permutation(n)[: 2 * (n // 100)].reshape(2, -1)
    noisy = copies[first] + random.normal(0, 3, (len(first), 72, 96))
    copies[second] = np.clip(noisy, 0, 255)
    twins = set(zip(np.minimum(first, second).tolist(), np.maximum(first, second).tolist(), strict=True))
    return made_of(copies), twins


def made_of(rows: NDArray[Any], kind: str = "thumbnail") -> Fingerprints:
    """Rows as `fingerprint` would keep them; those of "blockhist" are compared by their cosine."""
    n = len(rows)
    digests = np.zeros((n, 32), np.uint8)
    digests[:, :8] = np.arange(n, dtype=np.int64).view(np.uint8).reshape(n, 8)
    return Fingerprints(
        kind, tuple(map(str, range(n))), rows, digests, digests[:, :16].copy(), np.full((n, 2), (HIGH, WIDE)),
        np.ones(n, bool), (), (None,) * n, (None,) * n,
    )  # fmt: skip


def faiss(results: Results, work: Path) -> None:
    """30,000 vectors, both searches with the same bound."""
    try:
        import faiss as found  # noqa: F401
    except ImportError:
        print("faiss is not installed; try: pip install 'plexus-nn[faiss]'")
        return
    prints, twins = random_fingerprints(30_000)
    vectors = made_of(prints.vectors, "blockhist")
    times, both = {}, {}
    for search in ("exact", "faiss"):
        start = time.perf_counter()
        both[search] = near_duplicates(vectors, threshold=0.65, search=search)
        times[search] = time.perf_counter() - start
    sets = {name: pairs_of(near) for name, near in both.items()}
    measured = [float(note.split()[-3]) for note in both["faiss"].notes if "recall" in note]
    results.put(
        "faiss/30000",
        {
            "recall": len(sets["exact"] & sets["faiss"]) / len(sets["exact"]),
            "recall_measured": measured[0] if measured else 1.0,
            "recall_of_twins": len(sets["faiss"] & twins) / len(twins),
            "seconds": times["faiss"],
            "exact_seconds": times["exact"],
        },
    )


def notes(results: Results, work: Path) -> None:
    """Share of all pairs of usgra that a distance of .008 flags, and of images that have a partner."""
    if not USGRA.is_dir():
        print(f"{USGRA} is not there: image and mask pairs of usgra-seg (tmkand), CC-BY 4.0")
        return
    samples = open_samples(USGRA)
    n = len(samples)
    for kind in ("blockhist-published", "blockhist"):
        near = near_duplicates(fingerprint(samples, kind), threshold=0.008, neighbours=n)
        touched = len(np.unique(np.concatenate([near.a, near.b]))) / n
        share = len(near) / (n * (n - 1) / 2)
        results.put(f"notes/{kind}", {"pairs": len(near), "share_of_pairs": share, "share_of_images": touched})
    near = near_duplicates(fingerprint(samples))
    split = [s.split for s in samples.samples]
    across = [(a, b) for a, b in pairs_of(near) if split[a] != split[b]]
    tests = {i for pair in across for i in pair if split[i] == "test"}
    results.put("notes/thumbnail", {"pairs": len(near), "leaking_test_images": len(tests), "threshold": near.threshold})


def pairs_of(near: NearDuplicates) -> set[tuple[int, int]]:
    return set(zip(near.a.tolist(), near.b.tolist(), strict=True))


def scored(found: set[tuple[int, int]], truth: set[tuple[int, int]]) -> dict[str, float]:
    right = len(found & truth)
    return {
        "recall": right / len(truth),
        "precision": right / len(found) if found else 1.0,
        "found": len(found),
        "planted": len(truth),
    }


def true_pairs(samples: SampleSet) -> set[tuple[int, int]]:
    """From the names: a copy is called scene-copy."""
    row = {s.name: i for i, s in enumerate(samples.samples)}
    found = set()
    for name, i in row.items():
        if "-copy" in name:
            first = row[f"{name.partition('-')[0]}.png"]
            found.add((min(first, i), max(first, i)))
    return found


def planted_set(work: Path, images: int) -> Path:
    """90 % scenes, 10 % copies of some of them: shifted 1 to 3 pixels, gain, offset and noise."""
    folder = work / f"planted-{images}-{SEED}"
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    scenes = images - images // 10
    copied = set(random.permutation(scenes)[: images - scenes].tolist())
    for i in range(scenes):
        view = scene(np.random.default_rng([SEED, i]))
        save(folder / f"{i:05}.png", view[MARGIN:-MARGIN, MARGIN:-MARGIN])
        if i in copied:
            save(folder / f"{i:05}-copy.png", copy(view, np.random.default_rng([SEED, i, 1])))
    (folder / "done").touch()
    return folder


def scene(random: np.random.Generator) -> F32:
    """Ultrasound in its statistics: log-compressed Rayleigh speckle of an anisotropic point spread, over faint tissue.

    The tissue's contrast differs between scenes, down to nearly none, so that many images are told apart by their
    speckle alone; brightness falls with depth in all of them alike.
    """
    high, wide = HIGH + 2 * MARGIN, WIDE + 2 * MARGIN

    def field(sigma: int) -> F32:
        coarse = random.standard_normal((high // sigma + 9, wide // sigma + 9), dtype=np.float32)
        smooth = Image.fromarray(gaussian_filter(coarse, 1)).resize((wide, high), Image.Resampling.BICUBIC)
        made = np.asarray(smooth)
        return (made - made.mean()) / made.std()

    real, imaginary = (
        gaussian_filter(random.standard_normal((high, wide), dtype=np.float32), (1.2, 2.2)) for _ in range(2)
    )
    amplitude = np.sqrt(real**2 + imaginary**2)
    tissue = random.uniform(0.0, 0.4) * field(60) + random.uniform(0.0, 0.2) * field(16)
    depth = np.linspace(0.2, -0.2, high, dtype=np.float32)[:, None]
    made: F32 = 100 + 38 * (np.log(amplitude / amplitude.mean() + 0.05) + tissue + depth)
    return made


def copy(view: F32, random: np.random.Generator) -> F32:
    """The scene again: 1 to 3 pixels of shift in some direction, gain +-6 %, offset +-8, noise of sd 1 to 5."""
    length, angle = random.uniform(1, 3), random.uniform(0, 2 * np.pi)
    down, right = (round(length * f(angle)) for f in (np.sin, np.cos))
    moved = view[MARGIN + down :, MARGIN + right :][:HIGH, :WIDE]
    changed = np.clip(moved, 0, 255) * random.uniform(0.94, 1.06) + random.uniform(-8, 8)
    return changed + random.normal(0, random.uniform(1, 5), changed.shape)


def save(path: Path, pixels: F32) -> None:
    Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)).save(path)


def report(results: Results, work: Path) -> None:
    """All results as a table."""
    print("| figure | target | measured | met |\n| --- | --- | --- | --- |")
    for figure, key, part, target, lowest in FIGURES:
        value = results.values.get(key, {}).get(part)
        if value is None:
            continue
        met = "" if target is None else "yes" if (value >= target if lowest else value <= target) else "no"
        unit = 1e9 if part == "bytes" else 1
        shown = ["" if x is None else f"{x / unit:.3g}" for x in (target, value)]
        print(f"| {figure} | {'' if target is None else '>= ' if lowest else '<= '}{shown[0]} | {shown[1]} | {met} |")


FIGURES: list[tuple[str, str, str, float | None, bool]] = [
    ("planted near-duplicates, default threshold: recall", "planted/default", "recall", 0.95, True),
    ("planted near-duplicates, default threshold: precision", "planted/default", "precision", 0.99, True),
    ("the notes' fingerprint as meant, .008: recall", "planted/notes", "recall", None, True),
    ("the notes' fingerprint as meant, .008: precision", "planted/notes", "precision", None, True),
    ("thumbnail 32x24, cosine above .98: recall", "planted/thumbnail 32x24", "recall", None, True),
    ("thumbnail 32x24, cosine above .98: precision", "planted/thumbnail 32x24", "precision", None, True),
    ("2,000 images, audit over decoding alone, wall time", "planted/audit wall", "ratio", 1.15, False),
    ("2,000 images, audit over decoding alone, processor time", "planted/audit cpu", "ratio", None, False),
    ("the notes' method, vectorised, over decoding, wall time", "planted/notes wall", "ratio", None, False),
    ("the notes' method, vectorised, over decoding, processor time", "planted/notes cpu", "ratio", None, False),
    ("5,635 images 420x580: peak memory, GB", "memory/5635", "bytes", 1e9, False),
    ("5,635 images 420x580: seconds", "memory/5635", "seconds", None, False),
    *(
        (f"CIFAR-10's 60,000, {turn}: {what}", f"photos/{turn}", part, target if turn == "cold" else None, False)
        for turn in ("cold", "warm")
        for what, part, target in (("seconds", "seconds", 120), ("processor s", "cpu", None), ("GB", "bytes", 1.2e9))
    ),
    *(
        (f"{n:,} fingerprints: {what}", f"scale/{n}", part, target if n == 100_000 else None, low)
        for n in (10_000, 30_000, 100_000, 250_000)
        for what, part, target, low in (
            ("seconds", "seconds", 300, False),
            ("peak memory, GB", "bytes", 2e9, False),
            ("recall", "recall", None, True),
        )
    ),
    ("faiss against the exact search, 30,000: recall", "faiss/30000", "recall", None, True),
    ("faiss, 30,000: seconds", "faiss/30000", "seconds", None, False),
    ("exact search, 30,000: seconds", "faiss/30000", "exact_seconds", None, False),
    ("notes' code as published, usgra: share of pairs", "notes/blockhist-published", "share_of_pairs", None, True),
    ("notes' code as published, usgra: of images", "notes/blockhist-published", "share_of_images", None, True),
    ("notes' fingerprint as meant, usgra: share of pairs", "notes/blockhist", "share_of_pairs", None, True),
    *(
        (f"3 % wrong labels in {name}, {how} epochs: {what}", f"labels/{key}", part, target, True)
        for name, key, how, target in (
            ("MNIST", "mnist 5x6", "5 folds of 6", 0.95),
            ("CIFAR-10", "cifar10 3x12", "3 folds of 12", 0.6),
            ("CIFAR-10", "cifar10 3x20", "3 folds of 20", 0.6),
        )
        for what, part, target in (
            ("average precision", "average_precision", target),
            ("precision of those listed", "listed_precision", None),
            ("recall of those listed", "listed_recall", None),
            ("precision on strong evidence", "strong_precision", None),
            ("processor seconds", "cpu", None),
        )
    ),
    ("3,000 images, pairs under the threshold of all that were registered: recall", "brute/all", "recall", 0.999, True),
    ("3,000 images, copies among them: recall", "brute/all", "copies_recall", 0.999, True),
    ("these pairs, of all kinds, each alone: recall", "brute/alone", "recall", 0.999, True),
    ("the same: largest difference of a distance", "brute/alone", "difference", 1e-5, False),
    ("these pairs among 10,000 images: recall", "brute/among", "recall", 0.999, True),
    ("the same: largest difference of a distance", "brute/among", "difference", 1e-5, False),
    ("60,000 files in class folders, opened: seconds", "opening/classes", "seconds", 15, False),
    ("the same below train and test: seconds", "opening/splits", "seconds", 15, False),
    ("usgra test images with a near-duplicate in train (8)", "notes/thumbnail", "leaking_test_images", 8, True),
]  # fmt: skip

PARTS = {
    f.__name__: f
    for f in (
        planted, memory, photos, scale, faiss, notes, labels_mnist, labels_cifar10, labels_cifar10_long, opening, kinds,
        embedding, brute, report,
    )
}  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["grow"]:
        grow(int(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "audit.json")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "plexus-audit-benchmark")
    arguments = parser.parse_args()
    results = Results(arguments.out)
    for part in arguments.parts:
        PARTS[part](results, arguments.work)


if __name__ == "__main__":
    main()
