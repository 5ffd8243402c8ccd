"""A run record becomes one HTML page that explains itself and asks nothing of the network."""

from plexus.report._page import render, write_report

__all__ = ["render", "write_report"]
