"""A backbone before the nets of a run: opened by its name, its maps computed once where they stay what they are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.utils.fusion import fuse_conv_bn_eval

from plexus.data import ImageData, Split
from plexus.errors import ConfigError, PlexusError
from plexus.models import Backbone, EfficientNetLite0, EfficientNetMaps, efficientnet_lite0
from plexus.progress import Step
from plexus.training._config import LITE, MEMORY, FitConfig
from plexus.training._fit import open_run
from plexus.user_code import split_weights, user_model
from plexus.wiring import multiply_adds, parameters, trace

STATISTICS = 512
"""Training images whose maps say how each channel is normalised."""
_BATCH = 32
ReadRun = Callable[[str | Path], nn.Module]


class Front:
    r"""A frozen backbone as the preprocessing of what reads its maps.

    .. math:: y = (f(x) - m) / s

    with f the `Backbone` and m, s the mean and standard deviation of each channel of its maps. No module, so that
    nothing trains it, sets its mode or writes it into checkpoints.

    Args:
        backbone: frozen; its batch norms are folded into the convolutions before them where it can be traced.
        name: for people.

    Attributes:
        mean, std: of pixels, for those who ask: the backbone normalises them itself.

    Source: standardisation, as everywhere.

    Example:
        >>> front = Front(Backbone(nn.Conv2d(1, 4, 3), (1, 8, 8)), "conv")
        >>> front(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape, front.parameters
        (torch.Size([2, 4, 6, 6]), 40)
    """

    def __init__(self, backbone: Backbone, name: str) -> None:
        self.backbone, self.name = backbone, name
        self.out_shape, self.in_shape = backbone.out_shape, backbone.in_shape
        self.mean, self.std = torch.zeros(self.in_shape[0]), torch.ones(self.in_shape[0])
        try:
            self.net: nn.Module = _fused(trace(copy.deepcopy(backbone)).eval())
        except Exception:  # a net of the user's may be no graph: it stays whole, and model.py cannot be written
            self.net = backbone
        self.net.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters: int = parameters(self.net)
        self.macs: int = multiply_adds(self.net, self.in_shape)
        self.scale = _Scale(torch.zeros(self.out_shape[0]), torch.ones(self.out_shape[0]))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return normalised maps of pixels (N, C, H, W), 0..255; maps that `computed` gave pass as they are."""
        if images.dtype == torch.float16:
            return images.float()
        net, scale = self.net.to(images.device), self.scale.to(images.device)
        maps: Tensor = scale(net(images.float().contiguous(memory_format=torch.channels_last)))
        return maps.contiguous()

    def measure(self, images: Tensor) -> None:
        """Take mean and deviation of every channel from the maps of images, spread over all that are given."""
        self.scale = _Scale(torch.zeros(self.out_shape[0]), torch.ones(self.out_shape[0]))
        rows = np.linspace(0, len(images) - 1, min(STATISTICS, len(images))).astype(np.int64)
        maps = torch.cat([self(images.index_select(0, part)) for part in torch.from_numpy(rows).split(_BATCH)])
        mean, std = maps.double().mean((0, 2, 3)), maps.double().std((0, 2, 3), correction=0)
        self.scale = _Scale(mean.float(), std.float().clamp_min(1e-3 * max(1e-3, std.max().item())))

    def computed(self, split: Split, file: Path, step: Step) -> Split:
        """Return a split whose images are normalised maps, in numbers of 16 bits in a file that is mapped.

        Args:
            split: images, (N, C, H, W), 0..255.
            file: where they are kept; read again where it is there.
            step: told of every image.
        """
        shape = (len(split), *self.out_shape)
        if not file.is_file():
            fresh = file.with_suffix(".new")
            rows = np.lib.format.open_memmap(fresh, "w+", np.float16, shape)
            for first in range(0, len(split), _BATCH):
                part = split.images[first : first + _BATCH]
                rows[first : first + _BATCH] = self(part).clamp(-6e4, 6e4).half().cpu().numpy()
                step(len(part))
            rows.flush()
            del rows
            fresh.rename(file)
        else:
            step(len(split), skipped=True)
        return Split(torch.from_numpy(np.load(file, mmap_mode="r+")), split.labels, split.names)

    def complete(self, net: nn.Module) -> fx.GraphModule:
        """Return a net that reads maps as one that reads pixels: this front, then a copy of the net."""
        front = copy.deepcopy(self.net).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        whole = nn.Sequential(front, copy.deepcopy(self.scale), copy.deepcopy(net)).cpu()
        return trace(whole, whole=[front] if front_is_whole(front) else []).train(net.training)


class _Scale(nn.Module):
    """(x - mean) / std, channel by channel, as one product and one sum."""

    factor: Tensor
    shift: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", (1 / std).view(-1, 1, 1))
        self.register_buffer("shift", (-mean / std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.shift


def front_name(config: FitConfig, given: Any = None) -> str:
    """Return the short name of a run's backbone, for people."""
    if given is not None:
        return str(getattr(given, "__name__", type(given).__name__))
    where, weights = split_weights(config.backbone or "")
    return Path(weights or where.rpartition(".py:")[2] or where).stem


def front_is_whole(front: nn.Module) -> bool:
    """Return whether a backbone could not be traced."""
    return not isinstance(front, fx.GraphModule)


def open_backbone(
    config: FitConfig, in_shape: tuple[int, int, int], read_run: ReadRun, *, given: Any = None, weights: bool = True
) -> Backbone | None:
    """Open the backbone that options name.

    Args:
        config: options of the run.
        in_shape: one image's, (C, H, W).
        read_run: gives the net of a run, which reads pixels.
        given: the module, or a function that makes it, where it was in memory.
        weights: False where they will be loaded: the package of a known net need not be there.

    Returns:
        None where the options name none.

    Raises:
        ConfigError: no such backbone, or one that does not take these images.
        RunError: a run that is missing, broken or of other images.

    Example:
        >>> open_backbone(FitConfig(), (1, 8, 8), read_run=lambda run: nn.Identity()) is None
        True
    """
    if (spec := config.backbone) is None:
        return None
    try:
        backbone = Backbone(_net(spec, given, in_shape, read_run, weights), in_shape, learns=config.backbone_lr > 0)
        if backbone.learns:
            _check_trace(backbone)
    except PlexusError as error:
        raise type(error)(f"backbone={spec}: {str(error).removeprefix(f'{spec}: ')}") from None
    return backbone


def _net(spec: str, given: Any, in_shape: tuple[int, int, int], read_run: ReadRun, weights: bool) -> nn.Module:
    if spec == LITE:
        size = in_shape[1:]
        return EfficientNetMaps(efficientnet_lite0(size) if weights else EfficientNetLite0(size).eval())
    if spec == MEMORY:
        if given is None:
            raise ConfigError("it was in memory: give it again, as plexus.load(RUN, backbone=MODULE)")
        net = copy.deepcopy(given) if isinstance(given, nn.Module) else given()
        if not isinstance(net, nn.Module):
            raise ConfigError(f"the function must return a torch module, got {type(net).__name__}")
        return net
    if ".py:" in spec:
        return user_model(spec)
    if not Path(spec).is_dir():
        raise ConfigError(f"neither {LITE}, nor a run folder, nor FILE.py:function; name one of these")
    own = tuple(open_run(spec)[1].data.in_shape)
    if own != in_shape:
        (c, h, w), (oc, oh, ow) = in_shape, own
        remedy = f"; pass --size {oh}" if oc == c and oh == ow else ""
        raise ConfigError(f"the run reads images of {oh}x{ow}x{oc}, the data has {h}x{w}x{c}{remedy}")
    return maps_of(read_run(spec), in_shape)


def maps_of(net: Any, in_shape: tuple[int, int, int]) -> nn.Module:
    """Return a traced classifier that ends in its feature maps, of each size the last, without its head.

    Args:
        net: a `torch.fx.GraphModule`; it is kept.
        in_shape: one image's, (C, H, W).

    Raises:
        ConfigError: it has no feature maps.

    Example:
        >>> net = trace(nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)))
        >>> [tuple(y.shape) for y in maps_of(net, (1, 8, 8))(torch.zeros(1, 1, 8, 8))]
        [(1, 4, 6, 6), (1, 4, 3, 3)]
    """
    ShapeProp(net).propagate(torch.zeros(2, *in_shape))
    last: dict[tuple[int, ...], fx.Node] = {}
    for node in net.graph.nodes:
        shape = tuple(getattr(node.meta.get("tensor_meta"), "shape", ()))
        if len(shape) == 4 and shape[0] == 2 and shape[1:2] != in_shape[:1]:
            last[shape[2:]] = node
    nodes = [node for size, node in last.items() if max(size) > 1] or list(last.values())
    if not nodes:
        raise ConfigError("the net has no feature maps: none of its layers gives (N, C, h, w)")
    (end,) = (node for node in net.graph.nodes if node.op == "output")
    end.args = (nodes,)
    net.graph.eliminate_dead_code()
    net.delete_all_unused_submodules()
    net.recompile()
    module: nn.Module = net
    return module


def _check_trace(backbone: Backbone) -> None:
    """Refuse a net that learns and is no graph: the plain net that is made in the end would lack it."""
    try:
        trace(copy.deepcopy(backbone))
    except Exception as error:  # whatever a user's forward raises on symbols
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"it cannot learn, as torch.fx cannot trace it ({line}); leave backbone_lr out") from None


@torch.no_grad()
def _fused(net: fx.GraphModule) -> fx.GraphModule:
    """Fold batch norms in evaluation mode into the convolutions before them, in place."""
    parts = dict(net.named_modules())
    for node in list(net.graph.nodes):
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        norm, conv = parts[str(node.target)], parts[str(before.target)]
        alone = len(before.users) == 1 and sum(n.target == before.target for n in net.graph.nodes) == 1
        if isinstance(norm, nn.BatchNorm2d) and type(conv) is nn.Conv2d and norm.track_running_stats and alone:
            path, _, name = str(before.target).rpartition(".")
            setattr(net.get_submodule(path), name, fuse_conv_bn_eval(conv, norm))
            node.replace_all_uses_with(before)
            net.graph.erase_node(node)
    net.delete_all_unused_submodules()
    net.recompile()
    return net


def with_maps(front: Front, data: ImageData, folder: Path, step: Step, *, train: bool) -> ImageData:
    """Return the data with maps in place of images.

    Args:
        front: gives the maps.
        data: the images.
        folder: where maps are kept.
        step: told of every image.
        train: also of the training images; False where these are varied, so that their maps never come again.
    """
    parts = {
        name: front.computed(split, folder / f"{name}.npy", step) if train or name != "train" else split
        for name, split in data.splits.items()
    }
    return replace(data, train=parts["train"], val=parts["val"], test=parts["test"])
