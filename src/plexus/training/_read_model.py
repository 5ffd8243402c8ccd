"""The net of a finished run as a torch module, rebuilt from its options and its weights; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import fx, nn

from plexus.errors import RunError
from plexus.nn import fold
from plexus.training._backbone import Front, open_backbone
from plexus.training._classification import Normalize
from plexus.training._config import FitConfig
from plexus.training._cut import left, plain
from plexus.training._fit import FIT, finished, open_run
from plexus.training._module import load_exact
from plexus.training.engine import train_only
from plexus.training.export import with_pixels
from plexus.training.nets import Legos, Nets
from plexus.wiring import importance, read_wiring


def read_model(
    run: str | Path, *, scale: tuple[float, float] | None = None, legos: Legos | None = None, backbone: Any = None
) -> nn.Module:
    r"""Rebuild the net that a run hands over, with its normalisation in front.

    Its layers follow from the options and the wiring, its numbers are those of `model.safetensors`.

    Args:
        run: the folder of a finished `plexus fit`.
        scale: the numbers l and h that stand for black and white in the images it will be given; pixels from 0 to 255
            unless given.
        legos: the function that made the legos, where it was in memory.
        backbone: the module that is the backbone, or a function that makes it, where it was in memory.

    Shape:
        (N, C, H, W) -> logits (N, K)

    Returns:
        A `torch.fx.GraphModule` of plain layers in evaluation mode.

    Raises:
        RunError: the run is not finished, of an earlier version, or files of it are gone or not its own.
        ConfigError: the legos were in memory, and are not given.

    Example:
        >>> read_model("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus fit`
    """
    folder = Path(run)
    if not finished(folder):
        raise RunError(f"{folder}: the run has no model yet; finish it with `plexus fit --resume {folder}`")
    config, record = open_run(folder)
    if record.plan.width is not None:
        config = replace(config, width=record.plan.width)
    learned = folder / "checkpoints" / "fit" / "weights.safetensors"
    if not learned.is_file():
        raise RunError(f"{learned}: not there: the net is rebuilt from it; take {folder / 'model.py'} or model.onnx")
    shape = tuple(record.data.in_shape)
    opened = open_backbone(config, shape, read_model, given=backbone, weights=False)  # type: ignore[arg-type]
    front = Front(opened, "") if opened is not None and not opened.learns else None
    try:
        weights, shipped = load_file(learned), load_file(folder / "model.safetensors")
        with torch.random.fork_rng(devices=[]):
            nets = Nets(config, shape, len(record.data.classes), legos, front=front, start=None if front else opened)
            net: Any = nets.supernet()
        load_exact(net, weights)
        kept = left(importance(net, method="gate"), net.body)
        there = read_wiring(folder / "wiring.json").strengths()
        kept = kept if kept.maps else kept.keep([edge[:2] for edge in kept.edges if edge[:2] in there])
        normalize = front or Normalize(shipped["pixel_mean"].flatten(), shipped["pixel_std"].flatten())
        whole: Any = fold(with_pixels(plain(net.eval(), kept), normalize).eval())
        whole.load_state_dict(shipped)
    except (SafetensorError, KeyError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RunError(f"{folder}: its weights are not those of its options ({reason}); fit anew") from None
    return _on_scale(whole, scale)


def learn(
    config: FitConfig, *, given: Mapping[str, Any] | None = None, scale: tuple[float, float] | None = None,
    progress: bool = False,
) -> tuple[nn.Module, list[dict[str, Any]]]:  # fmt: skip
    """Train, and return the net alone: nothing is evaluated, and no folder is left.

    Args:
        config: what to do.
        given: see `fit`.
        scale: see `read_model`.
        progress: show live progress bars where stderr is a terminal.

    Shape:
        The net: (N, C, H, W) -> logits (N, K)

    Returns:
        A net as from `read_model`, and the figures of every epoch.

    Raises:
        PlexusError: see its children; each message says what to do.

    Example:
        >>> learn(FitConfig(data="digits", limit=5))
        Traceback (most recent call last):
        plexus.errors.DataError: --limit 5 is too low for 10 classes: at least 20
    """
    task: Any = train_only(FIT, config, progress=progress, given=given)
    whole = fold(with_pixels(task.trained.final, task.normalize).eval())
    return _on_scale(whole, scale), task.record["epochs"]


def _on_scale(net: Any, scale: tuple[float, float] | None) -> nn.Module:
    """Let a net take images on a scale of their own, in place: pixels are 255 (x - l) / (h - l)."""
    if scale is not None:
        span = (scale[1] - scale[0]) / 255
        net.pixel_mean.mul_(span).add_(scale[0])
        net.pixel_std.mul_(span)
    _as_its_weights(net)
    module: nn.Module = net.eval()
    return module


def _as_its_weights(net: fx.GraphModule) -> None:
    """Cast what the net is given, in place: images come as bytes, and as double numbers of numpy."""
    images = next(node for node in net.graph.nodes if node.op == "placeholder")
    mean = next(node for node in net.graph.nodes if node.target == "pixel_mean")
    images.append(mean)
    with net.graph.inserting_after(mean):
        cast = net.graph.call_method("type_as", (images, mean))
    images.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast)
    net.recompile()
