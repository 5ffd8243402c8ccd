"""The U-Nets have the layers they are said to have, and answer for every image they are said to take."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plexus.errors import ConfigError
from plexus.models import Segmentation, UNet
from plexus.nn import RotConv2d, UnitConv2d

NERVE: dict[str, Any] = {"preset": "nerve", "in_size": (32, 16), "width": 3, "levels": 4}
MODERN: dict[str, Any] = {"preset": "modern", "width": 4, "levels": 3}


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def nerve_count(width: int, levels: int, height: int, sides: int) -> int:
    """The parameters of the notes' network, layer by layer: kernels and biases, and two a map for batch norm."""

    def unit(maps: int, out: int, kernel: int) -> int:
        return out * (maps * kernel * kernel + 1) + 2 * out

    maps = [width << i for i in range(levels)]
    total, below = 0, 1
    for i, here in enumerate(maps):
        total += unit(below, here, 3 if i else 7) + unit(here, here, 3)
        if i < levels - 1:
            total += unit(here, here, 2)
            total += unit(here + 2 * here, here, 3) + unit(here, here, 3)  # the decoder's level of this size
        below = here
    shrunk = (height >> (levels - 1)) * (sides >> (levels - 1))
    return total + maps[-1] * shrunk + 1 + width + 1


def test_the_nerve_net_has_the_parameters_of_the_notes() -> None:
    assert nerve_count(32, 5, 160, 160) == 8_254_050
    assert count(UNet(preset="nerve", width=32, in_size=(160, 160))) == 8_254_050
    assert count(UNet(**NERVE)) == nerve_count(3, 4, 32, 16)


def test_the_nerve_net_computes_what_the_notes_say() -> None:
    """The network once more, written out as a list of steps over the same weights."""
    torch.manual_seed(0)
    net = UNet(**NERVE).double().eval()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight, 1, 0.2)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    convs = [m for m in net.encoder.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in net.encoder.modules() if isinstance(m, nn.BatchNorm2d)]

    def unit(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
        kernel = conv.weight.shape[-1]
        y = F.conv2d(x, conv.weight, conv.bias, 2 if kernel == 2 else 1, 0 if kernel == 2 else (kernel - 1) // 2)
        mean, var = norm.running_mean, norm.running_var
        assert mean is not None
        assert var is not None
        y = (y - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + 1e-3).sqrt()
        y = y * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
        return torch.where(y > 0, y, y.exp() - 1)

    assert [c.weight.shape[-1] for c in convs] == [7, 3, 2, 3, 3, 2, 3, 3, 2, 3, 3]
    image = torch.randn(2, 1, 32, 16, dtype=torch.float64)
    x, kept = image, []
    for conv, norm in zip(convs, norms, strict=True):
        if conv.weight.shape[-1] == 2:
            kept.append(x)
        x = unit(x, conv, norm)
    head = net.presence
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    presence = (x * head.weight).sum((1, 2, 3)) + head.bias
    for level in reversed(range(3)):
        x = torch.cat([x.repeat_interleave(2, 2).repeat_interleave(2, 3), kept[level]], 1)
        convs = [m for m in net.decoder[level].modules() if isinstance(m, nn.Conv2d)]
        norms = [m for m in net.decoder[level].modules() if isinstance(m, nn.BatchNorm2d)]
        for conv, norm in zip(convs, norms, strict=True):
            x = unit(x, conv, norm)
    assert isinstance(net.mask, nn.Conv2d)
    assert net.mask.bias is not None
    mask = torch.einsum("nchw,c->nhw", x, net.mask.weight.flatten())[:, None] + net.mask.bias
    out = net(image)
    torch.testing.assert_close(out.mask_logits, mask)
    torch.testing.assert_close(out.presence_logit, presence)


def test_the_nerve_net_drops_half_after_every_level() -> None:
    net = UNet(**NERVE)
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.5] * (4 + 3)
    assert {m.p for m in UNet(**NERVE, dropout=0.25).modules() if isinstance(m, nn.Dropout)} == {0.25}


def test_the_start_follows_he() -> None:
    torch.manual_seed(0)
    for net in (UNet(preset="nerve", width=32, in_size=(16, 16)), UNet(width=32)):
        for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d) and m.weight.numel() > 5000):
            fan = conv.weight[0].numel()
            assert conv.weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.05)
            assert conv.bias is None or not conv.bias.any()


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (32, 32), (45, 18)])
@pytest.mark.parametrize("stem", [1, 2])
@pytest.mark.parametrize("skips", ["same", "all"])
def test_the_modern_net_takes_images_of_any_size(size: tuple[int, int], stem: int, skips: str) -> None:
    net = UNet(2, **MODERN, stem=stem, skips=skips)
    out = net(torch.rand(3, 2, *size))
    assert isinstance(out, Segmentation)
    assert out.mask_logits.shape == (3, 1, *size)
    assert out.presence_logit.shape == (3,)


@pytest.mark.parametrize("stem", [1, 2])
def test_an_image_of_odd_size_is_one_whose_edge_was_repeated(stem: int) -> None:
    torch.manual_seed(0)
    net = UNet(**MODERN, stem=stem).double().eval()
    image = torch.rand(1, 1, 13, 22, dtype=torch.float64)
    rows, columns = torch.arange(16).clamp(max=12), torch.arange(24).clamp(max=21)
    whole = net(image[:, :, rows][..., columns])
    out = net(image)
    torch.testing.assert_close(out.mask_logits, whole.mask_logits[..., :13, :22])
    torch.testing.assert_close(out.presence_logit, whole.presence_logit)


@pytest.mark.parametrize("options", [NERVE, MODERN, {**MODERN, "skips": "all", "stem": 2}])
def test_images_do_not_see_each_other_in_evaluation(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = UNet(**options).double().eval()
    images = torch.rand(3, 1, 32, 16, dtype=torch.float64)
    together, alone = net(images), [net(image[None]) for image in images]
    torch.testing.assert_close(together.mask_logits, torch.cat([o.mask_logits for o in alone]))
    torch.testing.assert_close(together.presence_logit, torch.cat([o.presence_logit for o in alone]))


@pytest.mark.parametrize("options", [NERVE, MODERN])
@pytest.mark.parametrize("neuron", ["plain", "rot8", "rot4", "unit"])
def test_a_neuron_takes_every_convolution_it_can(options: dict[str, Any], neuron: Any) -> None:
    net, plain = UNet(**options, neuron=neuron), UNet(**options)
    assert list(net.state_dict()) == list(plain.state_dict())
    assert count(net) == count(plain)
    kind = UnitConv2d if neuron == "unit" else RotConv2d
    sides = [m.kernel_size[0] for m in net.modules() if isinstance(m, kind)]
    wanted = {"plain": (), "unit": (2, 3, 7)}.get(neuron, (3, 7))
    every = [m.kernel_size[0] for n, m in plain.named_modules() if isinstance(m, nn.Conv2d) and n != "presence"]
    assert sides == [side for side in every if side in wanted]
    out = net(torch.rand(2, 1, 32, 16))
    (out.mask_logits.sum() + out.presence_logit.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("options", [NERVE, MODERN, {**MODERN, "skips": "all"}])
def test_the_state_says_everything(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net, other = UNet(**options), UNet(**options)
    images = torch.rand(4, 1, 32, 16)
    net(images)  # moves what batch norm remembers
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    keys = list(net.state_dict())
    copied = copy.deepcopy(net).eval()
    with torch.no_grad():
        expected = net.eval()(images)
        assert list(net.state_dict()) == keys
        for twin in (other.eval(), copied):
            out = twin(images)
            assert torch.equal(out.mask_logits, expected.mask_logits)
            assert torch.equal(out.presence_logit, expected.presence_logit)


@pytest.mark.parametrize("options", [NERVE, MODERN, {**NERVE, "skips": "all"}, {**MODERN, "skips": "all", "stem": 2}])
def test_half_precision_runs(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = UNet(**options, dropout=0.0)
    images = torch.rand(2, 1, 32, 16)
    exact = net(images)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(images)
        loss = out.mask_logits.float().square().mean() + out.presence_logit.float().square().mean()
    loss.backward()
    assert (out.mask_logits - exact.mask_logits).abs().max() < 0.1 * exact.mask_logits.abs().max()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {**NERVE, "levels": 2},
        {**MODERN, "levels": 2, "skips": "all", "stem": 2, "neuron": "rot4"},
    ],
)
def test_a_net_exports_to_onnx(options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = UNet(**options).eval()
    size = (32, 16) if options["preset"] == "nerve" else (19, 30)
    torch.onnx.export(
        net, (torch.zeros(2, 1, *size),), tmp_path / "net.onnx", dynamo=True, external_data=False, verbose=False,
        input_names=["images"], output_names=list(Segmentation._fields),
        dynamic_shapes=({0: torch.export.Dim("n")},),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    images = torch.rand(5, 1, *size)
    with torch.no_grad():
        expected = net(images)
    for got, wanted in zip(session.run(None, {"images": images.numpy()}), expected, strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "old"}, "preset='old' is unknown; choose from modern, nerve"),
        ({"neuron": "spherical"}, "neuron='spherical' is unknown; choose from plain, rot8, rot4, unit"),
        ({"levels": 1}, "levels=1 must be 2 or more"),
        ({"width": 0}, "width=0 must be 1 or more"),
        ({"dropout": 1.0}, "dropout=1.0 must be a share"),
        ({"stem": 3}, "stem=3 is unknown"),
        ({"preset": "nerve", "in_size": (32, 32), "stem": 2}, "stem=2 is unknown; choose 1, or 2 with preset='modern'"),
        ({"preset": "nerve"}, r"needs in_size=\(H, W\), multiples of 16, got None"),
        ({"preset": "nerve", "in_size": (32, 40)}, r"multiples of 16, got \(32, 40\)"),
        ({"skips": "some"}, "skips='some' is unknown; choose same, all, or give a Wiring"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        UNet(**options)


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected images \(N, 1, H, W\), got \(2, 3, 8, 8\)"):
        UNet(**MODERN)(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ConfigError, match=r"built for images of \(32, 16\), got \(16, 32\)"):
        UNet(**NERVE)(torch.zeros(2, 1, 16, 32))
