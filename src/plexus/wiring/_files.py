"""Files of a wiring: JSON for the layers, safetensors beside it for the map edges."""

from __future__ import annotations

from pathlib import Path

from plexus.errors import ConfigError, RunError
from plexus.graph import Wiring
from plexus.record import atomic_write, read_file


def write_wiring(wiring: Wiring, path: str | Path) -> Path:
    """Write a wiring as `NAME.json`, and its map edges, where there are any, as `NAME.safetensors` beside it.

    Each file is written whole or not at all, the map edges first: the JSON carries their digest, so that reading tells
    if a run was killed in between.

    Args:
        wiring: what to write.
        path: the JSON file; its folder must exist.

    Returns:
        The path.

    Raises:
        ConfigError: the name does not end in `.json`.
        RunError: the folder is missing or may not be written.
        TrainingError: the disk is full.

    Example:
        >>> import tempfile
        >>> w = Wiring(("input", "head"), [("input", "head", 1.0)], {("input", "head"): [0.5, 0.0, 0.25]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_wiring(write_wiring(w, f"{folder}/wiring.json")) == w
        True
    """
    path = Path(path)
    if path.suffix != ".json":  # else the two files might be one
        raise ConfigError(f"{path}: a wiring is written as NAME.json, its map edges as NAME.safetensors; name it so")
    if wiring.maps:
        atomic_write(path.with_suffix(".safetensors"), wiring.map_bytes())
    return atomic_write(path, wiring.to_json())


def read_wiring(path: str | Path) -> Wiring:
    """Read a wiring that `write_wiring` wrote, with its map edges from the file beside it.

    Args:
        path: the JSON file.

    Raises:
        RunError: a file is missing, broken or foreign, or the two are of different wirings; the message names it.

    Example:
        >>> read_wiring("nowhere/wiring.json")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere/wiring.json: cannot read the wiring: No such file or directory; ...
    """
    path = Path(path)
    text, beside = _bytes(path), path.with_suffix(".safetensors")
    # what lies beside a wiring without map edges may be anybody's
    maps = _bytes(beside) if b'"maps_sha256"' in text else b""
    try:
        return Wiring.from_json(text, maps)
    except ConfigError as error:
        raise RunError(f"{path}: not a wiring: {str(error).removeprefix('wiring: ')}") from None


def _bytes(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        remedy = "name the NAME.json of a wiring, and leave the NAME.safetensors of its map edges beside it"
        raise RunError(f"{path}: cannot read the wiring: {error.strerror}; {remedy}") from None
