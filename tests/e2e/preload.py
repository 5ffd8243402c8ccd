"""What every command imports, once: the processes that run the tests' commands are forked from here."""

import math

import datasets  # noqa: F401
import numba  # noqa: F401
import rich.progress  # noqa: F401
import torch
import torch.utils.tensorboard
from torch import fx, nn

import plexus.cli.fit
import plexus.cli.predict
import plexus.cli.probe
import plexus.cli.prune
import plexus.cli.report
import plexus.progress
import plexus.report
import plexus.training.evaluation
from plexus.robustness import probe_models  # noqa: F401
from plexus.training.onnx_model import to_onnx

plexus.progress.FIRST = math.inf  # see tests/conftest.py
to_onnx(fx.symbolic_trace(nn.Flatten()), (1, 2, 2))  # the exporter loads most of itself when it is first used
assert torch.get_num_threads() == 1
