"""DICOM files: the first frame, as the standard says it is to be shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plexus.record import open_file


def read_dicom(path: str) -> tuple[Image.Image, NDArray[Any], bool]:
    """Read the first frame of a DICOM file as 8-bit grey or colour; call it where pydicom is installed.

    With it come the stored values, and True where the file holds more frames.

    A palette gives its colours. Grey goes through the modality's rescale or table, then through the window or the table
    of values of interest. Without these the darkest and brightest values become 0 and 255 (padding aside), but 8 bits
    stay as they are. What is present but empty counts as absent. MONOCHROME1, or else an inverse look-up shape, is
    inverted.

    Source: DICOM PS3.3, C.7.6.3, C.11.1, C.11.2 and C.11.6.

    Raises:
        Exception: of nearly any kind, at a damaged file.
    """
    import pydicom
    from pydicom.pixels import pixel_array

    with open_file(path) as file:
        dataset = pydicom.dcmread(file)
    frame = pixel_array(dataset, index=0)  # YBR becomes RGB
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = _palette(frame, dataset)
    else:
        pixels = np.ascontiguousarray(_to_8_bits(frame, dataset)) if frame.ndim == 3 else _grey(frame, dataset)
    return Image.fromarray(pixels), frame, (_number(dataset, "NumberOfFrames") or 1) > 1


def size_of_dicom(path: str) -> tuple[int, int]:
    """Return rows and columns from the head of a file."""
    import pydicom

    with open_file(path) as file:
        head = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    return int(head.Rows), int(head.Columns)


def _palette(frame: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_color_lut

    colours = apply_color_lut(frame, dataset)[..., :3]
    bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    return _scaled(colours, 255 if bits == 8 else 65535)


def _to_8_bits(frame: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Colours of more than 8 bits, by the bits that are stored."""
    return frame if frame.dtype == np.uint8 else _scaled(frame, 2 ** int(dataset.BitsStored) - 1)


def _scaled(values: NDArray[Any], white: int) -> NDArray[np.uint8]:
    return np.clip(np.rint(values.astype(np.float64) * (255 / white)), 0, 255).astype(np.uint8)


def _grey(frame: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_modality_lut, apply_voi

    if dataset.get("ModalityLUTSequence"):
        values = apply_modality_lut(frame, dataset).astype(np.float64)
    else:
        slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
        values = frame.astype(np.float64) * (1 if slope is None else slope) + (intercept or 0)
    centre, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if centre is not None and width is not None and width > 0:
        grey = _windowed(values, centre, width, str(dataset.get("VOILUTFunction") or "LINEAR").upper())
    elif dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        grey = apply_voi(values.astype(frame.dtype), dataset) * (255 / (2 ** int(table.LUTDescriptor[2]) - 1))
    elif frame.dtype == np.uint8:
        grey = frame.astype(np.float64)
    else:
        grey = _stretched(values, frame, dataset)
    shape = str(dataset.get("PresentationLUTShape") or "").upper()
    if dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE":
        grey = 255 - np.clip(grey, 0, 255)
    return np.rint(np.clip(grey, 0, 255)).astype(np.uint8)


def _windowed(values: NDArray[np.float64], centre: float, width: float, function: str) -> NDArray[np.float64]:
    """The equations of C.11.2.1.2 and C.11.2.1.3, from 0 to 255."""
    if function == "SIGMOID":
        return 255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    low, high = centre - width / 2, centre + width / 2 - (function == "LINEAR")
    return (values - low) * (255 / max(high - low, 1e-12))


def _stretched(values: NDArray[np.float64], frame: NDArray[Any], dataset: Any) -> NDArray[np.float64]:
    """From the darkest value to the brightest; padding, which is no part of the picture, is as dark as the darkest."""
    padding = _number(dataset, "PixelPaddingValue")
    shown = values if padding is None else values[frame != padding]
    if not shown.size:
        shown = values
    low, high = float(shown.min()), float(shown.max())
    return (np.clip(values, low, high) - low) * (255 / max(high - low, 1e-12))


def _number(dataset: Any, name: str) -> float | None:
    """The first value of an element; None where it is absent or empty."""
    value = dataset.get(name)
    several = np.atleast_1d([] if value is None or value == "" else value)
    return float(several[0]) if several.size else None
