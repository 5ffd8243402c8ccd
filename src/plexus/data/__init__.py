"""Image data sets, one way for all: samples -> decode -> split -> batches -> augmentation.

`open_samples` finds images with their classes, masks, groups and splits as a `SampleSet`, each decoded when asked for:
files in any layout, rows of a table, ``digits``, a data set on the hub. `load` makes an `ImageData` of them, which is
three `Split`s, `load_segmentation` a `SegmentationDataset`; `read_image` and `read_batches` read into a model's shape.
`loader` makes batches; `augment`, `warp` and, with masks, `augment_pair` vary them.
"""

from plexus.data._arrays import ImageData, Split, pixel_statistics
from plexus.data._augment import augment, augment_pair, warp
from plexus.data._batches import EpochSampler, loader
from plexus.data._decode import UnreadableError, decode
from plexus.data._load import load
from plexus.data._open import open_samples
from plexus.data._pixels import resize_image, resize_mask, stack, to_shape
from plexus.data._read import read_batches, read_image
from plexus.data._samples import Sample, SampleSet
from plexus.data._segmentation import SegmentationDataset, load_segmentation

__all__ = [
    "EpochSampler",
    "ImageData",
    "Sample",
    "SampleSet",
    "SegmentationDataset",
    "Split",
    "UnreadableError",
    "augment",
    "augment_pair",
    "decode",
    "load",
    "load_segmentation",
    "loader",
    "open_samples",
    "pixel_statistics",
    "read_batches",
    "read_image",
    "resize_image",
    "resize_mask",
    "stack",
    "to_shape",
    "warp",
]
