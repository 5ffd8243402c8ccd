"""Images that differ in their colours alone are no copies; grey copies, and copies in other light, are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plexus.audit import audit
from plexus.data import in_memory
from tests.audit.speckle import scene, view

U8 = NDArray[np.uint8]
RED, BLUE, ORANGE = (0.9, 0.11, 0.11), (0.2, 0.25, 1.0), (0.7, 0.25, 0.08)
COUNT = 10


def textures() -> list[NDArray[np.float64]]:
    return [view(scene(i)).astype(float) for i in range(COUNT)]


def dyed(grey: NDArray[np.float64], colour: tuple[float, float, float]) -> U8:
    """The same luminance in a colour."""
    shares = np.array(colour) / np.dot(colour, (0.299, 0.587, 0.114))
    return np.clip(np.rint(0.35 * grey[:, :, None] * shares), 0, 255).astype(np.uint8)


def both(one: list[U8], two: list[U8], cache: Path | None = None) -> dict[str, int]:
    """Sure pairs, contradictions and what is dropped, where the second images are of another class."""
    done = audit(in_memory([*one, *two], ["a"] * len(one) + ["b"] * len(two)).samples, k=2, cache=cache)
    found = done.findings.summary
    told = sum("differ in their colours are not sure" in note for note in done.findings.data.notes)
    counts = {"pairs": found.pairs, "sure": found.sure or 0, "dropped": found.dropped, "told": told}
    return counts | {"wrong": sum(found.contradictions.values())}


def test_the_same_texture_in_another_colour_is_listed_and_not_sure(tmp_path: Path) -> None:
    red, blue = ([dyed(grey, colour) for grey in textures()] for colour in (RED, BLUE))
    expected = {"pairs": COUNT, "sure": 0, "dropped": 0, "told": 1, "wrong": 0}
    assert both(red, blue) == expected
    for _ in range(2):  # the second time from the cache
        assert both(red, blue, tmp_path) == expected
    assert both(red, [np.ascontiguousarray(image[:, ::-1]) for image in blue]) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda image: np.asarray(Image.fromarray(image).convert("L")),
        lambda image: np.asarray(Image.fromarray(image).convert("L").convert("RGB")),
        lambda image: np.clip(1.15 * image.astype(float) + (9, 0, -9), 0, 255).astype(np.uint8),
        lambda image: np.ascontiguousarray(image[:, ::-1]),
        lambda image: np.ascontiguousarray(image[7:-7, 9:-9]),
    ],
    ids=["grey", "grey in three channels", "another light", "mirrored", "cropped"],
)
def test_copies_of_images_in_colour_stay_sure(change: object) -> None:
    """Half of each is red and half blue: laid upon each other the wrong way they would differ."""
    images = [np.concatenate([dyed(g[:, :70], RED), dyed(g[:, 70:], BLUE)], 1) for g in textures()]
    found = both(images, [change(image) for image in images])  # type: ignore[operator]
    assert found == {"pairs": COUNT, "sure": COUNT, "dropped": COUNT, "told": 0, "wrong": COUNT}


def test_a_patch_in_another_colour_is_seen_where_all_else_is_grey() -> None:
    """Lamps that are red in one image and green in the other."""
    lit: list[list[U8]] = []
    for colour in ((230, 30, 30), (30, 200, 30)):
        images = [np.repeat(grey.astype(np.uint8)[:, :, None], 3, 2) for grey in textures()]
        for image in images:
            image[40:70, 60:100] = colour
        lit.append(images)
    assert both(lit[0], lit[1])["wrong"] == 0
    assert both(lit[0], [np.clip(i.astype(int) + 5, 0, 255).astype(np.uint8) for i in lit[0]])["wrong"] == COUNT


def test_hues_that_lie_beside_each_other_are_one_colour() -> None:
    red, orange = ([dyed(grey, colour) for grey in textures()] for colour in (RED, ORANGE))
    assert both(red, orange)["sure"] == COUNT


def test_frames_in_another_colour_leave_their_scene() -> None:
    random, grey = np.random.default_rng(0), textures()[0]
    frames = [dyed(grey + random.normal(0, 2, grey.shape), RED if i % 10 else BLUE) for i in range(50)]
    others = [dyed(view(scene(i)).astype(float), RED) for i in range(1, 30)]
    labels = ["a" if i % 10 else "b" for i in range(50)] + ["a"] * 29
    done = audit(in_memory([*frames, *others], labels).samples, k=2)
    (group,) = done.findings.scenes
    assert sorted(group.images) == [i for i in range(50) if i % 10]
    assert sum(done.findings.summary.contradictions.values()) == 0
    assert done.findings.summary.sure == 44
