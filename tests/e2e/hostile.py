"""Inputs that nobody wishes for, each made by one function, and a look at what became of a folder."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = (
    'it\'s "quoted"',
    "a new\nline",
    "<img src=x onerror=alert(1)>",
    "$(touch gone); `x` %s {0}",
    "--out",
    "ümlaut 图",
)
DEEP = "[" * 100_000


def png(seed: int = 0, size: int = 12) -> bytes:
    """A good image."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def bomb(side: int = 50_000) -> bytes:
    """A PNG of a hundred bytes that says it has 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def _file(content: bytes) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        place.write_bytes(content)

    return write


def _unreadable(place: Path) -> None:
    """Nobody may read it but root, who finds no image in it."""
    place.write_bytes(b"not an image")
    place.chmod(0)


def _folder(place: Path) -> None:
    place.mkdir()


def _loop(place: Path) -> None:
    place.symlink_to(place.name)


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        before = os.getcwd()
        os.chdir(place.parent)  # the name of a socket has at most 108 letters
        made.bind(place.name)
        os.chdir(before)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "device": lambda place: place.symlink_to("/dev/zero"),
}
"""Kind -> makes what is no regular file: reading it would wait, or never end."""
IMAGES: dict[str, Callable[[Path], None]] = {
    "empty": _file(b""),
    "corrupt": _file(b"\x89PNG\r\n\x1a\n" + b"\xff\x00" * 200),
    "truncated": _file(png(size=64)[:-3000]),
    "huge": _file(bomb()),
    "text": _file(b"no image at all"),
    "unreadable": _unreadable,
    "folder": _folder,
    "loop": _loop,
    "dangling": lambda place: place.symlink_to("nowhere"),
    **SPECIAL,
}
"""Kind -> puts it at a path that should hold an image."""


def tree(root: Path) -> dict[str, tuple[str, str]]:
    """Everything below a folder and what it holds; links are not followed."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            if path.is_symlink():
                kind, what = "link", os.readlink(path)
            elif path.is_dir():
                kind, what = "folder", ""
            elif not path.is_file():
                kind, what = "special", ""
            else:
                kind, what = oct(path.stat().st_mode), _digest(path)
            found[os.fspath(path.relative_to(root))] = kind, what
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if os.access(path, os.R_OK) else f"{path.stat().st_size}"


def classes(root: Path) -> Path:
    """Two classes of good images."""
    for k, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for i in range(6):
            (root / name / f"{i}.png").write_bytes(png(seed=10 * k + i))
    return root


def masks(root: Path) -> Path:
    """Good images, each with a mask."""
    root.mkdir(parents=True)
    for i in range(6):
        (root / f"{i}.png").write_bytes(png(seed=i))
        mask = np.zeros((12, 12), np.uint8)
        mask[2 : 4 + i, 3:8] = 255 * (i % 2)
        Image.fromarray(mask).save(root / f"{i}_mask.png")
    return root


def runs(root: Path) -> dict[str, Path]:
    """What stands where a run folder should be."""
    whole = {
        "missing": {},
        "empty": {},
        "no json": {"record.json": b"{", "config.yaml": b"epochs: 3\n"},
        "bytes": {"record.json": b"\xff\xfe\x00", "config.yaml": b"\xff\xfe\x00", "model.onnx": b"\xff"},
        "list": {"record.json": b"[]", "config.yaml": b"[]"},
        "deep": {"record.json": DEEP.encode(), "config.yaml": b"{}"},
        "deep yaml": {"record.json": b'{"format": 1}', "config.yaml": DEEP.encode()},
        "numbers": {"record.json": b'{"format": 1, "kind": 7, "epochs": 3}', "config.yaml": b"data: 3\n"},
        "other": {"record.json": b'{"format": 1, "kind": "segment", "finished": true}', "config.yaml": b"{}"},
        "another": {"record.json": b'{"format": 1, "kind": "represent", "finished": true}', "config.yaml": b"{}"},
        "finished": {"record.json": b'{"format": 1, "kind": "fit", "finished": true}', "config.yaml": b"{}"},
    }
    found = {}
    for name, files in whole.items():
        found[name] = root / name
        if name != "missing":
            (root / name).mkdir(parents=True)
        for file, content in files.items():
            (root / name / file).write_bytes(content)
    found["a file"] = root / "a file"
    found["a file"].write_text("mine")
    found["folders"] = root / "folders"
    for file in ("record.json", "config.yaml", "model.onnx"):
        (root / "folders" / file).mkdir(parents=True)
    found["loop"] = root / "loop"
    found["loop"].symlink_to("loop")
    found["null\0byte"] = root / "null\0byte"
    return found
