"""Z of images as a table, and the images nearest to one."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from plexus.data import data_uri, places, read_batches
from plexus.errors import ConfigError, DataError, PlexusWarning, RunError
from plexus.models import Autoencoder
from plexus.record import atomic_write, check_place, digest
from plexus.represent.space import encode, nearest, open_model, white_of
from plexus.represent.variation import grid, small

_MODEL = b"plexus.model"
"""Names, in a file of Z, the weights that it was made with."""

Floats = NDArray[np.float64]
_TABLES = (".parquet", ".pq")


def embed(
    run: str | Path, images: str | Path | Sequence[str | Path], out: str | Path, *, skip_unreadable: bool = False
) -> Path:  # fmt: skip
    """Write Z of every image as parquet: `path`, `z` (float32, d numbers), and `label` where it is known.

    Args:
        run: a finished run of `plexus represent train`.
        images: an image file, folder, table, `digits` or hub id, or several.
        out: the file to make; what is there is never overwritten.
        skip_unreadable: leave out images that cannot be read.

    Returns:
        The file.

    Raises:
        RunError: the run has not finished, or the file exists or cannot be made.
        DataError: nothing to embed, or an image that cannot be read.

    Example:
        >>> embed("nowhere", ["photos"], "z-of-photos.parquet")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    path = Path(out)
    if path.exists() or path.is_symlink():
        raise RunError(f"{path}: exists and is not overwritten; name another file with --out")
    check_place(path)
    model, _, record = open_model(run)
    paths: list[str] = []
    labels: list[str | None] = []
    parts: list[Floats] = []
    for samples, pixels in read_batches(
        images, model.in_shape, skip_unreadable=skip_unreadable, white=white_of(record)
    ):
        paths += [sample.name for sample in samples]
        labels += [sample.label for sample in samples]
        parts.append(encode(model, pixels))
    if not parts:
        raise DataError(f"{places(images)[0]}: no image can be read: name other images")
    values = pa.array(np.concatenate(parts).astype(np.float32).ravel())
    plain = [text.encode(errors="backslashreplace").decode() for text in paths]  # file names need not be UTF-8
    columns: dict[str, Any] = {"path": plain, "z": pa.FixedSizeListArray.from_arrays(values, model.dim)}
    if any(label is not None for label in labels):
        columns["label"] = pa.array(labels, pa.string())
    file = io.BytesIO()
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata({_MODEL: _identity(model)}), file)
    path.parent.mkdir(parents=True, exist_ok=True)
    return atomic_write(path, file.getvalue())


def search(
    run: str | Path,
    query: str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    most: int = 10,
    skip_unreadable: bool = False,
) -> dict[str, Any]:
    r"""Return the images whose Z lies nearest to that of another.

    .. math:: s(x, y) = \cos\left(\frac{z(x) - \bar z}{\sigma_z}, \frac{z(y) - \bar z}{\sigma_z}\right)

    with the mean and deviation of Z over the training images.

    Args:
        run: a finished run of `plexus represent train`.
        query: an image file.
        data: an image file, folder, table, `digits` or hub id, or several; or the parquet file that `embed` made.
        most: how many to name.
        skip_unreadable: leave out images that cannot be read.

    Returns:
        `query`, `images` (how many were compared), `found` (path, label, similarity -1 to 1, the nearest first), and
        `picture`, a data URI of query and found images, where they were read and not only their Z.

    Raises:
        ConfigError: a query that is no single image, or nothing to search.
        RunError: a table that was made with another Z.

    Source: cosine similarity after Salton and McGill 1983, Introduction to modern information retrieval.

    Example:
        >>> search("nowhere", "cat.png", ["photos"])
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: ...
    """
    if most < 1:
        raise ConfigError(f"most={most} must be at least 1")
    model, space, record = open_model(run)
    white = white_of(record)
    if not Path(query).is_file():
        raise ConfigError(f"{query}: no such file; name one image")
    asked = next(read_batches([query], model.in_shape, white=white))[1][:1]
    direction = space.direction(encode(model, asked))
    nearest_images: list[tuple[float, str, str | None, Any]] = []
    seen = 0
    data = places(data)
    if len(data) == 1 and (table := _table(Path(data[0]), model)) is not None:
        paths, labels, z = table
        seen = len(paths)
        rows, values = nearest(direction, space.direction(z), most)
        nearest_images = [(float(v), paths[i], labels[i], None) for i, v in zip(rows[0], values[0], strict=True)]
    else:
        for samples, pixels in read_batches(data, model.in_shape, skip_unreadable=skip_unreadable, white=white):
            seen += len(samples)
            rows, values = nearest(direction, space.direction(encode(model, pixels)), most)
            nearest_images += [(float(v), samples[i].name, samples[i].label, pixels[i])
                      for i, v in zip(rows[0], values[0], strict=True)]  # fmt: skip
            nearest_images = sorted(nearest_images, key=lambda entry: -entry[0])[:most]
    pictures = [asked[0], *(entry[3] for entry in nearest_images)]
    whole = all(picture is not None for picture in pictures)
    return {
        "query": str(query),
        "images": seen,
        "found": [{"path": path, "label": label, "similarity": value} for value, path, label, _ in nearest_images],
        "picture": data_uri(grid([small(picture[None], 64) for picture in pictures], gap=2)) if whole else None,
    }


def _identity(model: Autoencoder) -> bytes:
    """The digest of a model's weights: what one model made of images means nothing to another."""
    weights = sorted(model.state_dict().items())
    parts = (part for name, value in weights for part in (name.encode(), value.cpu().contiguous().numpy().tobytes()))
    return digest(*parts).encode()


def _table(path: Path, model: Autoencoder) -> tuple[list[str], list[str | None], Floats] | None:
    """Paths, labels and Z of a file that `embed` made; None for anything else."""
    if path.suffix not in _TABLES or not path.is_file():
        return None
    try:
        schema = pq.read_schema(path)
        names = schema.names
        if "z" not in names or "path" not in names:
            return None
        table = pq.read_table(path)
        z = np.stack(table.column("z").to_numpy(zero_copy_only=False)).astype(np.float64)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RunError(f"{path}: cannot be read as a table of Z: {str(error).splitlines()[0]}") from None
    if z.ndim != 2 or z.shape[1] != model.dim:
        raise RunError(
            f"{path}: its Z has {z.shape[-1]} numbers, that of the run {model.dim}; embed the images with this run"
        )
    made_by = (schema.metadata or {}).get(_MODEL)
    if made_by is None:  # by an earlier version
        warnings.warn(
            f"{path}: does not say which run made it; it is taken for this one's", PlexusWarning, stacklevel=2
        )
    elif made_by != _identity(model):
        raise RunError(f"{path}: its Z was made by another run; embed the images with this run")
    labels = table.column("label").to_pylist() if "label" in names else [None] * len(z)
    return table.column("path").to_pylist(), labels, z
