"""Single DICOM files as 8-bit pictures; pydicom is an extra."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from plexus.data._decode import UnreadableError, quiet
from plexus.errors import ConfigError

SUFFIX = ".dcm"


def is_dicom(path: Path) -> bool:
    """Say whether a file is named as DICOM."""
    return path.suffix.lower() == SUFFIX


def require_pydicom(where: str) -> None:
    """Refuse DICOM files where nothing can read them.

    Raises:
        ConfigError: pydicom is not installed; says how to get it.
    """
    if find_spec("pydicom") is None:
        raise ConfigError(f"{where}: DICOM files need pydicom: pip install 'plexus-nn[dicom]'")


def read_dicom(path: Path) -> Image.Image:
    """Read the first frame of a DICOM file as 8-bit grey ("L") or colour ("RGB").

    Colour is converted to RGB. Grey goes through the file's rescale and window; without a window, the frame's darkest
    and brightest values become 0 and 255, unless it has 8 bits, which are kept. MONOCHROME1 is inverted.

    Raises:
        UnreadableError: damaged, without pixels, or in a compression that no installed package reads.
    """
    import pydicom
    from pydicom.pixels import apply_rescale, pixel_array

    try:
        with quiet():
            dataset = pydicom.dcmread(path)
            frame = pixel_array(dataset, index=0)  # YBR becomes RGB
        if frame.ndim == 3:
            return Image.fromarray(np.ascontiguousarray(frame, np.uint8))
        values = apply_rescale(frame, dataset).astype(np.float64)
        if "WindowCenter" in dataset:
            centre, width = (float(np.atleast_1d(dataset[key].value)[0]) for key in ("WindowCenter", "WindowWidth"))
            low, high = centre - width / 2, centre + width / 2 - 1
        elif frame.dtype == np.uint8:
            values, low, high = frame.astype(np.float64), 0.0, 255.0
        else:
            low, high = float(values.min()), float(values.max())
        grey = np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            grey = 255 - grey
        return Image.fromarray(np.rint(grey).astype(np.uint8))
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except Exception as error:  # pydicom's readers raise nearly anything at damaged files
        raise UnreadableError(f"cannot be read as DICOM ({type(error).__name__}: {error})") from None
