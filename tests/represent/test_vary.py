"""Variations lie on straight lines in Z, with the image itself where it is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from plexus.errors import ConfigError, PlexusError, RunError
from plexus.models import read_autoencoder
from plexus.represent import vary
from plexus.represent.space import Space, encode
from plexus.represent.variation import as_bytes, decoded, grid, interpolation, principal_axes, small, traversal
from tests.represent.shapes import read_record, shape


def tiles(path: Path) -> list[list[np.ndarray]]:
    """Cells of a picture of 12 x 12 images enlarged 5 times, 2 pixels apart."""
    pixels = np.asarray(Image.open(path))
    size, step = 60, 62
    rows, columns = (pixels.shape[0] + 2) // step, (pixels.shape[1] + 2) // step
    assert pixels.shape == (rows * step - 2, columns * step - 2)
    cells = [[pixels[i * step :, j * step :][:size, :size] for j in range(columns)] for i in range(rows)]
    return [[cell[::5, ::5] for cell in row] for row in cells]


def test_the_line_runs_from_one_image_to_the_other(trained: Path) -> None:
    model = read_autoencoder(trained)
    images = torch.from_numpy(np.stack([shape("bar", 0), shape("disc", 0)]))[:, None]
    a, b = encode(model, images)
    line = interpolation(model, a, b, steps=5)
    with torch.no_grad():
        for i, t in enumerate((0, 0.25, 0.5, 0.75, 1)):
            z = torch.from_numpy((1 - t) * a + t * b).float()[None]
            assert torch.equal(line[i], as_bytes(model.decode(z))[0])


def test_a_direction_has_the_image_in_the_middle(trained: Path) -> None:
    model, space = read_autoencoder(trained), Space.read(trained)
    z = encode(model, torch.from_numpy(shape("tee", 1))[None, None])[0]
    row = traversal(model, space, z, 1, steps=7, reach=3.0)
    assert row.shape == (7, 1, 12, 12)
    assert torch.equal(row[3], decoded(model, z[None])[0])
    end = z + 3.0 * space.scale[1] * space.axes[1]
    assert torch.equal(row[6], decoded(model, end[None])[0])


def test_axes_are_those_of_the_covariance_and_the_largest_change_comes_first(trained: Path) -> None:
    model = read_autoencoder(trained)
    z = np.random.default_rng(0).normal(size=(400, 5)) * [3, 2, 1, 0.5, 0.1]
    axes, scale = principal_axes(model, z)
    np.testing.assert_allclose(np.sort(scale**2), np.linalg.eigvalsh(np.cov(z.T)), rtol=1e-9)
    for axis, s in zip(axes, scale, strict=True):
        np.testing.assert_allclose(np.cov(z.T) @ axis, s**2 * axis, atol=1e-9)
    mean = z.mean(0)
    change = [
        (decoded(model, (mean + s * a)[None]).float() - decoded(model, (mean - s * a)[None]).float()).norm().item()
        for a, s in zip(axes, scale, strict=True)
    ]
    assert change == sorted(change, reverse=True)
    assert len(principal_axes(model, z, most=2)[0]) == 2


def test_a_picture_has_a_row_per_direction(three: Path, shapes: Path) -> None:
    image = shapes / "bar" / "02.png"
    path = vary(three, image, directions=3, steps=5)
    assert path == three / "vary" / "02.png"
    rows = tiles(path)
    assert [len(row) for row in rows] == [6, 6, 6]
    whole = np.asarray(Image.open(image))
    back = decoded(read_autoencoder(three), encode(read_autoencoder(three), torch.from_numpy(whole.copy())[None, None]))
    for row in rows:
        assert np.array_equal(row[0], whole)
        assert np.array_equal(row[3], back[0, 0])
    assert len(tiles(vary(three, image, directions=99, steps=3, out=three / "many.png"))) == 5  # as many as Z has


def test_a_picture_of_the_way_to_another_image(three: Path, shapes: Path, tmp_path: Path) -> None:
    first, other = shapes / "bar" / "02.png", shapes / "tee" / "03.png"
    (row,) = tiles(vary(three, first, to=other, steps=3, out=tmp_path / "deep" / "x.png"))
    assert len(row) == 5
    assert np.array_equal(row[0], np.asarray(Image.open(first)))
    assert np.array_equal(row[-1], np.asarray(Image.open(other)))
    entry = read_record(three / "record.json")["variations"][0]
    assert entry | {"kind": "interpolation", "image": "bar/02.png", "to": "tee/03.png", "steps": 3} == entry
    assert entry["picture"].startswith("data:image/png;base64,")
    assert vary(three, first, to=other).name == "02-03.png"


def test_no_picture_takes_the_place_of_another(three: Path, shapes: Path, tmp_path: Path) -> None:
    images = [shapes / name / "02.png" for name in ("bar", "tee", "disc")]
    made = [vary(three, image, steps=3) for image in images]
    assert [path.name for path in made] == ["02.png", "02-2.png", "02-3.png"]
    assert len({path.read_bytes() for path in made}) == 3
    assert [vary(three, image, steps=3) for image in images] == made  # the same again is the same file
    shown = [entry["image"] for entry in read_record(three / "record.json")["variations"]]
    assert shown[:3] == ["disc/02.png", "tee/02.png", "bar/02.png"]
    kept = tmp_path / "mine.png"
    kept.write_bytes(b"mine")
    with pytest.raises(RunError, match=r"mine\.png: exists and is not overwritten; name another file with --out"):
        vary(three, images[0], out=kept)
    assert kept.read_bytes() == b"mine"


def test_the_record_keeps_the_newest(three: Path, shapes: Path) -> None:
    for i in range(14):
        vary(three, shapes / "bar" / f"{i:02}.png", directions=1, steps=3)
    names = [entry["image"] for entry in read_record(three / "record.json")["variations"]]
    assert names == [f"bar/{i:02}.png" for i in range(13, 1, -1)]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".PNG"])
def test_other_formats(three: Path, shapes: Path, tmp_path: Path, suffix: str) -> None:
    path = vary(three, shapes / "bar" / "02.png", out=tmp_path / f"x{suffix}")
    with Image.open(path) as picture:
        assert picture.format == {".jpg": "JPEG", ".webp": "WEBP", ".PNG": "PNG"}[suffix]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 4}, "steps=4 must be odd, 3 or more"),
        ({"steps": 1}, "steps=1 must be odd, 3 or more"),
        ({"directions": 0}, "directions=0 must be at least 1"),
        ({"reach": 0.0}, "reach=0 above 0 and finite"),
        ({"reach": float("nan")}, "reach=nan"),
        ({"reach": float("inf")}, "reach=inf"),
        ({"out": Path("x.txt")}, r"x.txt: a picture is written as .png, .jpg or .webp"),
        ({"to": Path("none.png")}, "none.png: no such file; name one image"),
    ],
)
def test_what_cannot_be_varied(three: Path, shapes: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        vary(three, shapes / "bar" / "02.png", **options)
    assert "\n" not in str(told.value)
    assert "variations" not in read_record(three / "record.json")


def test_places_that_are_no_image_or_cannot_be_written(three: Path, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; name one image"):
        vary(three, shapes)
    (tmp_path / "file").write_text("x")
    with pytest.raises(PlexusError):
        vary(three, tmp_path / "file")
    with pytest.raises(RunError, match="is a file; name another place with --out"):
        vary(three, shapes / "bar" / "02.png", out=tmp_path / "file" / "x.png")
    assert "variations" not in read_record(three / "record.json")


def test_grids_stand_apart_and_are_enlarged() -> None:
    row = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 2, 3)
    picture = np.asarray(grid([row[:3], row[3:]], gap=1, side=6))
    assert picture.shape == (2 * 4 + 1, 3 * 6 + 2)
    assert picture[:4, 7:13].tolist() == [[1] * 6] * 4
    assert picture[5:, :6].tolist() == [[3] * 6] * 4
    assert (picture[4] == 255).all()
    assert (picture[5:, 7:] == 255).all()


def test_small_images_stay_and_large_ones_keep_their_proportion() -> None:
    assert small(torch.zeros(1, 1, 8, 6, dtype=torch.uint8), 8).shape == (1, 1, 8, 6)
    assert small(torch.zeros(1, 3, 40, 20, dtype=torch.uint8), 10).shape == (1, 3, 10, 5)
    assert small(torch.full((1, 1, 40, 20), 77, dtype=torch.uint8), 10).unique().tolist() == [77]
