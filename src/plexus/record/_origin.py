"""The origin of a record: versions of libraries, the machine, the cores that the process may use; loads no torch."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import plexus


def versions(*libraries: str) -> dict[str, str]:
    """Return the versions of what a result depends on.

    Args:
        libraries: by the names they are installed by; those that are not installed are left out.

    Returns:
        plexus, python and the libraries -> version.

    Example:
        >>> sorted(versions("numpy", "no-such-library"))
        ['numpy', 'plexus', 'python']
    """
    numbers = {"plexus": plexus.__version__, "python": platform.python_version()}
    for name in libraries:
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            continue
    return numbers


def machine() -> dict[str, Any]:
    """Return what a result was measured on.

    Returns:
        processor, cores that may be used, system; threads and gpu of torch, where it is loaded and has one.

    Example:
        >>> machine()["cores"] > 0
        True
    """
    facts: dict[str, Any] = {"processor": _processor(), "cores": cores(), "system": platform.platform(terse=True)}
    if (torch := sys.modules.get("torch")) is not None:
        facts["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            facts["gpu"] = torch.cuda.get_device_name()
    return facts


def cores() -> int:
    """Count the cores that this process may use, which a container or a scheduler may have limited.

    Example:
        >>> cores() > 0
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
