"""What is sure where the law of chance does not fit: nothing but exact copies, and every surface says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from plexus.audit import audit, fingerprint, near_duplicates
from plexus.cli import main
from plexus.data import open_samples
from plexus.report import render
from tests.audit.speckle import save, scene, view

U8 = NDArray[np.uint8]


def rectangles(count: int, seed: int = 0) -> list[U8]:
    """A bright rectangle each, of any size, to the upper left: no mirror image of one is like another."""
    random, made = np.random.default_rng(seed), []
    for _ in range(count):
        image = np.full((64, 64), 30, np.uint8)
        (row, column), (high, wide) = random.integers(0, 20, 2), random.integers(8, 24, 2)
        image[row : row + high, column : column + wide] = 220
        made.append(image)
    return made


def clouds(count: int) -> list[U8]:
    """Noise whose amplitude goes with 1/f: hardly two of them are alike."""
    random, made = np.random.default_rng(0), []
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    f[0, 0] = 1
    for _ in range(count):
        z = np.fft.ifft2(np.fft.fft2(random.standard_normal((64, 64))) / f).real
        made.append(np.clip(120 + 40 * z / z.std(), 0, 255).astype(np.uint8))
    return made


@pytest.mark.parametrize("count", [80, 400])
def test_of_drawings_that_a_map_lays_on_each_other_only_exact_copies_are_sure(count: int) -> None:
    images = rectangles(count)
    near = near_duplicates(fingerprint([*images, images[7]]), kinds=("same",))
    assert len(near) > count  # they are listed
    assert near.sure.tolist() == near.exact.tolist()
    assert (7, count) in zip(near.a[near.sure].tolist(), near.b[near.sure].tolist(), strict=True)
    assert np.isnan(near.expected[~near.sure]).all()
    assert near.doubt == "drawings"
    assert sum("the law of chance does not fit them" in note for note in near.notes) == 1


def test_copies_of_photographs_among_drawings_stay_sure() -> None:
    photos = [view(scene(i)) for i in range(40)]
    copies = [view(scene(1), 2, 1), np.clip(photos[2].astype(int) + 12, 0, 255).astype(np.uint8)]
    near = near_duplicates(fingerprint([*photos, *copies, *rectangles(80)]), kinds=("same",))
    pairs = zip(near.a[near.sure].tolist(), near.b[near.sure].tolist(), strict=True)
    assert sorted(pairs) == [(1, 40), (2, 41)]
    assert near.doubt == "drawings"


def test_pairs_that_a_second_law_gives_up_are_told_of() -> None:
    digits = (load_digits().images * 15).astype(np.uint8)
    chosen = np.random.default_rng(0).permutation(len(digits))[:100]
    near = near_duplicates(fingerprint([digits[i] for i in chosen]))
    assert near.doubt == "likeness"
    assert sum(note.startswith("images of this set look alike by chance: most pairs") for note in near.notes) == 1
    near = near_duplicates(fingerprint(rectangles(400)))
    assert len(near) > 5000
    assert not (near.sure & ~near.exact).any()
    assert near.doubt in ("likeness", "drawings")


@pytest.mark.parametrize("count", [301, 500])
def test_a_law_is_learned_where_hardly_two_images_are_alike(count: int) -> None:
    images = clouds(count)
    random = np.random.default_rng(1)
    copies = [images[0][:, ::-1], images[1][3:61, 3:61], np.roll(images[2], 2, 1)]
    copies += [np.clip(1.05 * images[i] + random.normal(0, 4, (64, 64)), 0, 255).astype(np.uint8) for i in range(3, 9)]
    near = near_duplicates(fingerprint([*images, *copies]))
    assert near.threshold_from == "data"
    assert sorted(zip(near.a.tolist(), near.b.tolist(), strict=True)) == [(i, count + i) for i in range(9)]
    assert near.sure.all()
    assert (near.doubt, near.notes) == ("", ())


def test_where_nothing_is_known_of_chance_only_exact_copies_are_sure() -> None:
    """One grey level in a pixel here and there is no detail: of 310 such images no two come near."""
    images = []
    for i in range(310):
        image = np.full((144, 192), 90, np.uint8)
        image.ravel()[: 89 * (i + 1) : 89] += 1
        images.append(image)
    photo = view(scene(0))
    near = near_duplicates(fingerprint([*images, photo, photo, view(scene(0), 1, 1)]), kinds=("same",))
    assert (near.threshold_from, near.doubt) == ("default", "unknown")
    pairs = zip(near.a.tolist(), near.b.tolist(), near.sure.tolist(), strict=True)
    assert sorted(pairs) == [(310, 311, True), (310, 312, False), (311, 312, False)]
    assert any("too few pairs of images come near by chance to say which are sure" in note for note in near.notes)


def test_a_narrow_threshold_is_told_to_be_one() -> None:
    random, images = np.random.default_rng(0), []
    for _ in range(320):  # rectangles anywhere: so are their mirror images
        image = np.full((64, 64), 20, np.uint8)
        (high, wide) = random.integers(8, 40, 2)
        row, column = random.integers(0, 64 - high), random.integers(0, 64 - wide)
        image[row : row + high, column : column + wide] = 220
        images.append(image)
    near = near_duplicates(fingerprint(images), kinds=("same",))
    assert near.threshold < 0.1
    assert not (near.sure & ~near.exact).any()
    assert any(note.startswith("images of this set look alike by chance: ") for note in near.notes)


def test_nothing_is_cleaned_by_a_law_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, pixels in enumerate(rectangles(80)):
        save(tmp_path / "data" / "ab"[i % 2] / f"{i:02}.png", pixels)
    done = audit(open_samples(tmp_path / "data"), kinds=("same",), k=2)
    summary = done.findings.summary
    assert summary.pairs > 50
    assert (summary.sure, sum(summary.contradictions.values()), summary.dropped) == (0, 0, 0)
    assert done.findings.settings.doubt == "drawings"
    page = render(done.findings)
    assert "chance does not fit them, and of their pairs only exact copies are sure. Look at the others." in page
    with pytest.raises(SystemExit) as stop:
        main(["audit", str(tmp_path / "data"), "--kinds", "same", "--folds", "2", "--out", str(tmp_path / "out")])
    assert not stop.value.code
    assert "none of them sure" in (told := capsys.readouterr().out)
    assert "note: many of these images come near that show even areas" in told
