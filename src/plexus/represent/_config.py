"""Every option of a representation, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator
from pydantic.dataclasses import dataclass

from plexus.training import ImageOptions, declared, option

_LEARNED = {"wiring": "learn"}


def _text(value: Any) -> Any:
    """A whole number as text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _names(value: Any) -> Any:
    """Names that YAML takes for numbers, as text."""
    return tuple(str(name) for name in value) if isinstance(value, list | tuple) else value


def _distinct(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is not None and (not names or len(set(names)) < len(names)):
        raise ValueError("none, or one twice")
    return names


@dataclass(frozen=True, kw_only=True)
class RepresentConfig(ImageOptions):
    """Options of `plexus represent train`; `plexus represent train --help` says what each is.

    Raises:
        ConfigError: options out of range, unknown, or of no effect beside the others; the message lists all of them.

    Example:
        >>> RepresentConfig(labels="10").few
        10
    """

    size: int | None = option(None, "data", "resize every image to SIZE x SIZE pixels", ge=4)
    classes: Annotated[tuple[str, ...] | None, BeforeValidator(_names), AfterValidator(_distinct)] = option(
        None,
        "data",
        "train on these classes only; the others stay unseen, for few-shot tests",
        must="a list of names, each class once",
        default="all",
    )
    labels: Annotated[str, BeforeValidator(_text)] = option(
        "all",
        "data",
        "labels to use: all, none, or a number per class; the other images are used without",
        pattern="^(all|none|0*[1-9][0-9]*)$",
        must="all, none, or how many of each class, 1 or more",
    )
    rotation: float = option(15.0, "data", "turn by at most this many degrees either way", ge=0, le=180)
    shift: float = option(0.1, "data", "shift by at most this share of the side", ge=0, le=1)
    gain: float = option(0.1, "data", "change the brightness by at most this share", ge=0, le=1)
    elastic: float = option(0.03, "data", "std of smooth displacements, as a share of the side", ge=0, le=1)
    flip: bool = option(False, "data", "mirror half of the images left to right")
    dim: int = option(64, "network", "numbers in Z", ge=1)
    width: int = option(
        32, "network", "channels of the encoder's first level; each further one twice, up to 8 times", ge=1
    )
    depth: int = option(1, "network", "convolutions of a level", ge=1)
    neuron: Literal["plain", "rot8", "rot4", "unit"] = option(
        "plain", "network", "neuron of the encoder's convolutions"
    )
    wiring: str | None = option(
        None, "wiring", "wiring of the encoder's convolutions: learn, or the wiring.json of a run", default="a chain"
    )
    keep: float = option(0.5, "wiring", "share of the connections to keep", gt=0, le=1, needs=_LEARNED)
    gate_lr: float = option(0.05, "wiring", "peak learning rate of the gates", ge=0, needs=_LEARNED)
    balance: float = option(
        0.1,
        "training",
        "weight of recognition in what shapes Z; reconstruction has the rest",
        ge=0,
        le=1,
        must="a share, 0 (reconstruction alone) to 1 (recognition alone)",
    )
    objective: Literal["ae", "vae", "denoise"] = option(
        "ae", "training", "what reconstruction learns: plain, variational, or from noisy images"
    )
    beta: float = option(1.0, "training", "weight of the divergence from the prior", ge=0, needs={"objective": "vae"})
    noise: float = option(
        0.5, "training", "std of the noise added, relative to the pixels' own", ge=0, needs={"objective": "denoise"}
    )
    consistency: Literal["pseudo", "contrast", "none"] | None = option(
        None, "training", "what images without labels teach", default="what the labels suggest"
    )
    confidence: float = option(0.95, "training", "probability from which a pseudo-label counts", gt=0, lt=1)
    temperature: float = option(0.2, "training", "temperature of the contrastive term", gt=0)
    batch_size: int = option(128, "training", "images in a batch, per process", ge=2)
    lr: float = option(0.002, "training", "peak learning rate (AdamW, one cycle)", gt=0)
    onnx: bool = option(True, "output", "write encoder and decoder as ONNX, too")

    @property
    def few(self) -> int | None:
        """Labels of each class, where not all or none are used."""
        return None if self.labels in ("all", "none") else int(self.labels)

    @property
    def teaches(self) -> str:
        """The term that images without labels add: measured to be best for as many labels as there are."""
        return _teaches(self.consistency, self.labels)

    @classmethod
    def between(cls, options: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong between options that are right by themselves."""
        if options.get("consistency") == "pseudo" and options.get("labels") == "none":
            yield "consistency=pseudo learns from labels, and labels=none has none; choose contrast or none"
        if options.get("wiring") == "learn" and options.get("epochs", 2) < 2:
            yield "wiring=learn needs epochs of at least 2: some to learn it and some to train what is kept"

    @classmethod
    def idle(cls, options: Mapping[str, Any]) -> dict[str, str]:
        """Return the options that would have no effect beside the others, each with a sentence that says so."""
        sentences = super().idle(options)
        teaches = _teaches(options.get("consistency"), options.get("labels", "all"))
        for name, term in (("confidence", "pseudo"), ("temperature", "contrast")):
            if options.get(name, declared(cls)[name].value) != declared(cls)[name].value and teaches != term:
                sentences[name] = f"{name}={options[name]} belongs to consistency={term}, not to consistency={teaches}"
        return sentences


def _teaches(consistency: str | None, labels: Any) -> str:
    return consistency or {"all": "none", "none": "contrast"}.get(str(labels), "pseudo")
