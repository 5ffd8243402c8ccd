"""Inner loops that memory traffic dominates, fused so that each value is read once.

Nothing here is public. Numba and Triton are imported at the first call, never with the package.
"""

from plexus.nn.kernels._mix import Edges, gather, mixable, scatter, weigh
from plexus.nn.kernels._streams import fusible, mix, unit, unit_back, unmix

__all__ = ["Edges", "fusible", "gather", "mix", "mixable", "scatter", "unit", "unit_back", "unmix", "weigh"]
