"""Options are checked as a whole and survive YAML."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.errors import ConfigError
from plexus.training import FitConfig
from plexus.training._options import read_count


def test_all_mistakes_are_told_at_once() -> None:
    wrong: dict[str, Any] = {
        "seed": -1, "preset": "wide", "epochs": 2.5, "keep": 0.0, "lr": float("inf"), "data": None, "gate_init": (1.0,),
    }  # fmt: skip
    with pytest.raises(ConfigError) as error:
        FitConfig(**wrong)
    assert [name for name in wrong if f"{name}=" not in str(error.value)] == []
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"controls": 1}, "controls=1 must be true or false"),
        ({"epochs": True}, "epochs=True must be a whole number"),
        ({"size": "big"}, "size='big' must be a whole number"),
        ({"warmup": 1.0}, "warmup=1.0"),
        ({"epochs": 2}, "epochs=2 must be at least 3"),
        ({"keep": 0.5, "max_params": 100}, "give one budget"),
        ({"select": 0.7, "cut": 0.7}, "select below cut"),
        ({"test": 0.0}, "test=0.0"),
        ({"gate_init": (0.5, 0.5, 0.5)}, "gate_init=[0.5, 0.5, 0.5]"),
        ({"precision": "8-bit"}, "precision='8-bit' is unknown"),
        ({"neuron": "rot6"}, "neuron='rot6' is unknown; choose from plain, rot8, rot4, unit, spherical"),
        ({"dense": "rot8"}, "dense='rot8' is unknown; choose from plain, unit, spherical"),
        ({"neuron": "rot8", "last": 0}, "last=0 must be at least 1"),
        ({"last": 2}, "last=2 counts convolutions that become another neuron; say which with neuron"),
    ],
)
def test_a_mistake_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        FitConfig(**wrong)
    assert words in str(error.value)


def test_unknown_names_come_with_the_nearest_and_with_all_other_mistakes() -> None:
    with pytest.raises(ConfigError) as error:
        FitConfig.from_mapping({"batch-size": 3, "zzz": 1, "epochs": 0}, name="a.yaml")
    assert str(error.value) == (
        "a.yaml: unknown option 'batch-size'; did you mean 'batch_size'?; unknown option 'zzz'; "
        "epochs=0 must be at least 3"
    )


def test_one_budget_takes_the_place_of_the_other() -> None:
    assert (FitConfig().keep, FitConfig().max_params) == (0.3, None)
    assert (FitConfig(max_params=9).keep, FitConfig(max_params=9).max_params) == (None, 9)
    assert replace(FitConfig(), keep=None, max_params=9) == FitConfig(max_params=9)


configs = st.builds(
    FitConfig,
    data=st.text(min_size=1).filter(lambda text: text.isprintable()),
    keep=st.one_of(st.none(), st.floats(1e-6, 1)),
    gate_init=st.one_of(st.none(), st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99))),
    lr=st.floats(1e-30, 1e30),
    augment=st.one_of(st.none(), st.booleans()),
    seed=st.integers(0, 2**40),
)


@given(config=configs)
def test_yaml_gives_the_same_config(config: FitConfig, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "config.yaml"
    file.write_text(config.to_yaml(), encoding="utf-8")
    assert FitConfig.read(file) == config


def test_yaml_lists_every_option_in_order() -> None:
    lines = [line.split(":")[0] for line in FitConfig(gate_init=(0.5,)).to_yaml().splitlines() if line[0] != "-"]
    assert lines == [f.name for f in fields(FitConfig)]


def test_a_number_that_yaml_takes_for_text_is_one() -> None:
    assert FitConfig.from_mapping({"lr": "1e-3", "max_params": "1.5k"}) == FitConfig(lr=1e-3, max_params=1500)


@pytest.mark.parametrize("text", ["", "k", "1.5", "nan", "infM", "0.0001k"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_count(text)


@given(epochs=st.integers(3, 200), select=st.floats(0.001, 0.99), cut=st.floats(0.002, 0.999))
def test_there_is_an_epoch_before_between_and_after(epochs: int, select: float, cut: float) -> None:
    if select >= cut:
        select, cut = cut / 2, cut
    choice, end = FitConfig(epochs=epochs, select=select, cut=cut).spans()
    assert 1 <= choice < end < epochs


def test_spans_are_the_shares() -> None:
    assert FitConfig(epochs=24).spans() == (6, 16)
    assert FitConfig(epochs=100, select=0.1, cut=0.9).spans() == (10, 90)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("a.yaml", "none.yaml"):
        with pytest.raises(ConfigError, match=name):
            FitConfig.read(tmp_path / name)
