"""Representations: one latent Z that generates and discriminates, and new tasks that start from it.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazy_loader import attach

if TYPE_CHECKING:
    from plexus.represent._config import RepresentConfig
    from plexus.represent._embed import embed, search
    from plexus.represent._probe import probe
    from plexus.represent._train import finished, open_run, resume, train
    from plexus.represent.episodes import fewshot
    from plexus.represent.variation import vary

__getattr__, __dir__, __all__ = attach(
    __name__,
    submod_attrs={
        "_config": ["RepresentConfig"],
        "_embed": ["embed", "search"],
        "_probe": ["probe"],
        "_train": ["finished", "open_run", "resume", "train"],
        "episodes": ["fewshot"],
        "variation": ["vary"],
    },
)
