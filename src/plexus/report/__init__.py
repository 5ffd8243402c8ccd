"""Records become HTML pages, one file each, that explain themselves and ask nothing of the network.

Charts and statistics load with the name that needs them: a training that has not begun need not wait for its page.
"""

from typing import TYPE_CHECKING

from lazy_loader import attach

if TYPE_CHECKING:
    from plexus.report._advice import next_steps
    from plexus.report._claims import claims_lines, claims_markdown
    from plexus.report._page import render, write, write_run
    from plexus.report._robustness import rotation_lines

__all__ = ["claims_lines", "claims_markdown", "next_steps", "render", "rotation_lines", "write", "write_run"]

__getattr__, __dir__, _ = attach(
    __name__,
    submod_attrs={
        "_advice": ["next_steps"],
        "_claims": ["claims_lines", "claims_markdown"],
        "_page": ["render", "write", "write_run"],
        "_robustness": ["rotation_lines"],
    },
)
