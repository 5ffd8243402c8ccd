"""Ready-made stacks of legos and the classifier around them; the notes' networks, a U-Net, and an autoencoder."""

from plexus.models._autoencoder import Autoencoder, read_autoencoder
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
    "Autoencoder",
    "Classifier",
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
    "head",
    "legos8",
    "mini_vgg",
    "mix",
    "preset",
    "read_autoencoder",
    "resnet",
    "separable",
    "variant",
]
