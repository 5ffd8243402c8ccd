"""Ready-made stacks of legos and the classifier around them; the notes' network and its variants."""

from plexus.models._classifier import Classifier, head
from plexus.models._mini_vgg import VARIANTS, mini_vgg, variant
from plexus.models._presets import PRESETS, Preset, blocks, chain_of, deep, legos8, preset

__all__ = [
    "PRESETS",
    "VARIANTS",
    "Classifier",
    "Preset",
    "blocks",
    "chain_of",
    "deep",
    "head",
    "legos8",
    "mini_vgg",
    "preset",
    "variant",
]
