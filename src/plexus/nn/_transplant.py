"""Moving trained weights into a network of other neurons."""

from __future__ import annotations

import warnings

from torch import nn

from plexus.errors import ConfigError
from plexus.nn._rot_conv import RotConv2d

_SHOWN = 6


def transplant(source: nn.Module, target: nn.Module) -> nn.Module:
    """Copies a trained model's weights and buffers into its twin of other neurons, key by key.

    Unlike `convert` it leaves the source as it is and shares nothing with it. What only the target has, the
    `squeeze.weight` of rotation neurons, stays as it was, with a `UserWarning` that names it.

    Args:
        source: the trained model.
        target: the same architecture with other neurons in the same places.

    Returns:
        The target.

    Raises:
        ConfigError: keys that only one of the two has, or weights whose shapes differ; the target is then unchanged.

    Source: the research notes' experiment, which probes rotation neurons with weights trained in plain ones.

    Example:
        >>> plain, turned = nn.Conv2d(1, 2, 3), RotConv2d(1, 2, 3)
        >>> bool((transplant(plain, turned).weight == plain.weight).all())
        True
    """
    given, wanted = source.state_dict(), target.state_dict()
    own = {
        f"{name}.squeeze.weight".lstrip(".")
        for name, part in target.named_modules()
        if isinstance(part, RotConv2d) and part.squeeze is not None
    } - given.keys()
    missing = [key for key in wanted if key not in given and key not in own]
    foreign = [key for key in given if key not in wanted]
    shapes = [
        f"{key} {tuple(given[key].shape)} against {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    faults = [
        f"{what} {', '.join(keys[:_SHOWN])}{f' and {len(keys) - _SHOWN} more' if len(keys) > _SHOWN else ''}"
        for what, keys in (("the source lacks", missing), ("the target lacks", foreign), ("shapes differ:", shapes))
        if keys
    ]
    if faults:
        raise ConfigError(f"transplant: the two are not twins: {'; '.join(faults)}")
    target.load_state_dict(given, strict=False)
    if own:
        warnings.warn(f"transplant: the source has no {', '.join(sorted(own))}: kept as they are", stacklevel=2)
    return target
