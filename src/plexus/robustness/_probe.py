"""Probe of one or more models on one data set, as a record that a page can be made from."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

import plexus
from plexus.data import Memory
from plexus.errors import ConfigError
from plexus.nn import evaluating
from plexus.progress import bar, current
from plexus.record import FORMAT, RobustnessRecord
from plexus.robustness._curve import RotationCurve
from plexus.robustness._images import Chosen, choose_images
from plexus.robustness._rotation import rotate, rotation
from plexus.training import Opened, check_logits, open_model, picture

SHOWN = 12
"""Failing images that are kept as pictures, per model."""


def probe_models(
    models: Sequence[str | Path | nn.Module],
    data: str | Path | Memory,
    *,
    step: float = 1.0,
    images: int = 1000,
    mask: Literal["circle"] | None = "circle",
    seed: int = 0,
    size: int | None = None,
    mean: float = 0.0,
    std: float = 1.0,
    batch_size: int = 128,
    command: str = "",
    progress: bool = False,
    now: datetime.datetime | None = None,
) -> RobustnessRecord:
    """Turn test images through every model and record how each fares.

    Args:
        models: run folders, ONNX files, FILE.py:function[+WEIGHTS.safetensors], or torch modules.
        data: ``digits``, a folder or a hub id, whose test images are used; or images in memory, which all are.
        step: degrees from one angle to the next; multiples of 90 are always among them.
        images: how many test images, at most.
        mask: ``circle`` or None.
        seed: of the choice of images.
        size: resize images to SIZE x SIZE, where the model does not fix it.
        mean, std: of pixels 0..255, for models that want them scaled.
        batch_size: images in one forward pass.
        command: the command line that reproduces it.
        progress: say what was read, and show progress on stderr.
        now: the time to stamp it with.

    Returns:
        The record, which `rotation.json` holds; `plexus.report.write` makes the page of it.

    Raises:
        PlexusError: see its children; each message says what to do.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "own.py")
        ...     _ = file.write_text(
        ...         "from torch import nn\\ndef flat():\\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))"
        ...     )
        ...     record = probe_models([f"{file}:flat"], "digits", step=90, images=20)
        >>> record.models[0].curve.summary.angles, record.data.name
        ([0.0, 90.0, 180.0, 270.0], 'digits')
    """
    angles = _angles(step)
    for name, value in (("images", images), ("batch-size", batch_size)):
        if value < 1:
            raise ConfigError(f"--{name} {value}: give 1 or more")
    if std <= 0:
        raise ConfigError(f"--std {std:g}: give a number above 0")
    with bar("loading models", 1, progress):
        opened = [open_model(spec, **_scaling(spec, data, mean, std)) for spec in models]
    with ExitStack() as modes:
        for each in opened:  # a module may be the caller's, who trains it on afterwards
            modes.enter_context(evaluating(each.model))
        chosen = choose_images(opened, data if isinstance(data, Memory) else str(data), images, seed=seed, size=size)
        for each in opened:
            check_logits(each, chosen.pixels[:1], len(chosen.facts["classes"]))
        current().say(f"data    {chosen.summary}; {len(chosen.pixels):,} of the test images are turned")
        names = _names(opened)
        pixels = chosen.pixels.float()
        measured: list[dict[str, Any]] = []
        with bar("turning images", len(opened), progress) as turned:
            for i, (name, each) in enumerate(zip(names, opened, strict=True)):
                start = time.monotonic()
                curve = rotation(each.model, pixels, chosen.labels, angles, mask, progress=False, batch_size=batch_size)
                measured.append(
                    {
                        "name": name,
                        "source": each.source,
                        "own": chosen.facts["own"][i],
                        "seconds": time.monotonic() - start,
                        "curve": curve.to_dict(),
                        "failures": _failures(each, chosen, curve),
                        **({"unmasked": _unmasked(each.model, pixels, curve, batch_size)} if mask else {}),
                    }
                )
                turned(1, name)
    record = {
        "format": FORMAT,
        "created": f"{now or datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": command,
        "seed": seed,
        "finished": True,
        "versions": {"plexus": plexus.__version__, "python": platform.python_version(), "torch": torch.__version__},
        "mask": mask,
        "step": step,
        "data": {key: value for key, value in chosen.facts.items() if key != "own"},
        "models": measured,
    }
    return RobustnessRecord.from_dict(record)


def _unmasked(model: nn.Module, pixels: torch.Tensor, curve: RotationCurve, batch_size: int) -> dict[str, Any]:
    """Return what a model makes of upright images that keep their corners, beside what it makes of masked ones."""
    whole = rotation(model, pixels, curve.labels, (0,), None, progress=False, batch_size=batch_size)
    upright = whole.to_dict()["summary"]["groups"]["upright"]
    same = float((whole.upright == curve.upright).mean())
    return {"accuracy": upright["accuracy"], "ci": upright["accuracy_ci"], "same": same}


def _scaling(spec: str | Path | nn.Module, data: str | Path | Memory, mean: float, std: float) -> dict[str, float]:
    """Let a model see images in memory on the scale they have there; a run does its own."""
    own = not isinstance(spec, nn.Module) and Path(spec).is_dir()
    if isinstance(data, Memory) and data.scale is not None and not own and (mean, std) == (0.0, 1.0):
        low, high = data.scale
        return {"mean": -255 * low / (high - low), "std": 255 / (high - low)}
    return {"mean": mean, "std": std}


def _angles(step: float) -> list[float]:
    if not 0.05 <= step <= 180:
        raise ConfigError(f"--angles {step:g}: give the degrees between two angles, 0.05 to 180, such as 5")
    steps = {round(i * step, 6) for i in range(int(np.ceil(360 / step - 1e-9)))}
    return sorted(steps | {0.0, 90.0, 180.0, 270.0})


def _names(opened: Sequence[Opened]) -> list[str]:
    """Give short names, or the sources where two short names are equal."""
    short = [each.name for each in opened]
    names = [each.name if short.count(each.name) == 1 else each.source for each in opened]
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, 1)]


def _failures(each: Opened, chosen: Chosen, curve: RotationCurve) -> list[dict[str, Any]]:
    """Show the images that fail at the smallest turn, as they look upright and there."""
    turns, angles = curve.first_failure, curve.failing_angle
    order = [i for i in np.argsort(turns, kind="stable").tolist() if not np.isnan(turns[i])][:SHOWN]
    failures = []
    for i in order:
        pixels = rotate(chosen.pixels[i : i + 1].float(), [0.0, angles[i]], curve.mask)[:, 0]
        with torch.inference_mode():
            probabilities = each.model(pixels).float().softmax(1)
        shown = pixels.round().clamp(0, 255).to(torch.uint8)
        true = int(chosen.labels[i])
        predicted = int(curve.predicted[curve.angles.index(angles[i]), i])
        failures.append(
            {
                "name": chosen.names[i],
                "true": true,
                "predicted": predicted,
                "angle": float(angles[i]),
                "before": float(probabilities[0, true]),
                "after": float(probabilities[1, true]),
                "probability": float(probabilities[1, predicted]),
                "upright": picture(shown[0]),
                "turned": picture(shown[1]),
            }
        )
    return failures
