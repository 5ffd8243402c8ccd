"""Inner loops that memory traffic dominates, fused so that each value is read once."""

from plexus.nn.kernels._mix import mix, unmix

__all__ = ["mix", "unmix"]
