"""Records become HTML pages, one file each, that explain themselves and ask nothing of the network."""

from plexus.report._claims import claims_lines, claims_markdown, render_claims, write_claims
from plexus.report._page import render, write_report
from plexus.report._rotation import render_rotation, rotation_lines, write_rotation
from plexus.report._study import render_study, write_study

__all__ = [
    "claims_lines",
    "claims_markdown",
    "render",
    "render_claims",
    "render_rotation",
    "render_study",
    "rotation_lines",
    "write_claims",
    "write_report",
    "write_rotation",
    "write_study",
]
