"""Images that share their ground: a fixed camera's, with something else before it in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plexus.audit import NearDuplicates, audit, fingerprint, near_duplicates
from plexus.cli import main
from plexus.data import open_samples
from plexus.report import render
from tests.audit.speckle import HIGH, U8, WIDE, save, scene

F64 = NDArray[np.float64]
Y, X = np.mgrid[:HIGH, :WIDE]


def before(ground: F64, seed: int, *, size: float = 0.2) -> F64:
    """The ground with a textured ellipse before it."""
    random = np.random.default_rng([seed, 77])
    row, column = random.uniform(0.25, 0.75, 2) * (HIGH, WIDE)
    high, wide = random.uniform(size / 2, size, 2) * (HIGH, WIDE)
    inside = ((Y - row) / high) ** 2 + ((X - column) / wide) ** 2 < 1
    return np.where(inside, scene([seed, 78], 0) + random.uniform(-50, 50), ground)


def taken(image: F64, seed: int) -> U8:
    """A photograph of it: another gain and noise each time."""
    random = np.random.default_rng([seed, 79])
    noisy = image * random.uniform(0.9, 1.1) + random.normal(0, 4, image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def pairs(near: NearDuplicates) -> set[tuple[int, int]]:
    """Those that are sure."""
    return {(int(a), int(b)) for a, b, sure in zip(near.a, near.b, near.sure, strict=True) if sure}


@pytest.mark.parametrize("grounds", [1, 2])
def test_what_stands_before_a_common_ground_tells_copies(grounds: int) -> None:
    ground = [scene([900, k], 0) for k in range(grounds)]
    images = [before(ground[k % grounds], k) for k in range(60)]
    photos = [taken(image, k) for k, image in enumerate(images)]
    again = [taken(images[k], 100 + k) for k in range(0, 60, 6)]
    others = [taken(scene(200 + k, 0), k) for k in range(40)]
    near = near_duplicates(fingerprint([*photos, *again, *others]), kinds=("same",))
    copies = {(6 * k, 60 + k) for k in range(10)}
    assert pairs(near) == copies
    assert len(near) > 100  # the others are listed, and not sure
    assert np.isnan(near.expected[~near.sure]).all()
    assert near.doubt == "ground"
    assert sum(f"({grounds} group" in note and "share their ground alone" in note for note in near.notes) == 1


def test_frames_of_the_ground_alone_are_copies_and_what_stands_before_it_is_not_one_of_them() -> None:
    ground = scene([901], 0)
    photos = [taken(ground if k % 2 else before(ground, k), k) for k in range(80)]
    again = taken(before(ground, 0), 300)
    others = [taken(scene(200 + k, 0), k) for k in range(40)]
    near = near_duplicates(fingerprint([*photos, again, *others]), kinds=("same",))
    found = pairs(near)
    assert (0, 80) in found
    assert {i for pair in found for i in pair} == {0, 80, *range(1, 80, 2)}
    assert all(a % 2 == b % 2 or b == 80 for a, b in found)
    (rows,) = near.scenes
    assert {*rows.tolist()} == {*range(1, 80, 2)}


def test_a_text_on_some_of_many_versions_of_an_image_leaves_them_copies() -> None:
    images = []
    for k in range(16):
        image = scene([902], 0)
        if k < 3:
            image[20 + 30 * k : 36 + 30 * k, 20:120] = np.kron(
                np.random.default_rng(k).integers(0, 2, (4, 25)), np.full((4, 4), 255)
            )
        images.append(taken(image, k))
    others = [taken(scene(200 + k, 0), k) for k in range(40)]
    near = near_duplicates(fingerprint([*images, *others]), kinds=("same",))
    assert len(pairs(near)) == 16 * 15 / 2
    assert near.doubt != "ground"


def test_nothing_is_dropped_for_a_ground_and_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground = scene([903], 0)
    for k in range(40):  # with and without an animal: not one contradiction
        save(tmp_path / "data" / ["no", "yes"][k % 2] / f"{k}.png", taken(before(ground, k) if k % 2 else ground, k))
    for k in range(40):
        save(tmp_path / "data" / "no" / f"other{k}.png", taken(scene(200 + k, 0), k))
    done = audit(open_samples(tmp_path / "data"), kinds=("same",), k=2)
    assert sum(done.findings.summary.contradictions.values()) == 0
    assert done.findings.summary.dropped == 0
    assert done.findings.settings.doubt == "ground"
    assert "share their ground alone" in render(done.findings)
    with pytest.raises(SystemExit) as stop:
        main(["audit", str(tmp_path / "data"), "--kinds", "same", "--folds", "2", "--out", str(tmp_path / "out")])
    assert not stop.value.code
    assert "of images that share their ground alone are not sure" in capsys.readouterr().out


def test_an_even_bar_on_all_frames_is_no_ground() -> None:
    frames = [taken(scene([904], 0), k) for k in range(16)]
    for frame in frames:
        frame[:16] = 7
    others = [taken(scene(200 + k, 0), k) for k in range(40)]
    near = near_duplicates(fingerprint([*frames, *others]), kinds=("same",))
    assert len(pairs(near)) == 16 * 15 / 2


def test_of_what_stays_before_the_ground_one_image_stands_for_the_others() -> None:
    ground = scene([905], 0)
    parked = before(ground, 1, size=0.16)
    passing = {k: before(ground, 50 + k, size=0.16) for k in range(0, 36, 6)}
    photos = [taken(parked if k % 3 == 2 else passing.get(k, ground), k) for k in range(90)]
    others = [taken(scene(200 + k, 0), k) for k in range(40)]
    near = near_duplicates(fingerprint([*photos, *others]), kinds=("same",))
    cars = [pair for pair in pairs(near) if all(i % 3 == 2 for i in pair)]
    assert {i for pair in cars for i in pair} == {*range(2, 90, 3)}
    assert len(cars) < 100  # not 435
    assert all((a % 3 == 2) == (b % 3 == 2) for a, b in pairs(near))
