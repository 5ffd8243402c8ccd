"""Copies in other poses that a set is full of: they are found, and do not pass for what chance brings."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from plexus.audit import fingerprint, near_duplicates
from tests.audit.speckle import HIGH, WIDE, scene, view


def speckle(count: int) -> list[NDArray[np.uint8]]:
    """Unrelated log-compressed speckle over faint tissue, 144x192."""
    made = []
    for i in range(count):
        random = np.random.default_rng([7, i])
        real, imaginary = (gaussian_filter(random.standard_normal((144, 192)), (1.2, 2.2)) for _ in range(2))
        tissue, amplitude = gaussian_filter(random.standard_normal((144, 192)), 12), np.hypot(real, imaginary)
        field = np.log(amplitude / amplitude.mean() + 0.05) + 0.3 * tissue / tissue.std()
        made.append(np.clip(100 + 38 * field, 0, 255).astype(np.uint8))
    return made


def sure(images: list[NDArray[np.uint8]], kind: str) -> set[tuple[int, int]]:
    near = near_duplicates(fingerprint(images), kinds=(kind,))
    return {(int(a), int(b)) for a, b in zip(near.a[near.sure], near.b[near.sure], strict=True)}


def test_mirror_images_that_a_fifth_of_the_set_is_made_of_are_sure() -> None:
    images = speckle(400)
    found = sure([*images, *(image[:, ::-1].copy() for image in images[:100])], "mirrored")
    assert found == {(i, 400 + i) for i in range(100)}


@pytest.mark.parametrize("degrees", [5, -5])
def test_a_tilt_is_found_to_either_side_in_images_that_are_not_square(degrees: int) -> None:
    images = speckle(80)
    turned = [np.asarray(Image.fromarray(i).rotate(degrees, Image.Resampling.BICUBIC)) for i in images[:30]]
    found = sure([*images, *turned], "tilted")
    truth = {(i, 80 + i) for i in range(30)}
    assert len(found & truth) >= 28
    assert found <= truth


def test_a_pair_is_found_alone_as_among_others() -> None:
    """At one threshold, whatever else is in the set: noisy copies, two pixels apart."""
    scenes = [view(scene(i)) for i in range(12)]
    random = np.random.default_rng(5)
    copies = [
        np.clip(view(scene(i), 2, -2) + random.normal(0, 25, (HIGH, WIDE)), 0, 255).astype(np.uint8) for i in range(6)
    ]
    among = near_duplicates(fingerprint([*scenes, *copies]), threshold=0.5, kinds=("same",))
    found = dict(zip(zip(among.a.tolist(), among.b.tolist(), strict=True), among.distance.tolist(), strict=True))
    assert set(found) == {(i, 12 + i) for i in range(6)}
    assert max(found.values()) > 0.1  # they are not all but equal
    for i in range(6):
        alone = near_duplicates(fingerprint([scenes[i], copies[i]]), threshold=0.5, kinds=("same",))
        assert alone.distance.tolist() == pytest.approx([found[i, 12 + i]], abs=0.02)
