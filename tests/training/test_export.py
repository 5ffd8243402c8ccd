"""What a run leaves of a net with other neurons: plain source, weights and ONNX of equal output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from plexus.training import FitConfig
from plexus.training.export import export, with_pixels
from plexus.training.nets import Nets
from plexus.wiring import derive
from tests.training.nets import normalize
from tests.wiring.nets import some_of

SHAPE = (1, 8, 8)


@pytest.mark.parametrize(("kind", "dense"), [("rot8", "plain"), ("unit", "spherical")])
def test_files_of_other_neurons_need_torch_alone(kind: Any, dense: Any, tmp_path: Path) -> None:
    whole = Nets(FitConfig(width=4, neuron=kind, dense=dense, merge="concat"), SHAPE, 3).supernet()
    net = derive(whole, some_of(whole.body.wiring(), 0.4, 0))  # type: ignore[operator]
    facts = export(net, normalize(), tmp_path, SHAPE, ["a", "b", "c"])
    assert "model.py" not in facts
    source = (tmp_path / "model.py").read_text()
    assert "import plexus" not in source
    assert "from plexus" not in source
    assert ("class RotConv2d(nn.Conv2d)" in source) is (kind == "rot8")
    space: dict[str, Any] = {}
    exec(compile(source, "model.py", "exec"), space)
    again = space["load"](tmp_path / "model.safetensors")
    pixels = torch.rand(5, *SHAPE) * 255
    with torch.no_grad():
        expected = with_pixels(net, normalize()).eval()(pixels)
        torch.testing.assert_close(again(pixels), expected, rtol=1e-5, atol=1e-5)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"pixels": pixels.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-5, atol=1e-5)
    assert {*load_file(tmp_path / "model.safetensors")} == {*again.state_dict()}
