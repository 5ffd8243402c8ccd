"""An autoencoder halves any image to Z and grows it again, and its folder brings back the very same net."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from plexus.errors import ConfigError, RunError
from plexus.graph import Wiring
from plexus.models import Autoencoder, read_autoencoder
from plexus.wiring import importance, prune

SHAPE = (1, 12, 12)


def made(shape: tuple[int, ...] = SHAPE, dim: int = 6, *, seed: int = 0, **options: Any) -> Autoencoder:
    """A small net whose batch statistics are none of the first hour."""
    torch.manual_seed(seed)
    net = Autoencoder(shape, dim, **{"width": 4, **options})
    net.train()
    for _ in range(2):
        net(pixels(5, shape))
    return net.eval()


def pixels(n: int = 3, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> Tensor:
    return torch.randint(256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def learned(depth: int = 2) -> Wiring:
    torch.manual_seed(0)
    net = Autoencoder(SHAPE, 6, width=4, depth=depth).eval()
    body = net.with_every_connection().eval()
    return prune(importance(body, method="gate"), keep=0.6, net=body)


@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 7, 5), (1, 28, 28), (3, 33, 20), (2, 9, 31)])
def test_any_size_comes_back_as_it_was(shape: tuple[int, ...], variational: bool) -> None:
    net = made(shape, 5, variational=variational, classes=("a", "b", "c"))
    x = pixels(3, shape)
    z = net.encode(x)
    assert z.shape == (3, 5)
    assert net.decode(z).shape == net(x).shape == (3, *shape)
    assert net.classify(z).shape == (3, 3)
    maps = net.features(x)
    assert maps.shape == (3, *net.maps_shape)
    for side, grid in zip(shape[1:], maps.shape[2:], strict=True):
        assert grid == -(-side // 2 ** len(list(net.trunk.children())))  # one lego a level
    assert min(maps.shape[2:]) <= 4


def test_shapes_are_halved_until_4_pixels_are_left_and_at_least_twice() -> None:
    def levels(*size: int) -> int:
        return len(list(Autoencoder((1, *size), dim=2, width=1).trunk.children()))

    assert [levels(side, 50) for side in (4, 8, 9, 16, 17, 32, 33)] == [2, 2, 2, 2, 3, 3, 4]
    assert levels(50, 17) == 3


def test_pixels_of_any_type_are_the_same_pixels() -> None:
    net, x = made(mean=(100.0,), std=(50.0,)), pixels()
    assert torch.equal(net.encode(x), net.encode(x.float()))
    assert torch.equal(net.encode(x), net.encode(x.long()))


def test_pixels_are_standardised_on_the_way_in_and_brought_back_on_the_way_out() -> None:
    """Beside a net that knows no scale and has the same weights."""
    shape, mean, std = (3, 8, 8), (100.0, 20.0, 50.0), (30.0, 60.0, 5.0)
    net, plain = made(shape, mean=mean, std=std), made(shape, seed=1)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if k not in ("mean", "std")}, strict=False)
    m, s = (torch.tensor(v).view(1, 3, 1, 1) for v in (mean, std))
    x = pixels(4, shape)
    z = net.encode(x)
    assert torch.allclose(z, plain.encode((x.float() - m) / s), atol=1e-6)
    assert torch.allclose(net.decode(z), plain.decode(z) * s + m, atol=1e-3)
    assert torch.allclose(net(x), net.decode(z), atol=1e-4)


def test_one_deviation_serves_all_channels() -> None:
    net = made((3, 8, 8), mean=(10.0,), std=(20.0,))
    all_three = made((3, 8, 8), mean=(10.0,) * 3, std=(20.0,) * 3)
    assert torch.equal(net(pixels(2, (3, 8, 8))), all_three(pixels(2, (3, 8, 8))))


def test_a_variational_encoder_has_a_second_vector_and_encodes_to_its_mean() -> None:
    net, x = made(variational=True), pixels()
    mean, log_variance = net.posterior(x)
    assert mean.shape == log_variance.shape == (3, 6)
    assert torch.equal(net.encode(x), mean)
    assert not torch.equal(mean, log_variance)
    weight, bias = net.to_z.weight, net.to_z.bias
    both = net.features(x).flatten(1) @ weight.T + bias
    assert torch.allclose(both, torch.cat([mean, log_variance], 1), atol=1e-5)
    assert made().posterior(x)[1].shape == (3, 0)


def test_logits_are_linear_in_z() -> None:
    net = made(classes=("a", "b"))
    z = torch.randn(4, 6)
    assert isinstance(net.classifier, nn.Linear)
    assert torch.allclose(net.classify(z), z @ net.classifier.weight.T + net.classifier.bias, atol=1e-6)


def test_without_classes_there_is_none() -> None:
    with pytest.raises(ConfigError, match="knows no classes"):
        made().classify(torch.zeros(1, 6))


@pytest.mark.parametrize("neuron", ["plain", "rot8", "rot4", "unit"])
@pytest.mark.parametrize("depth", [1, 2])
def test_names_of_the_weights_do_not_depend_on_the_mode(neuron: Any, depth: int) -> None:
    net = made(neuron=neuron, depth=depth, classes=("a", "b"))
    assert list(net.eval().state_dict()) == list(net.train().state_dict())
    assert {k: v.shape for k, v in Autoencoder(SHAPE, 6, width=4, neuron=neuron, depth=depth,
            classes=("a", "b")).state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}  # fmt: skip


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"classes": ("a", "b"), "mean": (99.5,), "std": (33.25,)},
    "rot8": {"neuron": "rot8", "classes": ("a", "b")},
    "rot4": {"neuron": "rot4"},
    "unit": {"neuron": "unit", "depth": 2},
    "variational": {"variational": True},
}


@pytest.mark.parametrize("kind", [*OPTIONS, "wired", "wired unit"])
def test_a_folder_brings_back_the_very_net(kind: str, tmp_path: Path) -> None:
    wired = {"depth": 2, "neuron": "unit" if kind == "wired unit" else "plain"}
    options = OPTIONS[kind] if kind in OPTIONS else {**wired, "wiring": learned().to_json()}
    net, x = made(**options), pixels()
    net.save_pretrained(tmp_path / "net")
    (tmp_path / "run").mkdir()
    net.save_pretrained(tmp_path / "run" / "model")
    for again in (
        Autoencoder.from_pretrained(tmp_path / "net"),
        read_autoencoder(tmp_path / "net"),
        read_autoencoder(tmp_path / "run"),
    ):
        assert not again.training
        assert again.state_dict().keys() == net.state_dict().keys()
        assert all(torch.equal(v, again.state_dict()[k]) for k, v in net.state_dict().items())
        assert torch.equal(again(x), net(x))
        assert torch.equal(again.posterior(x)[1], net.posterior(x)[1])
        assert (again.in_shape, again.dim, again.classes) == (net.in_shape, net.dim, net.classes)


def test_the_folder_holds_no_pickle(tmp_path: Path) -> None:
    made().save_pretrained(tmp_path)
    assert {f.name for f in tmp_path.iterdir()} <= {"README.md", "config.json", "model.safetensors"}
    known = json.loads((tmp_path / "config.json").read_text())
    assert (known["in_shape"], known["dim"], known["width"]) == ([1, 12, 12], 6, 4)


class Trap:
    """Unpickled, it leaves a mark."""

    mark = ""

    def __reduce__(self) -> Any:
        return (Path(self.mark).touch, ())


def refused(folder: Path) -> str:
    with pytest.raises(RunError) as told:
        read_autoencoder(folder)
    assert "\n" not in str(told.value)
    with pytest.raises(RunError):
        Autoencoder.from_pretrained(folder)
    return str(told.value)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    made().save_pretrained(tmp_path / "net")
    trap = Trap()
    trap.mark = str(tmp_path / "mark")
    bomb = pickle.dumps(trap)
    (tmp_path / "net" / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.pt", "model.ckpt", "pytorch_model.pt"):
        (tmp_path / "net" / name).write_bytes(bomb)
    assert "not an autoencoder of plexus, or broken" in refused(tmp_path / "net")
    (tmp_path / "net" / "model.safetensors").write_bytes(bomb)
    assert "not an autoencoder of plexus, or broken" in refused(tmp_path / "net")
    assert not (tmp_path / "mark").exists()
    pickle.loads(bomb)
    assert (tmp_path / "mark").exists()  # the trap is a trap


def cut(net: Path) -> None:
    whole = (net / "model.safetensors").read_bytes()
    (net / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def other_weights(net: Path) -> None:
    save_file({"weight": torch.zeros(3)}, net / "model.safetensors")


def one_missing(net: Path) -> None:
    weights = load_file(net / "model.safetensors")
    weights.pop("to_z.bias")
    save_file(weights, net / "model.safetensors")


def numbers_of(net: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    weights = load_file(net / "model.safetensors")
    weights["to_z.bias"] = change(torch.zeros_like(weights["to_z.bias"]))
    save_file(weights, net / "model.safetensors")


def options_of(net: Path, **more: Any) -> None:
    known = json.loads((net / "config.json").read_text())
    (net / "config.json").write_text(json.dumps(known | more))


@pytest.mark.parametrize(
    "broken",
    [
        cut,
        other_weights,
        one_missing,
        lambda net: (net / "config.json").write_text("{"),
        lambda net: (net / "config.json").write_text("[1]"),
        lambda net: (net / "config.json").write_text("{}"),
        lambda net: (net / "config.json").write_bytes(b"\xff\xfe\x00"),
        lambda net: (net / "model.safetensors").unlink(),
        lambda net: options_of(net, dim=7),
        # more memory or time than there is, were a net built from these
        lambda net: options_of(net, width=10**9),
        lambda net: options_of(net, depth=10**6),
        lambda net: options_of(net, in_shape=[10**9, 28, 28]),
        lambda net: options_of(net, in_shape=[1, 10**9, 28]),
        lambda net: options_of(net, in_shape=[1, 10**9, 10**9]),
        lambda net: numbers_of(net, torch.Tensor.double),
        lambda net: numbers_of(net, lambda value: value / 0),
        lambda net: options_of(net, dim=10_000),
        lambda net: options_of(net, neuron="none such"),
        lambda net: options_of(net, in_shape="wide"),
        lambda net: options_of(net, dim=None),
        lambda net: options_of(net, wiring="{"),
        lambda net: options_of(net, wiring=learned(3).to_json()),
    ],
)
def test_a_broken_folder_is_refused_in_one_line(broken: Any, tmp_path: Path) -> None:
    made().save_pretrained(tmp_path / "net")
    broken(tmp_path / "net")
    assert "not an autoencoder of plexus, or broken" in refused(tmp_path / "net")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    assert "no autoencoder there (no config.json)" in refused(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 768}')
    save_file({"embeddings": torch.zeros(3)}, tmp_path / "model.safetensors")
    assert "not an autoencoder of plexus, or broken" in refused(tmp_path)


@pytest.mark.parametrize("name", ["nobody/nothing", "no such name", "a/b/c/d"])
def test_a_name_that_is_nowhere_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(RunError, match=f"^{name}: no such folder, and not to be had from the hub: ") as told:
        Autoencoder.from_pretrained(name)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dim": 145}, r"dim=145 must be between 1 and the 144 numbers of an image \(1 x 12 x 12\)"),
        ({"dim": 0}, "dim=0 must be between 1 and"),
        ({"width": 0}, "width=0 and depth=1 must be at least 1"),
        ({"neuron": "rot9"}, "neuron='rot9' is unknown; choose from plain, rot8, rot4, unit"),
        ({"mean": (1.0, 2.0)}, "mean and std must have one number"),
        ({"std": (0.0,)}, "std must be above 0"),
        ({"dim": 999, "depth": 0, "neuron": "x"}, "dim=999 .*depth=0 .*neuron='x'"),
        ({"shape": (1, 3, 12)}, r"in_shape=\[1, 3, 12\] must be"),
        ({"shape": (12, 12)}, r"in_shape=\[12, 12\] must be"),
    ],
)
def test_what_does_not_fit_is_told_at_once(options: dict[str, Any], said: str) -> None:
    shape, dim = options.pop("shape", SHAPE), options.pop("dim", 6)
    with pytest.raises(ConfigError, match=said):
        Autoencoder(shape, dim, **{"width": 4, **options})


def test_z_may_have_as_many_numbers_as_the_image() -> None:
    assert made((1, 4, 4), 16).encode(pixels(2, (1, 4, 4))).shape == (2, 16)


def test_a_wiring_of_another_depth_is_refused() -> None:
    with pytest.raises(ConfigError, match="connects 6 legos, the encoder has 2; learn one with the same depth"):
        made(wiring=learned(3).to_json())


def test_with_every_connection_only_the_trunk_is_another() -> None:
    net = made(depth=2, classes=("a", "b"))
    before = {k: v.clone() for k, v in net.state_dict().items() if k.startswith(("decoder", "classifier"))}
    body = net.with_every_connection()
    assert net.trunk is body
    after = net.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert net.eval().encode(pixels()).shape == (3, 6)


@pytest.mark.parametrize("neuron", ["plain", "unit", "rot4"])
def test_gradients_are_those_of_differences(neuron: str) -> None:
    net = made((1, 4, 4), 2, width=1, neuron=neuron).double()
    net.float = lambda: net  # type: ignore[method-assign]
    z = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net.decode, (z,))
    x = torch.rand(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: net.to_z(net.trunk(t).flatten(1)), (x,), atol=1e-4)


@pytest.mark.parametrize("neuron", ["rot4", "rot8"])
def test_a_quarter_turn_turns_the_maps_of_a_rotating_trunk(neuron: str) -> None:
    """Pooling and not striding: turning the image by 90 degrees only turns the maps."""
    net, x = made((1, 16, 16), neuron=neuron), pixels(2, (1, 16, 16)).float()
    maps, turned = net.features(x), net.features(x.rot90(1, (2, 3)))
    assert torch.allclose(turned.rot90(-1, (2, 3)), maps, atol=1e-4)


def test_every_weight_is_reached() -> None:
    net = made(depth=2, variational=True, classes=("a", "b")).train()
    mean, log_variance = net.posterior(pixels(6))
    (net.decode(mean).square().mean() + log_variance.square().mean() + net.classify(mean).square().mean()).backward()
    assert [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert sum(p.numel() for p in net.parameters()) > prod(SHAPE)
