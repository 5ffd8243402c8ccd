"""The summary of a study's records, as one JSON value: the input of its page and of the claims."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from plexus.experiments._study import Study
from plexus.experiments.statistics import ALPHA, Difference, area, epochs_to, equivalent, holm, mean_of, paired
from plexus.record import TrialRecord

CURVES = ("train_loss", "val_loss", "val_accuracy_curve")
RESAMPLES, MANY = 10_000, 40
"""Bootstrap samples, and the number of variants beyond which nobody reads so many intervals."""
SPEED_MARGIN = 10.0
"""Differences of speed below this, in percent of the baseline's epochs, count as none."""


def summary(study: Study, records: Sequence[TrialRecord], scale: str | None = None) -> dict[str, Any]:
    """Compute points, means, intervals, differences to the baseline and speeds of convergence.

    Numbers of a record's metrics are kept per variant and seed under `metrics`, everything else under `others`, both by
    their path (`probe.upright`). Seeds are text, as JSON wants its keys.

    The loss whose epoch is compared is the one that the baseline has, in the mean over its seeds, at half of its
    epochs: then a variant may be half as fast and still reach it. One that does not counts as if with its last epoch,
    at most as slow as it is. Differences of the measure, of the area and of speed are three families, each corrected
    after Holm.

    Args:
        study: whose trials these are.
        records: of one scale, see `records`; none is fine.
        scale: its name, where there are no records to tell it.

    Returns:
        The summary in JSON's types: what a page and the rules of claims read.

    Example:
        >>> from plexus.experiments import Scale, Study, Variant
        >>> pair = (Variant("a"), Variant("b"))
        >>> study = Study("ab", "Is b better?", "a", pair, {"quick": Scale(None, 1, 3)}, "digits", trial=dict)
        >>> accuracy = {"a": (50.0, 51.0, 52.0), "b": (59.0, 61.0, 63.0)}
        >>> b = summary(study, [
        ...     TrialRecord(study="ab", variant=v, seed=s, scale="quick", options={}, metrics={"test_accuracy": value})
        ...     for v, values in accuracy.items() for s, value in enumerate(values)
        ... ])["variants"][1]
        >>> b["difference"]["mean"], b["difference"]["verdict"]
        (10.0, 'higher')
    """
    level = _level(study, records)
    variants = [_variant(study, v.name, [r for r in records if r.variant == v.name], level) for v in study.variants]
    base = next(v for v in variants if v["name"] == study.baseline)
    others = [v for v in variants if v is not base]
    resamples = RESAMPLES if len(others) <= MANY else 0
    for v in others:
        v["difference"] = _said(paired(base["points"], v["points"], resamples=resamples), study.margin)
        v["speed"] = _said(speed(base, v, resamples=resamples), SPEED_MARGIN)
        areas = paired(base["area"]["points"], v["area"]["points"], resamples=resamples)
        v["area"]["difference"] = _said(areas, study.margin)
    _correct([v["difference"] for v in others])
    _correct([v["speed"] for v in others])
    _correct([v["area"]["difference"] for v in others])
    first = records[0].to_dict() if records else {}
    scale = scale or first.get("scale")
    return {
        "study": study.name,
        "question": study.question,
        "scale": scale,
        "baseline": study.baseline,
        "measure": study.measure,
        "margin": study.margin,
        "speed_margin": SPEED_MARGIN,
        "level": level,
        "data": dict(first.get("data") or {}),
        "settings": dict(first.get("settings") or {}),
        "versions": _together([r.versions for r in records]),
        "machine": _together([r.machine for r in records]),
        "apart": _apart(study, records),
        "trials": len(records),
        "expected": len(study.variants) * study.scales[scale].seeds if scale else None,
        "seconds": sum(float(r.seconds.get("total") or 0) for r in records),
        "seeds": sorted({r.seed for r in records}),
        "variants": variants,
    }


def _together(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Name every value that some records have, the commonest first: trials of one study may run on several machines."""
    found: dict[str, list[Any]] = {}
    for part in parts:
        for name, value in part.items():
            found.setdefault(name, []).append(value)
    told = {name: [text for text, _ in Counter(map(str, values)).most_common()] for name, values in found.items()}
    return {name: values[0] if len(told[name]) == 1 else ", ".join(told[name]) for name, values in found.items()}


def _apart(study: Study, records: Sequence[TrialRecord]) -> int:
    """Count the trials that ran on another kind of machine than the baseline of their seed, with which they are paired.

    Sums are taken in another order there, so that such a pair differs by more than its variants.
    """
    kinds = [[r.machine.get("processor"), r.machine.get("gpu")] for r in records]
    base = {r.seed: kind for r, kind in zip(records, kinds, strict=True) if r.variant == study.baseline}
    return sum(base.get(r.seed, kind) != kind for r, kind in zip(records, kinds, strict=True))


def _variant(study: Study, name: str, records: Sequence[TrialRecord], level: float | None) -> dict[str, Any]:
    """Everything on one variant that needs no other."""
    metrics: dict[str, dict[str, float]] = {}
    rest: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda r: r.seed):
        for path, value in _leaves(record.metrics):
            into = metrics if _finite(value) else rest
            into.setdefault(path, {})[str(record.seed)] = value
    curves = {key: {s: c for s, c in rest.pop(key, {}).items() if _is_curve(c)} for key in CURVES}
    points = metrics.get(study.measure, {})
    middle = mean_of(list(points.values()), resamples=0) if points else None
    return {
        "name": name,
        "options": dict(study.variant(name).options),
        "points": points,
        "mean": middle.mean if middle else None,
        "interval": [middle.low, middle.high] if middle and middle.low is not None else None,
        "curves": {key: {"seeds": each, **_band(list(each.values()))} for key, each in curves.items() if each},
        "epochs": max((len(c) for each in curves.values() for c in each.values()), default=0),
        "epochs_to": {
            seed: None if level is None else epochs_to(curve, level) for seed, curve in curves["train_loss"].items()
        },
        "area": {"points": {s: area(c) for s, c in curves["val_accuracy_curve"].items()}},
        "metrics": metrics,
        "others": rest,
        "agreement": _agreement(rest.get("wiring", {})),
        "seconds": {str(r.seed): float(s) for r in records if (s := r.seconds.get("total")) is not None},
    }


def _agreement(wirings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Agreement of the wirings of several seeds, beyond chance; see `plexus.wiring.agreement`."""
    whole = [w for w in wirings.values() if isinstance(w, list) and w and all(len(e) == 3 for e in w)]
    if len(whole) < 2:
        return None
    from plexus.wiring import Wiring, agreement  # they know torch, which takes seconds to load

    nodes = [sorted({str(end) for e in edges for end in e[:2]}, key=_order) for edges in whole]
    return asdict(agreement([Wiring(n, [tuple(e) for e in edges]) for n, edges in zip(nodes, whole, strict=True)]))


def _order(node: str) -> tuple[int, int]:
    """input, lego1, lego2, ..., head."""
    number = node.removeprefix("lego")
    return (0, 0) if node == "input" else (1, int(number)) if number.isdigit() else (2, 0)


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, here)
        else:
            yield here, inner


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_curve(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(_finite(v) for v in value)


def _band(curves: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """Mean, least and greatest over seeds, as far as all of them go."""
    columns = list(zip(*curves, strict=False))
    return {
        "mean": [sum(c) / len(c) for c in columns],
        "low": [min(c) for c in columns],
        "high": [max(c) for c in columns],
    }


def _level(study: Study, records: Sequence[TrialRecord]) -> float | None:
    """The baseline's mean training loss at half of its epochs; None where it has no curve."""
    curves: list[Any] = [r.metrics.get("train_loss") for r in records if r.variant == study.baseline]
    whole = [c for c in curves if _is_curve(c)]
    if not whole:
        return None
    mean = _band(whole)["mean"]
    return mean[math.ceil(len(mean) / 2) - 1]


def speed(base: Mapping[str, Any], variant: Mapping[str, Any], *, resamples: int = 10_000) -> Difference | None:
    """Compare the epochs to the fixed loss, in percent of the baseline's; negative is faster.

    Args:
        base, variant: entries of a summary's variants. Seeds whose baseline never reaches the loss are left out; a
            variant that never does counts as if with its last epoch.
        resamples: of the bootstrap.

    Returns:
        The mean change; None where no seed has one.

    Example:
        >>> base, other = {"epochs_to": {"0": 4.0, "1": 5.0}}, {"epochs_to": {"0": 3.0, "1": 4.0}}
        >>> speed(base, other | {"curves": {"train_loss": {"seeds": {"0": [1.0], "1": [1.0]}}}}).mean
        -22.5
    """
    changes = []
    for seed, epochs in variant["epochs_to"].items():
        if needed := base["epochs_to"].get(seed):
            last = len(variant["curves"]["train_loss"]["seeds"][seed])
            changes.append(100.0 * ((last if epochs is None else epochs) / needed - 1))
    return mean_of(changes, resamples=resamples) if changes else None


def _said(difference: Difference | None, margin: float) -> dict[str, Any] | None:
    if difference is None:
        return None
    return difference.to_dict() | {
        "equivalent": equivalent(difference, margin),
        "p_equivalent": difference.p_equivalent(margin),
    }


def _correct(family: Sequence[dict[str, Any] | None]) -> None:
    """Adds the corrected p and, in a word, what it comes to: higher, lower, the same, or not settled."""
    tested = [d for d in family if d is not None and d["p"] is not None]
    for difference, p in zip(tested, holm([d["p"] for d in tested]), strict=True):
        difference["p_holm"] = p
    for each in family:
        if each is not None:
            each.setdefault("p_holm", None)
            each["verdict"] = _word(each)


def _word(difference: Mapping[str, Any]) -> str:
    if difference["equivalent"]:
        return "equivalent"
    if difference["p_holm"] is not None and difference["p_holm"] < ALPHA:
        return "higher" if difference["mean"] > 0 else "lower"
    return "open"
