"""The law of cleaning: whatever kinds of copies a set holds, a second audit of what is kept finds none that matter."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from plexus.audit import Audit, Cleaned, audit, write_clean
from plexus.data import SampleSet, open_samples
from plexus.record import AuditRecord
from tests.audit.speckle import scene, view
from tests.audit.test_copies import table

ORIGINALS, OTHERS = 28, 12
Change = Callable[[Image.Image], Image.Image]


def original(i: int) -> Image.Image:
    """A texture in colour, 96x72."""
    small = (
        np.asarray(Image.fromarray(view(scene([11, i, c]))).resize((96, 72), Image.Resampling.BOX)) for c in range(3)
    )
    first, second, third = (channel.astype(float) for channel in small)
    pixels = np.stack([first, 0.7 * first + 0.3 * second, 0.7 * first + 0.3 * third], 2)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def cropped(image: Image.Image, left: float, top: float) -> Image.Image:
    wide, high = round(0.9 * image.width), round(0.9 * image.height)
    x, y = round(left * (image.width - wide)), round(top * (image.height - high))
    return image.crop((x, y, x + wide, y + high))


def written(image: Image.Image) -> Image.Image:
    changed = image.copy()
    ImageDraw.Draw(changed).text((5, 5), "Nr 4711", fill=(255, 255, 255), font_size=12)
    return changed


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


CHANGES: dict[str, Change] = {
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "quarter turn": lambda image: image.rotate(90, expand=True),
    "half turn": lambda image: image.rotate(180),
    "three quarter turns": lambda image: image.rotate(270, expand=True),
    "cropped in the middle": lambda image: cropped(image, 0.5, 0.5),
    "cropped in a corner": lambda image: cropped(image, 1, 0),
    "border": lambda image: ImageOps.expand(image, 7, fill=(255, 255, 255)),
    "bars": lambda image: ImageOps.expand(image, (0, 9, 0, 9), fill=0),
    "slight turn": lambda image: image.rotate(5, Image.Resampling.BICUBIC),
    "text": written,
    "grey": lambda image: image.convert("L").convert("RGB"),
    "recompressed": recompressed,
    "rescaled": lambda image: image.resize((48, 36), Image.Resampling.BICUBIC),
}


def test_a_set_with_every_kind_of_copy_is_clean_after_one_audit(tmp_path: Path) -> None:
    """Of each kind one copy that leaks and one that is labelled otherwise."""
    assert 2 * len(CHANGES) == ORIGINALS
    rows: list[tuple[NDArray[np.uint8], str, str]] = []
    planted: dict[frozenset[int], str] = {}
    for i in range(ORIGINALS + OTHERS):
        rows.append((np.asarray(original(i)), "cat" if i % 3 else "dog", "train"))
    for k, (kind, change) in enumerate(CHANGES.items()):
        for i, leaks in ((2 * k, True), (2 * k + 1, False)):
            label = rows[i][1] if leaks else "emu"
            planted[frozenset((i, len(rows)))] = kind
            rows.append((np.asarray(change(original(i))), label, ("val", "test")[k % 2] if leaks else "train"))
    samples = table(tmp_path / "set", rows)
    done = audit(samples, k=2)
    sure = {frozenset((p.a, p.b)): p for p in done.findings.pairs if p.sure}
    assert {planted[pair] for pair in planted if pair in sure} == {*CHANGES}
    assert {*sure} <= {*planted}  # nothing that is no copy
    assert done.findings.summary.leaks == sum(min(pair) % 2 == 0 for pair in sure)
    assert done.findings.summary.contradictions["class"] == sum(min(pair) % 2 == 1 for pair in sure)
    for i, (keep, why) in enumerate(zip(done.cleaned.keep, done.cleaned.why, strict=True)):
        assert keep or any(i in pair and sure[pair].sure for pair in sure), why  # each that goes has its evidence
        assert keep is (why is None)
    for pair in sure:  # and one of each pair stays: that of the later split
        assert sum(done.cleaned.keep[i] for i in pair) == 1
        assert done.cleaned.keep[max(pair)] or min(pair) % 2
    after = audit(open_samples(write_clean(samples, done, tmp_path / "clean") / "clean.csv"), k=2).findings
    assert (after.summary.leaks, sum(after.summary.contradictions.values()), after.summary.dropped) == (0, 0, 0)
    assert len(after.images) == len(rows) - len(sure)


def test_the_cleaned_table_names_the_same_files_masks_and_classes_whatever_they_are_called(tmp_path: Path) -> None:
    classes = ("cat", "cat ", "c,at", '"cat"')
    for k, label in enumerate(classes):
        for name in ("a\nb", "c\rd", "line\u2028end", "next\x85line", "back\\slash", " lead", "=1+1", 'a "quote"'):
            file = tmp_path / "set" / label / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 6), 20 * k).save(file)
            Image.new("1", (8, 6)).save(file.with_name(f"{name}_mask.png"))
    samples = open_samples(tmp_path / "set")
    every = Cleaned((True,) * len(samples), (None,) * len(samples))
    again = open_samples(write_clean(samples, Audit(AuditRecord(), None, every), tmp_path / "clean") / "clean.csv")

    def places(found: SampleSet) -> list[tuple[str | None, Path, Path]]:
        rows = zip(found.samples, found.images, found.masks, strict=True)
        return [(sample.label, Path(str(i)).resolve(), Path(str(m)).resolve()) for sample, i, m in rows]

    assert len(samples) == 32
    assert places(again) == places(samples)
    assert again.classes == samples.classes == tuple(sorted(classes))
