"""Ready-made stacks of legos and the classifier around them; the notes' networks, their variants, and a U-Net."""

from plexus.models._classifier import Classifier, head
from plexus.models._mini_vgg import VARIANTS, mini_vgg, variant
from plexus.models._presets import PRESETS, Preset, blocks, chain_of, deep, legos8, preset
from plexus.models._unet import Segmentation, UNet

__all__ = [
    "PRESETS",
    "VARIANTS",
    "Classifier",
    "Preset",
    "Segmentation",
    "UNet",
    "blocks",
    "chain_of",
    "deep",
    "head",
    "legos8",
    "mini_vgg",
    "preset",
    "variant",
]
