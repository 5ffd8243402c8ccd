"""Files of eight bits compute what the float model does, to the accuracy of eight bits, and are small."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from plexus.errors import RunError
from plexus.training import export_int8, export_onnx

SHAPE = (3, 16, 16)


class Mixed(nn.Module):
    """Depthwise, grouped and dense convolutions, gathered channels, both poolings."""

    maps: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 48, 3, padding=1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(48, 48, 3, padding=1, groups=48), nn.BatchNorm2d(48), nn.ReLU())
        self.grouped = nn.Conv2d(96, 48, 1, groups=6)
        self.register_buffer("maps", torch.randperm(96, generator=torch.Generator().manual_seed(1)))
        self.dense = nn.Conv2d(48, 96, 3, padding=1, stride=2)
        self.head = nn.Linear(96, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.stem(x / 255)
        both = torch.cat([first, self.depthwise(first)], 1).index_select(1, self.maps)
        maps = self.dense(nn.functional.avg_pool2d(self.grouped(both), 2)).relu()
        logits: torch.Tensor = self.head(maps.mean((2, 3), keepdim=True).flatten(1))
        return logits


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = Mixed()
    for _ in range(3):
        net(torch.rand(8, *SHAPE) * 255)
    path = tmp_path_factory.mktemp("int8") / "model.onnx"
    export_onnx(net.eval(), path, SHAPE, about={"classes": '["a", "b"]'})
    return path


def images(seed: int, count: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def answers(path: Path, pixels: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"pixels": pixels.float().numpy()})[0])


@pytest.mark.parametrize(("arithmetic", "difference", "size"), [("float", 0.03, 0.37), ("int8", 0.12, 0.6)])
def test_answers_stay_and_the_file_is_small(
    model: Path, tmp_path: Path, arithmetic: str, difference: float, size: float
) -> None:
    made = export_int8(model, tmp_path / "int8.onnx", images(0), arithmetic=arithmetic)  # type: ignore[arg-type]
    wanted, small = answers(model, images(1)), answers(tmp_path / "int8.onnx", images(1))
    assert np.abs(small - wanted).max() < difference * (wanted.max() - wanted.min())
    assert made["kb"] == (tmp_path / "int8.onnx").stat().st_size / 1000 < size * model.stat().st_size / 1000
    assert made["arithmetic"] == arithmetic
    assert list(made["tried"]) == [arithmetic]


def test_integer_arithmetic_is_that_of_the_standard(model: Path, tmp_path: Path) -> None:
    export_int8(model, tmp_path / "int8.onnx", images(0), arithmetic="int8")
    proto = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(proto)
    kinds = {node.op_type for node in proto.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv", "GlobalAveragePool"} <= kinds
    assert not kinds & {"AveragePool", "ReduceMean", "BatchNormalization"}


def test_the_faster_is_kept_but_never_one_beyond_the_limit(model: Path, tmp_path: Path) -> None:
    made = export_int8(model, tmp_path / "a.onnx", images(0))
    assert made["arithmetic"] == min(made["tried"], key=made["tried"].get)
    small = export_int8(model, tmp_path / "b.onnx", images(0), arithmetic="float")["kb"]
    assert export_int8(model, tmp_path / "c.onnx", images(0), max_kb=small)["kb"] == small


@pytest.mark.parametrize("arithmetic", ["float", "int8"])
def test_files_are_the_same_each_time_and_carry_what_the_float_model_says(
    model: Path, tmp_path: Path, arithmetic: str
) -> None:
    for name in ("a", "b"):
        export_int8(model, tmp_path / name, images(0), arithmetic=arithmetic)  # type: ignore[arg-type]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    session = onnxruntime.InferenceSession(str(tmp_path / "a"), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert about["classes"] == '["a", "b"]'
    assert set(about) == {"classes", "plexus"}


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere\.onnx: cannot read the model"):
        export_int8(tmp_path / "nowhere.onnx", tmp_path / "int8.onnx", images(0))
