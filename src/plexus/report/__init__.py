"""Records become HTML pages, one file each, that explain themselves and ask nothing of the network."""

from plexus.report._audit import render_audit, write_audit
from plexus.report._claims import claims_lines, claims_markdown, render_claims, write_claims
from plexus.report._page import render, write_report
from plexus.report._represent import render_represent, write_represent
from plexus.report._rotation import render_rotation, rotation_lines, write_rotation
from plexus.report._segment import render_segment, write_segment
from plexus.report._study import render_study, write_study

__all__ = [
    "claims_lines",
    "claims_markdown",
    "render",
    "render_audit",
    "render_claims",
    "render_represent",
    "render_rotation",
    "render_segment",
    "render_study",
    "rotation_lines",
    "write_audit",
    "write_claims",
    "write_report",
    "write_represent",
    "write_rotation",
    "write_segment",
    "write_study",
]
