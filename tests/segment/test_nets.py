"""A net's file holds weights, and all it takes to build and feed the net again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from plexus.data import Split
from plexus.errors import RunError
from plexus.models import UNet
from plexus.segment import SegmentConfig
from plexus.segment.nets import Segmenter, build, export, load_net, save_net, statistics


def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (5, 1, 16, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def made(**options: object) -> Segmenter:
    config = SegmentConfig(width=4, levels=3, size=(16, 24), epochs=4, **options)  # type: ignore[arg-type]
    net = build(config, 1, seed=0)
    split = Split(pixels(), torch.zeros(5, 1, 16, 24, dtype=torch.uint8), tuple("abcde"))
    return Segmenter(net.prune(0.5) if config.wiring else net, statistics(split)).eval()


def test_pixels_are_normalised_by_their_own_figures() -> None:
    net = made()
    x = pixels().double()
    assert net.normalize.mean.item() == pytest.approx(x.mean().item(), rel=1e-6)
    assert net.normalize.std.item() == pytest.approx(x.std(correction=0).item(), rel=1e-6)


def test_a_seed_makes_the_net_and_leaves_other_randomness_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = build(SegmentConfig(width=4, levels=3), 1, seed=7)
    assert torch.equal(torch.rand(3), expected)
    second, other = (build(SegmentConfig(width=4, levels=3), 1, seed=s) for s in (7, 8))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    "options", [{}, {"preset": "nerve"}, {"wiring": "skips"}, {"neuron": "unit"}, {"stem": 2}], ids=str
)
def test_a_net_comes_back(tmp_path: Path, options: dict[str, object]) -> None:
    net = made(**options)
    save_net(net, tmp_path / "model-0.safetensors")
    again = load_net(tmp_path / "model-0.safetensors")
    assert not again.training
    with torch.no_grad():
        for a, b in zip(net(pixels()), again(pixels()), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
    assert again.net.wiring() == net.net.wiring()
    assert load_file(tmp_path / "model-0.safetensors").keys() == net.net.state_dict().keys()


def test_files_that_are_no_nets(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file"):
        load_net(tmp_path / "none.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x00" * 7)
    for name in ("other", "cut"):
        with pytest.raises(RunError, match="not a net of `plexus segment train`, or broken"):
            load_net(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    "change", [{"width": 10**9}, {"levels": 10**6}, {"in_channels": 10**9}, {"width": 8}, {"levels": 2}], ids=str
)
def test_options_that_do_not_fit_the_weights_are_refused_before_a_net_is_built(
    tmp_path: Path, change: dict[str, int]
) -> None:
    file = tmp_path / "model-0.safetensors"
    save_net(made(), file)
    with safe_open(file, "pt") as stored:
        facts = json.loads(stored.metadata()["plexus"])
    facts["unet"] |= change
    save_file(load_file(file), file, {"plexus": json.dumps(facts)})
    with pytest.raises(RunError, match="not a net of `plexus segment train`, or broken"):
        load_net(file)


@pytest.mark.parametrize("change", [torch.Tensor.double, lambda value: value * float("nan")])
def test_numbers_of_another_type_or_none_are_refused(tmp_path: Path, change: Callable[..., torch.Tensor]) -> None:
    file = tmp_path / "model-0.safetensors"
    save_net(made(), file)
    with safe_open(file, "pt") as stored:
        facts = stored.metadata()
    save_file({name: change(value) for name, value in load_file(file).items()}, file, facts)
    with pytest.raises(RunError, match=r"in the file|NaN"):
        load_net(file)


@pytest.mark.parametrize("options", [{"preset": "nerve"}, {"wiring": "skips", "neuron": "unit"}], ids=str)
def test_onnx_answers_as_the_net_does(tmp_path: Path, options: dict[str, object]) -> None:
    net = made(**options)
    difference = export(net, tmp_path / "model.onnx", (1, 16, 24))
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    masks, presence = session.run(["mask_logits", "presence_logit"], {"pixels": pixels().float().numpy()})
    with torch.no_grad():
        out = net(pixels())
    np.testing.assert_allclose(masks, out.mask_logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(presence, out.presence_logit.numpy(), atol=1e-4)
    assert difference < 1e-4
    assert isinstance(net.net, UNet)
