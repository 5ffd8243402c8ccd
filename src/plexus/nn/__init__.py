"""Layers: gated connections and the supernet they build; rotation, unit-norm and spherical neurons as drop-ins."""

from plexus.nn import functional, scaling
from plexus.nn._connection import Connection
from plexus.nn._convert import convert, fold, transplant
from plexus.nn._layers import DENSE, NEURON_LAYERS, NEURONS, UNIT_LAYERS, Recurrent, make_conv, make_linear
from plexus.nn._modules import evaluating
from plexus.nn._report import Report
from plexus.nn._rotation import RotConv2d
from plexus.nn._spherical import SphericalConv2d, SphericalLinear
from plexus.nn._supernet import Supernet
from plexus.nn._unit import UnitConv2d, UnitLinear

__all__ = [
    "DENSE",
    "NEURONS",
    "NEURON_LAYERS",
    "UNIT_LAYERS",
    "Connection",
    "Recurrent",
    "Report",
    "RotConv2d",
    "SphericalConv2d",
    "SphericalLinear",
    "Supernet",
    "UnitConv2d",
    "UnitLinear",
    "convert",
    "evaluating",
    "fold",
    "functional",
    "make_conv",
    "make_linear",
    "scaling",
    "transplant",
]
