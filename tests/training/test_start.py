"""A fit that starts from an autoencoder: its nets, their derivation, and the files it leaves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from plexus.data import load
from plexus.errors import ConfigError, RunError
from plexus.models import Autoencoder
from plexus.training import FitConfig, fit
from plexus.training.nets import Nets
from plexus.wiring import derive, importance


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = Autoencoder((1, 8, 8), 6, width=4, mean=(80.0,), std=(90.0,)).eval()
    folder = tmp_path_factory.mktemp("encoder")
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("at", ["z", "features"])
@pytest.mark.parametrize("method", ["gate", "strength", "taylor", "ablation"])
def test_the_start_stands_before_every_measure_and_every_net(encoder: Path, at: Any, method: Any) -> None:
    nets = Nets(FitConfig(start_from=str(encoder), start_at=at), (1, 8, 8), 10)
    net = nets.supernet().eval()
    x, y = torch.rand(4, 1, 8, 8) * 255, torch.arange(4)
    wiring = importance(net, [(x, y)], method)
    assert wiring.nodes == net.body.node_names()  # type: ignore[operator]
    assert torch.allclose(derive(net, net.body.wiring())(x), net(x), atol=1e-4)  # type: ignore[operator]
    assert nets.pattern(wiring).eval()(x).shape == nets.chain().eval()(x).shape == (4, 10)


@pytest.mark.parametrize("frozen", [True, False])
def test_the_files_of_a_run_start_from_pixels(encoder: Path, tmp_path: Path, frozen: bool) -> None:
    config = FitConfig(start_from=str(encoder), start_frozen=frozen, epochs=3, limit=60, controls=False)
    run = fit(config, run=tmp_path / "run")
    record = json.loads((run / "record.json").read_text())
    assert record["finished"] is True
    assert record["config"]["start_from"] == str(encoder)
    session = onnxruntime.InferenceSession(run / "model.onnx", providers=["CPUExecutionProvider"])
    test = load("digits", seed=0).test
    (logits,) = session.run(None, {"pixels": test.images.numpy().astype(np.float32)})
    right = float((logits.argmax(1) == test.labels.numpy()).mean())
    assert right == pytest.approx(next(r["accuracy"] for r in record["results"] if r["name"] == "final"), abs=0.005)
    assert (run / "model.py").is_file()


def test_a_last_batch_of_one_trains_where_batch_norm_needs_two(encoder: Path, tmp_path: Path) -> None:
    """Layers on Z are 1x1: one image has no statistics, and is given twice; the loss counts it once."""
    config = FitConfig(start_from=str(encoder), epochs=3, limit=76, controls=False)
    record = json.loads((fit(config, run=tmp_path / "run") / "record.json").read_text())
    assert record["data"]["counts"]["train"] % config.batch_size == 1
    assert all(0 < entry["train_loss"] < 10 for entry in record["epochs"])


def test_what_cannot_be_started_from_is_told_and_leaves_nothing(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no autoencoder there"):
        fit(FitConfig(start_from=str(tmp_path / "none")), run=tmp_path / "a")
    with pytest.raises(ConfigError, match="pass --size 8"):
        fit(FitConfig(start_from=str(encoder), size=12), run=tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_options_of_a_start_need_one() -> None:
    with pytest.raises(ConfigError, match="start_at='features' needs start_from"):
        FitConfig(start_at="features")
