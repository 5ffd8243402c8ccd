"""Ready-made stacks of legos and the classifier around them."""

from plexus.models._presets import PRESETS, Preset, chain_of, preset
from plexus.models._classifier import Classifier, head

__all__ = ["PRESETS", "Classifier", "Preset", "chain_of", "head", "preset"]
