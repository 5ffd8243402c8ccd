"""Training: from a config to a run folder with a plain model and its evidence."""

from plexus.train._config import FitConfig, read_yaml
from plexus.train._fit import fit, resume
from plexus.train._run import open_run

__all__ = ["FitConfig", "fit", "open_run", "read_yaml", "resume"]
