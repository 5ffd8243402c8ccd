"""What was computed from files, kept by the hash of their bytes: a second run, or one that goes on, need not decode."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plexus.record import atomic_write

Arrays = dict[str, NDArray[Any]]
DIGEST = "digest"


def cache_folder(given: str | Path | None = None) -> Path:
    """The folder that was named, or plexus' own below the user's cache.

    Args:
        given: a folder, or None for the usual one.

    Returns:
        The folder; it need not be there yet.

    Example:
        >>> cache_folder("fingerprints").name, cache_folder().parts[-2:]
        ('fingerprints', ('plexus', 'audit'))
    """
    if given is not None:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "plexus" / "audit"


class Cache:
    """Rows of arrays by digest, in files of a few hundred rows; a damaged file is as good as none.

    Args:
        folder: where all caches are, or None for none.
        kind: what the rows are made by; another kind never reads them.
    """

    def __init__(self, folder: Path | None, kind: str) -> None:
        safe = re.sub(r"[^\w.-]", "_", kind)
        self.folder = None if folder is None else folder / safe
        self.parts: list[Arrays] = []
        self.where: dict[bytes, tuple[int, int]] = {}

    def open(self) -> Cache:
        """Reads what is there."""
        if self.folder is None or not self.folder.is_dir():
            return self
        for file in sorted(self.folder.glob("*.npz")):
            part = _read(file)
            if part is not None:
                for row, digest in enumerate(part[DIGEST]):
                    self.where[digest.tobytes()] = (len(self.parts), row)
                self.parts.append(part)
        return self

    def get(self, digest: bytes) -> dict[str, Any] | None:
        """One row of each array."""
        found = self.where.get(digest)
        if found is None:
            return None
        part, row = found
        return {name: values[row] for name, values in self.parts[part].items() if name != DIGEST}

    def put(self, digests: NDArray[np.uint8], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keeps rows on the disk, whole or not at all; where that cannot be, it does without."""
        if self.folder is None or not len(digests):
            return
        out = io.BytesIO()
        np.savez(out, **{DIGEST: digests}, **dict(arrays), allow_pickle=False)
        name = hashlib.sha256(digests.tobytes()).hexdigest()[:32]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_write(self.folder / f"{name}.npz", out.getvalue())
        except Exception:  # a full disk, a folder that may not be written: the audit itself goes on
            self.folder = None


def _read(file: Path) -> Arrays | None:
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            part = {name: stored[name] for name in stored.files}
    except Exception:  # a damaged archive raises nearly anything
        return None
    rows = {len(values) if values.ndim else -1 for values in part.values()}
    digest = part.get(DIGEST)
    if digest is None or len(rows) != 1 or digest.shape[1:] != (32,) or digest.dtype != np.uint8:
        return None
    return part
