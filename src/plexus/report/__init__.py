"""Records become HTML pages, one file each, that explain themselves and ask nothing of the network."""

from plexus.report._advice import next_steps
from plexus.report._claims import claims_lines, claims_markdown
from plexus.report._page import render, write, write_run
from plexus.report._robustness import rotation_lines

__all__ = ["claims_lines", "claims_markdown", "next_steps", "render", "rotation_lines", "write", "write_run"]
