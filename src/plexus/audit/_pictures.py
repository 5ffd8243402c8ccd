"""Small pictures of the images in pairs, and the outlines of their masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.audit._scan import bar, pool
from plexus.data import SampleSet, data_uri
from plexus.errors import DataError
from plexus.record import AuditRecord

SIDES = {700: 256, 1800: 160, 4000: 112}
"""Up to how many pictures -> longer side in pixels, of larger images and of outlines.

Of scans of 384 pixels that is 7 to 12 MB, of colour frames about twice as much.
"""
MOST = max(SIDES)
"""Images of the first pairs; a page with more would be too heavy to open."""
COLOUR = (255, 196, 0, 255)

Picture = dict[str, str | None]


def pictures(
    samples: SampleSet, findings: AuditRecord, *, most: int = MOST, progress: bool = False
) -> dict[int, Picture]:
    """Draw the images that are in pairs or have a doubtful label, and the outlines of their masks, as data URIs.

    Args:
        samples: the set.
        findings: of its audit.
        most: images at most: of contradictory pairs and leaks, then of doubtful labels, then of other pairs; the more
            there are, the smaller they are drawn, see `SIDES`.
        progress: show a bar where stderr is a terminal.

    Returns:
        For each index of an image: `image`, a data URI, and `mask`, one of its outline or None.

    Example:
        >>> import tempfile
        >>> from plexus.data import open_samples
        >>> from plexus.record import AuditRecord
        >>> findings = AuditRecord(pairs=[AuditRecord.Pair(a=0, b=1)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in "ab":
        ...         Image.new("L", (8, 8), 90).save(f"{folder}/{name}.png")
        ...     drawn = pictures(open_samples(folder), findings)
        >>> drawn[1]["image"][:15], drawn[1]["mask"]
        ('data:image/jpeg', None)
    """
    wanted: dict[int, None] = {}
    named = [(s.image, s.image if s.example is None else s.example) for s in findings.suspects]
    # pairs that matter come first, then labels, then all other pairs
    shown = [pair for pair, _ in findings.shown_pairs()]
    first = sum(pair.contradiction is not None or pair.leak is not None for pair in shown)
    pairs = [(pair.a, pair.b) for pair in shown]
    for a, b in [*pairs[:first], *named, *pairs[first:]]:
        if len(wanted) + len({a, b} - wanted.keys()) > most:
            break
        wanted |= {a: None, b: None}
    side = next((side for count, side in SIDES.items() if len(wanted) <= count), min(SIDES.values()))
    drawn: dict[int, Picture] = {}
    with pool(None) as threads, bar("drawing pictures", len(wanted), progress) as step:
        for i, picture in zip(wanted, threads.map(lambda i: _picture(samples, i, side), wanted), strict=True):
            if picture is not None:
                drawn[i] = picture
            step(1)
    return drawn


def _picture(samples: SampleSet, i: int, side: int) -> Picture | None:
    try:
        pixels = samples.pixels(i)
    except DataError:
        return None
    image = Image.fromarray(np.ascontiguousarray(pixels))
    small = max(image.size) < side  # stays as it is, and the browser enlarges it: a quarter of the bytes
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    try:
        mask = samples.mask(i)
    except DataError:
        mask = None
    outline = None if mask is None else data_uri(Image.fromarray(_outline(mask, size)))
    how = {"quality": 92, "subsampling": 0} if small else {"quality": 80}
    return {"image": data_uri(image, "JPEG", **how), "mask": outline}


def _outline(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The border of a mask, inside it, at another size (columns, rows), as RGBA."""
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    inside = np.pad(np.asarray(grey) > 127, 1)
    core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    border = np.zeros((size[1], size[0], 4), np.uint8)
    border[inside[1:-1, 1:-1] & ~core] = COLOUR
    return border
