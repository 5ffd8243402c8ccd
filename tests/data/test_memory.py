"""Images in memory: whatever holds them, the same samples come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from plexus.data import in_memory, load
from plexus.errors import DataError

GREY = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]


class Pairs(Dataset[Any]):
    classes = ("cat", "dog", "emu")

    def __len__(self) -> int:
        return len(GREY)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(GREY[index])[None].float() / 255, LABELS[index]


def pixels(data: Any, labels: Any = None) -> np.ndarray[Any, Any]:
    samples = in_memory(data, labels).samples
    return np.stack([samples.pixels(i) for i in range(len(samples))])


@pytest.mark.parametrize(
    "data",
    [
        GREY,
        GREY[:, None],
        GREY[..., None],
        torch.from_numpy(GREY),
        torch.from_numpy(GREY)[:, None],
        list(GREY),
        [torch.from_numpy(image) for image in GREY],
        [Image.fromarray(image) for image in GREY],
        GREY.astype(np.int64),
        GREY.astype(float),
        GREY / 255,
        torch.from_numpy(GREY).float() / 255,
        (GREY, LABELS),
        [(image, label) for image, label in zip(GREY, LABELS, strict=True)],
        TensorDataset(torch.from_numpy(GREY), torch.tensor(LABELS)),
        Pairs(),
    ],
)
def test_grey_images_are_the_same_in_every_container(data: Any) -> None:
    np.testing.assert_array_equal(pixels(data), GREY)


@pytest.mark.parametrize("kind", [np.uint16, np.dtype(">u2"), np.int32, np.float32])
def test_pillow_images_of_more_than_8_bits_are_scaled_as_arrays_are(kind: Any) -> None:
    values = (GREY.astype(np.int64) * 16).astype(kind)
    mode = {"<u2": "I;16", ">u2": "I;16B", "<i4": "I", "<f4": "F"}[values.dtype.str]
    images = [Image.frombytes(mode, image.shape[::-1], image.tobytes()) for image in values]
    np.testing.assert_array_equal(pixels(images), pixels(values))
    assert np.ptp(pixels(images)) == 255
    assert in_memory(images).samples.notes == in_memory(values).samples.notes


def test_a_transparent_pillow_image_is_the_same_as_its_file(tmp_path: Path) -> None:
    image = Image.merge("RGBA", [Image.fromarray(channel) for channel in (*COLOUR[0].transpose(2, 0, 1), GREY[0])])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels([image]), pixels([tmp_path / "a.png"]))


@pytest.mark.parametrize(
    "data",
    [
        COLOUR,
        COLOUR.transpose(0, 3, 1, 2),
        torch.from_numpy(COLOUR.transpose(0, 3, 1, 2)),
        list(COLOUR),
        [Image.fromarray(image) for image in COLOUR],
        COLOUR / 255,
        {"train": (COLOUR[:4], LABELS[:4]), "test": (COLOUR[4:], LABELS[4:])},
    ],
)
def test_colours_are_the_same_in_every_layout(data: Any) -> None:
    np.testing.assert_array_equal(pixels(data), COLOUR)


def test_a_list_of_paths_keeps_their_names(tmp_path: Path) -> None:
    for i, image in enumerate(GREY):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    paths = [tmp_path / f"{i}.png" for i in (3, 1, 1)]
    samples = in_memory(paths, ["a", "b", "b"]).samples
    assert [sample.name for sample in samples.samples] == [str(paths[0]), str(paths[1]), f"{paths[1]} (2)"]
    np.testing.assert_array_equal(samples.pixels(0), GREY[3])


def test_a_hugging_face_data_set_has_its_names() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["emu", "cat"])})
    rows = {"image": [Image.fromarray(image) for image in GREY], "label": [0, 1] * 3}
    table = datasets.Dataset.from_dict(rows, features=features)
    memory = in_memory(table)
    assert memory.samples.classes == ("emu", "cat")
    np.testing.assert_array_equal(pixels(table), GREY)
    split = in_memory(datasets.DatasetDict({"train": table, "validation": table}))
    assert split.samples.splits == ("train", "val")


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ([10, 2, 2, 10, 2, 10], ("2", "10"), True),
        (np.array([1.0, 0, 0, 1, 0, 1]), ("0", "1"), True),
        (torch.tensor([[1], [0], [0], [1], [0], [1]]), ("0", "1"), True),
        (["b", "a", "a", "b", "a", "b"], ("a", "b"), False),
        (np.array(["b", "a", "a", "b", "a", "b"]), ("a", "b"), False),
        ([True, False] * 3, ("0", "1"), True),
    ],
)
def test_classes_are_in_order_and_numbers_stay_numbers(labels: Any, classes: tuple[str, ...], numbers: bool) -> None:
    memory = in_memory(GREY, labels)
    assert (memory.samples.classes, memory.numbers) == (classes, numbers)
    assert load(memory.samples).classes == classes


@pytest.mark.parametrize(
    ("images", "scale"),
    [
        (GREY, None),
        (GREY / 255, (0.0, 1.0)),
        (GREY.astype(np.uint16) // 16, None),  # whole numbers from 0 to 15 lose nothing
        (np.arange(120.0).reshape(6, 5, 4) * 34, (0.0, 4046.0)),
        (np.linspace(-2, 3, 120).reshape(6, 5, 4), (-2.0, 3.0)),
        (GREY > 99, (0.0, 1.0)),
    ],
)
def test_the_scale_is_read_off_all_images_together(images: Any, scale: Any) -> None:
    memory = in_memory(images)
    assert memory.scale == scale
    again = in_memory(images[:1], scale=memory.scale, trained=True)  # one image is read as it was among the others
    np.testing.assert_array_equal(again.samples.pixels(0), memory.samples.pixels(0))


def test_a_trained_model_tells_zero_to_one_from_bytes() -> None:
    as_bytes = in_memory(GREY, scale=(0.0, 1.0), trained=True).samples.pixels(0)
    as_shares = in_memory(GREY / 255, scale=None, trained=True).samples.pixels(0)
    np.testing.assert_array_equal(as_bytes, GREY[0])
    np.testing.assert_array_equal(as_shares, GREY[0])
    with pytest.raises(DataError, match="from -3 to 0, and the model was trained on 0 to 255: scale them alike"):
        in_memory(GREY * 0.0 - 3 * (GREY > 9), scale=None, trained=True)


@pytest.mark.parametrize(
    ("data", "labels", "told"),
    [
        (np.zeros((4, 9)), [0] * 4, r"shape \(4, 9\) is no stack of images: give \(N, H, W\)"),
        (np.zeros((4, 5, 5, 4)), [0] * 4, r"drop the fourth channel: X\[..., :3\]"),
        (np.zeros((4, 5, 5)), [0] * 3, "3 labels for 4 images: give one for each"),
        (
            np.zeros((4, 5, 5)),
            np.eye(4),
            r"labels have shape \(4, 4\): give one class per image, such as labels.argmax",
        ),
        (np.zeros((4, 5, 5)), [0.5] * 4, "labels hold 0.5, which is no class"),
        (np.zeros((4, 5, 5)), [0, 1, None, 1], "image 2 has no label"),
        (np.zeros((4, 5, 5)), [0, "a", 0, "a"], "some labels are numbers and some are text"),
        (np.full((4, 5, 5), np.nan), [0] * 4, "pixels hold NaN or infinite numbers"),
        (np.zeros((0, 5, 5)), [], "none are there"),
        ([], [], "none are there"),
        (17, [0], "17 holds no images: give an array"),
        ([np.zeros(3)], [0], r"a ndarray of shape \(3,\) is no image"),
        (np.zeros((2, 5, 5), complex), [0, 1], "complex128 holds no pixels"),
        ({"train": GREY, "extra": GREY}, None, "'extra' is no split: name them train, val and test"),
        (DataLoader(Pairs()), None, "give its data set: loader.dataset"),
        (TensorDataset(torch.zeros(2, 5, 5)), None, "give a data set of pairs"),
    ],
)
def test_what_cannot_be_images_is_told_in_a_short_line(data: Any, labels: Any, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        in_memory(data, labels)
    assert len(str(error.value)) < 200
