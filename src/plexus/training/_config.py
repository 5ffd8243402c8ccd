"""Every option of a fit, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from plexus.training._options import ImageOptions, declared, option, read_count

KEEP = 0.3
"""The share of edges to keep where no budget is chosen."""


def _count(value: Any) -> Any:
    """A whole number, where text is one: 200k."""
    with suppress(ValueError, OverflowError):
        return read_count(value) if isinstance(value, str) else value
    return value


@dataclass(frozen=True, kw_only=True)
class FitConfig(ImageOptions):
    """Options of `plexus fit`; `plexus fit --help` says what each is.

    Training takes `epochs` epochs under one cycle of the learning rate: all edges learn; after `select` of the epochs
    the edges to keep are chosen and the others fade out; after `cut` of the epochs they are cut, and the plain net
    trains on to the end. The controls, the chain and the supernet with nothing cut, get as many epochs.

    Raises:
        ConfigError: options out of range, unknown, or of no effect beside the others; the message lists all of them.

    Example:
        >>> FitConfig(keep=0.2).data
        'digits'
    """

    augment: bool | None = option(None, "data", "shift by up to 10 % and flip", default="all data but digits")
    start_from: str | None = option(
        None, "network", "a run of `plexus represent train`, or its model: start from its encoder"
    )
    start_at: Literal["z", "features"] = option(
        "z", "network", "the encoder's latent, or the channels before it", needs={"start_from": ...}
    )
    start_frozen: bool = option(
        True, "network", "leave the encoder as it is; otherwise it learns, too", needs={"start_from": ...}
    )
    preset: Literal["deep", "blocks", "legos8", "dense"] = option(
        "deep", "network", "the stack of legos; at an encoder's Z always dense", needs={"legos": None}
    )
    legos: str | None = option(None, "network", "FILE.py:function giving your own legos for an input shape")
    width: int = option(16, "network", "channels of every lego", ge=1, needs={"preset": "deep", "legos": None})
    neuron: Literal["plain", "rot8", "rot4", "unit", "spherical"] = option(
        "plain", "network", "neuron of the legos' convolutions"
    )
    last: int | None = option(
        None, "network", "how many convolutions become that neuron, from the last", ge=1, default="all"
    )
    dense: Literal["plain", "unit", "spherical"] = option("plain", "network", "neuron of the head's linear layers")
    head: Literal["gap", "flatten512"] = option(
        "gap", "network", "global average pooling, or the notes' dense layer of 512"
    )
    merge: Literal["concat", "sum", "max", "squeeze"] | None = option(
        None, "wiring", "how a lego's inputs become one", default="the preset's"
    )
    gate: Literal["scalar", "channel"] | None = option(
        None, "wiring", "one gate for a connection, or for each of its channels", default="scalar"
    )
    resize: Literal["area", "nearest", "bilinear", "bicubic"] | None = option(
        None, "wiring", "how larger inputs come to the size of the smallest", default="area"
    )
    activation: Literal["sigmoid", "none"] | None = option(
        None, "wiring", "what the gates' weights pass through", default="sigmoid"
    )
    project: Literal["pad", "conv"] | None = option(
        None, "wiring", "how inputs of fewer channels are widened, for sum and max", default="pad"
    )
    gate_init: tuple[Annotated[float, Field(gt=0, lt=1)], ...] | None = option(
        None,
        "wiring",
        "the gates' start value: one number, or two (previous layer, all others)",
        strict=False,
        min_length=1,
        max_length=2,
        must="one or two gate values in (0, 1)",
        default="the preset's",
    )
    epochs: int = option(24, "training", "epochs in all, of the pruned net and of each control", ge=3)
    select: float = option(
        0.25, "wiring", "share of the epochs after which the edges are chosen", needs={"anneal": "fade"}
    )
    cut: float = option(0.65, "wiring", "share of the epochs after which the other edges are cut")
    warmup: float = option(0.0, "wiring", "share of the steps for which gates stay as they are", ge=0, lt=1)
    penalty: float = option(0.0, "wiring", "weight of gate x cost in the loss, until the choice", ge=0)
    cost: Literal["bytes", "macs", "params"] = option("bytes", "wiring", "what an edge costs")
    rank: Literal["gate", "strength", "taylor", "ablation"] = option("gate", "wiring", "what decides which edges go")
    keep: float | None = option(
        None, "wiring", "share of the edges to keep", gt=0, le=1, default=f"{KEEP} without max_params"
    )
    max_params: Annotated[int | None, BeforeValidator(_count)] = option(
        None, "wiring", "in place of keep, the most parameters of the result: 200k, 1.5M", ge=1
    )
    anneal: Literal["fade", "off"] = option(
        "fade", "wiring", "fade edges out between choice and cut, or choose and cut at once"
    )
    then: Literal["finetune", "retrain"] = option(
        "finetune", "training", "go on with the weights, or retrain the pattern from fresh ones"
    )
    controls: bool = option(True, "training", "train the chain and the unpruned supernet, to compare with")
    lr: float = option(0.006, "training", "peak learning rate (AdamW, one cycle)", gt=0)
    gate_lr: float = option(0.05, "wiring", "peak learning rate of the gates", ge=0)

    def __post_init__(self) -> None:
        if self.keep is None and self.max_params is None:
            object.__setattr__(self, "keep", KEEP)

    def spans(self) -> tuple[int, int]:
        """Return the epochs until the choice, and until the cut; at least one before, between and after."""
        cut = min(max(round(self.cut * self.epochs), 2), self.epochs - 1)
        return min(max(round(self.select * self.epochs), 1), cut - 1), cut

    def choice(self) -> dict[str, Any]:
        """Return the options that decide what is cut and what then; what comes before does not depend on them."""
        return {"keep": self.keep, "max_params": self.max_params, "then": self.then}

    @classmethod
    def between(cls, options: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong between options that are right by themselves."""
        if options.get("keep") is not None and options.get("max_params") is not None:
            yield "give one budget: keep or max_params"
        if options.get("last") is not None and options.get("neuron") == "plain":
            yield f"last={options['last']} counts convolutions that become another neuron; say which with neuron"
        if {"select", "cut"} <= options.keys() and not 0 < options["select"] < options["cut"] < 1:
            yield f"select={options['select']} and cut={options['cut']} must be shares of the epochs, select below cut"

    @classmethod
    def idle(cls, options: Mapping[str, Any]) -> dict[str, str]:
        """Return the options that would have no effect beside the others, each with a sentence that says so."""
        sentences = super().idle(options)
        chosen = {name: value for name, value in options.items() if value not in (None, declared(cls)[name].value)}
        at_z = "start_from" in chosen and options.get("start_at", "z") == "z" and "legos" not in chosen
        for name in ("preset", "width") if at_z else ():
            if name in chosen and chosen[name] != "dense":
                sentences[name] = f"{name}={chosen[name]!r} has no effect at an encoder's Z, where legos are dense"
        stack = "legos" if "legos" in chosen else "dense" if at_z else options.get("preset", "deep")
        merge = chosen.get("merge", "concat" if stack in ("blocks", "legos8") else "sum")
        if "project" in chosen and merge not in ("sum", "max"):
            sentences["project"] = (
                f"project={chosen['project']!r} belongs to merge=sum and merge=max, not to merge={merge}"
            )
        if "resize" in chosen and stack == "dense":
            sentences["resize"] = f"resize={chosen['resize']!r} has no effect on dense legos, all of one size"
        return sentences
