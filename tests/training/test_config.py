"""Options are checked as a whole, survive YAML, and are refused where they would do nothing."""

from __future__ import annotations

import pickle
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexus.errors import ConfigError
from plexus.represent import RepresentConfig
from plexus.segment import SegmentConfig
from plexus.training import FitConfig, Options, declared

CONFIGS = (FitConfig, SegmentConfig, RepresentConfig)
PANELS = {"data", "network", "wiring", "training", "hardware", "output"}


def test_all_mistakes_are_told_at_once() -> None:
    wrong: dict[str, Any] = {
        "seed": -1, "preset": "wide", "epochs": 2.5, "keep": 0.0, "lr": float("inf"), "data": None, "gate_init": (1.0,),
    }  # fmt: skip
    with pytest.raises(ConfigError) as error:
        FitConfig(**wrong)
    assert [name for name in wrong if f"{name}=" not in str(error.value)] == []
    assert "\n" not in str(error.value)
    assert "pydantic" not in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"controls": 1}, "controls=1 must be true or false"),
        ({"epochs": True}, "epochs=True must be a whole number"),
        ({"size": "big"}, "size='big' must be a whole number"),
        ({"data": 3}, "data=3 must be text"),
        ({"lr": True}, "lr=True must be a number"),
        ({"lr": float("nan")}, "lr=nan must be finite"),
        ({"warmup": 1.0}, "warmup=1.0 must be at least 0 and below 1"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"keep": 0.5, "max_params": 100}, "give one budget"),
        ({"test": 0.0}, "test=0.0 must be between 0 and 1"),
        ({"gate_init": (0.5, 0.5, 0.5)}, "gate_init=[0.5, 0.5, 0.5] must be one or two gate values"),
        ({"gate_init": ()}, "gate_init=[] must be one or two gate values"),
        ({"precision": "8-bit"}, "precision='8-bit' is unknown; choose from 32-true, bf16-mixed, 16-mixed"),
        ({"neuron": "rot6"}, "neuron='rot6' is unknown; choose from plain, rot8, rot4, unit, spherical"),
        ({"dense": "rot8"}, "dense='rot8' is unknown; choose from plain, unit, spherical"),
        ({"neuron": "rot8", "last": 0}, "last=0 must be at least 1"),
        ({"merge": "sum"}, "merge=sum does not suit preset=separable"),
        ({"preset": "mix", "merge": "sum"}, "merge=sum does not suit preset=mix"),
        (
            {"preset": "separable", "neuron": "rot8"},
            "neuron=rot8 does not suit the depthwise legos of preset=separable",
        ),
        ({"preset": "mix", "neuron": "rot8"}, "neuron=rot8 does not suit the depthwise legos of preset=mix"),
        ({"preset": "mix", "width": 12}, "width=12 is no multiple of share=8"),
        ({"anneal": "fade"}, "option 'anneal' is gone: edges are cut while the net learns"),
        ({"then": "retrain"}, "option 'then' is gone: what stays keeps its values"),
        ({"last": 2}, "last=2 counts convolutions that become another neuron; say which with neuron"),
        ({"epoch": 3}, "unknown option 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_a_mistake_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        FitConfig(**wrong)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "blocks", "width": 32}, "width=32 belongs to preset=separable, mix, deep and maps, not to"),
        ({"legos": "a.py:f", "width": 32}, "width=32 has no effect beside legos='a.py:f'"),
        ({"legos": "a.py:f", "preset": "dense"}, "preset='dense' has no effect beside legos='a.py:f'"),
        ({"start_at": "features"}, "start_at='features' needs start_from: a run of `plexus represent train`"),
        ({"start_frozen": False}, "start_frozen=False needs start_from"),
        ({"start_from": "z", "width": 8}, "width=8 has no effect at an encoder's Z"),
        ({"start_from": "z", "preset": "blocks"}, "preset='blocks' has no effect at an encoder's Z"),
        ({"fan_in": 4}, "fan_in=4 belongs to preset=mix, not to preset=separable"),
        ({"share": 4}, "share=4 belongs to preset=mix, not to preset=separable"),
        ({"preset": "deep", "fan_in": 4}, "fan_in=4 belongs to merge=mix, not to merge=sum"),
        ({"penalty": 0.1}, "penalty=0.1 belongs to merge=concat and merge=sum"),
        (
            {"preset": "deep", "merge": "concat", "project": "pad"},
            "project='pad' belongs to merge=sum and merge=max, not to merge=concat",
        ),
        ({"preset": "blocks", "project": "conv"}, "project='conv' belongs to merge=sum and merge=max"),
        ({"preset": "dense", "resize": "area"}, "resize='area' has no effect on dense legos"),
    ],
)
def test_an_option_of_no_effect_is_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        FitConfig(**options)
    # a run that was made before it was refused can still be gone on with
    idle = words.partition("=")[0]
    (tmp_path / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in options.items()))
    assert getattr(FitConfig.read(tmp_path / "config.yaml"), idle) == declared(FitConfig)[idle].value


@pytest.mark.parametrize(
    "options",
    [
        {"start_from": "z", "start_at": "features", "preset": "blocks"},
        {"start_from": "z", "start_at": "features", "width": 8},
        {"start_from": "z", "legos": "a.py:f", "resize": "area"},
        {"preset": "blocks", "merge": "max", "project": "conv"},
        {"legos": "a.py:f", "merge": "mix", "fan_in": 8, "share": 4},
        {"preset": "dense", "width": 16},  # the default
    ],
)
def test_options_that_go_together(options: dict[str, Any]) -> None:
    assert asdict(FitConfig(**options)).items() >= options.items()


def test_unknown_names_come_with_the_nearest_and_with_all_other_mistakes() -> None:
    with pytest.raises(ConfigError) as error:
        FitConfig.from_mapping({"batch-size": 3, "zzz": 1, 7: 1, "epochs": 0}, name="a.yaml")  # type: ignore[dict-item]
    assert str(error.value) == (
        "a.yaml: unknown option 'batch-size'; did you mean 'batch_size'?; unknown option 'zzz'; unknown option '7'; "
        "epochs=0 must be at least 1"
    )


def test_a_budget_is_what_was_chosen() -> None:
    assert FitConfig().budget() == {}
    assert FitConfig(max_params=9).budget() == {"max_params": 9}


def test_the_stack_of_legos() -> None:
    assert FitConfig().stack == "separable"
    assert FitConfig(neuron="rot8").stack == "deep"
    assert FitConfig(preset="blocks").stack == "blocks"
    assert FitConfig(start_from="z").stack == "dense"
    assert FitConfig(start_from="z", start_at="features").stack == "separable"
    assert FitConfig(legos="a.py:f", start_from="z").stack == "legos"


configs = st.builds(
    FitConfig,
    data=st.text(min_size=1).filter(lambda text: text.isprintable()),
    keep=st.one_of(st.none(), st.floats(1e-6, 1)),
    gate_lr=st.one_of(st.none(), st.floats(0, 10)),
    lr=st.floats(1e-30, 1e30),
    augment=st.one_of(st.none(), st.booleans()),
    seed=st.integers(0, 2**63 - 1),
)


@given(config=configs)
def test_yaml_gives_the_same_config(config: FitConfig, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "config.yaml"
    file.write_text(config.to_yaml(), encoding="utf-8")
    assert FitConfig.read(file) == config
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize("config", CONFIGS)
def test_yaml_lists_every_option_in_order(config: type[Options]) -> None:
    lines = [line.split(":")[0] for line in config().to_yaml().splitlines()]
    assert lines == [f.name for f in fields(config)]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_option_says_what_it_is_and_stands_in_a_panel(config: type[Options]) -> None:
    for name, option in declared(config).items():
        assert len(option.text) > 8, name
        assert option.text[-1] not in ".:;", name
        assert option.panel in PANELS


@pytest.mark.parametrize("config", CONFIGS)
def test_the_same_seeds_everywhere(config: type[Options]) -> None:
    assert config(seed=2**63 - 1).seed == 2**63 - 1
    for seed in (-1, 2**63):
        with pytest.raises(ConfigError, match=f"seed={seed} must be 0 to 9223372036854775807"):
            config(seed=seed)


def test_numbers_as_yaml_and_people_write_them() -> None:
    assert FitConfig.from_mapping({"lr": "1e-3", "max_params": "1.5k"}) == FitConfig(lr=1e-3, max_params=1500)
    for text, count in (("64", 64), ("200k", 200_000), ("1.5M", 1_500_000), ("2e3", 2000)):
        assert FitConfig.from_mapping({"max_params": text}).max_params == count


@pytest.mark.parametrize("text", ["", "k", "1.5", "nan", "infM", "0.0001k", "-3k"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(ConfigError, match="max_params="):
        FitConfig.from_mapping({"max_params": text})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("a.yaml", "none.yaml"):
        with pytest.raises(ConfigError, match=name):
            FitConfig.read(tmp_path / name)
