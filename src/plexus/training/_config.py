"""Every option of a fit, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from plexus.training._options import faults, kinds_of, read_value
from plexus.training._settings import Settings

KEEP = 0.3
"""The share of edges to keep where no budget is given."""


@dataclass(frozen=True, kw_only=True)
class FitConfig(Settings):
    """What `plexus fit` is told.

    Training takes `epochs` epochs under one cycle of the learning rate: all edges learn; after `select` of the epochs
    the edges to keep are chosen and the others fade out; after `cut` of the epochs they are cut, and the plain net
    trains on to the end. The controls, the chain and the supernet with nothing cut, get as many epochs.

    Args:
        data: `digits`, a folder, or a hub id.
        seed: of the split, the weights, the order and the augmentation.
        size: resize every image to SIZE x SIZE pixels.
        val: share of the training images held out for validation.
        test: share of all images held out for the test, where the data has no test split of its own.
        limit: use at most this many images for training and validation together.
        label: the column that holds the labels, where a table has several.
        skip_unreadable: leave out images that cannot be read, and record each.
        augment: shifts of up to 10 % and flips; by default on, but for digits.
        start_from: a run of `plexus represent train`, or its model: layers start from its encoder, not from pixels.
        start_at: z (its latent) | features (the maps before it).
        start_frozen: leave the encoder as it is; otherwise it learns with the layers.
        preset: deep | blocks | legos8 | dense; at an encoder's Z always dense.
        legos: FILE.py:function giving your own legos for an input shape, in place of a preset.
        width: maps of every lego of `deep`.
        neuron: of the legos' convolutions: plain | rot8 | rot4 | unit | spherical.
        last: how many of these become that neuron, counted from the last; all where it is not given.
        dense: neuron of the head's linear layers: plain | unit | spherical.
        head: gap | flatten512.
        merge, gate, resize, activation, project: connection options; by default the preset's.
        gate_init: the gates' own start value: one number, or two (previous layer, all others).
        epochs: epochs in all, of the pruned net and of each control.
        select: share of the epochs after which the edges to keep are chosen.
        cut: share of the epochs after which the other edges are cut.
        warmup: share of all steps for which gates stay as they started.
        penalty: weight of the mean of gate x cost in the loss, until the choice.
        cost: what an edge costs: bytes | macs | params.
        rank: what decides which edges go: gate | strength | taylor | ablation.
        keep: share of the edges to keep; 0.3 unless max_params is given.
        max_params: in place of keep, the most parameters the result may have; 200k and 1.5M are understood.
        anneal: fade (edges to be cut go to 0 step by step between choice and cut) | off (choose and cut at once).
        then: finetune (go on with the weights) | retrain (the pattern from fresh weights, for all epochs).
        controls: train the chain and the unpruned supernet too, to compare with.
        batch_size: images in a batch, per process.
        lr: peak learning rate (AdamW, one cycle).
        gate_lr: peak learning rate of the gates.
        weight_decay: of all parameters but the gates and the weights of unit and spherical neurons.
        devices, strategy, precision: passed on to Lightning's Trainer; precision is 32-true | bf16-mixed | 16-mixed.

    Raises:
        ConfigError: one or more options out of range; the message lists all of them.

    Example:
        >>> FitConfig(keep=0.2).data
        'digits'
    """

    data: str = "digits"
    seed: int = 0
    size: int | None = None
    val: float = 0.15
    test: float = 0.2
    limit: int | None = None
    label: str | None = None
    skip_unreadable: bool = False
    augment: bool | None = None
    start_from: str | None = None
    start_at: str = "z"
    start_frozen: bool = True
    preset: str = "deep"
    legos: str | None = None
    width: int = 16
    neuron: str = "plain"
    last: int | None = None
    dense: str = "plain"
    head: str = "gap"
    merge: str | None = None
    gate: str | None = None
    resize: str | None = None
    activation: str | None = None
    project: str | None = None
    gate_init: tuple[float, ...] | None = None
    epochs: int = 24
    select: float = 0.25
    cut: float = 0.65
    warmup: float = 0.0
    penalty: float = 0.0
    cost: str = "bytes"
    rank: str = "gate"
    keep: float | None = None
    max_params: int | None = None
    anneal: str = "fade"
    then: str = "finetune"
    controls: bool = True
    batch_size: int = 64
    lr: float = 6e-3
    gate_lr: float = 5e-2
    weight_decay: float = 5e-4
    devices: int = 1
    strategy: str = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        if self.keep is None and self.max_params is None:
            object.__setattr__(self, "keep", KEEP)
        self.check()

    def spans(self) -> tuple[int, int]:
        """Epochs until the choice, and until the cut; at least one before, between and after."""
        cut = min(max(round(self.cut * self.epochs), 2), self.epochs - 1)
        return min(max(round(self.select * self.epochs), 1), cut - 1), cut

    def choice(self) -> dict[str, Any]:
        """The options that decide what is cut and what then; what comes before does not depend on them."""
        return {"keep": self.keep, "max_params": self.max_params, "then": self.then}

    @classmethod
    def faults(cls, options: Mapping[str, Any]) -> list[str]:
        """Everything that is wrong, one sentence each."""
        return faults(options, _KINDS)

    @classmethod
    def read_option(cls, key: str, value: Any) -> Any:
        """A value in the option's own type where that is plain."""
        return read_value(key, value, _KINDS[key])


_KINDS = {f.name: kinds_of(str(f.type)) for f in fields(FitConfig)}
