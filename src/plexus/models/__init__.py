"""Ready-made stacks of legos and the classifier around them; the notes' networks, a U-Net, and an autoencoder."""

from plexus.models._autoencoder import Autoencoder, read_autoencoder
from plexus.models._backbone import Area, Backbone, LinearHead
from plexus.models._efficientnet import (
    EfficientNetLite0,
    EfficientNetMaps,
    EfficientNetVectors,
    efficientnet_embedding,
    efficientnet_lite0,
)
from plexus.models._notes import VARIANTS, legos8, mini_vgg, variant
from plexus.models._presets import (
    PRESETS,
    Classifier,
    Preset,
    blocks,
    chain_of,
    deep,
    dense,
    head,
    maps,
    mix,
    preset,
    separable,
)
from plexus.models._resnet import ResidualBlock, resnet
from plexus.models._start import Start, check_start
from plexus.models._unet import Segmentation, UNet

__all__ = [
    "PRESETS",
    "VARIANTS",
    "Area",
    "Autoencoder",
    "Backbone",
    "Classifier",
    "EfficientNetLite0",
    "EfficientNetMaps",
    "EfficientNetVectors",
    "LinearHead",
    "Preset",
    "ResidualBlock",
    "Segmentation",
    "Start",
    "UNet",
    "blocks",
    "chain_of",
    "check_start",
    "deep",
    "dense",
    "efficientnet_embedding",
    "efficientnet_lite0",
    "head",
    "legos8",
    "maps",
    "mini_vgg",
    "mix",
    "preset",
    "read_autoencoder",
    "resnet",
    "separable",
    "variant",
]
