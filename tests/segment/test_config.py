"""Options are checked as a whole, and YAML gives them back."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize(
    ("options", "stem"),
    [({}, 2), ({"size": 64}, 1), ({"size": (64, 65)}, 2), ({"size": 64, "stem": 2}, 2), ({"preset": "nerve"}, 1)],
)
def test_small_images_are_computed_at_their_whole_size(options: dict[str, Any], stem: int) -> None:
    assert SegmentConfig(**options).stem_stride == stem


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
        ({"keep": 0.0}, "keep=0.0 must be above 0"),
        ({"neuron": "spherical"}, "plain, rot8, rot4, unit"),
        ({"flip": 1}, "flip=1 must be true or false"),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SegmentConfig(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": 0.5}, "keep=0.5 belongs to wiring=skips"),
        ({"cut": 0.4, "gate_lr": 1.0}, "cut=0.4 belongs to wiring=skips; gate_lr=1.0 belongs to wiring=skips"),
        ({"augment": False, "flip": False}, "flip=False belongs to augment=true, not to augment=false"),
        ({"augment": False, "rotation": 9.0}, "rotation=9.0 belongs to augment=true"),
        ({"cv": 3, "val": 0.2}, "val=0.2 has no effect beside cv=3"),
        ({"folds": "a.json", "val": 0.2}, "val=0.2 has no effect beside folds='a.json'"),
    ],
)
def test_an_option_of_no_effect_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        SegmentConfig(**options)


def test_a_share_that_would_not_be_used_as_it_is_given() -> None:
    with pytest.raises(ConfigError, match=r"val=0\.6 must be above 0 and at most 0\.5"):
        SegmentConfig(val=0.6)
