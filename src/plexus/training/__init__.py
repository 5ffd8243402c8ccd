"""Training: from a config to a run folder with a plain model and its evidence, and the loop that every task uses.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexus.training._classification import (
        ClassificationModule,
        MaskAnnealing,
        Normalize,
        accuracy,
        device,
        logits_of,
        set_masks,
    )
    from plexus.training._config import FitConfig
    from plexus.training._fit import finished, fit, open_run, reprune, resume
    from plexus.training._loop import Batches, Loop, Machine, check_devices, wait
    from plexus.training._module import (
        History,
        Schedule,
        TrainingModule,
        exact_state,
        gated,
        load_exact,
        one_cycle,
        ramp,
        reduce_seed,
        seed_generators,
        step_seed,
    )
    from plexus.training._options import Declared, ImageOptions, Options, declared, option, read_yaml
    from plexus.training._predict import predict
    from plexus.training.evaluation import picture
    from plexus.training.export import export_onnx
    from plexus.training.run_folder import is_rank_zero, last_run

_HOMES = {
    "_classification": (
        "ClassificationModule", "MaskAnnealing", "Normalize", "accuracy", "device", "logits_of", "set_masks",
    ),
    "_config": ("FitConfig",),
    "evaluation": ("picture",),
    "export": ("export_onnx",),
    "_fit": ("FIT", "finished", "fit", "open_run", "reprune", "resume"),
    "_loop": ("Batches", "Loop", "Machine", "check_devices", "wait"),
    "_module": (
        "History", "Schedule", "TrainingModule", "exact_state", "gated", "load_exact", "one_cycle", "ramp",
        "reduce_seed", "seed_generators", "step_seed",
    ),
    "_options": ("Declared", "ImageOptions", "Options", "declared", "option", "read_yaml"),
    "_predict": ("predict",),
    "run_folder": ("is_rank_zero", "last_run"),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = [
    "Batches",
    "ClassificationModule",
    "Declared",
    "FitConfig",
    "History",
    "ImageOptions",
    "Loop",
    "Machine",
    "MaskAnnealing",
    "Normalize",
    "Options",
    "Schedule",
    "TrainingModule",
    "accuracy",
    "check_devices",
    "declared",
    "device",
    "exact_state",
    "export_onnx",
    "finished",
    "fit",
    "gated",
    "is_rank_zero",
    "last_run",
    "load_exact",
    "logits_of",
    "one_cycle",
    "open_run",
    "option",
    "picture",
    "predict",
    "ramp",
    "read_yaml",
    "reduce_seed",
    "reprune",
    "resume",
    "seed_generators",
    "set_masks",
    "step_seed",
    "wait",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
