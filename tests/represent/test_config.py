"""Options are checked as a whole: every mistake is told at once, in words that name the option and its range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plexus.errors import ConfigError
from plexus.represent import RepresentConfig


def test_every_mistake_is_told_at_once() -> None:
    wrong: dict[str, Any] = {
        "balance": 1.5, "dim": 0, "labels": "some", "objective": "gan", "neuron": "rot9", "lr": 0.0, "epochs": 0,
        "val": 1.0, "keep": 0.0, "confidence": 1.0, "rotation": 200.0, "shift": -1.0, "precision": "8", "size": 3,
    }  # fmt: skip
    with pytest.raises(ConfigError) as told:
        RepresentConfig(**wrong)
    for name in wrong:
        assert f"{name}=" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"balance": -0.1}, r"balance=-0.1 must be a share, 0 \(reconstruction alone\) to 1 \(recognition alone\)"),
        ({"balance": 1.01}, "balance=1.01 must be a share"),
        ({"balance": float("nan")}, "balance=nan must be a share"),
        ({"dim": 0}, "dim=0 must be at least 1"),
        ({"dim": 6.5}, "dim=6.5 must be"),
        ({"labels": "0"}, "labels='0' must be all, none, or how many of each class, 1 or more"),
        ({"labels": "-3"}, "labels='-3' must be"),
        ({"labels": "1.5"}, "labels='1.5' must be"),
        ({"labels": "\u0663"}, "must be all, none, or"),
        ({"labels": True}, "labels=True must be"),
        ({"labels": ""}, "labels='' must be"),
        ({"objective": "gan"}, "objective='gan' is unknown; choose from ae, vae, denoise"),
        ({"consistency": "x"}, "consistency='x' is unknown; choose from pseudo, contrast, none"),
        ({"neuron": "x"}, "choose from plain, rot8, rot4, unit"),
        ({"keep": 1.5}, "keep=1.5 must be above 0 and at most 1"),
        ({"temperature": 0.0}, "temperature=0.0 must be above 0"),
        ({"elastic": 2.0}, "elastic=2.0 must be 0 to 1"),
        ({"rotation": 181.0}, "rotation=181.0 must be 0 to 180"),
        ({"confidence": 0.0}, "confidence=0.0 must be between 0 and 1"),
        ({"test": 0.0}, "test=0.0 must be between 0 and 1"),
        ({"batch_size": 1}, "batch_size=1 must be at least 2"),
        ({"beta": -1.0}, "beta=-1.0 must be at least 0"),
        ({"classes": ["a", "a"]}, r"classes=\['a', 'a'\] must be a list of names, each class once"),
        ({"classes": []}, r"classes=\[\] must be a list of names, each class once"),
        ({"classes": 3}, "classes=3 must be a list of names"),
        ({"consistency": "pseudo", "labels": "none"}, "consistency=pseudo learns from labels, and labels=none"),
        ({"wiring": "learn", "epochs": 1}, "wiring=learn needs epochs of at least 2"),
        ({"beta": 2.0}, "beta=2.0 belongs to objective=vae, not to objective=ae"),
        ({"noise": 0.1, "objective": "vae"}, "noise=0.1 belongs to objective=denoise, not to objective=vae"),
        ({"keep": 0.4}, "keep=0.4 belongs to wiring=learn"),
        ({"gate_lr": 0.1, "wiring": "w.json"}, "gate_lr=0.1 belongs to wiring=learn, not to wiring=w.json"),
        ({"confidence": 0.9}, "confidence=0.9 belongs to consistency=pseudo, not to consistency=none"),
        ({"temperature": 0.9, "labels": "5"}, "temperature=0.9 belongs to consistency=contrast"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RepresentConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"balance": 0}, {"balance": 1}, {"balance": 0.0}, {"labels": "1"}, {"shift": 1.0, "gain": 1.0},
        {"rotation": 180.0}, {"beta": 0.0, "objective": "vae"}, {"labels": "none", "consistency": "contrast"},
        {"wiring": "learn", "epochs": 2}, {"keep": 1.0, "wiring": "learn"}, {"wiring": "w.json", "epochs": 1},
            {"size": 4}, {"batch_size": 2},
    ],
)  # fmt: skip
def test_the_ends_of_the_ranges_are_allowed(options: dict[str, Any]) -> None:
    config = RepresentConfig(**options)
    assert all(getattr(config, name) == value for name, value in options.items())


@pytest.mark.parametrize(
    ("labels", "kept", "few", "teaches"),
    [
        ("all", "all", None, "none"), ("none", "none", None, "contrast"), ("10", "10", 10, "pseudo"),
        (10, "10", 10, "pseudo"), ("007", "007", 7, "pseudo"),
    ],
)  # fmt: skip
def test_labels_are_all_none_or_a_number(labels: Any, kept: str, few: int | None, teaches: str) -> None:
    config = RepresentConfig(labels=labels)
    assert (config.labels, config.few, config.teaches) == (kept, few, teaches)


@pytest.mark.parametrize("labels", ["all", "5"])
@pytest.mark.parametrize("consistency", ["pseudo", "contrast", "none"])
def test_what_is_asked_for_teaches(labels: str, consistency: Any) -> None:
    assert RepresentConfig(labels=labels, consistency=consistency).teaches == consistency


def test_yaml_and_back(tmp_path: Path) -> None:
    config = RepresentConfig(
        data="photos", labels="7", classes=("x", "10"), balance=1, dim=9, objective="vae", wiring="learn", size=20
    )
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert RepresentConfig.read(tmp_path / "c.yaml") == config
    (tmp_path / "c.yaml").write_text("labels: 7\nclasses: [x, 10]\nbalance: 1\nlr: 1e-3\n")
    read = RepresentConfig.read(tmp_path / "c.yaml")
    assert (read.few, read.classes, read.balance, read.lr) == (7, ("x", "10"), 1, 1e-3)


def test_yaml_with_mistakes_and_strange_names(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("balance: 2\nlabels: [1]\nballance: 0.5\n")
    with pytest.raises(ConfigError) as told:
        RepresentConfig.read(tmp_path / "c.yaml")
    assert "ballance" in str(told.value)
    assert "\n" not in str(told.value)
    (tmp_path / "c.yaml").write_text("balance: 2\nlabels: [1]\n")
    with pytest.raises(ConfigError, match=r"(?s)labels=.*balance=|balance=.*labels="):
        RepresentConfig.read(tmp_path / "c.yaml")
