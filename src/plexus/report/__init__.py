"""Records become HTML pages, one file each, that explain themselves and ask nothing of the network."""

from plexus.report._page import render, write_report
from plexus.report._rotation import render_rotation, rotation_lines, write_rotation

__all__ = ["render", "render_rotation", "rotation_lines", "write_report", "write_rotation"]
