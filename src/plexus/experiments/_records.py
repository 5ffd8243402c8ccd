"""Records of trials: one small JSON file each, in `RESULTS/STUDY/SCALE/VARIANT~SEED.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plexus.errors import RunError
from plexus.experiments._study import Scale, Study
from plexus.record import TrialRecord, plain

_FILE = re.compile(r"[^~]+~\d+\.json")
FAILED = ".failed.json"
"""After the name of a trial: the note of why it failed."""


def records(folder: str | Path, study: Study | str, scale: str) -> list[TrialRecord]:
    """Read the records of the finished trials of a study at one scale, by seed and then by variant.

    Args:
        folder: the results folder.
        study: a study or its name; of a study, records that are `stale` are left out and its own order is kept.
        scale: quick, standard or full.

    Returns:
        The records.

    Raises:
        RunError: a record is not JSON, or not a record of this study and scale.

    Example:
        >>> records("/nowhere", "gain", "quick")
        []
    """
    name = study if isinstance(study, str) else study.name
    paths = sorted((Path(folder) / name / scale).glob("*~*.json"))
    trials = [_read(path, name, scale) for path in paths if _FILE.fullmatch(path.name)]
    if isinstance(study, str):
        return sorted(trials, key=lambda trial: (trial.seed, trial.variant))
    order = {variant.name: i for i, variant in enumerate(study.variants)}
    fresh = [trial for trial in trials if difference(study, trial) is None]
    return sorted(fresh, key=lambda trial: (trial.seed, order[trial.variant]))


def stale(folder: str | Path, study: Study, scale: str) -> dict[str, str]:
    """Find records that were made with options which are not the study's any more.

    Args:
        folder: the results folder.
        study: as it is now.
        scale: quick, standard or full.

    Returns:
        `VARIANT~SEED` -> what differs; empty where all are good.

    Raises:
        RunError: a record is not JSON, or not a record of this study and scale.

    Example:
        >>> from plexus.experiments import Scale, Study, Variant
        >>> study = Study("gain", "?", "a", (Variant("a"),), {"quick": Scale(None, 1, 3)}, "digits", trial=dict)
        >>> stale("/nowhere", study, "quick")
        {}
    """
    trials = records(folder, study.name, scale)
    return {f"{trial.variant}~{trial.seed}": why for trial in trials if (why := difference(study, trial)) is not None}


def failures(folder: str | Path, study: Study | str, scale: str) -> dict[str, str]:
    """Find the trials that failed and have not ended well since.

    Args:
        folder: the results folder.
        study: a study or its name.
        scale: quick, standard or full.

    Returns:
        `VARIANT~SEED` -> the reason in one line; empty where none failed.

    Example:
        >>> failures("/nowhere", "gain", "quick")
        {}
    """
    notes = sorted((Path(folder) / (study if isinstance(study, str) else study.name) / scale).glob(f"*~*{FAILED}"))
    return {note.name.removesuffix(FAILED): _error(note) for note in notes}


def _error(path: Path) -> str:
    """The error of a trial that failed."""
    try:
        return str(json.loads(path.read_bytes())["error"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "it failed, and what it said cannot be read"


def difference(study: Study, trial: TrialRecord) -> str | None:
    """Return what sets a record's options apart from the study's own now, or None."""
    variant = next((v for v in study.variants if v.name == trial.variant), None)
    if variant is None:
        return "no such variant any more"
    scale = study.scales.get(trial.scale)
    if scale is None:
        return "no such scale any more"
    return _differ(plain(variant.options), trial.options) or _differ(settings(scale), trial.settings)


def settings(scale: Scale) -> dict[str, Any]:
    """Return what a record keeps of its scale; more seeds make no record stale."""
    return {"images": scale.images, "epochs": scale.epochs, "options": plain(scale.options)}


def _differ(now: Mapping[str, Any], then: Mapping[str, Any]) -> str | None:
    for key in [*now, *(k for k in then if k not in now)]:
        if key not in now or key not in then or now[key] != then[key]:
            return f"{key} was {then.get(key, 'not there')!r:.40}, is {now.get(key, 'not there')!r:.40}"
    return None


def _read(path: Path, study: str, scale: str) -> TrialRecord:
    trial = TrialRecord.read(path)
    if (trial.study, trial.scale, f"{trial.variant}~{trial.seed}.json") != (study, scale, path.name):
        raise RunError(f"{path}: not the record of this trial; {trial.remedy}")
    return trial
