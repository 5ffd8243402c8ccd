"""The learned wiring: how strong each connection is, which to keep, and the plain net that is left."""

from plexus.graph import Edge, Wiring
from plexus.wiring._agreement import Agreement, agreement
from plexus.wiring._cost import edge_costs, multiply_adds
from plexus.wiring._derive import derive, fresh, rebuild
from plexus.wiring._importance import importance
from plexus.wiring._prune import parameters, prune, steps
from plexus.wiring._random import random_wiring, residual_wiring
from plexus.wiring._source import to_source
from plexus.wiring._trace import trace

__all__ = [
    "Agreement",
    "Edge",
    "Wiring",
    "agreement",
    "derive",
    "edge_costs",
    "fresh",
    "importance",
    "multiply_adds",
    "parameters",
    "prune",
    "random_wiring",
    "rebuild",
    "residual_wiring",
    "steps",
    "to_source",
    "trace",
]
