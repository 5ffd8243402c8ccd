"""Treatments of images and masks as they are read, where that is worth telling, and their numbers."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from plexus.errors import printable


class Treatment(NamedTuple):
    """Words for one image that was treated so, and for many, after their number."""

    one: str
    many: str


FRAMES = Treatment("file holds several frames: the first is read", "files hold several frames: the first is read")
MASK_FRAMES = Treatment("mask holds several frames: the first is read", "masks hold several frames: the first is read")
ON_BLACK = Treatment(
    "image shows nothing on white where it is transparent: laid on black",
    "images show nothing on white where they are transparent: laid on black",
)
_SOFT = "with soft greys: half of white and more is inside"
SOFT = Treatment(f"mask {_SOFT}", f"masks {_SOFT}")
_TURNED = "with no EXIF beside an image that EXIF turns: taken as drawn on the turned image"
TURNED = Treatment(f"mask {_TURNED}", f"masks {_TURNED}")
OF_IMAGES, OF_MASKS = (FRAMES, ON_BLACK), (MASK_FRAMES, SOFT, TURNED)


def few_levels(white: int) -> Treatment:
    """Return the treatment of 16-bit images that the white of their set leaves nearly black."""
    words = f"fewer than 16 grey levels, as {white} is white in all"
    return Treatment(f"image of 16 bits keeps {words}", f"images of 16 bits keep {words}")


def to_bits(treatments: Collection[Treatment], known: Sequence[Treatment]) -> int:
    """Return treatments as one number, which a cache can hold."""
    return sum(1 << k for k, treatment in enumerate(known) if treatment in treatments)


def from_bits(bits: int, known: Sequence[Treatment]) -> tuple[Treatment, ...]:
    """Return the treatments that `to_bits` made a number of."""
    return tuple(treatment for k, treatment in enumerate(known) if bits >> k & 1)


class Remarks:
    """Treatments worth telling, gathered while images are read; threads may add at once.

    Args:
        opening: what is worth telling before any image is read.
    """

    def __init__(self, opening: Sequence[str] = ()) -> None:
        self._opening, self._stated = tuple(opening), tuple[str, ...]()
        self._names: dict[Treatment, set[str]] = {}
        self._lock = threading.Lock()

    def add(self, treatment: Treatment, name: str) -> None:
        """Note that an image was treated so."""
        with self._lock:
            self._names.setdefault(treatment, set()).add(name)

    def state(self, *lines: str) -> None:
        """Note treatments of all images, each once."""
        with self._lock:
            self._stated = tuple(dict.fromkeys((*self._stated, *lines)))

    def of(self, name: str) -> tuple[Treatment, ...]:
        """Return how an image was treated."""
        with self._lock:
            return tuple(treatment for treatment, names in self._names.items() if name in names)

    def lines(self) -> tuple[str, ...]:
        """Return one line for each treatment, with its count and its first image."""
        with self._lock:
            counts = [(treatment, len(names), min(names)) for treatment, names in sorted(self._names.items())]
        told = (
            f"{count:,} {treatment.one if count == 1 else treatment.many} (first: {printable(name)})"
            for treatment, count, name in counts
        )
        return (*self._opening, *self._stated, *told)

    def kept(self, names: Collection[str]) -> dict[str, Any]:
        """Return what was noted of some images, for a file that says it again by `again`."""
        with self._lock:
            found = [[*treatment, sorted(seen & set(names))] for treatment, seen in sorted(self._names.items())]
            return {"stated": list(self._stated), "found": [row for row in found if row[2]]}

    def again(self, kept: Mapping[str, Any]) -> None:
        """Note once more what `kept` returned."""
        self.state(*kept["stated"])
        for one, many, names in kept["found"]:
            for name in names:
                self.add(Treatment(one, many), name)

    def __reduce__(self) -> tuple[type[Remarks], tuple[tuple[str, ...]]]:
        """Pickle without the lock: a copy in another process tells what it finds itself."""
        return Remarks, ((*self._opening, *self._stated),)
