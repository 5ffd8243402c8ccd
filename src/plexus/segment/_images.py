"""Images to be answered by a finished run: opened, decoded a few at a time, answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plexus.data import SampleSet, UnreadableError, open_samples, to_shape
from plexus.errors import DataError, RunError
from plexus.segment._config import SegmentConfig, read_gate
from plexus.segment._forward import Floats, answers, enlarge
from plexus.segment._gate import Gate
from plexus.segment._measure import KINDS, Mask, gated, in_parallel
from plexus.segment._nets import Segmenter, load_nets
from plexus.segment._train import finished, open_run
from plexus.segment._window import windowed
from plexus.training import device
from plexus.training.engine import parts_of

_AT_ONCE = 16

Told = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Args:
        config: its options.
        record: what it says of itself.
        nets: of all folds, on the device that answers.
    """

    config: SegmentConfig
    record: dict[str, Any]
    nets: list[Segmenter]

    def gate(self, kind: str | None) -> Gate:
        """The run's own gate, or the one of another kind that it keeps.

        Raises:
            ConfigError: an unknown kind.
        """
        kept: dict[str, Any] = self.record["gates"]
        kind = self.record["chosen"] if kind is None else kind
        threshold = read_gate(kind)
        if threshold is None or kind in kept:
            return Gate.from_dict(kept[kind])
        return replace(Gate.from_dict(kept["0.5"]), threshold=threshold)

    def answer(self, pixels: Sequence[NDArray[np.uint8]], *, flips: bool, window: bool) -> list[tuple[Floats, float]]:
        """Probabilities at the nets' scale and a presence logit for some images."""
        size, facts = self.config.shape, self.record["data"]
        channels = int(facts["channels"])
        if window:
            usual = (float(facts["trained_size"][0]), float(facts["trained_size"][1]))
            return [windowed(self.nets, p, size, usual, channels=channels, flips=flips) for p in pixels]
        images = torch.from_numpy(np.stack([to_shape(p, (channels, *size)) for p in pixels]))
        maps, logits = answers(self.nets, images, flips=flips)
        return list(zip(maps, logits.tolist(), strict=True))


def open_finished(run: str | Path) -> Run:
    """A run with its nets.

    Raises:
        RunError: it is not finished, or broken.
    """
    folder = Path(run)
    config, typed = open_run(folder)
    record = parts_of(typed)
    if not finished(folder):
        raise RunError(f"{folder}: the run is not finished; go on with `plexus segment train --resume {folder}`")
    try:
        nets = load_nets(folder, [fold["fold"] for fold in record["folds"]])
        opened = Run(config, record, [net.to(device()) for net in nets])
        for kind in (None, *KINDS):
            opened.gate(kind)
        if missing := {"machine", "model"} - record.keys():
            raise ValueError(f"no {min(missing)}")
        channels, sides = record["data"]["channels"], record["data"]["trained_size"]
        if any(net.net.options["in_channels"] != channels for net in nets):
            raise ValueError(f"channels {channels}, but its nets read others")
        if len(sides) != 2 or not all(side > 0 for side in sides):
            raise ValueError(f"trained_size {sides}")
        return opened
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder / 'record.json'}: broken: {error!r}; train anew") from None


@dataclass(frozen=True, eq=False)
class Answered:
    """What a run says of one image.

    Args:
        name: of the image, without suffix.
        mask: at the image's own size, after the gate.
        presence: the calibrated probability that the target is there.
    """

    name: str
    mask: Mask
    presence: float


def answer_images(
    run: Run, images: Sequence[str | Path], *, gate: str | None, flips: bool, window: bool, skip_unreadable: bool,
    tell: Told,
) -> Iterator[Answered]:  # fmt: skip
    """Masks of images, one after the other.

    Raises:
        DataError: an image that cannot be read, or two of the same name.
    """
    rule = run.gate(gate)
    sets = [open_samples(spec, masks=False) for spec in images]
    names = [name for source in sets for name in short_names(source)]
    if twice := next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None:
        raise DataError(f"{twice}: two images have this name, and one result would replace the other; rename one")
    place = iter(names)
    for source in sets:
        for first in range(0, len(source), _AT_ONCE):
            rows = list(range(first, min(first + _AT_ONCE, len(source))))
            read = _decoded(source, rows)
            use = []
            for row, pixels in zip(rows, read, strict=True):
                name = next(place)
                if isinstance(pixels, str):
                    problem = f"{source.samples[row].name}: {pixels}"
                    if not skip_unreadable:
                        raise DataError(f"{problem}: mend it, or leave such images out with --skip-unreadable")
                    tell(f"left out {problem}")
                else:
                    use.append((name, pixels))
            found = run.answer([pixels for _, pixels in use], flips=flips, window=window) if use else []
            for (name, pixels), (small, logit) in zip(use, found, strict=True):
                mask, _ = gated(rule, small, enlarge(small, (pixels.shape[0], pixels.shape[1])), logit)
                yield Answered(name, mask, float(rule.presence(np.array([logit], np.float32))[0]))


def short_names(source: SampleSet) -> list[str]:
    """Names without suffix, and without a way out of a folder.

    Raises:
        DataError: nothing is left of a name.
    """
    found = []
    for sample in source.samples:
        path = PurePosixPath(sample.name)
        parts = [part for part in path.parts if part not in ("..", "/", ".")]
        if not parts:
            raise DataError(f"{source.where}: {sample.name!r} is no name for a file; rename it")
        suffix = path.suffix if not sample.name.startswith("row ") else ""
        found.append("/".join(parts).removesuffix(suffix))
    return found


def _decoded(source: SampleSet, rows: Sequence[int]) -> list[NDArray[np.uint8] | str]:
    def read(k: int) -> NDArray[np.uint8] | str:
        try:
            return source.pixels(rows[k])
        except UnreadableError as error:
            return str(error)

    return in_parallel(read, len(rows))
