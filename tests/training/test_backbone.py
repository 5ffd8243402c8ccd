"""A fit that reads the maps of a backbone: its nets, the files it leaves, what it costs, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import plexus
from plexus.errors import PlexusError
from plexus.models import Backbone
from plexus.report import render
from plexus.training import FitConfig, fit, open_run, resume

SMALL: dict[str, Any] = {"epochs": 2, "limit": 150, "controls": False}
OWN = """
import torch
from torch import nn


class Maps(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.then = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.last = nn.Conv2d(8, 10, 2)

    def forward(self, pixels):
        a = self.first(pixels / 255)
        b = self.then(a)
        return [a, b, self.last(b)]


class Branches(Maps):
    def forward(self, pixels):
        return super().forward(pixels) if pixels.shape[1] > 0 else []


class Darker(Maps):
    def forward(self, pixels):
        return super().forward(pixels) if pixels.mean() > 3 else super().forward(pixels / 2)


def maps():
    torch.manual_seed(0)
    return Maps()


def branches():
    torch.manual_seed(0)
    return Branches()


def darker():
    torch.manual_seed(0)
    return Darker()


def number():
    return 3
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(OWN)
    space: dict[str, Any] = {}
    exec(OWN, space)
    net = space["maps"]()
    net(torch.rand(8, 3, 8, 8) * 255)  # so that batch norms have statistics of their own
    save_file(net.state_dict(), folder / "w.safetensors")
    return folder


def spec(own: Path, name: str = "maps") -> str:
    return f"{own / 'own.py'}:{name}+{own / 'w.safetensors'}"


@pytest.fixture(scope="module")
def run(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(FitConfig(backbone=spec(own), int8=True, **SMALL), run=tmp_path_factory.mktemp("run") / "run")


def test_files_hold_the_backbone_and_agree_without_plexus(run: Path, own: Path) -> None:
    opened = plexus.load(run)
    pixels = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    space: dict[str, Any] = {}
    exec((run / "model.py").read_text(), space)
    assert "plexus" not in [line.split()[1] for line in (run / "model.py").read_text().splitlines() if "import" in line]
    with torch.no_grad():
        rebuilt, source = opened.model(pixels), space["load"](run / "model.safetensors")(pixels)
    session = onnxruntime.InferenceSession(run / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"pixels": pixels.numpy()})
    assert torch.allclose(rebuilt, source, atol=1e-5)
    assert np.allclose(rebuilt.numpy(), logits, atol=1e-4)
    final = opened.results["final"]
    test = plexus.load(run).record.data.counts["test"]
    assert final.accuracy is not None
    assert round(final.accuracy * test) / test == pytest.approx(final.accuracy)
    learned = load_file(run / "checkpoints" / "fit" / "weights.safetensors")
    assert not any("first" in name for name in learned)  # a frozen backbone is in no checkpoint
    assert not (run / "checkpoints" / "maps").exists()


def test_table_and_page_tell_the_backbone_and_its_linear_head(run: Path) -> None:
    record = open_run(run)[1]
    rows = {row.name: row for row in record.results}
    assert list(rows) == ["final", "int8", "linear", "uncut"]
    assert record.front.startswith("w, which stays as it is: maps 6 of 8x8, 8 of 4x4, 10 of 3x3; 938 parameters")
    # batch norms are folded: 168 + 440 + 330; the linear head reads 10 maps for 10 classes
    assert rows["linear"].parameters == 938 + 110
    assert all(row.parameters and row.parameters > 938 and row.latency_ms and row.kb for row in rows.values())
    page = render(record)
    assert "It reads the maps of w, which stays as it is" in page
    assert "A linear layer on the backbone&#39;s pooled last map" in page


def test_a_stopped_run_goes_on_to_the_same_weights_and_knows_its_backbone(run: Path, own: Path, tmp_path: Path) -> None:
    def stop(entry: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(FitConfig(backbone=spec(own), int8=True, **SMALL), run=tmp_path / "run", listen=stop)
    resume(tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert "backbone" in json.loads((run / "record.json").read_text())["data"]["files"]


def test_a_run_is_a_backbone_whose_maps_are_those_before_its_head(run: Path, tmp_path: Path) -> None:
    again = plexus.fit("digits", out=tmp_path / "again", backbone=plexus.load(run), progress=False, **SMALL)
    assert "of 8x8" in again.record.front
    shallow = again.prune(keep=0.3, progress=False)
    assert (shallow.results["final"].parameters or 0) < (again.results["final"].parameters or 0)


def test_a_backbone_that_learns_is_a_part_of_the_net(own: Path, tmp_path: Path) -> None:
    space: dict[str, Any] = {}
    exec(OWN, space)
    run = plexus.fit("digits", out=tmp_path / "run", backbone=space["maps"], backbone_lr=1e-3, progress=False, **SMALL)
    learned = load_file(run.folder / "checkpoints" / "fit" / "weights.safetensors")
    moved = learned["start.net.first.0.weight"] - space["maps"]().first[0].weight
    assert 1e-4 < moved.abs().max() < 0.02  # some steps of a thousandth each
    assert "maps, which learns" in run.record.front
    assert (run.folder / "model.py").is_file()
    with pytest.raises(PlexusError, match=r"plexus.load\(RUN, backbone=MODULE\)"):
        _ = plexus.load(run.folder).model
    pixels = torch.rand(2, 1, 8, 8) * 255
    assert plexus.load(run.folder, backbone=space["maps"]).model(pixels).shape == (2, 10)


def test_a_net_that_is_no_graph_serves_where_it_stays_as_it_is(own: Path, tmp_path: Path) -> None:
    run = fit(FitConfig(backbone=spec(own, "branches"), augment=True, **SMALL), run=tmp_path / "run")
    assert "Backbone, which torch does not ship" in open_run(run)[1].machine["model.py"]
    assert not (run / "model.py").exists()
    pixels = torch.rand(2, 1, 8, 8) * 255
    assert plexus.load(run).model(pixels).shape == (2, 10)
    with pytest.raises(PlexusError, match=r"cannot learn, as torch.fx cannot trace it"):
        fit(FitConfig(backbone=spec(own, "branches"), backbone_lr=1e-3, **SMALL), run=tmp_path / "b")


def test_budgets_count_the_backbone(own: Path, tmp_path: Path) -> None:
    with pytest.raises(PlexusError, match="max_params=900 cannot be met: the backbone alone has 938"):
        fit(FitConfig(backbone=spec(own), max_params=900, **SMALL), run=tmp_path / "a")
    run = fit(FitConfig(backbone=spec(own), preset="separable", max_params=12_000, **SMALL), run=tmp_path / "b")
    final = open_run(run)[1].results[0].parameters
    assert final is not None
    assert 6_000 < final <= 12_000


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nowhere", {}, "neither efficientnet-lite0, nor a run folder"),
        ("own.py:number", {}, "must return a torch module, got int"),
        ("own.py:missing", {}, "has no function missing"),
        ("own.py:maps+none.safetensors", {}, "cannot load"),
        ("own.py:darker", {}, "ONNX cannot express it"),
        ("own.py:maps", {"start_from": "x"}, "backbone=.* has no effect beside start_from"),
    ],
)
def test_what_is_no_backbone_is_told_in_a_line(
    own: Path, tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    whole = "+".join(str(own / part) for part in name.split("+"))
    with pytest.raises(PlexusError, match=message) as told:
        fit(FitConfig(backbone=whole, **options, **SMALL), run=tmp_path / "run")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_a_rate_needs_a_backbone_and_a_frozen_one_sees_images_as_they_are() -> None:
    with pytest.raises(PlexusError, match=r"backbone_lr=0\.001 needs backbone"):
        FitConfig(backbone_lr=0.001)
    photos: dict[str, Any] = {"data": "photos", "backbone": "efficientnet-lite0"}
    assert not any(FitConfig(**photos).strengths().values())
    assert FitConfig(**photos, backbone_lr=1e-3).strengths()["flip"]
    assert FitConfig(**photos).side == 224
    assert FitConfig(**photos, size=112).side == 112


def test_maps_are_computed_once_and_normalised() -> None:
    from plexus.training import Front

    front = Front(Backbone(nn.Conv2d(1, 4, 3), (1, 8, 8)), "conv")
    images = torch.randint(0, 255, (200, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    front.measure(images)
    maps = front(images)
    assert maps.mean((0, 2, 3)).abs().max() < 1e-4
    assert (maps.std((0, 2, 3)) - 1).abs().max() < 1e-3
    assert front(maps.half()).equal(maps.half().float())
