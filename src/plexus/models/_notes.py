"""Networks of the research notes, as the studies of their claims need them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from plexus.errors import ConfigError
from plexus.nn import make_conv, make_linear

_ACTIVATIONS: Mapping[str, type[nn.Module]] = MappingProxyType({"relu": nn.ReLU, "elu": nn.ELU})
_CONVS = 4


def mini_vgg(
    classes: int = 10,
    in_shape: Sequence[int] = (3, 32, 32),
    *,
    conv: Sequence[str] = ("plain",) * _CONVS,
    dense: Literal["plain", "unit", "spherical"] = "plain",
    activation: Literal["relu", "elu"] = "relu",
) -> nn.Sequential:
    """Build the notes' four convolutions and two dense layers: 1,250,858 parameters when plain.

    conv 32 'same', conv 32 'valid', 2x2 max-pool, dropout .25, conv 64 'same', conv 64 'valid', 2x2 max-pool, dropout
    .25, flatten, dense 512, dropout .5, dense `classes`; 3x3 kernels, an activation after all but the last layer.
    Every variant has the same state_dict keys, so that weights move between them; see `plexus.nn.transplant`.

    Args:
        classes: logits that go out.
        in_shape: one image's shape (C, H, W), sides of 10 pixels or more.
        conv: the kind of each convolution: plain | rot8 | rot4 | unit | spherical.
        dense: the kind of both dense layers: plain | unit | spherical.
        activation: relu | elu.

    Shape:
        (N, C, H, W) to (N, classes).

    Raises:
        ConfigError: an unknown kind or activation, not four convolutions, or images that are too small.

    Source: the research notes' common setup (after the Keras CIFAR-10 example).

    Example:
        >>> net = mini_vgg(conv=("plain", "plain", "plain", "rot8"))
        >>> sum(p.numel() for p in net.parameters())
        1250858
    """
    if isinstance(conv, str) or len(conv) != _CONVS:
        raise ConfigError(f"mini_vgg: conv={conv!r} must name the kinds of {_CONVS} convolutions")
    if activation not in _ACTIVATIONS:
        raise ConfigError(f"mini_vgg: activation={activation!r} is unknown; choose from {', '.join(_ACTIVATIONS)}")
    if classes < 1:
        raise ConfigError(f"mini_vgg: classes={classes} must be 1 or more")
    channels, sides = in_shape[0], [((side - 2) // 2 - 2) // 2 for side in in_shape[1:]]
    if len(sides) != 2 or channels < 1 or min(sides) < 1:
        raise ConfigError(f"mini_vgg: in_shape={tuple(in_shape)} must be (C, H, W) with sides of 10 pixels or more")
    act = _ACTIVATIONS[activation]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, width in enumerate((32, 64)):
        for k, padding in ((2 * stage, 1), (2 * stage + 1, 0)):
            parts[f"conv{k + 1}"] = make_conv(conv[k], channels, width, 3, padding=padding)
            parts[f"act{k + 1}"] = act()
            channels = width
        parts[f"pool{stage + 1}"] = nn.MaxPool2d(2)
        parts[f"drop{stage + 1}"] = nn.Dropout(0.25)
    parts["flatten"] = nn.Flatten()
    parts["dense1"] = make_linear(dense, channels * sides[0] * sides[1], 512)
    parts["act5"] = act()
    parts["drop3"] = nn.Dropout(0.5)
    parts["dense2"] = make_linear(dense, 512, classes)
    return nn.Sequential(parts)


def _rotating(rotations: int, last: int) -> dict[str, Any]:
    return {"conv": ("plain",) * (_CONVS - last) + (f"rot{rotations}",) * last}


VARIANTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "baseline": {},
        **{f"{k}_rot_{n}": _rotating(k, n) for k in (8, 4) for n in range(1, _CONVS + 1)},
        "norm_conv": {"conv": ("unit",) * _CONVS},
        "norm_dense": {"dense": "unit"},
        "norm_conv_dense": {"conv": ("unit",) * _CONVS, "dense": "unit"},
        "elu": {"activation": "elu"},
    }
)
"""The notes' variants: name -> options of `mini_vgg`. `8_rot_2` has 8 rotations in the last 2 convolutions."""


def variant(name: str, classes: int = 10, in_shape: Sequence[int] = (3, 32, 32)) -> nn.Sequential:
    """Build a variant of `mini_vgg` by the name it has in the notes.

    Args:
        name: baseline, 8_rot_1 to 8_rot_4, 4_rot_1 to 4_rot_4, norm_conv, norm_dense, norm_conv_dense or elu.
        classes, in_shape: as for `mini_vgg`.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> variant("4_rot_1").conv4.rotations
        4
    """
    if name not in VARIANTS:
        raise ConfigError(f"variant {name!r} is unknown; choose from {', '.join(VARIANTS)}")
    return mini_vgg(classes, in_shape, **VARIANTS[name])


def refuse_small(preset: str, in_shape: Sequence[int], least: int = 10) -> None:
    """Refuse images on which nothing would be left after two 3x3 convolutions without padding and two poolings.

    Raises:
        ConfigError: a side is below `least`.
    """
    if (side := min(in_shape[1:])) < least:
        raise ConfigError(f"preset={preset} needs images of {least} pixels or more, not {side}: pass --size 32")


def legos8(in_shape: Sequence[int]) -> list[nn.Module]:
    """Make the notes' eight layers, each a lego: conv, conv, pool, dropout, twice.

    Args:
        in_shape: one image's, (C, H, W), sides of 10 pixels or more.

    Returns:
        The legos; they take (N, C, H, W) and are sized at their first call.

    Raises:
        ConfigError: smaller images.

    Example:
        >>> [type(lego).__name__ for lego in legos8((3, 32, 32))][:4]
        ['Sequential', 'Sequential', 'MaxPool2d', 'Dropout']
    """
    refuse_small("legos8", in_shape)
    legos: list[nn.Module] = []
    for width in (32, 64):
        legos += [nn.Sequential(nn.LazyConv2d(width, 3, padding=1), nn.ReLU())]
        legos += [nn.Sequential(nn.LazyConv2d(width, 3), nn.ReLU())]
        legos += [nn.MaxPool2d(2), nn.Dropout(0.25)]
    return legos
