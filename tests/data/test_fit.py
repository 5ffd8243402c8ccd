"""Images of another shape come to the size of the net whole, filled, or squashed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plexus.data import load, read_image, resize_image
from tests.data.images import png


@pytest.mark.parametrize("transposed", [False, True])
def test_a_letterbox_keeps_the_whole_and_a_crop_the_middle(transposed: bool) -> None:
    wide = np.repeat(np.arange(8, dtype=np.uint8) * 20, 4).reshape(8, 4).T.copy()  # 4 rows, 8 columns
    image = wide.T.copy() if transposed else wide
    boxed, cropped = resize_image(image, (4, 4), fit="letterbox"), resize_image(image, (4, 4), fit="crop")
    boxed, cropped = (boxed.T, cropped.T) if transposed else (boxed, cropped)
    assert (boxed[[0, 3]] == 128).all()
    np.testing.assert_array_equal(boxed[1:3], resize_image(wide, (2, 4)))
    np.testing.assert_array_equal(cropped, wide[:, 2:6])


@pytest.mark.parametrize("fit", ["letterbox", "crop", "squash"])
def test_an_image_of_the_right_shape_is_resized_alike(fit: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 18, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_image(image, (4, 6), fit=fit), resize_image(image, (4, 6)))  # type: ignore[arg-type]


def test_photos_of_several_shapes_are_boxed_and_those_of_one_squashed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def folder(name: str, shapes: list[tuple[int, int]]) -> Path:
        for i in range(24):
            path = tmp_path / name / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(rng.integers(0, 256, shapes[i % len(shapes)], dtype=np.uint8)))
        return tmp_path / name

    one, several = folder("one", [(12, 18), (24, 36)]), folder("several", [(12, 18), (18, 12), (12, 12)])
    assert (load(one, size=8, fit="auto").fit, load(several, size=8, fit="auto").fit) == ("squash", "letterbox")
    assert load(one, size=8, fit="auto").fingerprint == load(one, size=8).fingerprint
    assert load(several, size=8, fit="auto").fingerprint == load(several, size=8, fit="letterbox").fingerprint
    assert "letterboxed" in load(several, size=8, fit="auto").summary
    data = load(several, size=8, fit="crop")
    read = read_image(several / data.test.names[0], (1, 8, 8), fit="crop")
    assert read.equal(data.test.images[0])


def test_nothing_is_lost_of_a_thin_image() -> None:
    boxed = resize_image(np.full((1, 400), 7, np.uint8), (8, 8), fit="letterbox")
    assert (boxed == 7).sum() == 8
    assert Image.fromarray(boxed).size == (8, 8)
