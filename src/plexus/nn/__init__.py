"""Layers: gated connections and the supernet they build."""

from plexus.nn import functional
from plexus.nn._connection import Connection
from plexus.nn._recurrent import Recurrent
from plexus.nn._supernet import Supernet

__all__ = ["Connection", "Recurrent", "Supernet", "functional"]
