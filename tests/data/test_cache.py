"""Decoded images in a mapped file: the same pixels, read once, checked, and gone on with."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from plexus.data import ImageData, SampleSet, load
from plexus.errors import DataError
from tests.data.images import png


def photos(root: Path, count: int = 24, *, colour: Callable[[int], bool] = lambda i: True, side: int = 12) -> Path:
    """Noise in two class folders."""
    rng = np.random.default_rng(0)
    for i in range(count):
        path = root / "ab"[i % 2] / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(rng.integers(0, 256, (side, side, 3) if colour(i) else (side, side), dtype=np.uint8)))
    return root


def same(a: ImageData, b: ImageData) -> bool:
    """True where all splits hold the same images, labels and names."""
    return a.fingerprint == b.fingerprint and all(
        x.names == y.names and torch.equal(x.images, y.images) and torch.equal(x.labels, y.labels)
        for x, y in zip(a.splits.values(), b.splits.values(), strict=True)
    )


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The images that are decoded, as they are."""
    rows: list[int] = []
    plain = SampleSet.pixels

    def counted(self: SampleSet, i: int, *more: Any, **options: Any) -> Any:
        rows.append(i)
        return plain(self, i, *more, **options)

    monkeypatch.setattr(SampleSet, "pixels", counted)
    return rows


@pytest.mark.parametrize(
    "colour", [lambda i: True, lambda i: False, lambda i: i == 301], ids=["colour", "grey", "late colour"]
)
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_the_cache_holds_what_memory_would(colour: Callable[[int], bool], channels: int | None, tmp_path: Path) -> None:
    root = photos(tmp_path / "d", 600, colour=colour, side=4)
    memory = load(root, channels=channels, cache="none")
    mapped = load(root, channels=channels, cache=tmp_path / "cache")
    assert same(memory, mapped)
    assert same(memory, load(root, channels=channels, cache=tmp_path / "cache"))
    assert torch.equal(memory.mean, mapped.mean)


def test_another_seed_reads_the_same_file_and_decodes_nothing(tmp_path: Path, decoded: list[int]) -> None:
    root, cache = photos(tmp_path / "d"), tmp_path / "cache"
    first = load(root, cache=cache)
    assert len(decoded) == 24
    assert "kept in" in first.summary
    other = load(root, seed=1, cache=cache)
    assert len(decoded) == 24
    assert "found in" in other.summary
    assert same(other, load(root, seed=1, cache="none"))
    assert sorted(path.suffix for path in cache.iterdir()) == [".images", ".json", ".lock"]


@pytest.mark.parametrize("change", ["content", "new file", "size", "fit"])
def test_what_changes_the_pixels_makes_another_file(change: str, tmp_path: Path, decoded: list[int]) -> None:
    root, cache = photos(tmp_path / "d"), tmp_path / "cache"
    options: dict[str, Any] = {"size": 8}
    load(root, **options, cache=cache)
    if change == "content":
        (root / "a" / "0000.png").write_bytes(png(np.zeros((12, 12, 3), np.uint8)))
    elif change == "new file":
        (root / "a" / "x.png").write_bytes(png(np.zeros((12, 12, 3), np.uint8)))
    else:
        options |= {"size": 6} if change == "size" else {"fit": "crop"}
    decoded.clear()
    assert same(load(root, **options, cache=cache), load(root, **options, cache="none"))
    assert len(decoded) >= 24


def test_a_byte_that_changed_is_seen(tmp_path: Path, decoded: list[int]) -> None:
    root, cache = photos(tmp_path / "d"), tmp_path / "cache"
    good = load(root, cache=cache)
    (file,) = cache.glob("*.images")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    decoded.clear()
    assert same(load(root, cache=cache), good)
    assert len(decoded) == 24


@pytest.mark.parametrize("damage", ["none", "torn block", "no log"])
def test_a_reading_that_was_stopped_goes_on(damage: str, tmp_path: Path, decoded: list[int]) -> None:
    root, cache = photos(tmp_path / "d", 700, side=4), tmp_path / "cache"
    bad = root / "b" / "0651.png"
    whole, times = bad.read_bytes(), bad.stat()
    bad.write_bytes(bytes(len(whole)))
    os.utime(bad, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError, match=r"0651\.png: not an image"):
        load(root, cache=cache)
    assert not list(cache.glob("*.json"))
    (part,), (log,) = cache.glob("*.part"), cache.glob("*.blocks")
    # of the same size and time, as after a fault of the disk that went away: the set keeps its name
    bad.write_bytes(whole)
    os.utime(bad, ns=(times.st_atime_ns, times.st_mtime_ns))
    decoded.clear()
    if damage == "torn block":
        part.write_bytes(part.read_bytes()[:-5])
    elif damage == "no log":
        log.unlink()
    mapped = load(root, cache=cache)
    assert len(decoded) == {"none": 700 - 512, "torn block": 700 - 256, "no log": 700}[damage]
    assert same(mapped, load(root, cache="none"))


def test_what_is_told_of_images_is_told_again_from_the_cache(tmp_path: Path) -> None:
    root = photos(tmp_path / "d", 600, side=8, colour=lambda i: False)
    rng = np.random.default_rng(1)
    for i in (3, 500):
        (root / "b" / f"wide {i}.png").write_bytes(
            png(rng.integers(0, 4000 if i == 3 else 50, (8, 8)).astype(np.uint16))
        )
        frames = [Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(2)]
        frames[0].save(root / "a" / f"frames {i}.gif", save_all=True, append_images=frames[1:])
    memory = load(root, cache="none").notes
    assert memory == (
        "16-bit images hold values up to 3922: scaled as 12 bits",
        "2 files hold several frames: the first is read (first: a/frames 3.gif)",
        "1 image of 16 bits keeps fewer than 16 grey levels, as 4095 is white in all (first: b/wide 500.png)",
    )
    told = [load(root, cache=tmp_path / "cache").notes for _ in range(2)]
    bad = root / "b" / "wide 500.png"  # in the last block: the others are whole when the reading stops
    whole = bad.read_bytes()
    times = bad.stat()
    bad.write_bytes(bytes(len(whole)))
    os.utime(bad, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError, match="wide 500"):
        load(root, cache=tmp_path / "stopped")
    bad.write_bytes(whole)
    os.utime(bad, ns=(times.st_atime_ns, times.st_mtime_ns))
    told.append(load(root, cache=tmp_path / "stopped").notes)
    assert [notes[: len(memory)] for notes in told] == [memory] * 3


def test_unreadable_images_are_left_out_and_told(tmp_path: Path) -> None:
    root = photos(tmp_path / "d", 600, side=4)
    for i in (0, 300, 599):
        next(root.glob(f"*/{i:04}.png")).write_bytes(b"no image")
    memory = load(root, cache="none", skip_unreadable=True)
    for _ in range(2):
        mapped = load(root, cache=tmp_path / "cache", skip_unreadable=True)
        assert same(memory, mapped)
        assert mapped.skipped == memory.skipped
        assert len(mapped.skipped) == 3


def test_images_of_several_sizes_leave_nothing_half_made(tmp_path: Path) -> None:
    root, cache = photos(tmp_path / "d"), tmp_path / "cache"
    Image.new("RGB", (9, 7)).save(root / "a" / "z.png")
    with pytest.raises(DataError, match=r"images of 2 sizes: .* resize all with --size"):
        load(root, cache=cache)
    assert not list(cache.glob("*.json"))


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_told_in_one_line(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot keep decoded images here: .* name another folder with --cache"):
        load(photos(tmp_path / "d"), cache=tmp_path / place)


def test_large_sets_are_mapped_by_themselves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    root = photos(tmp_path / "d", side=16)
    free, plain = 4 * 24 * 3 * 16 * 16 // 1024, Path.read_text  # kB of which the set takes a quarter

    def told(self: Path, *more: Any, **options: Any) -> str:
        return f"MemAvailable: {free} kB\n" if self == Path("/proc/meminfo") else plain(self, *more, **options)

    monkeypatch.setattr(Path, "read_text", told)
    load(root)
    assert not (tmp_path / "home").exists()
    free -= 1
    assert str(tmp_path / "home" / "plexus" / "images") in load(root).summary


def test_only_the_sets_used_last_stay(tmp_path: Path) -> None:
    root, cache = photos(tmp_path / "d"), tmp_path / "cache"
    for size in (3, 4, 5, 6, 7):
        load(root, size=size, cache=cache)
    sizes = {json.loads(path.read_text())["blocks"][0]["shape"][2] for path in cache.glob("*.json")}
    assert sizes == {4, 5, 6, 7}
    assert len(list(cache.glob("*.images"))) == 4
