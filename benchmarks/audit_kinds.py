"""A part of `benchmarks/audit.py`: copies of every kind, and how many of them the audit and pHash find."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import Results
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from scipy.ndimage import gaussian_filter

from plexus.audit import fingerprint, near_duplicates
from plexus.data import open_samples
from plexus.models import efficientnet_embedding

CIFAR10 = Path(__file__).parents[2] / "shared" / "data" / "cifar10"
ORIGINALS, OTHERS = 100, 300
PHASH = 10
"""Bits of 64 in which near-duplicates may differ: the default of imagededup."""
U8 = NDArray[np.uint8]
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _crop(keep: float, place: str) -> Change:
    """Keep a share of both sides: in the middle, in a corner, or anywhere."""

    def change(image: Image.Image, random: np.random.Generator) -> Image.Image:
        wide, high = (max(1, round(keep * side)) for side in image.size)
        spare = np.array([image.width - wide, image.height - high])
        at = {"middle": [0.5, 0.5], "corner": random.integers(0, 2, 2), "anywhere": random.uniform(0, 1, 2)}[place]
        left, top = np.rint(spare * np.asarray(at)).astype(int).tolist()
        return image.crop((left, top, left + wide, top + high))

    return change


def _scaled(x: float, y: float) -> Change:
    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        size = max(1, round(x * image.width)), max(1, round(y * image.height))
        return image.resize(size, Image.Resampling.BICUBIC)

    return change


def _jpeg(quality: int) -> Change:
    def change(image: Image.Image, _: np.random.Generator) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert(image.mode)

    return change


def _written(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A line of text across a corner, a sixth of the height."""
    size = max(6, image.height // 6)
    changed = image.copy()
    at = (image.width // 20, int(random.choice([0, image.height - size - 2])))
    ImageDraw.Draw(changed).text(at, "Nr 4711", fill=_white(image), font_size=size)
    return changed


def _watermarked(image: Image.Image, _: np.random.Generator) -> Image.Image:
    """Large letters over the middle, at three tenths."""
    above = image.copy()
    size = max(8, image.height // 4)
    ImageDraw.Draw(above).text(
        (image.width // 10, image.height // 2 - size // 2), "COPY", fill=_white(image), font_size=size
    )
    return Image.blend(image, above, 0.3)


def _white(image: Image.Image) -> int | tuple[int, ...]:
    return 255 if image.mode == "L" else (255, 255, 255)


def _bars(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Black bars above and below, or left and right, an eighth of the side each."""
    high, wide = ((image.height // 8, 0), (0, image.width // 8))[random.integers(2)]
    return ImageOps.expand(image, (wide, high, wide, high), fill=0)


def _border(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """An even border of a tenth, black or white."""
    return ImageOps.expand(image, max(1, image.height // 10), fill=(0, _white(image))[random.integers(2)])  # type: ignore[arg-type]


def _turn(degrees: float) -> Change:
    return lambda image, _: image.rotate(degrees, Image.Resampling.BICUBIC, expand=degrees % 90 == 0)


CHANGES: dict[str, Change] = {
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "upside down": lambda image, _: ImageOps.flip(image),
    "turned by 90": _turn(90),
    "turned by 180": _turn(180),
    "turned by 270": _turn(270),
    "cropped by 5 %, middle": _crop(0.95, "middle"),
    "cropped by 10 %, middle": _crop(0.9, "middle"),
    "cropped by 10 %, corner": _crop(0.9, "corner"),
    "cropped by 10 %, anywhere": _crop(0.9, "anywhere"),
    "cropped by 20 %, middle": _crop(0.8, "middle"),
    "cropped by 20 %, corner": _crop(0.8, "corner"),
    "cropped to 10 % of the area": _crop(0.1**0.5, "anywhere"),
    "bordered": _border,
    "bars": _bars,
    "tilted by 5 degrees": _turn(5),
    "tilted by -5 degrees": _turn(-5),
    "text": _written,
    "watermark": _watermarked,
    "grey": lambda image, _: image.convert("L").convert(image.mode),
    "recompressed, JPEG 40": _jpeg(40),
    "rescaled to half": _scaled(0.5, 0.5),
    "rescaled to double": _scaled(2, 2),
    "another aspect, 3:4": _scaled(0.75, 1),
}


def photos() -> list[Image.Image]:
    """CIFAR-10 at its own 32 pixels."""
    samples = open_samples(CIFAR10)
    return [Image.fromarray(samples.pixels(i)) for i in range(ORIGINALS + OTHERS)]


def speckle() -> list[Image.Image]:
    """Log-compressed Rayleigh speckle, 144x192, over faint tissue."""
    made = []
    for i in range(ORIGINALS + OTHERS):
        random = np.random.default_rng([7, i])
        real, imaginary = (gaussian_filter(random.standard_normal((144, 192)), (1.2, 2.2)) for _ in range(2))
        tissue = gaussian_filter(random.standard_normal((144, 192)), 12)
        amplitude = np.hypot(real, imaginary)
        field = np.log(amplitude / amplitude.mean() + 0.05) + 0.3 * tissue / tissue.std()
        made.append(Image.fromarray(np.clip(100 + 38 * field, 0, 255).astype(np.uint8)))
    return made


def kinds(results: Results, work: Path) -> None:
    """Of each kind 100 copies, among their originals and 300 other images: pairs of the audit that are sure."""
    if not CIFAR10.is_dir():
        print(f"{CIFAR10} is not there: put the parquet files of uoft-cs/cifar10 there")
        return
    for name, make in (("photos", photos), ("speckle", speckle)):
        images = make()
        for number, (kind, change) in enumerate(CHANGES.items()):
            if f"kinds/{name}/{kind}" in results or (kind == "grey" and images[0].mode == "L"):
                continue
            random = np.random.default_rng([11, number])
            copies = [change(image, random) for image in images[:ORIGINALS]]
            results.put(f"kinds/{name}/{kind}", _found([*images, *copies]))


def embedding(results: Results, work: Path) -> None:
    """The same copies of photos, by `--fingerprint embedding`: pairs up to its threshold."""
    if not CIFAR10.is_dir():
        print(f"{CIFAR10} is not there: put the parquet files of uoft-cs/cifar10 there")
        return
    images, model = photos(), efficientnet_embedding()
    with tempfile.TemporaryDirectory() as cache:  # originals are embedded once
        for number, (kind, change) in enumerate(CHANGES.items()):
            if f"kinds_embedding/photos/{kind}" in results:
                continue
            random = np.random.default_rng([11, number])
            copies = [change(image, random) for image in images[:ORIGINALS]]
            used = time.process_time()
            arrays = [np.asarray(image) for image in (*images, *copies)]
            near = near_duplicates(fingerprint(arrays, "embedding", model=model, cache=cache))
            truth = {(i, len(images) + i) for i in range(ORIGINALS)}
            found = {*zip(near.a.tolist(), near.b.tolist(), strict=True)}
            figures = {"recall": len(found & truth) / ORIGINALS, "false": len(found - truth)}
            settings = {"threshold": near.threshold, "expected_false": near.false_pairs}
            results.put(f"kinds_embedding/photos/{kind}", figures | settings | {"cpu": time.process_time() - used})


def _found(images: list[Image.Image]) -> dict[str, Any]:
    """Recall and false pairs; the last images are copies of the first ones, in their order."""
    truth = {(i, len(images) - ORIGINALS + i) for i in range(ORIGINALS)}
    wall, used = time.perf_counter(), time.process_time()
    near = near_duplicates(fingerprint([np.asarray(image) for image in images]))
    wall, used = time.perf_counter() - wall, time.process_time() - used
    pairs = [*zip(near.a.tolist(), near.b.tolist(), strict=True)]
    sure = {pair for pair, is_sure in zip(pairs, near.sure.tolist(), strict=True) if is_sure}
    hashed = _hashed(images)
    return {
        "recall": len(sure & truth) / ORIGINALS,
        "false": len(sure - truth),
        "listed": len(truth.intersection(pairs)) / ORIGINALS,
        "expected_false": near.false_pairs,
        "phash_recall": len(hashed & truth) / ORIGINALS,
        "phash_false": len(hashed - truth),
        "seconds": wall,
        "cpu": used,
    }


def _hashed(images: list[Image.Image]) -> set[tuple[int, int]]:
    """Pairs by the 64 bits of pHash."""
    import imagehash

    bits = np.stack([imagehash.phash(image).hash.ravel() for image in images])
    far = (bits[:, None] != bits[None]).sum(2)
    a, b = np.nonzero(np.triu(far <= PHASH, 1))
    return {*zip(a.tolist(), b.tolist(), strict=True)}
