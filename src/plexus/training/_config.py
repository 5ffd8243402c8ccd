"""Every option of a fit, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from plexus.training._options import ImageOptions, declared, option, read_count

KEEP = 0.3
"""The share of edges between layers to keep where no budget is chosen."""
KEEP_MAPS = 0.6
"""That share of the few edges behind a backbone."""
FAN_IN = 16
"""The source maps that every group of maps keeps where no budget is chosen."""
CHANNELS = 0.75
"""The share of the channels of every stream to keep where no budget is chosen."""
_MERGES = {"separable": "mix", "mix": "mix", "blocks": "concat", "legos8": "concat", "maps": "concat"}
_DEPTHWISE = ("separable", "mix")
LITE = "efficientnet-lite0"
"""The backbone that comes with a package."""
MEMORY = "(in memory)"
"""Names, in options, what was no file: images, or a function that makes legos."""
BUDGETS = ("keep", "fan_in", "max_params", "max_macs", "max_ms", "max_kb")
"""Options that limit what is left; one of them at most is given."""
STACK = ("preset", "legos", "neuron", "start_from", "start_at", "backbone", "backbone_lr")
"""Options that decide which legos there are, and so which budgets suit."""


def _count(value: Any) -> Any:
    """A whole number, where text is one: 200k."""
    with suppress(ValueError, OverflowError):
        return read_count(value) if isinstance(value, str) else value
    return value


@dataclass(frozen=True, kw_only=True)
class FitConfig(ImageOptions):
    """Options of `plexus fit`; `plexus fit --help` says what each is.

    Training takes `epochs` epochs under one cycle of the learning rate. All edges are there at first; between a tenth
    and six tenths of the steps, once the net beats chance clearly, the weakest are cut, a few at a time, until the
    budget is met; what stays keeps its values and trains on to the end.

    Raises:
        ConfigError: options out of range, unknown, or of no effect beside the others; the message lists all of them.

    Example:
        >>> FitConfig(keep=0.2).data
        'digits'
    """

    gone: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            ("select", "cut", "anneal"), "edges are cut while the net learns, between .1 and .6 of the steps"
        ),
        "rank": "edges are as strong as their gate or their weights",
        "then": "what stays keeps its values and trains on",
    }

    fit: Literal["letterbox", "crop", "squash"] | None = option(
        None, "data", "how images of another shape come to SIZE x SIZE", needs={"size": ...},
        default="squash where all have one shape, else letterbox",
    )  # fmt: skip
    cache: str | None = option(
        None, "data", "a folder for decoded images, which are then not held in memory; or none",
        default="~/.cache/plexus/images for sets over a quarter of the free memory",
    )  # fmt: skip
    augment: bool | None = option(
        None, "data", "vary the training images: shift by up to 10 % and flip; without it none of this",
        default="all data but digits, and not before a backbone that does not learn",
    )  # fmt: skip
    flip: bool | None = option(
        None, "data", "mirror half of the training images, left to right", default="as augment says"
    )
    shift: float | None = option(
        None, "data", "shift training images by up to this share of their sides", ge=0, le=1,
        default="0.1, or as augment says",
    )  # fmt: skip
    crop: float = option(
        0.0, "data", "cut off up to this share of the sides of training images, and enlarge the rest", ge=0, lt=1
    )
    cutout: float = option(0.0, "data", "grey out a square of this share of the side of training images", ge=0, le=1)
    balance: Literal["weights", "sampling"] | None = option(
        None, "training", "make up for classes of unequal size: by weights in the loss, or by drawing them alike often",
        default="none",
    )  # fmt: skip
    start_from: str | None = option(
        None, "network", "a run of `plexus represent train`, or its model: start from its encoder"
    )
    start_at: Literal["z", "features"] = option(
        "z", "network", "the encoder's latent, or the channels before it", needs={"start_from": ...}
    )
    start_frozen: bool = option(
        True, "network", "leave the encoder as it is; otherwise it learns, too", needs={"start_from": ...}
    )
    backbone: str | None = option(
        None, "network", "legos read the maps of a learned net in place of pixels: efficientnet-lite0 "
        "(pip install plexus-nn[backbone]), a run, or FILE.py:function+WEIGHTS.safetensors, which takes pixels 0..255",
        needs={"start_from": None}, default="none",
    )  # fmt: skip
    backbone_lr: float = option(
        0.0, "network", "peak learning rate of the backbone; at 0 it stays as it is", ge=0, needs={"backbone": ...}
    )
    preset: Literal["separable", "mix", "deep", "blocks", "legos8", "dense", "maps"] | None = option(
        None, "network", "the stack of legos; at an encoder's Z always dense", needs={"legos": None},
        default="separable, deep for other neurons than plain, or maps behind a backbone",
    )  # fmt: skip
    legos: str | None = option(None, "network", "FILE.py:function giving your own legos for an input shape")
    width: int | None = option(
        None, "network", "channels of the legos (deep), or of the first stage's", ge=1, needs={"legos": None},
        default="16 (deep), else from the budget",
    )  # fmt: skip
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
    merge: Literal["mix", "concat", "sum", "max", "squeeze"] | None = option(
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
    epochs: int = option(24, "training", "epochs in all, of the pruned net and of each control", ge=1)
    warmup: float = option(0.0, "wiring", "share of the steps for which gates stay as they are", ge=0, lt=1)
    penalty: float = option(0.0, "wiring", "weight of gate x cost in the loss, until the choice", ge=0)
    cost: Literal["bytes", "macs", "params"] = option("bytes", "wiring", "what an edge costs")
    share: Literal[1, 2, 4, 8, 16] = option(8, "wiring", "maps that share their sources, where single maps are mixed")
    keep: float | None = option(
        None,
        "wiring",
        "share of the edges to keep, or of the channels of every stream (separable)",
        gt=0,
        le=1,
        default=f"{CHANNELS} (separable), {KEEP} where layers are joined, {KEEP_MAPS} (maps)",
    )
    fan_in: int | None = option(
        None, "wiring", "source maps that every group of maps keeps, where single maps are mixed", ge=1,
        default=f"{FAN_IN} without another budget",
    )  # fmt: skip
    max_params: Annotated[int | None, BeforeValidator(_count)] = option(
        None, "wiring", "the most parameters of the result: 200k, 1.5M", ge=1, default="none"
    )
    max_macs: Annotated[int | None, BeforeValidator(_count)] = option(
        None, "wiring", "the most multiply-adds of the result: 5M", ge=1, default="none"
    )
    max_ms: float | None = option(
        None, "wiring", "the most milliseconds for one image: onnxruntime, one thread, this machine", gt=0,
        default="none",
    )  # fmt: skip
    max_kb: float | None = option(
        None, "wiring", "the largest model.onnx in kilobytes of 1,000 bytes, or with int8 model-int8.onnx", gt=0,
        default="none",
    )  # fmt: skip
    int8: bool = option(
        False, "output", "write model-int8.onnx, too: weights of eight bits, calibrated on training images and tested"
    )
    controls: bool = option(
        False,
        "training",
        "train competitors, too: the same net without the cut in as much time (or a random wiring of as many edges), "
        "and a plain ResNet that takes as many milliseconds",
    )
    teacher: str | None = option(
        None, "training", "learn the answers of another model, too: a run, an .onnx file, or "
        "FILE.py:function+WEIGHTS.safetensors; it takes pixels 0..255", default="none",
    )  # fmt: skip
    temperature: float = option(
        4.0, "training", "what both models' logits are divided by where they are compared", gt=0,
        needs={"teacher": ...},
    )  # fmt: skip
    teacher_share: float = option(
        0.9, "training", "share of the teacher's answers in the loss; the labels have the rest", gt=0, le=1,
        needs={"teacher": ...},
    )  # fmt: skip
    lr: float = option(0.006, "training", "peak learning rate (AdamW, one cycle)", gt=0)
    gate_lr: float | None = option(
        None,
        "wiring",
        "peak learning rate of the gates, or of the weights of a mix",
        ge=0,
        default="0.05, or 0.01 (mix)",
    )

    @property
    def side(self) -> int | None:
        """The size that images are brought to: `size`, or what a known backbone was trained at."""
        return 224 if self.size is None and self.backbone == LITE else self.size

    @property
    def stack(self) -> str:
        """The stack of legos that these options ask for: a preset, or `legos` for the user's own."""
        return _stack(vars(self))

    def strengths(self) -> dict[str, Any]:
        """Return the strengths of the augmentation, by name: what is not chosen is as `augment` says."""
        frozen = self.backbone is not None and not self.backbone_lr  # its maps are then computed once
        usual = self.data != "digits" and not frozen if self.augment is None else self.augment
        flip = usual if self.flip is None else self.flip
        shift = (0.1 if usual else 0.0) if self.shift is None else self.shift
        return {"shift": shift, "flip": flip, "crop": self.crop, "cutout": self.cutout}

    def budget(self) -> dict[str, Any]:
        """Return the limit that was chosen, by name; empty for the default."""
        return {name: value for name in BUDGETS if (value := getattr(self, name)) is not None}

    @classmethod
    def between(cls, options: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong between options that are right by themselves."""
        given = [name for name in BUDGETS if options.get(name) is not None]
        if len(given) > 1:
            yield f"give one budget: {' or '.join(given)}"
        stack, merge = _stack(options), options.get("merge")
        if stack in _DEPTHWISE and merge not in (None, "mix"):
            yield f"merge={merge} does not suit preset={stack}; choose preset=deep, or your own legos"
        if stack in _DEPTHWISE and options.get("neuron", "plain") != "plain":
            yield f"neuron={options['neuron']} does not suit the depthwise legos of preset={stack}; choose preset=deep"
        width, share = options.get("width"), options.get("share", 1)
        if stack == "mix" and width is not None and width % share:
            yield f"width={width} is no multiple of share={share}, the maps that share their sources; change either"
        if options.get("last") is not None and options.get("neuron") == "plain":
            yield f"last={options['last']} counts convolutions that become another neuron; say which with neuron"

    @classmethod
    def idle(cls, options: Mapping[str, Any]) -> dict[str, str]:
        """Return the options that would have no effect beside the others, each with a sentence that says so."""
        sentences = super().idle(options)
        chosen = {name: value for name, value in options.items() if value not in (None, declared(cls)[name].value)}
        stack = _stack(options)
        at_z = stack == "dense" and chosen.get("preset") != "dense"
        for name in ("preset", "width") if at_z else ():
            if name in chosen:
                sentences[name] = f"{name}={chosen[name]!r} has no effect at an encoder's Z, where legos are dense"
        if "width" in chosen and stack in ("blocks", "legos8"):
            sentences["width"] = (
                f"width={chosen['width']!r} belongs to preset=separable, mix, deep and maps, not to preset={stack}"
            )
        for name in ("share", "fan_in", "resize") if stack == "separable" else ():
            if name in chosen:
                sentences[name] = f"{name}={chosen[name]!r} belongs to preset=mix, not to preset=separable"
        merge = chosen.get("merge", _MERGES.get(stack, "sum"))
        only = {"project": ("sum", "max"), **dict.fromkeys(("share", "fan_in", "max_ms", "max_kb"), ("mix",))}
        only |= dict.fromkeys(
            ("gate", "gate_init", "activation", "penalty", "cost"), ("concat", "sum", "max", "squeeze")
        )
        for name, merges in only.items():
            if name in chosen and merge not in merges:
                homes = " and ".join(f"merge={home}" for home in merges)
                sentences[name] = f"{name}={chosen[name]!r} belongs to {homes}, not to merge={merge}"
        if "resize" in chosen and stack == "dense":
            sentences["resize"] = f"resize={chosen['resize']!r} has no effect on dense legos, all of one size"
        return sentences


def _stack(options: Mapping[str, Any]) -> str:
    """The stack of legos that options ask for."""
    if options.get("legos") is not None:
        return "legos"
    if options.get("backbone") is not None and options.get("preset") is None:
        return "maps"
    if options.get("start_from") is not None and options.get("start_at", "z") == "z":
        return "dense"
    plain = options.get("neuron", "plain") == "plain"
    return str(options.get("preset") or ("separable" if plain else "deep"))
