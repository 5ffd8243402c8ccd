"""What a U-Net may be asked for."""

from __future__ import annotations

from collections.abc import Sequence

from plexus.errors import ConfigError

PRESETS = ("modern", "nerve")
NEURONS = ("plain", "rot8", "rot4", "unit")


def check_options(
    in_channels: int, preset: str, width: int, levels: int, neuron: str, dropout: float | None, stem: int
) -> None:
    """Refuses options out of range by name."""
    for name, value, known in (("preset", preset, PRESETS), ("neuron", neuron, NEURONS)):
        if value not in known:
            raise ConfigError(f"UNet: {name}={value!r} is unknown; choose from {', '.join(known)}")
    for name, number, least in (("in_channels", in_channels, 1), ("width", width, 1), ("levels", levels, 2)):
        if number < least:
            raise ConfigError(f"UNet: {name}={number} must be {least} or more")
    if dropout is not None and not 0 <= dropout < 1:
        raise ConfigError(f"UNet: dropout={dropout} must be a share, 0 or more and below 1")
    if stem not in ((1,) if preset == "nerve" else (1, 2)):
        raise ConfigError(f"UNet: stem={stem} is unknown; choose 1, or 2 with preset='modern'")


def check_size(in_size: Sequence[int] | None, multiple: int) -> tuple[int, int]:
    """The size a nerve net is built for, as two integers."""
    if in_size is None or len(in_size) != 2 or any(side < 1 or side % multiple for side in in_size):
        given = None if in_size is None else tuple(in_size)
        raise ConfigError(f"UNet: preset='nerve' needs in_size=(H, W), multiples of {multiple}, got {given}")
    return int(in_size[0]), int(in_size[1])
