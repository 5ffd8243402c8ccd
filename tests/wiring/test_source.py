"""The source of a net is a file of its own that builds the same net."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

import plexus.nn
from plexus.errors import ConfigError
from plexus.nn import Recurrent, RotConv2d, SphericalConv2d, Supernet, UnitConv2d, UnitLinear
from plexus.wiring import derive, rebuild, to_source, trace
from tests.wiring.nets import assert_same, classifier, images, some_of


def loaded(net: nn.Module, **options: Any) -> nn.Module:
    """The net that the source builds, with the net's weights."""
    space: dict[str, Any] = {}
    exec(compile(to_source(net, **options), "model.py", "exec"), space)
    again: nn.Module = space["Net"]()
    again.load_state_dict(net.state_dict(), strict=True)
    return again.train(net.training)


def assert_bit_equal(net: nn.Module, x: Tensor) -> None:
    again = loaded(net)
    with torch.no_grad():
        assert torch.equal(again(x), net(x))
    assert {k: p.requires_grad for k, p in again.named_parameters()} == {
        k: p.requires_grad for k, p in net.named_parameters()
    }


@pytest.mark.parametrize("merge", ["concat", "sum", "max", "squeeze"])
@pytest.mark.parametrize("gate", ["scalar", "channel"])
@pytest.mark.parametrize("resize", ["area", "bicubic"])
def test_the_source_of_a_derived_net_builds_it(merge: str, gate: str, resize: str) -> None:
    net = classifier(merge=merge, gate=gate, resize=resize, widths=(4, 6, 4, 5))
    for fold in (True, False):
        assert_bit_equal(derive(net, some_of(net.body.wiring(), 0.6, 1), fold=fold).eval(), images(net))


def test_the_source_of_a_rebuilt_net_with_a_head_builds_it() -> None:
    net = classifier("deep")
    body = rebuild(list(net.body.legos), some_of(net.body.wiring(), 0.5, 0), (1, 8, 8), merge="sum")
    whole = fx.symbolic_trace(nn.Sequential(body, net.head).eval())
    assert_bit_equal(whole, images(net))


LAYERS: list[nn.Module] = [
    nn.Conv2d(4, 6, (3, 1), stride=2, padding=(1, 0), dilation=(1, 2), groups=2, bias=False),
    nn.Conv2d(4, 6, 3, padding="same"),
    nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    nn.ConvTranspose2d(4, 3, 3, stride=2, output_padding=1),
    nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    nn.AvgPool2d(2, divisor_override=3),
    nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    nn.LPPool2d(2, 3, stride=2),
    nn.AdaptiveAvgPool2d((2, None)),
    nn.AdaptiveAvgPool2d([2, 3]),  # type: ignore[arg-type]
    nn.BatchNorm2d(4, eps=1e-3, momentum=0.3, affine=False),
    nn.BatchNorm2d(4, track_running_stats=False),
    nn.GroupNorm(2, 4, eps=1e-3),
    nn.LayerNorm([4, 6, 6]),
    nn.Dropout(0.25),
    nn.Identity(),
    nn.ReLU(inplace=True),
    nn.LeakyReLU(0.3),
    nn.PReLU(4, init=0.1),
    nn.GELU(approximate="tanh"),
    nn.Hardtanh(0.0, float("inf")),
    nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    nn.ZeroPad2d((1, 2, 0, 1)),
    nn.PixelShuffle(2),
    nn.Linear(6, 3, bias=False),
    nn.Softmax(dim=1),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_every_setting_of_a_layer_is_written(layer: nn.Module) -> None:
    for part in layer.parameters():
        nn.init.normal_(part)
    assert_bit_equal(fx.symbolic_trace(nn.Sequential(layer).eval()), torch.randn(2, 4, 6, 6))


@pytest.mark.parametrize(
    "layer",
    [
        nn.RNN(3, 4, nonlinearity="relu"),
        nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
        nn.GRU(3, 4, bias=False),
    ],
    ids=repr,
)
def test_recurrent_layers_are_written(layer: nn.RNNBase) -> None:
    net = Supernet([Recurrent(layer), nn.LazyConv1d(2, 1)], (3, 5)).eval()
    assert_bit_equal(derive(net, net.wiring()), images(net))


class Operators(nn.Module):
    """Operations of Python, of torch and of tensors, with arguments of many kinds."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.tensor([0.5, -2.0, 1.0]))
        self.factor = nn.Parameter(torch.tensor(1.5), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        y = -(x**2) @ x.transpose(-1, -2) / 3 - self.table.sum() * self.factor
        y = torch.where(y > -1, y, y.new_zeros(())) + torch.clamp(x, max=float("inf"), min=-0.5)
        y = F.pad(y[..., 1:-1], [1, 1]).to(torch.float32).to(torch.device("cpu"))
        y += 1e-3 * (x.shape[1] // 2) + torch.stack([x, y], 0).sum(0, dtype=torch.float32)
        return y


@pytest.mark.parametrize(
    "layer",
    [
        RotConv2d(4, 6, 3, padding=1),
        RotConv2d(4, 6, 3, rotations=4, bias=False, padding="same", dilation=2),
        RotConv2d(4, 6, 5, stride=2, groups=2, padding=(2, 1), padding_mode="reflect"),
    ],
    ids=repr,
)
def test_rotating_convolutions_bring_their_few_lines(layer: nn.Module) -> None:
    net = trace(nn.Sequential(layer, nn.Conv2d(6, 6, 1), RotConv2d(6, 2, 1)).eval())
    again, x = loaded(net), torch.randn(2, 4, 9, 9)
    with torch.no_grad():
        assert_same(again(x), net(x), 1e-6)
    assert not any(type(part).__module__.startswith("plexus") for part in again.modules())
    assert "import plexus" not in to_source(net)


def test_other_neurons_are_folded_first() -> None:
    net = trace(nn.Sequential(UnitConv2d(3, 4, 3), SphericalConv2d(4, 4, 1), nn.Flatten(), UnitLinear(16, 2)))
    with pytest.raises(ConfigError, match="0 is a UnitConv2d, which torch does not ship"):
        to_source(net)
    x = torch.randn(2, 3, 4, 4)
    assert_same(loaded(plexus.nn.fold(net))(x), net(x), 1e-6)


def test_a_reduction_that_cannot_be_written_is_named() -> None:
    with pytest.raises(ConfigError, match="0 is a RotConv2d with reduce='concat'; only 'max' can be written out"):
        to_source(trace(nn.Sequential(RotConv2d(1, 1, reduce="concat"))))


def test_operations_of_a_users_module_are_written() -> None:
    net = Supernet([Operators(), nn.LazyConv2d(4, 1)], (3, 6, 6)).eval()
    assert_bit_equal(derive(net, net.wiring()), images(net))


def test_nothing_is_imported_but_torch() -> None:
    net = classifier(merge="sum")
    tree = ast.parse(to_source(derive(net, net.body.wiring())))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {a.name for n in imports if isinstance(n, ast.Import) for a in n.names}
    assert names | {n.module for n in imports if isinstance(n, ast.ImportFrom)} == {"torch"}


HOSTILE = [
    '"""',
    "'''",
    '""" + __import__("os").system("true") + """',
    '"""\nimport os\nos.environ["HACKED"] = "1"\n"""',
    "\\",
    "C:\\users\\x \\N{DASH} \\",
    'ends in a quote"',
    '\\"\\"\\"',
    "\x00 \r \x1b[31m \u2028 \ud800 é 漢",
    "<script>alert(1)</script>",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_text_of_strangers_stays_text(text: str) -> None:
    net = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3)))
    source = to_source(net, notes=[text, "more", text], constants={"CLASSES": [text, "b"], "BY": {text: (1, None)}})
    source.encode("utf-8")
    tree = ast.parse(source)
    assert [type(node) for node in tree.body] == [
        ast.Expr,
        ast.Import,
        ast.ImportFrom,
        ast.Assign,
        ast.Assign,
        ast.ClassDef,
    ]
    space: dict[str, Any] = {}
    exec(compile(source, "model.py", "exec"), space)
    assert space["CLASSES"] == [text, "b"]
    assert space["BY"] == {text: (1, None)}
    docstring = ast.get_docstring(tree, clean=False) or ""
    assert [line.strip() for line in docstring.split("\nmore\n")] == [text.replace('"', "'").strip()] * 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("x = 1; y", 1), ("class", 1), ("", 1), ("X", object()), ("X", float("nan")), ("X", [nn.Linear])],
)
def test_constants_are_names_with_plain_data(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match="must be a name with plain data"):
        to_source(fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3))), constants={name: value})


class Evil(nn.Linear):
    def __repr__(self) -> str:
        return "Linear(__import__('os').system('true'))"


class Untraceable(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def strange(x: Tensor) -> Tensor:
    return x


def test_what_torch_does_not_ship_is_named() -> None:
    net = Supernet([nn.Conv2d(3, 3, 1), Untraceable()], (3, 4, 4))
    with pytest.raises(ConfigError, match="lego2 is a Untraceable, which torch does not ship"):
        to_source(derive(net, net.wiring()))
    with pytest.raises(ConfigError, match="0 is a Evil, which torch does not ship"):
        to_source(fx.GraphModule(nn.Sequential(Evil(2, 2)), _calls("0")))
    changed = nn.RNN(3, 4)
    changed.mode = "RNN_RELU"
    with pytest.raises(ConfigError, match=r"cannot write 0 out, 'nn.RNN\(3, 4\)' does not build it"):
        to_source(fx.GraphModule(nn.Sequential(changed), _calls("0")))
    with pytest.raises(ConfigError, match="does not build it"):
        to_source(fx.GraphModule(nn.Sequential(nn.TransformerEncoderLayer(4, 2)), _calls("0")))
    graph = fx.Graph()
    graph.output(graph.call_function(strange, (graph.placeholder("x"),)))
    with pytest.raises(ConfigError, match="strange, which torch does not ship"):
        to_source(fx.GraphModule(nn.Module(), graph))
    with pytest.raises(ConfigError, match="expected what derive or rebuild returns, got Linear"):
        to_source(nn.Linear(2, 2))


def test_attributes_that_a_layer_does_not_know_are_left_out() -> None:
    layer = nn.Linear(2, 2)
    layer.owner = "me"  # type: ignore[assignment]
    assert "owner" not in to_source(fx.GraphModule(nn.Sequential(layer), _calls("0")))


def _calls(module: str) -> fx.Graph:
    graph = fx.Graph()
    graph.output(graph.call_module(module, (graph.placeholder("x"),)))
    return graph
