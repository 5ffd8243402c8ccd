"""Training: from a config to a run folder with a plain model and its evidence, and the loop that every task uses.

Names are loaded when they are first used: Lightning alone takes seconds to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazy_loader import attach

if TYPE_CHECKING:
    from plexus.training._backbone import Front, open_backbone
    from plexus.training._budget import Plan, plan
    from plexus.training._classification import (
        ClassificationModule,
        Normalize,
        accuracy,
        device,
        logits_of,
    )
    from plexus.training._config import BUDGETS, MEMORY, FitConfig
    from plexus.training._cut import GradualCut, Target, keep_channels, keep_strongest
    from plexus.training._distill import Teacher, distillation, open_teacher
    from plexus.training._fit import FIT, finished, fit, load_data, open_run, reprune, resume
    from plexus.training._held_out import cross_validated, held_out
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
    )
    from plexus.training._open_model import Opened, check_classes, check_logits, open_model
    from plexus.training._options import Declared, ImageOptions, Options, declared, option, read_yaml
    from plexus.training._predict import predict
    from plexus.training._read_model import learn, read_model
    from plexus.training._seeds import reduce_seed, seed_generators, step_seed
    from plexus.training.evaluation import picture
    from plexus.training.export import CALIBRATED, export_int8, export_onnx
    from plexus.training.run_folder import is_rank_zero, last_run

__getattr__, __dir__, __all__ = attach(
    __name__,
    submod_attrs={
        "_classification": [
            "ClassificationModule", "Normalize", "accuracy", "device", "logits_of",
        ],
        "_backbone": ["Front", "open_backbone"],
        "_budget": ["Plan", "plan"],
        "_config": ["BUDGETS", "MEMORY", "FitConfig"],
        "_cut": ["GradualCut", "Target", "keep_channels", "keep_strongest"],
        "_distill": ["Teacher", "distillation", "open_teacher"],
        "_held_out": ["cross_validated", "held_out"],
        "_fit": ["FIT", "finished", "fit", "load_data", "open_run", "reprune", "resume"],
        "_loop": ["Batches", "Loop", "Machine", "check_devices", "wait"],
        "_module": [
            "History", "Schedule", "TrainingModule", "exact_state", "gated", "load_exact", "one_cycle", "ramp",
        ],
        "_open_model": ["Opened", "check_classes", "check_logits", "open_model"],
        "_options": ["Declared", "ImageOptions", "Options", "declared", "option", "read_yaml"],
        "_predict": ["predict"],
        "_read_model": ["learn", "read_model"],
        "_seeds": ["reduce_seed", "seed_generators", "step_seed"],
        "evaluation": ["picture"],
        "export": ["CALIBRATED", "export_int8", "export_onnx"],
        "run_folder": ["is_rank_zero", "last_run"],
    },
)  # fmt: skip
