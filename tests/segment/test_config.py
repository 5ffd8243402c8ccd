"""Options are checked as a whole, and YAML gives them back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import yaml

from plexus.errors import ConfigError
from plexus.segment import SegmentConfig


def test_yaml_gives_the_options_back() -> None:
    config = SegmentConfig(data="a: b", cv=5, size=(96, 128), gate="0.3", wiring="skips")
    assert SegmentConfig.from_mapping(yaml.safe_load(config.to_yaml())) == config
    assert list(yaml.safe_load(config.to_yaml())) == [f.name for f in fields(SegmentConfig)]


@pytest.mark.parametrize(("size", "shape"), [(64, (64, 64)), ((64,), (64, 64)), ((64, 96), (64, 96))])
def test_sizes(size: Any, shape: tuple[int, int]) -> None:
    assert SegmentConfig(size=size).shape == shape


def test_a_gate_may_be_a_number() -> None:
    gate: Any = 0.25
    assert SegmentConfig(gate=gate).gate == "0.25"
    assert SegmentConfig.from_mapping({"gate": 0.5}).gate == "0.5"


def test_all_mistakes_are_told_at_once() -> None:
    raw = {"epoch": 3, "size": [1, 2, 3], "gate": "some", "lr": 0, "loss": "dice", "cv": 1, "val": 1.0}
    with pytest.raises(ConfigError) as told:
        SegmentConfig.from_mapping(raw, name="options")
    text = str(told.value)
    for part in ("'epoch'; did you mean 'epochs'", "size=", "gate=", "lr=", "loss=", "cv=1", "val=1.0"):
        assert part in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"preset": "nerve", "size": 100}, "divisible by 16"),
        ({"wiring": "skips", "epochs": 1}, "epochs of at least 2"),
        ({"gate": "1"}, "between 0 and 1"),
        ({"keep": 0.0}, "keep=0.0"),
        ({"neuron": "spherical"}, "plain, rot8, rot4, unit"),
        ({"flip": 1}, "flip=1 must be true or false"),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SegmentConfig(**options)


def test_every_option_is_documented() -> None:
    text = SegmentConfig.__doc__ or ""
    for f in fields(SegmentConfig):
        assert f"{f.name}:" in text or f"{f.name}, " in text


@pytest.mark.parametrize(("options", "said"), [({"val": 0.6}, "at most 0.5"), ({"seed": 2**32}, "below 4294967296")])
def test_shares_and_seeds_that_would_not_be_used_as_given(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SegmentConfig(**options)
