"""DICOM files are pictures like others."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plexus.data import UnreadableError, decode, load, open_samples, read_image
from plexus.errors import ConfigError

pydicom = pytest.importorskip("pydicom")


def write(path: Path, pixels: NDArray[Any], photometric: str = "MONOCHROME2", **tags: Any) -> Path:
    """Write an uncompressed DICOM file."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, 0
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


RAMP = (np.arange(24, dtype=np.uint8) * 10).reshape(4, 6)


def test_eight_bits_are_kept_and_monochrome1_is_inverted(tmp_path: Path) -> None:
    np.testing.assert_array_equal(open_samples(write(tmp_path / "a.dcm", RAMP)).pixels(0), RAMP)
    found = open_samples(write(tmp_path / "b.dcm", RAMP, "MONOCHROME1"))
    np.testing.assert_array_equal(found.pixels(0), 255 - RAMP)
    assert found.size(0) == (4, 6)
    assert found.pixels(0, (2, 3)).shape == (2, 3)


def test_colour_stays_colour(tmp_path: Path) -> None:
    pixels = np.stack([RAMP, RAMP // 2, 255 - RAMP], -1)
    np.testing.assert_array_equal(open_samples(write(tmp_path / "c.dcm", pixels, "RGB")).pixels(0), pixels)


def test_a_window_decides_and_else_the_range(tmp_path: Path) -> None:
    wide = RAMP.astype(np.uint16) * 16
    tags: dict[str, Any] = {"WindowCenter": 1000, "WindowWidth": 801, "RescaleSlope": 2, "RescaleIntercept": -100}
    low, high = 1000 - 400.5, 1000 + 400.5 - 1
    expected = np.rint(np.clip((2.0 * wide - 100 - low) / (high - low), 0, 1) * 255)
    np.testing.assert_array_equal(open_samples(write(tmp_path / "w.dcm", wide, **tags)).pixels(0), expected)
    expected = np.rint((wide - wide.min()) / float(np.ptp(wide)) * 255)
    np.testing.assert_array_equal(open_samples(write(tmp_path / "r.dcm", wide)).pixels(0), expected)


def test_a_folder_may_mix_them_with_masks(tmp_path: Path) -> None:
    from tests.data.images import png

    write(tmp_path / "a.dcm", RAMP)
    (tmp_path / "a_mask.png").write_bytes(png((RAMP > 99).astype(np.uint8) * 255))
    found = open_samples(tmp_path)
    assert (found.layout, found.samples[0].mask) == ("pairs", "a_mask.png")
    np.testing.assert_array_equal(found.mask(0), RAMP > 99)


def class_folders(root: Path) -> Path:
    """Three DICOM files in each of two classes."""
    for name in ("x", "y"):
        (root / "d" / name).mkdir(parents=True)
        for i in range(3):
            write(root / "d" / name / f"{i}.dcm", RAMP + i)
    return root / "d"


def test_every_way_to_read_reads_them(tmp_path: Path) -> None:
    folder = class_folders(tmp_path)
    samples = open_samples(folder).samples
    assert [(s.name, s.label) for s in samples] == [(f"{k}/{i}.dcm", k) for k in "xy" for i in range(3)]
    data = load(folder)
    assert (data.classes, data.in_shape, len(data.train)) == (("x", "y"), (1, 4, 6), 2)
    np.testing.assert_array_equal(decode(folder / "x" / "1.dcm"), RAMP + 1)
    np.testing.assert_array_equal(read_image(folder / "x" / "1.dcm", (3, 4, 6)), [RAMP + 1] * 3)


def test_damage_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"torn")
    with pytest.raises(UnreadableError, match="cannot be read as DICOM"):
        open_samples(tmp_path / "a.dcm").pixels(0)


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.dcm", RAMP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    for read in (open_samples, load, decode):
        with pytest.raises(ConfigError, match=r"DICOM files need pydicom: pip install 'plexus-nn\[dicom\]'"):
            read(class_folders(tmp_path) if read is load else tmp_path / "a.dcm")


TABLE = np.array([[0, 0, 0], [255, 0, 0], [128, 128, 128], [255, 255, 255]])


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_gives_its_colours(bits: int, tmp_path: Path) -> None:
    index = np.arange(48, dtype=np.uint8).reshape(6, 8) % 4
    tags: dict[str, Any] = {}
    for k, colour in enumerate(("Red", "Green", "Blue")):
        values = TABLE[:, k].astype(np.uint8 if bits == 8 else np.uint16) * (1 if bits == 8 else 257)
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, bits]
        tags[f"{colour}PaletteColorLookupTableData"] = values.tobytes()
    found = open_samples(write(tmp_path / "a.dcm", index, "PALETTE COLOR", **tags))
    np.testing.assert_array_equal(found.pixels(0), TABLE[index])


SPAN = np.rint(np.arange(24) * 255 / 23).reshape(4, 6)


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": 40},
        {"WindowWidth": 400},
        {"WindowCenter": [], "WindowWidth": []},
        {"WindowCenter": 40, "WindowWidth": 0},
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleSlope": 2},
        {"RescaleIntercept": -1024},
        {"PresentationLUTShape": "IDENTITY"},
        {"VOILUTFunction": "LINEAR"},
    ],
)
def test_what_is_empty_counts_as_absent(tags: dict[str, Any], tmp_path: Path) -> None:
    """Without a window the darkest value is 0 and the brightest 255, whatever the rescale."""
    pixels = (np.arange(24) * 40).astype(np.uint16).reshape(4, 6)
    np.testing.assert_array_equal(open_samples(write(tmp_path / "a.dcm", pixels, **tags)).pixels(0), SPAN)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_an_inverse_shape_inverts_once(photometric: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", RAMP, photometric, PresentationLUTShape="INVERSE")
    np.testing.assert_array_equal(open_samples(path).pixels(0), 255 - RAMP)


def test_windows_follow_their_function(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3: half at centre - 1/2, at the centre, and a logistic curve."""
    pixels = np.array([[0, 61, 99, 111, 141, 1000]], np.uint16)
    window: dict[str, Any] = {"WindowCenter": 100, "WindowWidth": 100}
    x = pixels.astype(float)
    expected = {
        "LINEAR": ((x - 99.5) / 99 + 0.5) * 255,
        "LINEAR_EXACT": ((x - 100) / 100 + 0.5) * 255,
        "SIGMOID": 255 / (1 + np.exp(-4 * (x - 100) / 100)),
    }
    for name, values in expected.items():
        found = open_samples(write(tmp_path / f"{name}.dcm", pixels, VOILUTFunction=name, **window))
        np.testing.assert_array_equal(found.pixels(0), np.rint(np.clip(values, 0, 255)))


def test_tables_of_values_are_applied(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    table = Dataset()
    shown = np.array([[0, 10, 20, 40, 80, 255]])
    table.LUTDescriptor, table.LUTData = [6, 0, 16], (shown * 257).astype(np.uint16).tobytes()
    table.ModalityLUTType = "US"
    pixels = np.array([[0, 1, 2, 3, 4, 5]], np.uint16)
    found = open_samples(write(tmp_path / "voi.dcm", pixels, VOILUTSequence=Sequence([table])))
    np.testing.assert_array_equal(found.pixels(0), shown)
    found = open_samples(write(tmp_path / "modality.dcm", pixels, ModalityLUTSequence=Sequence([table])))
    np.testing.assert_array_equal(found.pixels(0), shown)


def test_padding_is_no_part_of_the_range(tmp_path: Path) -> None:
    pixels = np.array([[0, 1000, 1100, 1200, 65000, 65000]], np.uint16)
    found = open_samples(write(tmp_path / "a.dcm", pixels, PixelPaddingValue=65000))
    assert found.pixels(0).tolist()[0][:4] == [0, 212, 234, 255]


def test_several_frames_are_told_and_values_beyond_the_window_make_no_copy(tmp_path: Path) -> None:
    from plexus.audit import fingerprint, near_duplicates

    wide = np.tile(RAMP.astype(np.uint16), (8, 8))
    other = wide.copy()
    other[0, 0] = 5  # darker than the window shows
    window: dict[str, Any] = {"WindowCenter": 150, "WindowWidth": 100}
    for name, values in (("a", wide), ("b", other), ("c", wide)):
        write(tmp_path / f"{name}.dcm", values, **window)
    both = np.concatenate([wide, other])
    write(tmp_path / "d.dcm", both, NumberOfFrames=2, Rows=len(wide), **window)
    samples = open_samples(tmp_path)
    near = near_duplicates(fingerprint(samples))
    pairs = {(int(a), int(b)): bool(same) for a, b, same in zip(near.a, near.b, near.exact, strict=True)}
    assert {pair for pair, same in pairs.items() if same} == {(0, 2)}
    np.testing.assert_array_equal(samples.pixels(0), samples.pixels(3))
    assert samples.notes == ("1 file holds several frames: the first is read (first: d.dcm)",)
