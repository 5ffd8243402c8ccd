"""The whole audit of a set; its findings are a record that the page and the files are made from."""

from __future__ import annotations

import datetime
import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import plexus
from plexus.audit._clean import Cleaned, clean, leak
from plexus.audit._clusters import Cluster, clusters
from plexus.audit._colour import told_apart
from plexus.audit._contradictions import MIN_DICE, Contradiction, Labels, check_dice, compare_labels, read_labels
from plexus.audit._decisions import Decisions, check_class
from plexus.audit._fingerprint import Fingerprints, Problem, fingerprint
from plexus.audit._folds import Folds, check_folds, folds
from plexus.audit._near import NearDuplicates, check, near_duplicates, usual_kinds
from plexus.audit._poses import KINDS
from plexus.audit._suspects import (
    Predict,
    Predictions,
    Suspect,
    agreement,
    learned_from,
    new_label,
    relabelled,
    spread,
    suspects,
)
from plexus.audit._threshold import FALSE_PAIRS
from plexus.data import SampleSet, samples_of
from plexus.errors import DataError
from plexus.progress import current
from plexus.record import AuditRecord, digest

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """An audit of a set: its findings, its folds, and what to keep.

    Args:
        findings: the record that the page and the files are made from; `findings.json` is its text.
        folds: of the images that stay, or None where there are too few.
        cleaned: which images stay.

    Example:
        >>> from plexus.audit import Cleaned
        >>> from plexus.record import AuditRecord
        >>> done = Audit(AuditRecord(seed=3), folds=None, cleaned=Cleaned((True, False), (None, "copy of a.png")))
        >>> done.findings.seed, sum(done.cleaned.keep)
        (3, 1)
    """

    findings: AuditRecord
    folds: Folds | None
    cleaned: Cleaned

    def __repr__(self) -> str:
        """Return what was found, in one line."""
        found, several = self.findings.summary, sum(self.findings.summary.contradictions.values())
        return (
            f"Audit({len(self.findings.images)} images: {found.pairs} near-duplicate pairs, {found.exact} exact, "
            f"{several} contradictory, {found.leaks} across splits; {found.unreadable} unreadable; "
            f"{found.kept} to keep, {found.dropped} to drop)"
        )


def audit(
    samples: SampleSet | Any,
    *,
    kind: str = "thumbnail",
    model: nn.Module | str | Path | None = None,
    threshold: float | None = None,
    false_pairs: float = FALSE_PAIRS,
    kinds: Sequence[str] | None = None,
    scope: str = "all",
    search: str = "auto",
    min_dice: float = MIN_DICE,
    k: int = 5,
    seed: int = 0,
    decisions: Mapping[str, str] | None = None,
    predictions: Predictions | Predict | None = None,
    cache: Path | None = None,
    workers: int | None = None,
    progress: bool = False,
    command: str = "",
    now: datetime.datetime | None = None,
) -> Audit:
    """Audit a set: fingerprints, pairs, contradictions, leaks, clusters, what to keep, and folds.

    Args:
        samples: of `plexus.data.open_samples`, or whatever that takes; or images in memory, see
            `plexus.data.in_memory`, such as a list of paths, an array, or a pair (images, labels).
        kind, model: see `fingerprint`.
        threshold, false_pairs, kinds, scope, search: see `near_duplicates`.
        min_dice: see `contradictions`.
        k: number of folds.
        seed: of the random pairs and of the folds.
        decisions: see `clean`.
        predictions: probabilities of the classes, by which wrong labels are found, see `suspects`; or what makes them
            of the set and of the fold of each image, in which no near-duplicates are torn apart, as
            `plexus.training.cross_validated` does.
        cache: a folder, or None for none.
        workers: threads; default one for each core.
        progress: show bars where stderr is a terminal.
        command: the command line that reproduces it.
        now: the time to stamp it with.

    Returns:
        The findings, the folds and what to keep.

    Raises:
        PlexusError: see its children; each message says what to do.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.data import open_samples
        >>> speckle = np.random.default_rng(0).integers(0, 256, (4, 72, 96), dtype=np.uint8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for i, pixels in enumerate([*speckle, speckle[1]]):
        ...         Image.fromarray(pixels).save(f"{folder}/{i}.png")
        ...     done = audit(open_samples(folder), k=2)
        >>> done.findings.summary.exact, done.cleaned.why
        (1, (None, None, None, None, 'copy of 1.png'))
    """
    samples = samples_of(samples)
    # hours of reading may follow: what can be told now is told now
    check(
        threshold,
        false_pairs,
        scope,
        search,
        seed=seed,
        kinds=KINDS if kinds is None else kinds,
        grouped=samples.has_groups,
    )
    check_dice(min_dice)
    check_folds(k, seed)
    if predictions is not None and not samples.has_labels:
        raise DataError(f"{samples.where}: has no classes, whose labels could be wrong: leave --labels out")
    for name, word in (decisions or {}).items():
        if label := new_label(word):
            check_class(label, samples, f"decision on {name}")
    seconds: dict[str, float] = {}
    prints = fingerprint(samples, kind, model=model, cache=cache, workers=workers, progress=progress)
    current().say(f"data    {samples.summary}")  # only now is it certain that every option and the model can be used
    start = time.monotonic()
    labels = read_labels(samples, cache=cache, workers=workers, progress=progress)
    seconds["masks"] = time.monotonic() - start
    near = near_duplicates(
        prints, threshold=threshold, false_pairs=false_pairs, kinds=kinds, scope=scope, search=search,
        seed=seed, progress=progress,
    )  # fmt: skip
    near = told_apart(samples, prints, near, cache=cache, workers=workers, progress=progress)
    given = dict(decisions or {})
    original, samples = samples, relabelled(samples, given | spread(given, prints, near.copies))
    start = time.monotonic()
    suspected, origin, notes = _suspected(samples, predictions, near, prints, labels, k, seed)
    seconds["labels"] = time.monotonic() - start
    start = time.monotonic()
    contradictory, overlaps = compare_labels(samples, near, min_dice=min_dice, labels=labels)
    parts = clusters(prints, near)
    cleaned = clean(prints, near, contradictory, labels, decisions, {s.image for s in suspected})
    torn = [samples.groups_told] if samples.has_groups and samples.splits else []
    data = _data(samples, prints, [*samples.notes, *torn, *near.notes, *notes])
    if isinstance(decisions, Decisions) and (remark := decisions.remark(data.name, data.fingerprint)):
        data.notes.insert(0, remark)
    dealt = None
    try:
        gone = [s.name for s, keep in zip(samples.samples, cleaned.keep, strict=True) if not keep]
        dealt = folds(samples, near, k, seed, dropped=gone, labels=labels)
    except DataError as error:
        data.notes.append(f"no folds were made: {error}")
    seconds |= {**prints.seconds, **near.seconds, "rest": time.monotonic() - start}
    unreadable = {p.name for p in prints.problems if p.kind == "unreadable"}  # nor can their masks be judged
    problems = [*prints.problems, *(p for p in labels.problems if p.name not in unreadable)]
    pairs = _pairs(samples, near, contradictory, overlaps)
    findings = AuditRecord(
        created=f"{now or datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        command=command,
        seed=seed,
        finished=True,
        versions={"plexus": plexus.__version__, "python": platform.python_version(), "numpy": np.__version__},
        data=data,
        settings=AuditRecord.Settings(
            fingerprint=_fingerprint(kind, model),
            threshold=round(near.threshold, 6),
            threshold_from=near.threshold_from,
            doubt=near.doubt,
            false_pairs=false_pairs,
            kinds=list(kinds or usual_kinds(len(samples))) if prints.registered else ["same"],
            scope=scope,
            min_dice=min_dice,
            ignore=samples.ignore,
            labels=origin,
        ),
        calibration=AuditRecord.Calibration(
            edges=list(near.calibration.edges),
            unrelated=list(near.calibration.unrelated),
            candidates=list(near.calibration.candidates),
        ),
        images=_images(original, decisions or {}, prints, labels, parts, dealt, cleaned),
        pairs=pairs,
        copies=[AuditRecord.Copies(images=rows.tolist()) for rows in near.copies],
        scenes=[
            AuditRecord.Scene(images=rows.tolist(), unlisted=left)
            for rows, left in zip(near.scenes, near.unlisted, strict=True)
        ],
        suspects=suspected,
        clusters=[
            AuditRecord.Cluster(id=i, images=list(c.images), diameter=round(c.diameter, 6), flagged=c.flagged)
            for i, c in enumerate(parts)
        ],
        problems=[AuditRecord.Problem(name=p.name, kind=p.kind, text=p.text) for p in problems],
        summary=_summary(samples, near, pairs, parts, problems, cleaned, suspected if origin else None),
        seconds={name: round(value, 3) for name, value in seconds.items()},
    )
    return Audit(findings, dealt, cleaned)


def _fingerprint(kind: str, model: nn.Module | str | Path | None) -> str:
    """The kind, and the network where it has a name."""
    name = str(model) if isinstance(model, str | Path) else getattr(model, "cache_key", None)
    return f"{kind} {name}" if name else kind


def _suspected(
    samples: SampleSet,
    predictions: Predictions | Predict | None,
    near: NearDuplicates,
    prints: Fingerprints,
    labels: Labels,
    k: int,
    seed: int,
) -> tuple[list[AuditRecord.Suspect], str, list[str]]:
    """Likely wrong labels, where predictions come from, and what to tell of them."""
    if predictions is None:
        return [], "", []
    if callable(predictions):
        unusable = {p.name for p in prints.problems}
        dealt = folds(samples, near, k, seed, dropped=unusable, labels=labels)
        predictions = predictions(samples, np.array([dealt.fold.get(s.name, -1) for s in samples.samples]))
    found = suspects(samples, predictions, near)
    notes = [*predictions.notes, f"labels: {agreement(samples, predictions)}"]
    if predictions.learned is not None:
        copies = int(learned_from(predictions, near).sum() - predictions.learned.sum())
        notes += [f"{copies:,} near-duplicates of images that were learned from are not judged either"] * (copies > 0)
    return [_suspect(s) for s in found], predictions.origin, notes


def _suspect(suspect: Suspect) -> AuditRecord.Suspect:
    figures = ("given_probability", "probability", "quality")
    return AuditRecord.Suspect(**{k: round(v, 6) if k in figures else v for k, v in vars(suspect).items()})


def _data(samples: SampleSet, prints: Fingerprints, notes: Sequence[str]) -> AuditRecord.Data:
    splits = Counter(s.split for s in samples.samples)
    names = [name.encode(errors="backslashreplace") for name in prints.names]
    files = sorted(zip(names, (own.tobytes() for own in prints.digests), strict=True))
    return AuditRecord.Data(
        name=samples.name,
        fingerprint=digest(*(part for file in files for part in file)),
        layout=samples.layout,
        images=len(samples),
        classes=list(samples.classes),
        groups=len({s.group for s in samples.samples if s.group is not None}),
        splits={split: splits[split] for split in samples.splits},
        masks=samples.has_masks,
        notes=list(notes),
    )


def _images(
    samples: SampleSet,
    decisions: Mapping[str, str],
    prints: Fingerprints,
    labels: Labels,
    parts: Sequence[Cluster],
    dealt: Folds | None,
    cleaned: Cleaned,
) -> list[AuditRecord.Image]:
    cluster = {i: number for number, c in enumerate(parts) for i in c.images}
    fold = dealt.fold if dealt else {}
    return [
        AuditRecord.Image(
            name=sample.name,
            label=sample.label,
            group=sample.group,
            split=sample.split,
            present=labels.present[i],
            area=None if (area := labels.area[i]) is None else round(area, 6),
            size=prints.sizes[i].tolist(),
            cluster=cluster.get(i),
            fold=fold.get(sample.name),
            keep=cleaned.keep[i],
            why=cleaned.why[i],
            decision=decisions.get(sample.name),
        )
        for i, sample in enumerate(samples.samples)
    ]


def _pairs(
    samples: SampleSet, near: NearDuplicates, contradictory: Sequence[Contradiction], overlaps: Sequence[float | None]
) -> list[AuditRecord.Pair]:
    """Contradictions first, then leaks, then the others; of each the surest first."""
    wrong = {c.pair: c.kind for c in contradictory}
    pairs = []
    for p, (a, b) in enumerate(zip(near.a.tolist(), near.b.tolist(), strict=True)):
        pairs.append(
            AuditRecord.Pair(
                a=a,
                b=b,
                distance=round(float(near.distance[p]), 6),
                exact=bool(near.exact[p]),
                shift=None
                if near.shift is None or near.kinds[p] != "same"
                else [round(float(s), 1) + 0.0 for s in near.shift[p]],
                contradiction=wrong.get(p),
                kind=near.kinds[p],
                sure=bool(near.sure[p]),
                expected=None if np.isnan(near.expected[p]) else float(f"{near.expected[p]:.3g}"),
                dice=None if (dice := overlaps[p]) is None else round(dice, 4),
                leak=leak(samples.samples[a].split, samples.samples[b].split) if near.sure[p] else None,
            )
        )
    return sorted(pairs, key=lambda q: (q.contradiction is None, q.leak is None, q.distance, q.a, q.b))


def _summary(
    samples: SampleSet,
    near: NearDuplicates,
    pairs: Sequence[AuditRecord.Pair],
    parts: Sequence[Cluster],
    problems: Sequence[Problem],
    cleaned: Cleaned,
    suspected: Sequence[AuditRecord.Suspect] | None,
) -> AuditRecord.Summary:
    kinds = Counter(pair.contradiction for pair in pairs)
    kept = sum(cleaned.keep)
    return AuditRecord.Summary(
        pairs=len(pairs),
        unlisted=sum(near.unlisted),
        compared=near.compared,
        sure=sum(pair.sure is not False for pair in pairs),
        exact=sum(pair.exact for pair in pairs),
        contradictions={kind: kinds[kind] for kind in ("class", "presence", "overlap")},
        leaks=sum(pair.leak is not None for pair in pairs),
        torn_groups=len(samples.torn_groups) if samples.has_groups and samples.splits else None,
        clusters=len(parts),
        flagged=sum(c.flagged for c in parts),
        unreadable=sum(p.kind in ("unreadable", "mask") for p in problems),
        degenerate=sum(p.kind in ("constant", "zero") for p in problems),
        kept=kept,
        dropped=len(cleaned.keep) - kept,
        contradicting=len(cleaned.contradicting),
        ties=len(cleaned.ties),
        suspects=None if suspected is None else len(suspected),
        relabelled=sum(label is not None for label in cleaned.labels),
    )
