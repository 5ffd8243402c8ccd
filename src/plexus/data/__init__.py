"""Image data sets: found, decoded, split by a seed, augmented and served in batches.

`load` gives an `ImageData` of three `Split`s; `loader` makes batches of one; `augment` varies a batch; `decode` and
`read_image` read single files just as `load` does.
"""

from plexus.data._augment import augment
from plexus.data._batches import EpochSampler, loader
from plexus.data._decode import decode, read_image
from plexus.data._load import load
from plexus.data._types import ImageData, Split

__all__ = ["EpochSampler", "ImageData", "Split", "augment", "decode", "load", "loader", "read_image"]
