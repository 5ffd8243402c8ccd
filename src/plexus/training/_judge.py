"""What a run says about its trained nets, and the files for use elsewhere."""

from __future__ import annotations

import time
from typing import Any

from plexus.graph import Wiring
from plexus.record import FitRecord, atomic_write
from plexus.training import _measure as measure
from plexus.training._classification import accuracy, logits_of
from plexus.training._export import export
from plexus.training._neurons import describe, neurons
from plexus.training._training import Training
from plexus.wiring import derive, edge_costs, importance, multiply_adds, parameters, prune

BUDGETS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)
_WORDS = {"finetune": "fine-tuned", "retrain": "retrained from scratch"}


def judge(work: Training) -> None:
    """Completes the record, and writes the wiring and the models.

    Args:
        work: a training that has run to its end.

    Raises:
        TrainingError: an exported model does not compute what the net does, or the disk is full.
    """
    record, data, config = work.record, work.data, work.config
    start = time.monotonic()
    body: Any = work.supernet.body
    record.nodes = list(body.node_names())
    shape = "x".join(map(str, (*data.in_shape[1:], data.in_shape[0])))
    dense = "" if config.dense == "plain" else f"{config.dense} "
    record.labels = {"input": shape, "head": f"{dense}{config.head}, {len(data.classes)} classes"}
    record.labels |= {f"lego{i}": describe(lego) for i, lego in enumerate(body.legos, 1)}
    record.edges = _edges(work)
    record.budgets = _budgets(work)
    record.chosen = [budget.edges for budget in record.budgets].index(len(work.kept.edges))
    before, after = (accuracy(net, work.normalize, data.val) for net in (work.faded, work.cut))
    record.gap = FitRecord.Gap(before=before, after=after, split="val")
    record.results = _results(work)
    logits = logits_of(work.final, work.normalize, data.test.images)
    record.confusion = measure.confusion(logits, data.test.labels, len(data.classes))
    record.mistakes = [FitRecord.Mistake(**entry) for entry in measure.mistakes(logits, data.test)]
    kept = Wiring(work.kept.nodes, tuple(e for e in body.wiring().edges if e[:2] in work.kept.strengths()))
    atomic_write(work.folder / "wiring.json", kept.to_json())
    facts = export(work.final, work.normalize, work.folder, data.in_shape, data.classes)
    if "model.py" in facts:
        record.machine["model.py"] = facts["model.py"]
    record.seconds["judge"] = time.monotonic() - start
    record.seconds["total"] = sum(s or 0 for name, s in record.seconds.items() if name != "total")
    record.finished = True
    work.save()


def _edges(work: Training) -> list[FitRecord.Edge]:
    body: Any = work.supernet.body
    strength = importance(work.supernet, work.batches(256), "strength").strengths()
    ablation = importance(work.supernet, work.batches(256), "ablation").strengths()
    kept = work.kept.strengths()
    return [
        FitRecord.Edge(
            source=e.source,
            target=e.target,
            gate=e.strength,
            strength=strength[e[:2]],
            ablation=ablation[e[:2]],
            cost=cost,
            kept=e[:2] in kept,
        )
        for e, cost in zip(body.wiring().edges, edge_costs(work.supernet, work.config.cost), strict=True)
    ]


def _budgets(work: Training) -> list[FitRecord.Budget]:
    """Accuracy on validation images when the supernet is cut to a budget, by one ranking, with no training after."""
    ranked = importance(work.learned, work.batches(), work.config.rank)
    place = {e[:2]: i for i, e in enumerate(ranked.edges)}
    wirings = {len(w.edges): w for keep in reversed(BUDGETS) for w in [prune(ranked, keep=keep)]}
    wirings[len(work.kept.edges)] = work.kept
    budgets = []
    for edges, wiring in sorted(wirings.items(), reverse=True):
        net = derive(work.supernet, wiring)
        budgets.append(
            FitRecord.Budget(
                keep=edges / len(ranked.edges),
                edges=edges,
                kept=sorted(place[e[:2]] for e in wiring.edges),
                parameters=parameters(net),
                macs=multiply_adds(net, work.data.in_shape),
                val_accuracy=accuracy(net, work.normalize, work.data.val),
            )
        )
    return budgets


def _results(work: Training) -> list[FitRecord.Result]:
    """Every net on the test images, which nothing was chosen by."""
    whole = derive(work.supernet, work.supernet.body.wiring())  # type: ignore[operator]
    note = "" if work.config.controls else " (stopped at the choice)"
    rows = [
        ("chain", "chain", work.chain),
        ("supernet", f"supernet, all edges{note}", whole),
        ("pruned", "pruned, when cut", work.cut),
        ("final", f"pruned, {_WORDS[work.config.then]}", work.final),
    ]
    results = []
    for name, label, net in rows:
        if net is not None:
            entry = measure.result(name, label, net, work.normalize, work.data.test, work.data.in_shape)
            results.append(FitRecord.Result(**(entry | ({"neurons": words} if (words := neurons(net)) else {}))))
    return results
