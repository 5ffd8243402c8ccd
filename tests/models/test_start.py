"""A start computes what the encoder did, frozen or not, and lets a classifier begin behind it."""

from pathlib import Path

import pytest
import torch
from torch import nn

from plexus.errors import ConfigError
from plexus.models import Autoencoder, Classifier, Start, check_start, dense, head

SHAPE = (3, 12, 10)


@pytest.fixture(params=["plain", "rot4", "unit"])
def model(request: pytest.FixtureRequest) -> Autoencoder:
    """An autoencoder whose batch norms have seen images."""
    torch.manual_seed(0)
    made = Autoencoder(SHAPE, 6, width=4, neuron=request.param, mean=(100.0,), std=(50.0,))
    with torch.no_grad():
        for _ in range(5):
            made.train()(torch.rand(8, *SHAPE) * 255)
    return made.eval()


PIXELS = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(1)) * 255


@pytest.mark.parametrize("frozen", [True, False])
def test_a_start_is_the_encoder_standardised(model: Autoencoder, frozen: bool) -> None:
    z, maps = Start(model, "z", frozen=frozen).eval(), Start(model, "features", frozen=frozen).eval()
    # in evaluation the fresh standardisation is that of mean 0 and variance 1, up to its 1e-5
    assert torch.allclose(z(PIXELS).flatten(1), model.encode(PIXELS), rtol=1e-4, atol=1e-4)
    assert torch.allclose(maps(PIXELS), model.features(PIXELS), rtol=1e-4, atol=1e-4)
    assert z.out_shape == (6, 1, 1)
    assert maps(PIXELS).shape[1:] == maps.out_shape


def test_a_frozen_start_is_the_same_in_training(model: Autoencoder) -> None:
    """But for the standardisation, which is by the batch there."""
    start = Start(model).train()
    z = model.encode(PIXELS)
    expected = (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt()
    assert torch.allclose(start(PIXELS).flatten(1), expected, atol=1e-3)
    assert not any(p.requires_grad for p in start.parameters())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in start.trunk.modules())


def test_a_frozen_encoder_stays_and_another_learns(model: Autoencoder) -> None:
    for frozen in (True, False):
        start = Start(model, frozen=frozen)
        net = Classifier(nn.Sequential(*dense((6, 1, 1), width=8)), head("gap", 8, 2), start).train()
        before = [p.clone() for p in start.parameters()]
        net(PIXELS)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        net(PIXELS).square().sum().backward()
        optimizer.step()
        same = [torch.equal(a, b) for a, b in zip(before, start.parameters(), strict=True)]
        assert all(same) if frozen else not any(same[-2:])


def test_the_model_is_left_as_it_was(model: Autoencoder) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Start(model).train()(PIXELS)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.trunk.modules())


def test_of_a_variational_encoder_the_mean_is_taken() -> None:
    model = Autoencoder((1, 8, 8), 5, width=4, variational=True).eval()
    pixels = torch.rand(2, 1, 8, 8) * 255
    assert torch.allclose(Start(model).eval()(pixels).flatten(1), model.encode(pixels), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("shape", "said"), [((3, 12, 9), "pass --size 12"), ((1, 12, 10), "name a run on images")])
def test_an_encoder_of_other_images_is_refused(shape: tuple[int, int, int], said: str, tmp_path: Path) -> None:
    model = Autoencoder((3, 12, 12) if shape[0] == 3 else SHAPE, 6, width=4)
    with pytest.raises(ConfigError, match=said):
        check_start(model, shape, "runs/z")


def test_another_place_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose from z, features"):
        Start(Autoencoder((1, 8, 8), 5, width=4), "pixels")  # type: ignore[arg-type]
