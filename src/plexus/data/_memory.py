"""Images that are in memory, or named one by one: arrays, tensors, lists, data sets of torch and Hugging Face."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.data._decode import is_dicom, opaque, require_pydicom
from plexus.data._open import open_samples
from plexus.data._remarks import Remarks
from plexus.data._samples import Entry, Sample, SampleSet
from plexus.data._scale import Scale, agreed_scale, range_of, scale_of
from plexus.data._sources import Source, White
from plexus.data._table import find_columns, table_entries
from plexus.data._wide import is_wide
from plexus.errors import DataError, short

WHERE = "images in memory"
_ROLES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, eq=False)
class Memory:
    """Images that were given as they are, rather than by the name of a place.

    Args:
        samples: the images, as uint8 pixels or files, with their labels.
        scale: the numbers that became black (0) and white (255); None for pixels that ran from 0 to 255 already.
        numbers: True where the labels were whole numbers, so that answers are, too.
        top: the largest number of pixels that are taken as they are; infinite where there are none.

    Example:
        >>> Memory(in_memory([np.zeros((4, 4), np.uint8)]).samples, None, numbers=False).samples.layout
        'arrays'
    """

    samples: SampleSet
    scale: Scale | None
    numbers: bool
    top: float = math.inf


class _Part(NamedTuple):
    """The images of one split: arrays of pixels, or places; and their labels and class names, where there are any."""

    images: list[Any]
    labels: list[Any] | None
    names: tuple[str, ...] = ()
    origin: Sequence[str] = ()


def is_place(data: Any) -> bool:
    """Return whether data are named by one place: ``digits``, a file or folder, or a hub id.

    Args:
        data: what a user gave.

    Example:
        >>> is_place("digits"), is_place(["cat.png"])
        (True, False)
    """
    return isinstance(data, str | Path)


def places(data: Any) -> list[Any]:
    """Return places as a list, where one may be given alone.

    Args:
        data: a place as for `is_place`, or several.

    Example:
        >>> places("photos"), places(["cat.png", "dog.png"])
        (['photos'], ['cat.png', 'dog.png'])
    """
    return [data] if is_place(data) else list(data)


def samples_of(data: Any, labels: Any = None) -> SampleSet:
    """Return whatever holds images as a set of samples.

    Args:
        data: a set of samples, the name of a place, see `open_samples`, or images in memory, see `in_memory`.
        labels: one class per image, where data does not bring them.

    Raises:
        DataError: no images.

    Example:
        >>> len(samples_of(np.zeros((2, 8, 8)))), len(samples_of("digits"))
        (2, 1797)
    """
    if isinstance(data, SampleSet):
        return data
    return open_samples(data) if is_place(data) else in_memory(data, labels).samples


def in_memory(
    data: Any, labels: Any = None, *, scale: Scale | None = None, trained: bool = False, label: str | None = None,
    in_shape: Sequence[int] | None = None,
) -> Memory:  # fmt: skip
    """Take images as they are in memory, or as a list of files.

    Args:
        data: an array or tensor (N, H, W), (N, C, H, W) or (N, H, W, C) with one or three channels; a list of arrays,
            Pillow images or paths; a torch `Dataset` of (image, label); a Hugging Face `Dataset`; a pair (images,
            labels) of these; or a dict of such by split: train, val, test.
        labels: one class per image, whole numbers or text, unless data brings them.
        scale: the numbers that a model was trained to see as black and white, see `Memory`.
        trained: take the scale as given, also where it is None; otherwise it is read off the numbers.
        label: the column of the labels, of a Hugging Face `Dataset`.
        in_shape: (C, H, W) of a model's images: then a single image is taken, too: (H, W), (H, W, 3), or (3, H, W) for
            a model of colour images.

    Raises:
        DataError: no images, or what cannot be one; in one line.

    Example:
        >>> memory = in_memory(np.zeros((2, 8, 8)), ["cat", "dog"])
        >>> memory.samples.classes, memory.scale, memory.numbers
        (('cat', 'dog'), (0.0, 1.0), False)
    """
    parts: dict[str | None, _Part]
    if isinstance(data, Mapping):
        parts = {_role(name): _part(part, None, label, None) for name, part in data.items()}
    else:
        parts = {None: _part(data, labels, label, in_shape)}
    if not any(part.images for part in parts.values()):
        raise DataError(f"{WHERE}: none are there: give one or more")
    if len({part.labels is None for part in parts.values()}) > 1:
        raise DataError(f"{WHERE}: one split has labels and another has not: give all or none")
    arrays = [image for part in parts.values() for image in part.images if isinstance(image, np.ndarray)]
    found = agreed_scale(arrays, scale) if trained else scale_of(arrays)
    classes, texts, numbers = _classes(parts)
    entries, taken = [], dict[str, int]()
    for role, part in parts.items():
        for i, image in enumerate(_pixels(part.images, found)):
            name = part.origin[i] if part.origin else f"row {i}" if role is None else f"{role} row {i}"
            taken[name] = taken.get(name, 0) + 1
            name = name if taken[name] == 1 else f"{name} ({taken[name]})"  # a file may be named twice
            text = None if part.labels is None else texts[part.labels[i]]
            entries.append(Entry(Sample(name, text, split=role), image))
    if any(isinstance(entry.image, Path) and is_dicom(entry.image) for entry in entries):
        require_pydicom(WHERE)
    notes = [] if found is None else [f"numbers from {found[0]:g} to {found[1]:g} are taken as black to white"]
    samples, images, masks = zip(*entries, strict=True)
    remarks = Remarks(notes)
    white = White(images, remarks)
    found_set = SampleSet(
        "arrays" if arrays else "files", WHERE, "arrays", samples, classes, images, masks, remarks, white=white
    )
    return Memory(found_set, found, numbers, range_of(arrays)[1] if arrays and found is None else math.inf)


def channels_first(images: Any) -> NDArray[Any]:
    """Return a stack of images with the channels where torch has them.

    Args:
        images: an array or tensor (N, H, W), (N, C, H, W) or (N, H, W, C) with one or three channels.

    Returns:
        (N, C, H, W), a view where that will do.

    Raises:
        DataError: no such stack.

    Example:
        >>> channels_first(np.zeros((5, 8, 6))).shape, channels_first(np.zeros((5, 8, 6, 3))).shape
        ((5, 1, 8, 6), (5, 3, 8, 6))
    """
    array = _array(images)
    if array is None:
        raise DataError(f"{short(images)} is no stack of images: give an array (N, H, W) or (N, C, H, W)")
    axis = _stack_axis(array, tensor=not isinstance(images, np.ndarray))
    return array[:, None] if axis == 0 else np.moveaxis(array, axis, 1)


def _stack_axis(array: NDArray[Any], *, tensor: bool) -> int:
    """The axis of the channels of a stack of images, 0 where greys have none."""
    axis, shape = _channels_at(array, tensor=tensor), tuple(array.shape)
    if axis is None:
        remedy = "drop the fourth channel: X[..., :3]" if len(shape) == 4 and 4 in (shape[1], shape[3]) else (
            "give (N, H, W), or one or three channels: (N, C, H, W) or (N, H, W, C)")  # fmt: skip
        raise DataError(f"an array of shape {shape} is no stack of images: {remedy}")
    if 0 in shape[1:]:
        raise DataError(f"an array of shape {shape} has images without pixels: give larger ones")
    return axis


def _role(name: Any) -> str:
    if str(name).lower() not in _ROLES:
        raise DataError(f"{WHERE}: {short(name)} is no split: name them train, val and test")
    return _ROLES[str(name).lower()]


def _part(data: Any, labels: Any, label: str | None, in_shape: Sequence[int] | None) -> _Part:
    """Images and labels of one split."""
    if isinstance(data, tuple) and len(data) == 2 and labels is None and not _is_image(data[0]):
        data, labels = data
    if _is_hub_table(data):
        return _table(data, label)
    if _is_torch(data, "utils.data", "DataLoader"):
        raise DataError("a torch DataLoader gives batches in an order of its own: give its data set: loader.dataset")
    if labels is None and _is_torch(data, "utils.data", "Dataset"):
        return _dataset(data)
    if labels is None and isinstance(data, list) and data and all(isinstance(x, tuple) and len(x) == 2 for x in data):
        data, labels = [image for image, _ in data], [name for _, name in data]
    images = _images(data, in_shape)
    values = None if labels is None else _labels(labels)
    if values is not None and len(values) != len(images):
        raise DataError(f"{len(values)} labels for {len(images)} images: give one for each")
    origin = [str(image) for image in images] if images and all(isinstance(x, Path) for x in images) else ()
    return _Part(images, values, origin=origin)


def _images(data: Any, in_shape: Sequence[int] | None) -> list[Any]:
    """Images one by one: (H, W) or (H, W, 3) of any numbers, or paths."""
    if isinstance(data, str | Path | Image.Image):
        return [_image(data)]
    array = _array(data)
    if array is None:
        if not isinstance(data, Iterable) or isinstance(data, Mapping):
            kinds = "an array, a tensor, a data set, or a list of images or paths"
            raise DataError(f"{short(data)} holds no images: give {kinds}")
        return [_image(image) for image in data]
    if array.dtype.kind in "OUS":  # of paths, or of images of several sizes
        return [_image(image) for image in array]
    if in_shape is not None and _is_one(array, in_shape):
        array = array[None]
    channels = _stack_axis(array, tensor=not isinstance(data, np.ndarray))
    return [_flat(image, channels) for image in array]


def _is_one(array: NDArray[Any], in_shape: Sequence[int]) -> bool:
    """Tell one image from a stack of grey ones, by the images that a model reads."""
    if array.ndim != 3:
        return array.ndim == 2
    return (array.shape[2] == 3 != in_shape[2]) or (array.shape[0] == 3 == in_shape[0])


def _channels_at(array: NDArray[Any], *, tensor: bool) -> int | None:
    """The axis of the channels in a stack: 1 or 3, 0 for greys without one; None where it is no stack of images."""
    if array.ndim == 3:
        return 0
    places = [axis for axis in (1, 3) if array.ndim == 4 and array.shape[axis] in (1, 3)]
    return None if not places else places[0] if tensor else places[-1]  # torch has channels first, others last


def _flat(image: NDArray[Any], channels: int) -> NDArray[Any]:
    image = np.moveaxis(image, 0, -1) if channels == 1 else image
    return image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image


def _image(image: Any) -> Any:
    """One image of a list."""
    if isinstance(image, str | Path):
        return Path(image)
    if isinstance(image, Image.Image):
        if is_wide(image) or image.mode == "F":  # Pillow would clip them at 255: they are scaled as arrays are
            return np.asarray(image)
        return np.asarray(image if image.mode == "L" else opaque(image)[0].convert("RGB"))
    array = _array(image)
    if array is None or array.dtype.kind not in "buif" or array.ndim not in (2, 3):
        raise DataError(f"{short(image)} is no image: give an array (H, W), (H, W, 3) or (3, H, W), or a path")
    if array.ndim == 2:
        return array
    channels = _channels_at(array[None], tensor=not isinstance(image, np.ndarray))
    if channels is None:
        raise DataError(f"an array of shape {array.shape} is no image: give (H, W), (H, W, 3) or (3, H, W)")
    return _flat(array, channels)


def _is_image(value: Any) -> bool:
    return isinstance(value, str | Path | Image.Image)


def _array(value: Any) -> NDArray[Any] | None:
    """A numpy view of an array or tensor; None for anything else."""
    if isinstance(value, np.ndarray):
        return value
    if _is_torch(value, "", "Tensor"):
        value = value.detach().cpu()
        return np.asarray(value.float() if str(value.dtype) == "torch.bfloat16" else value)
    if hasattr(value, "__array__") and not isinstance(value, Image.Image | str | Path) and hasattr(value, "ndim"):
        return np.asarray(value)
    return None


def _is_torch(value: Any, module: str, name: str) -> bool:
    """Return whether a value is of a class of torch; who has one has loaded torch."""
    torch = sys.modules.get(f"torch.{module}" if module else "torch")
    return torch is not None and isinstance(value, getattr(torch, name))


def _is_hub_table(data: Any) -> bool:
    datasets = sys.modules.get("datasets")
    return datasets is not None and isinstance(data, datasets.Dataset)


def _table(table: Any, label: str | None) -> _Part:
    """A Hugging Face data set: its columns are found as those of parquet files are."""
    where = "data set"
    columns = find_columns(table.features, where, label, labelled=True)
    entries, classes = table_entries({"train": table}, columns, where, labelled=True, files=True)
    kind = table.features[columns["label"]]
    labels: list[Any] = [entry.sample.label for entry in entries]
    if not getattr(kind, "names", None) and str(getattr(kind, "dtype", "")).startswith(("int", "uint")):
        labels = [int(text) for text in labels]
    return _Part([entry.image for entry in entries], labels, classes)


def _dataset(data: Any) -> _Part:
    """A torch data set of (image, label), read once into memory; its class names, where it has some."""
    images, labels = [], []
    # a data set without an end in sight is told by its length: `for x in data` would run past it
    items = (data[i] for i in range(len(data))) if hasattr(data, "__len__") else iter(data)
    for i, item in enumerate(items):
        if not isinstance(item, Sequence) or len(item) != 2:
            raise DataError(f"the data set's item {i} is {short(item)}: give a data set of pairs (image, label)")
        images.append(_image(item[0]))
        labels.append(item[1])
    values = _labels(labels)
    names = getattr(data, "classes", None)
    if isinstance(names, list | tuple) and all(isinstance(value, int) and 0 <= value < len(names) for value in values):
        return _Part(images, [str(names[value]) for value in values], tuple(map(str, names)))
    return _Part(images, values)


def _labels(labels: Any) -> list[Any]:
    """Labels as whole numbers, or else as text."""
    array = _array(labels)
    if array is None:
        if isinstance(labels, str) or not isinstance(labels, Iterable):
            raise DataError(f"labels are {short(labels)}: give one class per image")
        values = [value.item() if hasattr(value, "item") else value for value in labels]
        array = np.empty(len(values), object)
        array[:] = values
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        remedy = ", such as labels.argmax(1)" if array.ndim == 2 else ""
        raise DataError(f"labels have shape {tuple(array.shape)}: give one class per image{remedy}")
    values = array.tolist()
    for i, value in enumerate(values):
        if value is None or value != value or (isinstance(value, str) and not value):
            raise DataError(f"image {i} has no label: label it or take it out")
        if not isinstance(value, str | int | float | bytes):
            raise DataError(f"the label of image {i} is {short(value)}: give a whole number or text")
    if all(isinstance(value, int | float) for value in values):
        if broken := [value for value in values if value != np.floor(value) or abs(value) == np.inf]:
            raise DataError(f"labels hold {broken[0]:g}, which is no class: give whole numbers or text")
        return [int(value) for value in values]
    if any(isinstance(value, int | float) for value in values):
        raise DataError("some labels are numbers and some are text: give one kind")
    return [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values]


def _classes(parts: Mapping[str | None, _Part]) -> tuple[tuple[str, ...], dict[Any, str], bool]:
    """Class names in order, the name of each label, and whether labels are numbers."""
    used = {label for part in parts.values() for label in part.labels or ()}
    if len({type(label) for label in used}) > 1:
        raise DataError(f"{WHERE}: some labels are numbers and some are text: give one kind")
    declared = next((part.names for part in parts.values() if part.names), ())
    order = [name for name in declared if name in used] if used <= set(declared) else sorted(used)
    return tuple(map(str, order)), {label: str(label) for label in used}, bool(used) and isinstance(order[0], int)


def _pixels(images: list[Any], scale: Scale | None) -> Iterable[Source]:
    """Pixels in 8 bits; a stack would be held twice, so each image is turned alone."""
    for image in images:
        if not isinstance(image, np.ndarray) or image.dtype == np.uint8:
            yield image
        elif scale is None:
            yield np.rint(image).astype(np.uint8)
        else:
            share = (image.astype(np.float64) - scale[0]) / (scale[1] - scale[0])
            yield np.rint(share.clip(0, 1) * 255).astype(np.uint8)
