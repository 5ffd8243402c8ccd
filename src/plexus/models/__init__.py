"""Ready-made stacks of legos and the classifier around them."""

from plexus.models._classifier import Classifier, head
from plexus.models._presets import PRESETS, Preset, blocks, chain_of, deep, legos8, preset

__all__ = ["PRESETS", "Classifier", "Preset", "blocks", "chain_of", "deep", "head", "legos8", "preset"]
