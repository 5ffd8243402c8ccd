"""The record of a fit: its networks on test images, its training, its wiring, and what its page shows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from plexus.record._base import Count, Number, Part, Picture, Real, Record


class FitRecord(Record):
    """Record of a training of `plexus fit`: `record.json` of its run folder.

    Args:
        format, kind, created, command, seed, finished, config, versions, machine, data, seconds: see `Record`.
        nodes: names in computing order, the input first and the head last.
        labels: node -> what it is, for people.
        epochs: of every phase, in order; gates (one per edge) while learning.
        edges: one entry per connection.
        budgets: descending keep; each with the indices into `edges` that it keeps.
        chosen: index into `budgets`.
        results: test-set figures of each network; neurons, in words, where not all are plain.
        plan: width of the net and target of the cutting, decided before the first epoch; a note on the budget.
        front: the backbone whose maps are read in place of pixels, in words.
        blind: whether cutting began before the net was clearly better than the commonest class.
        teacher: the name of the model whose answers were learned, too.
        gap: accuracy before and after cutting, without any training in between.
        then: "finetune" or "retrain".
        confusion: counts, rows true and columns predicted.
        mistakes: the worst mistakes.
        correct: of each class the image that was recognised most surely.

    Example:
        >>> record = FitRecord(command="plexus fit digits", nodes=["input", "lego1", "head"])
        >>> FitRecord.from_dict(record.to_dict()) == record
        True
    """

    class Edge(Part):
        """One connection: gate after learning, importance, cost, whether it was kept; map edges kept, and possible."""

        source: str
        target: str
        gate: Number = None
        strength: Number = None
        ablation: Number = None
        cost: Number = None
        kept: bool | None = None
        maps: list[int] | None = Field(default=None, min_length=2, max_length=2)

    class Budget(Part):
        """One way to cut, and what it left."""

        keep: Number = None
        edges: Count = None
        kept: list[int] = []
        parameters: Count = None
        macs: Count = None
        latency_ms: Number = None
        kb: Number = None
        val_accuracy: Number = None

    class Result(Part):
        """One network on the test images."""

        name: str = ""
        label: str = ""
        neurons: str = ""
        accuracy: Number = None
        val_accuracy: Number = None
        train_accuracy: Number = None
        ci: list[Real] | None = Field(default=None, min_length=2, max_length=2)
        balanced_accuracy: Number = None
        parameters: Count = None
        macs: Count = None
        latency_ms: Number = None
        kb: Number = None
        train_seconds: Number = None

    class Plan(Part):
        """The decisions that were made before the first epoch."""

        width: Count = None
        fan_in: Count = None
        edges: Count = None
        channels: Number = None
        note: str = ""

    class Gap(Part):
        """Accuracy of one split before and after cutting."""

        before: Number = None
        after: Number = None
        split: str = ""

    class Mistake(Part):
        """One image, its class, and the class that it was taken for, with the probability of that."""

        name: str = ""
        image: Picture = ""
        true: Count = None
        predicted: Count = None
        probability: Number = None

    kind: Literal["fit"] = "fit"
    nodes: list[str] = []
    labels: dict[str, str] = {}
    epochs: list[Record.Epoch] = []
    edges: list[Edge] = []
    budgets: list[Budget] = []
    chosen: int | None = None
    results: list[Result] = []
    plan: Plan = Field(default_factory=Plan)
    front: str = ""
    blind: bool = False
    teacher: str = ""
    gap: Gap = Field(default_factory=Gap)
    then: str = ""
    confusion: list[list[int]] = []
    mistakes: list[Mistake] = []
    correct: list[Mistake] = []

    def result(self, name: str) -> Result | None:
        """Return the entry of `results` with this name, if its accuracy was measured.

        Args:
            name: of a network: final, resnet, ...

        Example:
            >>> FitRecord(results=[{"name": "final", "accuracy": 0.9}]).result("final").accuracy
            0.9
        """
        return next((row for row in self.results if row.name == name and row.accuracy is not None), None)

    def remarks(self) -> list[str]:
        """Return what a reader of the figures should know first, in sentences."""
        blind = (
            "The cut began before the net was clearly better than always answering with the commonest class, so that "
            "chance had a part in what stays; more epochs or more images would help."
        )
        return [*([self.plan.note] if self.plan.note else []), *([blind] if self.blind else [])]

    def _misfit(self) -> str | None:
        for i, edge in enumerate(self.edges):
            for end, node in (("source", edge.source), ("target", edge.target)):
                if node not in self.nodes:
                    return f"edges[{i}] has {end} {node!r:.40}, which is not among the nodes"
        for i, budget in enumerate(self.budgets):
            if any(not 0 <= k < len(self.edges) for k in budget.kept):
                return f"budgets[{i}] keeps connections that are not among the {len(self.edges)} edges"
        if self.chosen is not None and not 0 <= self.chosen < len(self.budgets):
            return f"'chosen' is {self.chosen}, but there are {len(self.budgets)} budgets"
        return None
