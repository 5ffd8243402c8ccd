"""A run measured on data that it was not trained on."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from plexus.data import SegmentationDataset, load_segmentation, open_samples
from plexus.errors import DataError, RunError
from plexus.record import FORMAT, check_place, plain, read_file, to_json, versions
from plexus.segment._task import figures
from plexus.segment._train import SEGMENT
from plexus.segment.measure import KINDS, Answers
from plexus.segment.nets import to_bytes
from plexus.segment.prediction import Run, Told, open_finished
from plexus.training.run_folder import make_folder, refuse_used

_AT_ONCE = 16


def evaluate(
    run: str | Path,
    data: str | Path,
    *,
    out: str | Path | None = None,
    gate: str | None = None,
    flips: bool = False,
    window: bool = False,
    unseen: bool = False,
    group_from: str | None = None,
    mask_suffix: str | None = None,
    missing_mask: str | None = None,
    ignore: int | None = None,
    skip_unreadable: bool = False,
    command: str = "",
    page: Callable[[dict[str, Any]], str] | None = None,
    tell: Told = lambda line: None,
) -> dict[str, Any]:
    """Measure a run on other images with masks, and write `evaluation.json`; gates stay as the run chose them.

    Args:
        run: a finished run; the mean of its nets answers.
        data: images with masks; of data with a test split, that split.
        out: the folder to make; by default RUN/evaluation.
        gate: whose masks are described one by one; by default the run's own.
        flips, window, skip_unreadable: see `predict`.
        unseen: leave out images that are among those of the run.
        group_from, mask_suffix, missing_mask, ignore: see `SegmentConfig`; by default as in the run. An empty
            `group_from` makes no groups.
        command: the command line that reproduces it.
        page: makes `report.html` of the record, so that both are there or none; see `plexus.report.render`.
        tell: called with a line for whatever makes the figures doubtful.

    Returns:
        The record, as the run's own is; its measured_on names the data.

    Raises:
        RunError: the run is not finished or broken, or the folder is in use.
        DataError: data that cannot be used.

    Example:
        >>> evaluate("nowhere", "scans")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus segment train`
    """
    start, folder, opened = time.monotonic(), Path(run), open_finished(run)
    target = Path(out) if out is not None else folder / "evaluation"
    refuse_used(target)
    check_place(target, folder=True)
    config = opened.config
    kind = opened.record["chosen"] if gate is None else gate
    kinds = dict.fromkeys([*KINDS, opened.record["chosen"], kind])
    gates = {each: opened.gate(each) for each in kinds}
    pattern = config.group_from if group_from is None else group_from
    source = open_samples(
        data, masks=True, group_from=pattern,
        mask_suffix=config.mask_suffix if mask_suffix is None else mask_suffix,
        missing_mask=missing_mask or config.missing_mask,  # type: ignore[arg-type]
        ignore=config.ignore if ignore is None else ignore,
    ).scaled(opened.white)  # fmt: skip
    notes = []
    test = [i for i, sample in enumerate(source.samples) if sample.split == "test"]
    if test and len(test) < len(source):
        notes.append(f"of {len(source)} images the {len(test)} of the test split are measured")
        source = source.take(test)
    pairs = load_segmentation(
        source, config.shape, channels=int(opened.record["data"]["channels"]), skip_unreadable=skip_unreadable,
        missing_mask=missing_mask or config.missing_mask,
    )  # fmt: skip
    pairs = _seen(folder, pairs, unseen, notes, tell)
    answers = _answers(opened, pairs, flips=flips, window=window)
    parts = figures(
        answers, pairs, {each: [g] * len(pairs) for each, g in gates.items()}, kind, seed=config.seed, notes=notes
    )
    record = {
        "format": FORMAT,
        "kind": SEGMENT.name,
        "created": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": command,
        "seed": config.seed,
        "finished": True,
        "config": asdict(config) | {"gate": kind, "flips": flips, "window": window, "group_from": pattern},
        "versions": versions("torch", "lightning"),
        "machine": opened.record["machine"],
        "data": {
            "name": source.name,
            "fingerprint": pairs.fingerprint,
            "images": len(pairs),
            "present": int(pairs.present.sum()),
            "groups": len({g for g in pairs.groups if g is not None}) or None,
            "size": list(config.shape),
            "white": source.white.value,
            "skipped": list(pairs.skipped),
            "notes": [*source.notes, *notes],
        },
        "model": opened.record["model"],
        "folds": opened.record["folds"],
        "gate": gates[kind].to_dict(),
        "gates": {each: g.to_dict() for each, g in gates.items()},
        "measured_on": source.name,
        **parts,
        "seconds": {"total": time.monotonic() - start},
    }
    written: dict[str, Any] = plain(record)
    files = {"evaluation.json": to_json(record)} | ({"report.html": page(written)} if page is not None else {})
    make_folder(target, {name: text.encode() for name, text in files.items()})
    return written


def _seen(folder: Path, pairs: SegmentationDataset, unseen: bool, notes: list[str], tell: Told) -> SegmentationDataset:
    """Images whose files were in the run: told, or left out."""
    try:
        listing = json.loads(read_file(folder / "images.json"))["images"]
        known = {entry["sha256"] for entry in listing}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise RunError(f"{folder / 'images.json'}: missing or broken, so nobody knows what the run has seen") from None
    again = [i for i, sha in enumerate(pairs.hashes) if sha.removeprefix("sha256:") in known]
    if not again:
        return pairs
    which = f"{len(again)} of {len(pairs)} images (first: {pairs.names[again[0]]})"
    if unseen:
        if len(again) == len(pairs):
            raise DataError(f"all {len(pairs)} images were in the run's training or validation: name other data")
        notes.append(f"{which} were in the run's training or validation and are left out")
        rest = sorted(set(range(len(pairs))) - set(again))
        return pairs.take(rest)
    line = f"{which} were in the run's training or validation, which flatters the figures"
    notes.append(line)
    tell(f"{line}; leave them out with --unseen")
    return pairs


def _answers(run: Run, pairs: SegmentationDataset, *, flips: bool, window: bool) -> Answers:
    maps, logits = [], []
    for first in range(0, len(pairs), _AT_ONCE):
        rows = range(first, min(first + _AT_ONCE, len(pairs)))
        for small, logit in run.answer([pairs.source.pixels(i) for i in rows], flips=flips, window=window):
            maps.append(to_bytes(small))
            logits.append(logit)
    return Answers(maps, np.array(logits, np.float32), np.full(len(pairs), -1))
