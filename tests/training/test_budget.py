"""Budgets: decided before the first epoch, met by whatever is learned, refused where they cannot be or do nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError, RunError
from plexus.nn import fold
from plexus.record import FitRecord
from plexus.report import render
from plexus.training import (
    FitConfig,
    GradualCut,
    Target,
    export_int8,
    finished,
    fit,
    open_run,
    plan,
    predict,
    reprune,
    resume,
)
from plexus.training.nets import Nets
from plexus.training.onnx_model import to_onnx
from plexus.wiring import derive, importance, multiply_adds, parameters
from tests.report.pages import said

SHAPE = (1, 8, 8)
SMALL: dict[str, Any] = {"data": "digits", "limit": 200, "epochs": 4}
MIX: dict[str, Any] = {"preset": "mix"}


def net_of(config: FitConfig, target: Target, seed: int = 0, width: int | None = None) -> Any:
    """The plain net that a plan leaves of random weights."""
    options = {**vars(config), "seed": seed, "width": config.width if width is None else width}
    net: Any = Nets(FitConfig(**options), SHAPE, 10).supernet()
    GradualCut(net.body, target, 100, chance=0.1).apply(1.0)
    return derive(net.eval(), net.body.wiring())


@pytest.mark.parametrize("limit", [2500, 4000, 6001])
def test_max_params_is_met_by_whatever_is_learned(limit: int) -> None:
    config = FitConfig(**MIX, width=8, max_params=limit)
    made = plan(config, SHAPE, 10)
    assert (made.width, made.note) == (None, "")
    sizes = [parameters(net_of(config, made.target, seed)) for seed in range(4)]
    assert 0.5 * limit < max(sizes) <= limit


def test_a_larger_budget_leaves_more() -> None:
    fan_ins = [
        plan(FitConfig(**MIX, width=8, max_params=n), SHAPE, 10).target.fan_in or 0 for n in range(2000, 6000, 800)
    ]
    assert fan_ins == sorted(fan_ins)
    assert 0 < fan_ins[0] < fan_ins[-1]


def test_the_budget_decides_the_width() -> None:
    config = FitConfig(**MIX, max_params=14_000)
    made = plan(config, SHAPE, 10)
    assert made.width is not None
    assert made.target.fan_in is not None
    assert made.width % config.share == 0
    assert made.width > 8
    assert made.target.fan_in >= 16
    small = plan(FitConfig(**MIX, max_params=2000), SHAPE, 10)  # less than the narrowest net of 16 sources
    assert (small.width, small.target.fan_in in range(1, 16)) == (8, True)


def test_max_macs_is_met_by_whatever_is_learned() -> None:
    config = FitConfig(**MIX, max_macs=120_000)
    made = plan(config, SHAPE, 10)
    for seed in range(3):
        assert 60_000 < multiply_adds(net_of(config, made.target, seed, made.width), SHAPE) <= 120_000


@pytest.mark.parametrize("limit", [9000, 20_000, 60_000])
def test_streams_are_as_wide_as_the_budget_allows(limit: int) -> None:
    """Exactly what is planned is left, whatever is learned: channels of a stream are as dear as each other."""
    made = plan(FitConfig(max_params=limit), SHAPE, 10)
    assert made.width is not None
    sizes = {parameters(net_of(FitConfig(), made.target, seed, made.width)) for seed in range(3)}
    assert len(sizes) == 1
    assert 0.6 * limit < sizes.pop() <= limit
    wider = plan(FitConfig(width=made.width + 8), SHAPE, 10).target
    assert parameters(net_of(FitConfig(), wider, 0, made.width + 8)) > limit


def test_budgets_of_streams_of_a_given_width() -> None:
    shares = [plan(FitConfig(width=32, max_macs=n), SHAPE, 10).target.channels or 0 for n in (60_000, 150_000, 250_000)]
    assert shares == sorted(set(shares))
    for limit, share in zip((60_000, 150_000, 250_000), shares, strict=True):
        assert multiply_adds(net_of(FitConfig(width=32), Target(channels=share)), SHAPE) <= limit
        more = Target(channels=share + 1 / 16)
        assert multiply_adds(net_of(FitConfig(width=32), more), SHAPE) > limit


@pytest.mark.parametrize("names", [60, 9000])
def test_kilobytes_of_eight_bits_are_met_whatever_is_learned(names: int, tmp_path: Path) -> None:
    """Channels that die need scales of 32 bits, and the names of many classes lie in the file."""
    limit = 40.0
    made = plan(FitConfig(max_kb=limit, int8=True), SHAPE, 10, names=names)
    net = net_of(FitConfig(), made.target, 0, made.width)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight[0] *= 1e-6
    content = to_onnx(fold(net), SHAPE)
    kb = export_int8(content, tmp_path / "int8.onnx", None, about={"classes": "x" * names})["kb"]
    assert 0.6 * limit < kb <= limit


def test_shares_and_the_default() -> None:
    assert plan(FitConfig(), SHAPE, 10).target == Target(channels=0.75)
    assert plan(FitConfig(keep=0.4), SHAPE, 10).target == Target(channels=0.4)
    assert plan(FitConfig(**MIX), SHAPE, 10).target == Target(fan_in=16)
    assert plan(FitConfig(**MIX, fan_in=7), SHAPE, 10).target == Target(fan_in=7)
    whole = importance(Nets(FitConfig(**MIX, width=8), SHAPE, 10).supernet(), method="gate").count()
    assert plan(FitConfig(**MIX, width=8, keep=0.25), SHAPE, 10).target == Target(edges=int(0.25 * whole))
    assert plan(FitConfig(preset="deep"), SHAPE, 10).target == Target(edges=int(0.3 * 54))
    assert plan(FitConfig(preset="deep", keep=0.5), SHAPE, 10).target == Target(edges=27)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_params": 300}, r"max_params=300 cannot be met: the smallest such net needs \d"),
        ({"max_macs": 1000}, r"max_macs=1000 cannot be met: the smallest such net needs \d"),
        ({"max_kb": 1.5}, r"max_kb=1.5 cannot be met: the smallest such net needs \d"),
        ({"max_ms": 1e-5}, r"max_ms=1e-05 cannot be met: the smallest such net needs [\d.]"),
        ({"width": 64, "max_params": 700}, r"max_params=700 cannot be met: the smallest such net needs \d"),
        ({"preset": "deep", "width": 4, "max_params": 1000}, r"max_params=1,000 cannot be met: the smallest wiring"),
    ],
)
def test_what_cannot_be_met_is_refused_before_the_first_epoch(tmp_path: Path, options: Any, words: str) -> None:
    epochs: list[dict[str, Any]] = []
    with pytest.raises(ConfigError, match=words):
        fit(FitConfig(**SMALL, **options), run=tmp_path / "run", listen=epochs.append)
    assert epochs == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 8, "max_params": 10**7}, "max_params=1e+07 is more than the whole net needs: nothing is cut for it"),
        ({"preset": "deep", "max_params": 10**7}, "of the whole net: nothing is cut for it"),
    ],
)
def test_a_budget_that_cuts_nothing_is_told(options: Any, words: str) -> None:
    assert words in plan(FitConfig(**options), SHAPE, 10).note


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose budget is kilobytes."""
    return fit(FitConfig(**SMALL, **MIX, max_kb=40.0), run=tmp_path_factory.mktemp("budget") / "run")


def final(run: Path) -> Any:
    return next(row for row in FitRecord.read(run / "record.json").results if row.name == "final")


def test_the_file_is_no_larger_than_it_may_be(run: Path) -> None:
    size = (run / "model.onnx").stat().st_size / 1000
    assert 20 < size <= 40
    assert final(run).kb == size
    assert str(Path(torch.__file__).parent).encode() not in (run / "model.onnx").read_bytes()


def test_the_plan_is_made_once_and_stands_in_the_record(run: Path) -> None:
    record = FitRecord.read(run / "record.json")
    assert json.loads((run / "checkpoints" / "plan.json").read_text()) == record.to_dict()["plan"]
    assert (record.plan.width, record.plan.edges, record.plan.note) == (16, None, "") or record.plan.width == 8
    assert {epoch.phase for epoch in record.epochs} == {"fit"}
    assert [row.name for row in record.results] == ["final", "uncut"]
    assert record.results[1].accuracy is None
    assert record.results[1].parameters > record.results[0].parameters  # type: ignore[operator]


def test_it_can_be_cut_further(run: Path, tmp_path: Path) -> None:
    fan_in = FitRecord.read(run / "record.json").plan.fan_in
    assert fan_in is not None
    again = reprune(run, fan_in=fan_in // 2, run=tmp_path / "again")
    config, record = open_run(again)
    assert (config.budget(), config.width) == ({"fan_in": fan_in // 2}, FitRecord.read(run / "record.json").plan.width)
    assert [(e.phase, e.epoch) for e in record.epochs] == [("fit", 2), ("fit", 3)]
    assert final(again).parameters < final(run).parameters
    before, after = (json.loads((place / "wiring.json").read_text()) for place in (run, again))
    assert {tuple(e[:2]) for e in _edges(after)} <= {tuple(e[:2]) for e in _edges(before)}


def _edges(wiring: dict[str, Any]) -> list[Any]:
    return [list(e.values()) if isinstance(e, dict) else e for e in wiring["edges"]]


def test_a_net_of_streams_is_cut_further_at_its_own_width(tmp_path: Path) -> None:
    first = fit(FitConfig(**SMALL), run=tmp_path / "run")
    before = FitRecord.read(first / "record.json")
    assert (before.plan.channels, before.plan.width, before.plan.fan_in) == (0.75, None, None)
    again = reprune(first, max_macs=150_000, run=tmp_path / "again")
    config, record = open_run(again)
    assert config.width == 32
    assert final(again).macs <= 150_000 < final(first).macs
    assert record.results[-1].parameters == before.results[-1].parameters  # nothing cut: the same net
    with pytest.raises(ConfigError, match=r"fan_in=5 belongs to preset=mix, not to preset=separable"):
        reprune(first, fan_in=5, run=tmp_path / "third")


@pytest.mark.parametrize("budget", [{"fan_in": 100}, {"max_params": 10**6}, {"max_kb": 40}, {"keep": 1.0}])
def test_what_is_met_already_is_refused(run: Path, tmp_path: Path, budget: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"is met by .* already, which has .*: nothing would be cut"):
        reprune(run, **budget, run=tmp_path / "again")
    assert list(tmp_path.iterdir()) == []


def test_one_budget_is_given_to_cut_further(run: Path, tmp_path: Path) -> None:
    for budget in ({}, {"keep": 0.1, "fan_in": 2}, {"epochs": 3}):
        with pytest.raises(ConfigError, match="give one budget: --keep or --fan-in or --max-params or --max-macs"):
            reprune(run, **budget, run=tmp_path / "again")


def test_runs_of_earlier_versions_are_read_but_not_gone_on_with(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in ("config.yaml", "record.json", "model.onnx", "model.safetensors"):
        (old / name).write_bytes((run / name).read_bytes())
    lines = (old / "config.yaml").read_text().replace("max_kb: 40.0", "keep: 0.3")
    (old / "config.yaml").write_text(f"{lines}anneal: fade\nselect: 0.25\ncut: 0.65\nrank: gate\nthen: finetune\n")
    assert finished(old)
    assert resume(old) == old  # there is nothing left to do
    with pytest.raises(RunError, match="the run is of an earlier version of plexus"):
        reprune(old, fan_in=2)
    record = json.loads((old / "record.json").read_text())
    record |= {"then": "finetune", "gap": {"split": "val", "before": 0.5, "after": 0.25}}
    (old / "record.json").write_text(json.dumps(record))
    assert "50.0 % to 25.0 %" in said(render(FitRecord.read(old / "record.json")))
    with pytest.raises(Exception, match=r"nowhere.png"):
        predict(old, ["nowhere.png"])
    (old / "record.json").write_text(json.dumps(record | {"finished": False}))
    with pytest.raises(RunError, match="the run is of an earlier version of plexus"):
        resume(old)
