"""Advice on what to do next with a run: each sentence is computed from figures of its record, and says which."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from plexus.errors import plural
from plexus.record import FitRecord
from plexus.report._fit_charts import phase_of
from plexus.report._fit_classes import Recognition, never_right, quoted, recognitions
from plexus.report._formatting import PLAIN, count, decimal, duration, percent, points, times

FEW = 20
"""Training images of a class, below which it can hardly be learned."""
USUAL = 24
"""Epochs that `plexus fit` takes by itself."""
APART = 0.08
"""A gap between training and test images, from which the net has learned its images by heart."""
SAME_TIME = 1.15
"""Two times that are further apart are not the same, however they were to be."""
KNOWN = 0.03
"""Half an interval of the accuracy, above which the test images are few."""
BUDGETS = ("keep", "max_params", "max_macs", "max_ms", "max_kb", "fan_in")
"""Options of which one says how much of a net is left."""
Finding = Callable[[FitRecord, FitRecord.Result], str | None]


def next_steps(record: FitRecord, *, plain: bool = False) -> list[str]:
    """Return what the figures of a run say to do next: each a finding with its numbers, then a remedy.

    Args:
        record: of a run of `plexus fit`.
        plain: with spaces, signs and quotes that every terminal shows.

    Returns:
        Sentences, what makes the figures untrue first; commands stand in backquotes.

    Example:
        >>> from plexus.record import FitRecord
        >>> next_steps(FitRecord(command="plexus fit digits"))
        ['The run has not finished: `plexus fit --resume RUN` goes on with it.']
    """
    if not record.finished:
        return ["The run has not finished: `plexus fit --resume RUN` goes on with it."]
    final = record.result("final")
    if final is None:
        return ["No net was tested in this run, so its figures say nothing yet."]
    if early := _pruned(record, final) or _unlearned(record, final):
        return [early.translate(PLAIN) if plain else early]
    steps = [text for find in FINDINGS if (text := find(record, final)) is not None] or [_nothing(record)]
    return [step.translate(PLAIN) for step in steps] if plain else steps


def _unlearned(record: FitRecord, final: FitRecord.Result) -> str | None:
    """A net that has not had the time to learn its own images: nothing else can be told from it."""
    epochs = len([epoch for epoch in record.epochs if phase_of(epoch) in ("learn", "final")])
    if final.train_accuracy is None or final.train_accuracy >= 0.6 or not 0 < epochs < USUAL:
        return None
    return (
        f"Only {percent(final.train_accuracy)} of the training images themselves are right after "
        f"{plural(epochs, 'epoch')}: the net has hardly begun to learn, so nothing else can be told; {USUAL} are usual "
        f"(`plexus fit --epochs {USUAL}`)."
    )


def _pruned(record: FitRecord, final: FitRecord.Result) -> str | None:
    """Accuracy that cutting a trained net further has cost: whatever else is wrong with this net comes of that."""
    before = record.result("before")
    ends = difference(final, before) if before is not None else None
    if before is None or ends is None or ends[1] >= 0:
        return None
    cost = points((before.accuracy or 0.0) - (final.accuracy or 0.0)).lstrip("+")
    epochs = max(USUAL, int(record.config.get("epochs") or 0))
    return (
        f"Pruning cost {cost} ({percent(before.accuracy)} of the test images right before, {percent(final.accuracy)} "
        f"now): take a larger budget ({_larger(record)}), or let a fit cut to this one while it learns "
        f"(`plexus fit {_images(record)} {_budget(record)} --epochs {epochs}`)."
    )


def _copies(record: FitRecord, _: FitRecord.Result) -> str | None:
    """Test images that were trained on make the accuracy untrue."""
    copies = record.data.copies.get("test", 0)
    if not copies:
        return None
    tested = record.data.counts.get("test", 0)
    lists = f"{audit} lists" if (audit := _audit(record)) else "an audit lists"
    return (
        f"{count(copies)} of {plural(tested, 'test image')} {'is' if copies == 1 else 'are'} among the training "
        f"images, pixel by pixel, so the accuracy is flattered: {lists} such pairs; take them out and fit anew."
    )


def _unrecognised(record: FitRecord, _: FitRecord.Result) -> str | None:
    """Classes of which nothing was recognised."""
    never = never_right(recognitions(record))
    if not never:
        return None
    text = f"No image of {quoted([row.name for row in never])} was ever recognised"
    if len(never) == 1:
        text += _missed(never[0])
    trained = [row.trained for row in never if row.trained is not None]
    few = f"; there {'was' if max(trained) == 1 else 'were'} {_most(trained, 'training image')}" if trained else ""
    return f"{text}{few}: {_more_of_it(record)}."


def _missed(row: Recognition) -> str:
    taken = f", {row.taken_for[1]} taken for “{row.taken_for[0]}”" if row.taken_for else ""
    return f" (of {plural(row.support, 'test image')}{taken})"


def _most(counts: Sequence[int], thing: str) -> str:
    return plural(counts[0], thing) + " of it" if len(counts) == 1 else f"at most {plural(max(counts), thing)} of each"


def _more_of_it(record: FitRecord) -> str:
    balance = "" if record.config.get("balance") else ", or make up for it with `--balance weights`"
    return f"add images of it{balance}"


def _scarce(record: FitRecord, _: FitRecord.Result) -> str | None:
    """Classes that have too few images to learn from."""
    rows = recognitions(record)
    few = [row for row in rows if row.trained is not None and row.trained < FEW and row not in never_right(rows)]
    if not few:
        return None
    trained = [row.trained for row in few if row.trained is not None]
    return (
        f"There {'is' if max(trained) == 1 else 'are'} only {_most(trained, 'training image')}, for "
        f"{quoted([row.name for row in few])}: {_more_of_it(record)}."
    )


def _weakest(record: FitRecord, final: FitRecord.Result) -> str | None:
    """The class that is recognised worst, where chance does not explain it."""
    rows = [row for row in recognitions(record) if row.support and row.right]
    if len(rows) < 2 or final.accuracy is None:
        return None
    worst = min(rows, key=lambda row: row.recall or 0.0)
    recall = worst.recall or 0.0
    doubt = 2 * math.sqrt(max(recall * (1 - recall), 0.25 / worst.support) / worst.support)
    if recall + doubt > final.accuracy or final.accuracy - recall < 0.1:
        return None
    taken = f", most often taken for “{worst.taken_for[0]}” ({worst.taken_for[1]})" if worst.taken_for else ""
    return (
        f"“{worst.name}” is recognised worst: {percent(recall)} of {plural(worst.support, 'test image')}{taken}: look "
        "at its mistakes for wrong labels, and add images of it."
    )


def _by_heart(record: FitRecord, final: FitRecord.Result) -> str | None:
    """More right on what was trained on than on what was not."""
    trained, tested = final.train_accuracy, final.accuracy
    if trained is None or tested is None or not _overfit(final):
        return None
    config = record.config
    unused = [f"`--{name} {value}`" for name, value in (("crop", 0.2), ("cutout", 0.3)) if config.get(name) == 0]
    remedy = f", or vary them more ({' '.join(unused)})" if unused else ""
    return (
        f"{percent(trained)} of the training images are right and {percent(tested)} of the test images: the net has "
        f"learned its images by heart. More images help most{remedy}; more epochs will not."
    )


def _overfit(final: FitRecord.Result) -> bool:
    return (final.train_accuracy or 0.0) - (final.accuracy or 0.0) >= APART


def _rising(record: FitRecord, final: FitRecord.Result) -> str | None:
    """A validation accuracy that still rose at the end, of a net that has not learned all its images yet."""
    epochs = [epoch for epoch in record.epochs if phase_of(epoch) in ("learn", "final") and epoch.val_accuracy]
    right = [epoch.val_accuracy or 0.0 for epoch in epochs]
    loss = [epoch.val_loss for epoch in epochs if epoch.val_loss is not None]
    quarter = max(1, len(right) // 4)
    if len(right) < 3 or _overfit(final) or (final.train_accuracy or 0.0) > 0.995:
        return None
    rise = fmean(right[-quarter:]) - fmean(right[-2 * quarter : -quarter])
    falls = len(loss) == len(right) and min(loss[-quarter:]) <= min(loss)
    images = record.data.counts.get("val", 0)
    if not falls or rise < max(0.005, _error(right[-1], images)):
        return None
    factor = 4 if rise >= 0.05 and len(right) <= 10 else 2
    spent = sum(epoch.seconds or 0.0 for epoch in epochs)
    time = f", about {duration(factor * spent)} of learning" if spent else ""
    return (
        f"Accuracy on validation images rose by {points(rise).lstrip('+')} in the last quarter of the epochs, and "
        f"was not at its end: try `plexus fit --epochs {factor * len(right)}`{time}."
    )


def _error(share: float, images: int) -> float:
    """The standard error of a share."""
    return math.sqrt(max(share * (1 - share), 0.25 / images) / images) if images else 0.0


def _too_small(record: FitRecord, final: FitRecord.Result) -> str | None:
    """Images that lost their detail."""
    before, after = record.data.original_size, record.data.in_shape[1:]
    if len(before) != 2 or len(after) != 2 or min(before) < 2 * min(after) or (final.accuracy or 0.0) >= 0.99:
        return None
    size = 2 * min(after)
    return (
        f"Images of {times(before)} (the median) were made {times(after)}: if small things tell the classes apart, "
        f"`--size {size}` shows them, at about four times the time."
    )


def _cutting(record: FitRecord, final: FitRecord.Result) -> str | None:
    """Accuracy that was there before the cutting, or that the same net has without it."""
    right = [e.val_accuracy for e in record.epochs if phase_of(e) == "learn" and e.val_accuracy is not None]
    early, late = right[: round(0.6 * len(right))], right[-3:]
    doubt = 2 * _error(max(right, default=0.0), record.data.counts.get("val", 0))
    text = ""
    if len(early) > 2 and max(early) - fmean(late) > max(0.01, doubt):
        text = (
            f"Cutting cost accuracy: {percent(max(early))} of the validation images were right while it went on, "
            f"{percent(fmean(late))} in the end"
        )
    direct = record.result("direct")
    if not text and direct is not None and (ends := difference(final, direct)) and ends[1] < 0:
        gain = points((direct.accuracy or 0) - (final.accuracy or 0))[1:]
        return f"The same net, never wider, is better by {gain}: here cutting did not pay."
    return f"{text}: a larger budget ({_larger(record)}) keeps more." if text else None


def _budget(record: FitRecord) -> str:
    """The option that says how much of the net was left."""
    for name in BUDGETS:
        if (value := record.config.get(name)) is not None:
            return f"--{name.replace('_', '-')} {value}"
    return "--keep"


def _larger(record: FitRecord) -> str:
    """The option that gives the net more room than it had."""
    config = record.config
    for name in BUDGETS[1:]:
        if config.get(name) is not None:
            return f"`--{name.replace('_', '-')} {2 * config[name]}`"
    keep = config.get("keep") or record.plan.channels
    return f"`--keep {min(1.0, round(1.4 * keep, 2)):g}`" if keep else "`--keep`, `--fan-in`"


def _no_better_than_linear(record: FitRecord, final: FitRecord.Result) -> str | None:
    """Tell what the comparison with a linear layer on a backbone settles."""
    linear = record.result("linear")
    ends = difference(final, linear) if linear is not None else None
    if linear is None or ends is None or ends[0] > 0:
        return None
    gain = f"{points((final.accuracy or 0.0) - (linear.accuracy or 0.0))} ({points(ends[0])[:-7]} to {points(ends[1])})"
    learns = "" if record.config.get("backbone_lr") else ", or let the backbone learn, too (`--backbone-lr 0.0001`)"
    if ends[1] < 0:
        return f"A linear layer on the backbone is better than the wiring: {gain}. Take more epochs{learns}."
    tested = plural(record.data.counts.get("test", 0), "test image")
    return f"A linear layer on the backbone is as good as the wiring, as far as {tested} can tell: {gain}."


def _no_better(record: FitRecord, final: FitRecord.Result) -> str | None:
    """Tell what the comparison with an ordinary net settles."""
    plain = record.result("resnet")
    ends = difference(final, plain) if plain is not None else None
    if plain is None or ends is None:
        return None
    tested, size = plural(record.data.counts.get("test", 0), "test image"), ""
    named, own, its = "A plain ResNet that takes as long", final.latency_ms, plain.latency_ms
    if own and its and max(own, its) > SAME_TIME * min(own, its):  # it was chosen by such a time, and then timed anew
        named = f"A plain ResNet ({its:.2g} ms an image where this net takes {own:.2g})"
    if final.parameters and plain.parameters and plain.parameters > 1.2 * final.parameters:
        size = f" This net has {decimal(plain.parameters / final.parameters, 1)} times fewer parameters."
    if ends[0] > 0:
        return None
    gain = f"{points((final.accuracy or 0.0) - (plain.accuracy or 0.0))} ({points(ends[0])[:-7]} to {points(ends[1])})"
    if ends[1] < 0:
        return f"{named} is better: {gain}. Use that, or a larger budget ({_larger(record)})."
    return f"{named} is as good, as far as {tested} can tell: {gain}.{size}"


def difference(one: FitRecord.Result, other: FitRecord.Result) -> tuple[float, float] | None:
    r"""Return the 95 % interval of the difference of two accuracies, by Newcombe's square-and-add of their intervals.

    .. math:: d - \sqrt{(p_1 - l_1)^2 + (u_2 - p_2)^2}, \quad d + \sqrt{(u_1 - p_1)^2 + (p_2 - l_2)^2}

    It takes the two for independent; on the same images it is too wide rather than too narrow.

    Source: R. G. Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10.
    """
    p, q, own, theirs = one.accuracy, other.accuracy, one.ci, other.ci
    if p is None or q is None or own is None or theirs is None:
        return None
    below, above = math.hypot(p - own[0], theirs[1] - q), math.hypot(own[1] - p, q - theirs[0])
    return p - q - below, p - q + above


def _uncertain(record: FitRecord, final: FitRecord.Result) -> str | None:
    """Too few test images for a figure to be trusted."""
    if final.ci is None or (half := (final.ci[1] - final.ci[0]) / 2) <= KNOWN:
        return None
    tested = plural(record.data.counts.get("test", 0), "test image")
    return (
        f"{tested} tell the accuracy to {100 * half:.0f} points either way only: more of them (`--test`) narrow that."
    )


def _nothing(record: FitRecord) -> str:
    audit = f"{known} looks for copies and wrong labels; " if (known := _audit(record)) else ""
    return (
        f"Nothing in these figures asks for another run. Before you rely on it: {audit}"
        f"`plexus probe RUN {_images(record)}` shows what turned images do to it, and images from elsewhere tell more "
        "than any figure here."
    )


def _images(record: FitRecord) -> str:
    return "DATA" if record.data.spec.startswith("(") else record.data.spec


def _audit(record: FitRecord) -> str:
    """The command that audits the images of a run; empty where there is none."""
    spec = record.data.spec
    return "`plexus.audit(images)`" if spec.startswith("(") else f"`plexus audit {spec}`" if spec != "digits" else ""


FINDINGS: tuple[Finding, ...] = (
    _copies, _unrecognised, _scarce, _by_heart, _rising, _weakest, _too_small, _cutting, _no_better,
    _no_better_than_linear, _uncertain,
)  # fmt: skip
