"""Images that are none, given to a good run: one line that names the file, and nothing is written."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from plexus.errors import PlexusError
from plexus.represent import embed, search, vary


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


BOMB = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"0"))
    + _chunk(b"IEND", b"")
)
CONTENTS = {"empty": b"", "text": b"hello", "cut": BOMB[:20], "bomb": BOMB}
VERBS: dict[str, Callable[[Path, Path, Path], object]] = {
    "embed": lambda run, image, out: embed(run, [image], out / "z.parquet"),
    "query": lambda run, image, out: search(run, image, [image]),
    "vary": lambda run, image, out: vary(run, image, out=out / "varied.png"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_image_is_one_line(trained: Path, tmp_path: Path, verb: str, content: str) -> None:
    image = tmp_path / f'{content} "<b>\n.png'
    image.write_bytes(CONTENTS[content])
    before = (trained / "record.json").read_bytes()
    with pytest.raises(PlexusError) as told:
        VERBS[verb](trained, image, tmp_path)
    assert content in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == [image.name]
    assert image.read_bytes() == CONTENTS[content]
    assert (trained / "record.json").read_bytes() == before
