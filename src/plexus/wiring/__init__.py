"""The learned wiring: strength of each connection, which to keep, and the plain net that is left."""

from plexus.graph import Edge, Wiring
from plexus.wiring._agreement import Agreement, agreement
from plexus.wiring._cost import edge_costs, multiply_adds, parameters
from plexus.wiring._derive import derive, fresh, rebuild
from plexus.wiring._files import read_wiring, write_wiring
from plexus.wiring._importance import importance
from plexus.wiring._inspect import trace
from plexus.wiring._prune import BudgetRange, budget_range, prune, prune_to, steps
from plexus.wiring._random import random_maps, random_wiring, residual_wiring
from plexus.wiring._source import to_source

__all__ = [
    "Agreement",
    "BudgetRange",
    "Edge",
    "Wiring",
    "agreement",
    "budget_range",
    "derive",
    "edge_costs",
    "fresh",
    "importance",
    "multiply_adds",
    "parameters",
    "prune",
    "prune_to",
    "random_maps",
    "random_wiring",
    "read_wiring",
    "rebuild",
    "residual_wiring",
    "steps",
    "to_source",
    "trace",
    "write_wiring",
]
