"""16-bit images are scaled as those of the training, whatever else is asked about with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from plexus.represent import embed, fewshot, probe, search, train, vary
from tests.represent.shapes import KINDS, read_record, shape, small

LEARNED = KINDS[:3]


def write(folder: Path, *kinds: str, shades: int, bits: int) -> Path:
    """KIND/NUMBER.png, from black to `shades` of 255; the same greys in 8 bits and in 12 of 16."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for i in range(14):
            grey = (shape(kind, i).astype(float) * shades / 255).round()
            stored = grey.astype(np.uint8) if bits == 8 else (grey * 4095 / 255).round().astype(np.uint16)
            Image.fromarray(stored).save(folder / kind / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wide")
    return train(small(write(place / "data", *LEARNED, shades=255, bits=12)), run=place / "run")


@pytest.fixture
def dark(tmp_path: Path) -> dict[int, Path]:
    """Images of few shades: by themselves those of 16 bits would be scaled as 10 bits."""
    return {bits: write(tmp_path / f"{bits}", *KINDS, shades=60, bits=bits) for bits in (8, 12)}


def test_the_record_says_what_is_white(wide: Path, trained: Path) -> None:
    assert read_record(wide / "record.json")["data"]["white"] == 4095
    assert read_record(trained / "record.json")["data"]["white"] is None


def test_z_of_dark_images_is_that_of_their_greys(wide: Path, dark: dict[int, Path], tmp_path: Path) -> None:
    for bits, folder in dark.items():
        embed(wide, [folder / "disc"], tmp_path / f"{bits}.parquet")
        embed(wide, [folder / "disc" / "03.png"], tmp_path / f"{bits}-alone.parquet")
    tables = {path.stem: pq.read_table(path).column("z").to_pylist() for path in tmp_path.glob("*.parquet")}
    np.testing.assert_allclose(tables["12"], tables["8"], atol=1e-6)
    np.testing.assert_allclose(tables["12-alone"], tables["8"][3:4], atol=1e-6)


def test_searches_and_variations_see_the_same_greys(wide: Path, dark: dict[int, Path], tmp_path: Path) -> None:
    found = {b: search(wide, folder / "disc" / "03.png", [folder / "bar"], most=3) for b, folder in dark.items()}
    assert [Path(hit["path"]).name for hit in found[12]["found"]] == [Path(h["path"]).name for h in found[8]["found"]]
    assert found[12]["picture"] == found[8]["picture"]
    for bits, folder in dark.items():
        vary(wide, folder / "bar" / "01.png", out=tmp_path / f"{bits}.png")
        vary(wide, folder / "bar" / "01.png", to=folder / "disc" / "02.png", out=tmp_path / f"{bits}-to.png")
    assert (tmp_path / "12.png").read_bytes() == (tmp_path / "8.png").read_bytes()
    assert (tmp_path / "12-to.png").read_bytes() == (tmp_path / "8-to.png").read_bytes()


def test_figures_are_of_the_same_greys(wide: Path, dark: dict[int, Path]) -> None:
    rows = {bits: probe(wide, folder)[0] for bits, folder in dark.items()}
    assert rows[12] == rows[8]
    few = {bits: fewshot(wide, folder, ways=2, episodes=20, queries=5) for bits, folder in dark.items()}
    assert few[12]["heads"] == few[8]["heads"]
