"""The learned wiring: strength of each connection, which to keep, and the plain net that is left."""

from plexus.graph import Edge, Wiring
from plexus.wiring._agreement import Agreement, agreement, random_wiring, residual_wiring
from plexus.wiring._cost import edge_costs, multiply_adds, parameters
from plexus.wiring._derive import derive, fresh, rebuild
from plexus.wiring._importance import importance
from plexus.wiring._inspect import trace
from plexus.wiring._prune import prune, steps
from plexus.wiring._source import to_source

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
