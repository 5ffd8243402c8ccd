"""Inner loops that memory traffic dominates, fused so that each value is read once.

Nothing here is public. Numba and Triton are imported at the first call, never with the package.
"""

from plexus.nn.kernels._mix import Edges, gather, mixable, scatter, weigh
from plexus.nn.kernels._planes import (
    average,
    average_back,
    convolve,
    convolve_back,
    largest,
    largest_back,
    planar,
    scale,
)
from plexus.nn.kernels._streams import fusible, mix, unit, unit_back, unmix

__all__ = [
    "Edges",
    "average",
    "average_back",
    "convolve",
    "convolve_back",
    "fusible",
    "gather",
    "largest",
    "largest_back",
    "mix",
    "mixable",
    "planar",
    "scale",
    "scatter",
    "unit",
    "unit_back",
    "unmix",
    "weigh",
]
