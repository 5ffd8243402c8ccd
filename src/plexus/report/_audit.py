"""The sections of an audit's page: sentences, counts, clusters, the pairs to review, the chart of distances."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
from markupsafe import Markup

from plexus.errors import plural
from plexus.record import AuditRecord
from plexus.report._charts import ACCENT, bars, fixed
from plexus.report._formatting import count, decimal, duration, facts

SHOWN = 200
"""Of clusters and of problems; the findings hold them all."""
NAMED = 60
"""Images of a cluster that are named."""
Shown = list[tuple[AuditRecord.Pair, int]]
"""Pairs on the page, each with the number that it stands for."""


def sections(record: AuditRecord) -> dict[str, Any]:
    """Return the values that the page's template names."""
    groups, shown = _clusters(record), record.shown_pairs()
    return {
        "headline": _headline(record),
        "lede": _lede(record),
        "skip": ("review", "the pairs"),
        "tiles": _tiles(record),
        "distances": _distances(record),
        "pairs": len(record.pairs),
        "left_out": _left_out(record, shown),
        "suspects": len(record.suspects),
        "copies": sorted({pair.kind for pair in record.pairs}),
        "clusters": groups[:SHOWN],
        "more_clusters": max(0, len(groups) - SHOWN),
        "named": NAMED,
        "problems": record.problems[:SHOWN],
        "more_problems": max(0, len(record.problems) - SHOWN),
        "notes": record.data.notes,
        "making": _making(record),
        "data": _reviewed(record, shown),
    }


def pictures(record: AuditRecord, given: Mapping[int, Mapping[str, str | None]]) -> list[list[str | None]]:
    """Return image and outline of each image in pairs, in the order that the reviewer gets them."""
    drawn = {i: AuditRecord.Drawn.model_validate(dict(entry)) for i, entry in given.items()}
    empty = AuditRecord.Drawn()
    return [
        [drawn.get(i, empty).image or None, drawn.get(i, empty).mask or None]
        for i in _order(record, record.shown_pairs())
    ]


def _headline(record: AuditRecord) -> str:
    """Sum up what is wrong with the set."""
    found = record.summary
    if found.suspects:
        strong = _strong(record)
        few = f", {_some(strong)} of them on strong evidence" if 2 * strong < found.suspects else ""
        return _pairs_line(record)[:-1] + f"; {plural(found.suspects, 'doubtful label')}{few}."
    return _pairs_line(record)


def _pairs_line(record: AuditRecord) -> str:
    found, images = record.summary, plural(record.data.images or 0, "image")
    if not found.pairs:
        return f"No {'two are alike' if _likeness(record) else 'near-duplicates'} among {images}."
    what = (
        plural(found.pairs, "pair") + " of like images"
        if _likeness(record)
        else plural(found.pairs, "near-duplicate pair")
    )
    few = found.sure is not None and 2 * found.sure < found.pairs and not _likeness(record)
    start = f"{what}{f', {_some(found.sure or 0)} of them sure,' if few else ''} among {images}: "
    wrong = sum(found.contradictions.values())
    exact = f"{_some(found.exact)} exact."
    if not wrong and not found.leaks:
        return start + f"none contradicts itself, none leaks between splits, {exact}"
    return start + f"{_some(wrong)} with contradictory labels, {_some(found.leaks)} across splits, {exact}"


def _some(number: int) -> str:
    return count(number) if number else "none"


def _left_out(record: AuditRecord, shown: Shown) -> str:
    """Say in words that the reviewer does not show each pair, where that is so."""
    missing, parts = len(record.pairs) - sum(stands for _, stands in shown), []
    if record.copies:
        most, groups = max(len(copies.images) for copies in record.copies), len(record.copies)
        many = f"a group of {count(most)}" if groups == 1 else f"{count(groups)} groups of up to {count(most)}"
        parts.append(f"Of {many} exact copies each pair that says the same is shown once.")
    if record.scenes:
        most, groups = max(len(scene.images) for scene in record.scenes), len(record.scenes)
        many = f"a group of {count(most)}" if groups == 1 else f"{count(groups)} groups of up to {count(most)}"
        left = plural(record.summary.unlisted, "pair")
        parts.append(
            f"Of {many} nearly equal images each is shown beside one that stands for its group; {left} more, of images "
            "that both are nearly equal to that one, are not listed."
        )
    if missing:
        parts.append(f"{plural(missing, 'pair')} more in pairs.csv: the first {count(len(shown))} are shown.")
    return " ".join(parts)


def _likeness(record: AuditRecord) -> bool:
    """True where a network compared the images."""
    return record.settings.fingerprint.startswith("embedding")


def _lede(record: AuditRecord) -> str:
    """Tell how the pairs were found, and what is proposed."""
    used, found = record.settings, record.summary
    if not used.fingerprint:
        return ""
    where = "within each group" if used.scope == "group" else "across all images"
    text = f"Searched {where} with the fingerprint {used.fingerprint}. A pair counts as near up to a distance of "
    text += f"{decimal(used.threshold, 4)}, "
    text += _chosen(used)
    if _likeness(record):
        text = text.rstrip() + " Likeness is not a copy: look at the pairs. Only exact copies are called "
        text += "contradictory, or leaks, and only these are cleaned; all like images stay in one fold."
    if used.labels:
        text += f" Labels were judged by {used.labels}, with confident learning: doubtful ones are changed or dropped "
        text += "by your decision only."
    if found.relabelled:
        text += f" {plural(found.relabelled, 'image')} got a new label, as decided."
    if found.kept or found.dropped:
        kept = plural(found.kept, "image")
        text += f" The cleaning rule would keep {kept} and drop {count(found.dropped)}; nothing was deleted."
    if found.contradicting:
        text += f" Of those {count(found.contradicting)} contradict a near-duplicate, or are copies of one that does"
        text += f"; {count(found.ties)} of them were ties that only the names decided." if found.ties else "."
    return text


def _chosen(used: AuditRecord.Settings) -> str:
    """Tell where the threshold comes from, and which pairs are sure."""
    few, registered = decimal(used.false_pairs, 1), used.fingerprint == "thumbnail"
    if used.threshold_from == "given":
        text = "a threshold that was given."
    elif used.threshold_from == "default":
        text = "the usual threshold, as there are too few pairs of images to learn one from."
    elif used.false_pairs and used.fingerprint.startswith("embedding"):
        text = f"up to where {few} would be expected by chance, as the set's other pairs go."
    elif used.false_pairs and registered:
        text = "chosen from the data, from how near mirror images of other images come."
    elif used.false_pairs:
        text = f"chosen from the data, from how near images come at random: {few} unrelated pairs would be as near."
    else:
        text = "chosen from the data."
    if not registered or not used.false_pairs:
        return text
    if used.doubt == "drawings":
        text += " Many images that come near show even areas and a few edges, as drawings of simple shapes do: the law "
        text += (
            "of chance does not fit them, and of their pairs only exact copies are sure. Look at the others. Of the "
        )
        text += "other"
    elif used.doubt == "unknown":
        return f"{text} How near images come by chance is not known: only exact copies are sure."
    else:
        text += " Of the"
    text += f" sure pairs, {few} at most would be there by chance; only sure pairs are called contradictory, or leaks, "
    text += "and only these are cleaned."
    if used.doubt == "ground":
        return f"{text} Pairs that share their ground alone, as images of a fixed camera do, are listed and not sure."
    if used.doubt == "likeness":
        return f"{text} Most pairs that are listed and not sure come no nearer than mirror images do, by chance."
    listed = used.threshold_from == "data" and not used.doubt
    return text + (" Pairs that are listed and not sure may be 2 % false." if listed else "")


def _tiles(record: AuditRecord) -> list[tuple[str, str, str]]:
    """Counts of the summary: figure, name, remark."""
    found = record.summary
    kinds = ", ".join(f"{count(n)} of {kind}" for kind, n in found.contradictions.items() if n)
    sure = "" if found.sure is None else f"{_some(found.sure)} sure, "
    shown = [
        (
            found.pairs,
            "pairs of like images" if _likeness(record) else "near-duplicate pairs",
            f"{sure}{_some(found.exact)} exact" if found.pairs else "",
        ),
        (sum(found.contradictions.values()), "contradictory", kinds),
        (
            found.leaks,
            "leaks between splits",
            f"and {plural(found.torn_groups, 'group')} in several" if found.torn_groups else "",
        ),
        (found.clusters, "clusters", f"{count(found.flagged)} flagged" if found.flagged else ""),
        *_label_tile(record),
        (found.unreadable, "unreadable", ""),
        (found.degenerate, "degenerate", "constant or all zero"),
        (found.kept, "kept by the rule", f"{_some(found.dropped)} dropped"),
    ]
    return [(count(n), name, remark) for n, name, remark in shown]


def _label_tile(record: AuditRecord) -> list[tuple[int, str, str]]:
    if record.summary.suspects is None:
        return []
    return [(record.summary.suspects, "doubtful labels", f"{count(_strong(record))} on strong evidence")]


def _strong(record: AuditRecord) -> int:
    """Doubtful labels on strong evidence."""
    return sum(s.evidence == "strong" for s in record.suspects)


def _clusters(record: AuditRecord) -> list[dict[str, Any]]:
    """Flagged clusters first, then by size."""
    rows = [
        {
            "id": cluster.id,
            "size": len(cluster.images),
            "diameter": decimal(cluster.diameter, 3),
            "flagged": cluster.flagged,
            "names": [record.images[i].name for i in cluster.images[:NAMED]],
        }
        for cluster in record.clusters
    ]
    return sorted(rows, key=lambda row: (not row["flagged"], -row["size"]))


def _order(record: AuditRecord, shown: Shown) -> list[int]:
    """Images in pairs, and those with doubtful labels beside their examples, each once."""
    pairs = [(pair.a, pair.b) for pair, _ in shown]
    return list(dict.fromkeys(i for both in [*pairs, *map(_beside, record.suspects)] for i in both))


def _beside(suspect: AuditRecord.Suspect) -> tuple[int, int]:
    """An image with a doubtful label, and what it is shown beside."""
    return suspect.image, suspect.image if suspect.example is None else suspect.example


def _reviewed(record: AuditRecord, shown: Shown) -> dict[str, Any]:
    """The reviewer's part of the findings: pairs and doubtful labels, and of the images only those that are in them.

    Doubtful labels come after contradictory pairs and leaks, before all other pairs.
    """
    order = _order(record, shown)
    index = {i: k for k, i in enumerate(order)}
    keys = ("distance", "dice", "exact", "shift", "contradiction", "leak", "kind", "sure", "expected")
    pairs = [
        {"a": index[p.a], "b": index[p.b]}
        | {key: getattr(p, key) for key in keys}
        | ({"stands": stands} if stands > 1 else {})
        for p, stands in shown
    ]
    labels = [
        dict.fromkeys(keys)
        | {"a": index[a], "b": index[b], "exact": False, "suspect": s.model_dump(exclude={"image", "example"})}
        for s in record.suspects
        for a, b in (_beside(s),)
    ]
    first = sum(pair.contradiction is not None or pair.leak is not None for pair, _ in shown)
    return {
        "name": record.data.name,
        "key": _key(record),
        "file": _file(record),
        "images": [_image(record.images[i]) for i in order],
        "pairs": [*pairs[:first], *labels, *pairs[first:]],
        "classes": record.data.classes,
    }


def _image(image: AuditRecord.Image) -> dict[str, Any]:
    keys = ("name", "label", "group", "present", "area", "size", "keep")
    return {key: getattr(image, key) for key in keys} | {"split": image.split or None, "why": image.why or None}


def _key(record: AuditRecord) -> str:
    """The same for every audit of the same images, so that decisions outlive a second audit."""
    if record.data.fingerprint:
        return record.data.fingerprint
    names = [record.data.name, *sorted(image.name for image in record.images)]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def _file(record: AuditRecord) -> str:
    """A file name for the decisions that every system takes."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in record.data.name)
    return f"{name.strip('-')[:60] or 'audit'}-decisions.json"


def _making(record: AuditRecord) -> list[dict[str, Any]]:
    data = record.data
    classes = ", ".join(data.classes) if len(data.classes) <= 12 else str(len(data.classes))
    shape = {"name": data.name, "layout": data.layout, "images": data.images, "classes": classes, "groups": data.groups}
    settings = {key: getattr(record.settings, key) for key in AuditRecord.Settings.model_fields}
    return facts(
        {
            "Data": shape | {f"split {name}": n for name, n in data.splits.items()} | {"masks": data.masks},
            "Settings": settings,
            "Versions": record.versions,
            "Time": {name: duration(seconds) for name, seconds in record.seconds.items()},
        }
    )


def _distances(record: AuditRecord) -> Markup:
    """Both histograms on a scale that shows one pair beside a million, and the threshold; empty where not measured."""
    found, threshold = record.calibration, record.settings.threshold
    rows = [
        *_bars(found.edges, found.unrelated, "unrelated", "var(--ghost)", 1.0),
        *_bars(found.edges, found.candidates, "candidate", ACCENT, 0.7),
    ]
    if not rows:
        return Markup("")
    most = max(10, *(row["count"] for row in rows))
    up = (
        alt.Scale(type="symlog", constant=1, domain=[0, most], nice=False),
        alt.Axis(values=[0, *(10**p for p in range(10) if 10**p <= most)], labelExpr="format(datum.value, ',d')"),
    )
    across = fixed(found.edges[0], max(found.edges[-1], threshold or 0), tickCount=6)
    rule = None if threshold is None else (threshold, f"threshold {decimal(threshold, 4)}")
    name = "Distances of candidate pairs and of unrelated pairs, with the threshold"
    return bars(rows, across, up, name, title="distance", color=ACCENT, rule=rule, label=True)


def _bars(
    edges: Sequence[float], counts: Sequence[int], kind: str, color: str, opacity: float
) -> Iterator[dict[str, Any]]:
    if len(counts) == len(edges) - 1:
        for low, high, n in zip(edges, edges[1:], counts, strict=False):
            if n:
                text = f"{low:.3g} to {high:.3g}: {count(n)} {kind} pairs"
                yield {"low": low, "high": high, "count": n, "color": color, "opacity": opacity, "text": text}
