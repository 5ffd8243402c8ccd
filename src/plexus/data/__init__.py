"""Image data sets: found, decoded, split by a seed, augmented and served in batches.

`load` gives an `ImageData` of three `Split`s; `loader` makes batches of one; `augment`, `warp` and, with masks,
`augment_pair` vary a batch; `decode` and `read_image` read single files just as `load` does. `open_samples` finds
images with their classes, masks, groups and splits as a `SampleSet`, for audits and segmentation; each of its images is
decoded when asked for.
"""

from plexus.data._augment import augment, augment_pair, warp
from plexus.data._batches import EpochSampler, loader
from plexus.data._decode import UnreadableError, decode, read_image
from plexus.data._load import load
from plexus.data._samples import Sample, SampleSet
from plexus.data._samples_open import open_samples
from plexus.data._types import ImageData, Split

__all__ = [
    "EpochSampler",
    "ImageData",
    "Sample",
    "SampleSet",
    "Split",
    "UnreadableError",
    "augment",
    "augment_pair",
    "decode",
    "load",
    "loader",
    "open_samples",
    "read_image",
    "warp",
]
