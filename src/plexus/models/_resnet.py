"""The plain residual net that others are compared with: what a good engineer would write for images of this size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, beside a shortcut: relu(shortcut(x) + norm(conv(relu(norm(conv(x)))))).

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the first convolution; where channels or size change the shortcut is a 1x1 convolution.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition.

    Example:
        >>> ResidualBlock(8, 16, 2)(__import__("torch").ones(2, 8, 6, 6)).shape
        torch.Size([2, 16, 3, 3])
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *_conv(inputs, outputs, 3, stride), nn.ReLU(), *_conv(outputs, outputs, 3, 1)
        )  # fmt: skip
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*_conv(inputs, outputs, 1, stride))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.shortcut(x) + self.convs(x))


def resnet(in_shape: Sequence[int], classes: int, *, width: int = 16) -> nn.Sequential:
    """Make a small ResNet: a strided stem, four stages of one block, of width, 2, 4 and 8 times that, global pooling.

    The stem has a stride of 2 from 24 pixels on and of 4 from 96 on, as in nets of this kind; stages halve the size
    while there are 4 pixels or more.

    Args:
        in_shape: one image's, (C, H, W).
        classes: logits that go out.
        width: channels of the stem and the first stage.

    Source: He et al. 2016; the widths are those of their nets for CIFAR-10, with one more stage.

    Example:
        >>> sum(p.numel() for p in resnet((3, 32, 32), 10, width=16).parameters())
        308826
    """
    side = min(in_shape[1:])
    stride = 4 if side >= 96 else 2 if side >= 24 else 1
    side = -(-side // stride)
    parts: list[nn.Module] = [*_conv(in_shape[0], width, 3, stride), nn.ReLU()]
    channels = width
    for stage in range(4):
        halve = stage > 0 and side >= 4
        side = -(-side // 2) if halve else side
        parts.append(ResidualBlock(channels, width * 2**stage, 2 if halve else 1))
        channels = width * 2**stage
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def _conv(inputs: int, outputs: int, size: int, stride: int) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return conv, nn.BatchNorm2d(outputs)
