"""Image data sets, one way for all: samples -> decode -> split -> batches -> augmentation.

`open_samples` finds images with their classes, masks, groups and splits as a `SampleSet`, each decoded when asked for:
files in any layout, rows of a table, ``digits``, a data set on the hub. `load` makes an `ImageData` of them, which is
three `Split`s, `load_segmentation` a `SegmentationDataset`; `read_image` and `read_batches` read into a model's shape.
`loader` makes batches; `augment`, `warp` and, with masks, `augment_pair` vary them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazy_loader import attach

from plexus.data._decode import UnreadableError, decode
from plexus.data._memory import Memory, channels_first, in_memory, is_place, places, samples_of
from plexus.data._open import open_samples
from plexus.data._pixels import COLOURLESS, data_uri, resize_image, resize_mask, stack, to_shape
from plexus.data._samples import Look, Sample, SampleSet

if TYPE_CHECKING:
    from plexus.data._arrays import ImageData, Split, pixel_statistics
    from plexus.data._augment import Augmentation, augment, augment_pair, warp
    from plexus.data._batches import EpochSampler, loader
    from plexus.data._load import load
    from plexus.data._read import located, read_batches, read_image
    from plexus.data._segmentation import SegmentationDataset, load_segmentation

# What needs torch is loaded when it is first used: an audit needs none.
__getattr__, _, __all__ = attach(
    __name__,
    submod_attrs={
        "_arrays": ["ImageData", "Split", "pixel_statistics"],
        "_augment": ["Augmentation", "augment", "augment_pair", "warp"],
        "_batches": ["EpochSampler", "loader"],
        "_load": ["load"],
        "_read": ["located", "read_batches", "read_image"],
        "_segmentation": ["SegmentationDataset", "load_segmentation"],
    },
)
__all__ += [
    "COLOURLESS", "Look", "Memory", "Sample", "SampleSet", "UnreadableError", "channels_first", "data_uri", "decode",
    "in_memory", "is_place", "open_samples", "places", "resize_image", "resize_mask", "samples_of", "stack", "to_shape",
]  # fmt: skip


def __dir__() -> list[str]:
    """Return all public names; that of `attach` would leave out those that are here already."""
    return sorted(__all__)
