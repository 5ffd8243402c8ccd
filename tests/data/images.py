"""Small images and tables on disk for the tests of the data package."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HOSTILE = "<img src=x onerror=alert(1)>"


def png(pixels: NDArray[Any], **options: Any) -> bytes:
    """The bytes of a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **options)
    return out.getvalue()


def grey(value: int, height: int = 4, width: int = 4) -> NDArray[np.uint8]:
    """A grey image that no other value gives: a ramp that begins at ``value``."""
    return ((np.arange(height * width) + value) % 256).astype(np.uint8).reshape(height, width)


def class_folders(root: Path, counts: Mapping[str, int], *, start: int = 0) -> Path:
    """Write ``counts[c]`` different grey images into ``root/c`` for every class c."""
    value = start
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i:03}.png").write_bytes(png(grey(value)))
            value += 1
    return root


def parquet(path: Path, rows: Sequence[Mapping[str, Any]], features: Any = None) -> Path:
    """Write rows to a parquet file, with `datasets` features in its schema where they are given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=features.arrow_schema if features else None), path)
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
