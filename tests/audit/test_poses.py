"""Copies in other poses that a set is full of: they are found, and do not pass for what chance brings."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from plexus.audit import KINDS, fingerprint, near_duplicates
from tests.audit.speckle import scene, view


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


def listed(images: list[NDArray[np.uint8]], threshold: float) -> set[tuple[int, int]]:
    near = near_duplicates(fingerprint(images), threshold=threshold, kinds=("same",))
    return {(int(a), int(b)) for a, b in zip(near.a, near.b, strict=True)}


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


def part(image: NDArray[np.uint8], high: float, wide: float, down: float = 0, right: float = 0) -> NDArray[np.uint8]:
    """A part of an image at the size of the whole: its share of both sides, and how far off the middle it lies."""
    rows, columns = image.shape
    around = 24  # mirrored, so that no part has an even rim
    top, left = around + rows * (0.5 + down - high / 2), around + columns * (0.5 + right - wide / 2)
    box = (left, top, left + columns * wide, top + rows * high)
    padded = Image.fromarray(np.pad(image, around, mode="reflect"))
    return np.asarray(padded.transform((columns, rows), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC))


@pytest.mark.parametrize("along", [0, 1])
def test_what_is_cut_along_one_side_alone_is_found(along: int) -> None:
    images, random = speckle(60), np.random.default_rng(1)
    kept = np.ones((30, 2))
    kept[:, along] = random.uniform(0.8, 1, 30)
    copies = [part(image, high, wide) for image, (high, wide) in zip(images, kept, strict=False)]
    assert listed([*images, *copies], 0.4) == {(i, 60 + i) for i in range(30)}
    near = near_duplicates(fingerprint([*images, *copies]), threshold=0.4)
    named = {int(a): kind for a, kind in zip(near.a, near.kinds, strict=True)}
    # a crop where the kind is searched; of one that is hardly smaller than the whole either may be said
    assert {named[i] for i in range(30) if kept[i].min() < 0.93} == {"cropped"}
    assert {named[i] for i in range(30) if kept[i].min() > 0.97} == {"same"}


def test_shifts_by_up_to_a_fourteenth_of_a_side_are_found() -> None:
    images, random = speckle(60), np.random.default_rng(2)
    copies = [part(image, 1, 1, *random.uniform(-0.07, 0.07, 2)) for image in images[:30]]
    assert listed([*images, *copies], 0.4) == {(i, 60 + i) for i in range(30)}


@pytest.mark.parametrize("count", [5, 6, 7])
def test_pairs_are_found_in_sets_of_every_size(count: int) -> None:
    """Images are compared four at a time; what remains of them counts as much."""
    images, random = speckle(count), np.random.default_rng(3)
    noisy = [np.clip(i + random.normal(0, 9, i.shape), 0, 255).astype(np.uint8) for i in images[::-1]]
    for copies, kinds in ((noisy, ("same",)), ([i[:, ::-1].copy() for i in noisy], ("mirrored",))):
        near = near_duplicates(fingerprint([*images, *copies]), kinds=kinds, threshold=0.3)
        found = {(int(a), int(b)) for a, b in zip(near.a, near.b, strict=True)}
        assert found == {(i, 2 * count - 1 - i) for i in range(count)}


def test_what_is_said_of_a_pair_depends_on_its_two_images_alone() -> None:
    """Distance, kind and place are the same at one threshold: alone, among others, among others of one ground."""
    random = np.random.default_rng(5)
    images = speckle(6)
    noisy = [np.clip(i + random.normal(0, 14, i.shape), 0, 255).astype(np.uint8) for i in images]
    copies = [
        part(noisy[0], 1, 1, 0.06, -0.05),
        part(noisy[1], 0.8, 1),
        part(noisy[2], 0.97, 0.97, 0.01, 0.01)[:, ::-1],
        np.asarray(Image.fromarray(noisy[3]).rotate(5, Image.Resampling.BICUBIC)),
        part(noisy[4], 0.8, 0.8, -0.1, 0.1),
        np.pad(noisy[5], ((0, 0), (30, 30))),
    ]
    others = speckle(60)[6:]
    ground = view(scene(99)).astype(np.float64)
    alike = [np.clip(0.5 * ground + 0.5 * i, 0, 255).astype(np.uint8)[:, :108] for i in others]

    def found(more: list[NDArray[np.uint8]], *pairs: int) -> dict[int, list[float]]:
        chosen = [*(images[i] for i in pairs), *(copies[i] for i in pairs), *more]
        near = near_duplicates(fingerprint(chosen), threshold=0.5)
        assert near.maps is not None
        rows = np.column_stack([near.distance, [KINDS.index(kind) for kind in near.kinds], near.maps]).tolist()
        told = dict(zip(zip(near.a.tolist(), near.b.tolist(), strict=True), rows, strict=True))
        return {i: told[k, k + len(pairs)] for k, i in enumerate(pairs)}

    among = found(others, *range(6))
    assert {KINDS[int(row[1])] for row in among.values()} == {"same", "mirrored", "tilted", "cropped", "bordered"}
    assert max(row[0] for row in among.values()) > 0.1  # they are not all but equal
    in_ground = found(alike, *range(6))
    for i in range(6):
        assert found([], i)[i] == pytest.approx(among[i], abs=1e-5)
        assert in_ground[i] == pytest.approx(among[i], abs=1e-5)


def test_copies_of_one_row_are_found_whatever_is_searched() -> None:
    row = np.random.default_rng(0).integers(0, 256, (1, 3000), dtype=np.uint8)
    near = near_duplicates(fingerprint([*speckle(40), row, row.copy()]), kinds=("tilted",), threshold=0.4)
    assert [(int(a), int(b), bool(exact)) for a, b, exact in zip(near.a, near.b, near.exact, strict=True)] == [
        (40, 41, True)
    ]


def test_few_images_keep_their_copies_however_few_neighbours_are_kept() -> None:
    images = speckle(31)
    near = near_duplicates(fingerprint([*images, images[-1].copy()]), neighbours=5)
    assert [(int(a), int(b), bool(exact)) for a, b, exact in zip(near.a, near.b, near.exact, strict=True)] == [
        (30, 31, True)
    ]
    assert not any("neighbours" in note for note in near.notes)
