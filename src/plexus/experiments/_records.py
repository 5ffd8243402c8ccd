"""Records of trials: one small JSON file each, in `RESULTS/STUDY/SCALE/VARIANT~SEED.json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from plexus.errors import RunError
from plexus.experiments._study import Scale, Study
from plexus.record import TrialRecord

_FILE = re.compile(r"(?P<variant>[^~]+)~(?P<seed>\d+)\.json")
FAILED = ".failed.json"
"""After the name of a trial: the note of why it failed."""


def records(folder: str | Path, study: Study | str, scale: str) -> list[dict[str, Any]]:
    """The records of the finished trials of a study at one scale, by seed and then by variant.

    Args:
        folder: the results folder.
        study: a study or its name; of a study, records that are `stale` are left out and its own order is kept.
        scale: quick, standard or full.

    Returns:
        The records, as they stand in the files.

    Raises:
        RunError: a record is not JSON, or not a record of this study and scale.

    Example:
        >>> records("/nowhere", "gain", "quick")
        []
    """
    name = study if isinstance(study, str) else study.name
    place = Path(folder) / name / scale
    found = [_read(path, name, scale) for path in sorted(place.glob("*~*.json")) if _FILE.fullmatch(path.name)]
    if isinstance(study, str):
        return sorted(found, key=lambda r: (r["seed"], r["variant"]))
    order = {variant.name: i for i, variant in enumerate(study.variants)}
    fresh = [r for r in found if difference(study, r) is None]
    return sorted(fresh, key=lambda r: (r["seed"], order[r["variant"]]))


def stale(folder: str | Path, study: Study, scale: str) -> dict[str, str]:
    """Records made with options that are not the study's any more: `VARIANT~SEED` -> what differs.

    Args:
        folder: the results folder.
        study: as it is now.
        scale: quick, standard or full.

    Returns:
        Empty where all are good.

    Raises:
        RunError: a record is not JSON, or not a record of this study and scale.

    Example:
        >>> from plexus.experiments import Scale, Study, Variant
        >>> study = Study("gain", "?", "a", (Variant("a"),), {"quick": Scale(None, 1, 3)}, "digits", trial=dict)
        >>> stale("/nowhere", study, "quick")
        {}
    """
    found = {f"{r['variant']}~{r['seed']}": difference(study, r) for r in records(folder, study.name, scale)}
    return {name: why for name, why in found.items() if why is not None}


def failures(folder: str | Path, study: Study | str, scale: str) -> dict[str, str]:
    """The trials that failed and have not ended well since: `VARIANT~SEED` -> the reason in one line.

    Args:
        folder: the results folder.
        study: a study or its name.
        scale: quick, standard or full.

    Returns:
        Empty where none failed.

    Example:
        >>> failures("/nowhere", "gain", "quick")
        {}
    """
    place = Path(folder) / (study if isinstance(study, str) else study.name) / scale
    return {p.name.removesuffix(FAILED): _error(p) for p in sorted(place.glob(f"*~*{FAILED}"))}


def _error(path: Path) -> str:
    """The error of a trial that failed."""
    try:
        return str(json.loads(path.read_bytes())["error"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "it failed, and what it said cannot be read"


def difference(study: Study, record: Mapping[str, Any]) -> str | None:
    """Return what sets a record's options apart from the study's own now, or None."""
    variant = next((v for v in study.variants if v.name == record["variant"]), None)
    if variant is None:
        return "no such variant any more"
    scale = study.scales.get(record["scale"])
    if scale is None:
        return "no such scale any more"
    pairs = [(plain(variant.options), record["options"]), (settings(scale), record.get("settings", {}))]
    return next((said for now, then in pairs if (said := _differ(now, then)) is not None), None)


def settings(scale: Scale) -> dict[str, Any]:
    """The part of a scale that its records keep; more seeds make no record stale."""
    return {"images": scale.images, "epochs": scale.epochs, "options": plain(scale.options)}


def plain(value: Any) -> Any:
    """The value as it comes back from JSON: tuples as lists, numbers of numpy and torch as plain ones, NaN as None."""
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{value!r:.60} is no plain JSON value")


def _differ(now: Mapping[str, Any], then: Mapping[str, Any]) -> str | None:
    keys: Iterable[str] = [*now, *(k for k in then if k not in now)]
    for key in keys:
        if key not in now or key not in then or now[key] != then[key]:
            return f"{key} was {then.get(key, 'not there')!r:.40}, is {now.get(key, 'not there')!r:.40}"
    return None


def _read(path: Path, study: str, scale: str) -> dict[str, Any]:
    record = TrialRecord.read(path)
    match = _FILE.fullmatch(path.name)
    assert match is not None
    here = (study, scale, match["variant"], int(match["seed"]))
    if (record.study, record.scale, record.variant, record.seed) != here:
        raise RunError(f"{path}: not the record of this trial; {record.remedy}")
    return record.to_dict()
