"""Writes a net for use without plexus: weights, source, ONNX, a program; each checked against the net."""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import onnx
import onnxruntime
import torch
from safetensors.torch import load, save
from torch import fx, nn

import plexus
from plexus.errors import ConfigError, RunError, TrainingError
from plexus.nn import fold
from plexus.record import atomic_write
from plexus.training._backbone import Front
from plexus.training._classification import Normalize
from plexus.training._int8 import quantize, shrink
from plexus.training.onnx_model import milliseconds, to_onnx, with_metadata
from plexus.wiring import to_source

CALIBRATED = 256
"""Training images that say in which ranges activations lie."""
USAGE = '''

def load(weights="model.safetensors"):
    """The trained network in evaluation mode; needs `pip install torch safetensors`."""
    from safetensors.torch import load_file

    net = Net()
    net.load_state_dict(load_file(weights))
    return net.eval()
'''


def with_pixels(net: nn.Module, normalize: Normalize | Front) -> fx.GraphModule:
    """Return the net with its normalisation, or its backbone, in front: it reads pixels 0..255, (N, C, H, W)."""
    if isinstance(normalize, Front):
        net = normalize.complete(net)
    assert isinstance(net, fx.GraphModule)
    # channels last is for training: exported, it becomes gathers, and a net read back from its file has it not
    whole = copy.deepcopy(net).cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    placeholder = next(n for n in whole.graph.nodes if n.op == "placeholder")
    after = placeholder.next
    whole.register_buffer("pixel_mean", normalize.mean.detach().cpu().view(1, -1, 1, 1).clone())
    whole.register_buffer("pixel_std", normalize.std.detach().cpu().view(1, -1, 1, 1).clone())
    with whole.graph.inserting_before(after):
        mean, std = whole.graph.get_attr("pixel_mean"), whole.graph.get_attr("pixel_std")
        shifted = whole.graph.call_function(torch.sub, (placeholder, mean))
        scaled = whole.graph.call_function(torch.div, (shifted, std))
    placeholder.replace_all_uses_with(scaled, delete_user_cb=lambda user: user is not shifted)
    whole.recompile()
    return whole


def export(
    net: nn.Module, normalize: Normalize | Front, folder: Path, in_shape: Sequence[int], classes: Sequence[str]
) -> dict[str, object]:
    """Write `model.safetensors`, `model.py` and `model.onnx`, and checks both against the net.

    Args:
        net: a net from `derive` or `rebuild`; unit and spherical layers are folded.
        normalize: becomes the first step of all three.
        folder: where to.
        in_shape: one image's shape.
        classes: the class names, in the order of the logits.

    Returns:
        The largest difference of logits, and what could not be written and why.

    Raises:
        TrainingError: a file that was written does not compute what the net does.
    """
    trained = with_pixels(net, normalize).eval()
    whole = fold(trained)
    weights = save({k: v.contiguous() for k, v in whole.state_dict().items()})
    atomic_write(folder / "model.safetensors", weights)
    facts: dict[str, object] = {}
    pixels = torch.rand(3, *in_shape, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        expected = trained(pixels)
    about = describe(normalize, in_shape, classes)
    try:
        notes = [
            "A network with a learned wiring: pixels 0..255 in, logits out.",
            "",
            f"Images are float (N, {', '.join(map(str, in_shape))}), {about['channels']}; of each channel",
            f"the net itself subtracts {about['mean']} and divides by {about['std']}.",
            f"The logits are those of CLASSES, in their order. Made by plexus {about['plexus']}.",
            "",
            "The weights lie beside this file, in model.safetensors; `load()` reads them.",
        ]
        source = to_source(whole, notes=notes, constants={"CLASSES": list(classes)}) + USAGE
        _check_source(source, weights, pixels, expected)
        atomic_write(folder / "model.py", source)
    except ConfigError as error:
        facts["model.py"] = str(error)
    # checked against the net as it was trained, so that the folding is, too
    facts["onnx_difference"] = export_onnx(
        whole, folder / "model.onnx", in_shape, expected=trained, tolerance=1e-4, about=about
    )
    return facts


def describe(normalize: Normalize | Front, in_shape: Sequence[int], classes: Sequence[str]) -> dict[str, str]:
    """Return what a user of the model's files has to know, as they carry it: nothing of when and where it was made.

    Args:
        normalize: the first step of the net.
        in_shape: one image's, (C, H, W).
        classes: the class names, in the order of the logits.

    Example:
        >>> describe(Normalize(torch.zeros(1), torch.ones(1)), (1, 8, 8), ["cat", "dog"])["classes"]
        '["cat", "dog"]'
    """
    rounded = [
        ", ".join(f"{value:.6g}" for value in part.flatten().tolist()) for part in (normalize.mean, normalize.std)
    ]
    return {
        "plexus": plexus.__version__,
        "classes": json.dumps(list(classes), ensure_ascii=False),
        "size": "x".join(map(str, in_shape[1:])),  # height, width
        "channels": {1: "grey", 3: "red, green, blue"}.get(in_shape[0], f"{in_shape[0]} channels"),
        "pixels": "0..255, float32; normalised inside",
        "mean": rounded[0],
        "std": rounded[1],
    }


def export_onnx(
    net: nn.Module,
    path: Path,
    in_shape: Sequence[int],
    outputs: Sequence[str] = ("logits",),
    *,
    source: str = "pixels",
    expected: nn.Module | None = None,
    tolerance: float = 1e-3,
    about: Mapping[str, str] | None = None,
) -> float:
    """Write a net as ONNX for any number of images, once it is certain that the file computes what the net does.

    Args:
        net: in evaluation mode on the CPU; gives a tensor or a tuple of them, and has no layers of plexus's own.
        path: the file.
        in_shape: of one image, or of whatever else the net reads.
        outputs: names of what the net gives.
        source: name of what it reads; pixels are tried from 0 to 255, anything else from a normal distribution.
        expected: the net to compare with, where it is another one.
        tolerance: of the largest difference, relative to the largest value where that is above 1.
        about: written into the file's metadata, beside the version of plexus.

    Returns:
        The largest difference.

    Raises:
        TrainingError: the file would differ; it is not written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_onnx(nn.Flatten(), Path(folder, "flat.onnx"), (1, 2, 2))
        0.0
    """
    content, random = to_onnx(net, in_shape, outputs, source=source), torch.Generator().manual_seed(0)
    x = (
        torch.rand(3, *in_shape, generator=random) * 255
        if source == "pixels"
        else torch.randn(3, *in_shape, generator=random)
    )
    with torch.no_grad():
        wanted = (net if expected is None else expected)(x)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    pairs = list(zip(session.run(list(outputs), {source: x.numpy()}), wanted, strict=True))
    difference = max(float((torch.from_numpy(ours) - theirs).abs().max()) for ours, theirs in pairs)
    if not difference <= tolerance * max(1.0, *(theirs.abs().max().item() for _, theirs in pairs)):
        raise TrainingError(f"{path.name} differs from the trained net by {difference:.2g}; it was not written")
    atomic_write(path, with_metadata(content, {"plexus": plexus.__version__, **(about or {})}))
    return difference


def export_int8(
    model: bytes | str | Path,
    path: str | Path,
    images: torch.Tensor | None,
    *,
    arithmetic: Literal["fastest", "int8", "float"] = "fastest",
    max_kb: float | None = None,
    about: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write a float ONNX model in eight bits, a quarter to a half of the size.

    With `int8` it is quantised statically by onnxruntime (QDQ, a scale for each output channel), its activations with
    the ranges that they have on the images; integer arithmetic pays for dense convolutions more than for depthwise.
    With `float` the weights alone have eight bits and are turned back when the file is loaded: the smallest file, as
    fast as the float model, for any runtime. `fastest` measures both here and keeps the faster.

    Args:
        model: the ONNX model, or its file; batch norms folded, as in every run's `model.onnx`.
        path: the file to write.
        images: of the training, (N, C, H, W), as the model reads them; a few hundred say the ranges. Without any the
            arithmetic is `float`.
        arithmetic: see above.
        max_kb: a limit on the file; beyond it `fastest` takes the smaller one.
        about: its metadata; by default that of the model.

    Returns:
        arithmetic: int8 or float; latency_ms: of one image, onnxruntime, one thread; kb: of the file; tried: arithmetic
        -> latency_ms of those that were tried.

    Raises:
        RunError: there is no such model.

    Example:
        >>> import tempfile
        >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2)).eval()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = export_int8(to_onnx(net, (1, 8, 8)), f"{folder}/int8.onnx", torch.ones(4, 1, 8, 8))
        >>> made["arithmetic"] in ("int8", "float")
        True
    """
    try:
        content = model if isinstance(model, bytes) else Path(model).read_bytes()
    except OSError as error:
        raise RunError(f"{error.filename}: cannot read the model: {error.strerror}; finish the run first") from None
    proto = onnx.load_model_from_string(content)
    shape = [axis.dim_value for axis in proto.graph.input[0].type.tensor_type.shape.dim[1:]]
    if about is None:
        about = {entry.key: entry.value for entry in proto.metadata_props}
    about = {"plexus": plexus.__version__, **about}
    made: dict[str, bytes] = {}
    if arithmetic != "int8" or images is None:
        made["float"] = with_metadata(shrink(content), about)
    if arithmetic != "float" and images is not None:
        batches = [part.float().numpy() for part in images[:CALIBRATED].split(64)]
        made["int8"] = with_metadata(quantize(content, batches), about)
    speed = {name: milliseconds(file, shape) for name, file in made.items()}
    fits = {name: len(file) <= 1000 * (max_kb or math.inf) for name, file in made.items()}
    best = min(speed, key=lambda name: (not fits[name], speed[name] if fits[name] else len(made[name])))
    atomic_write(Path(path), made[best])
    return {"arithmetic": best, "latency_ms": speed[best], "kb": len(made[best]) / 1000, "tried": speed}


def export_program(net: nn.Module, path: Path, in_shape: Sequence[int]) -> None:
    """Write a net as a program of `torch.export` for any number of images; `torch.export.load` reads it.

    Args:
        net: in evaluation mode on the CPU, with no layers of plexus's own.
        path: the file.
        in_shape: of one image.

    Raises:
        TrainingError: the program would differ; it is not written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_program(nn.Flatten(), Path(folder, "flat.pt2"), (1, 2, 2))
        ...     torch.export.load(Path(folder, "flat.pt2")).module()(torch.ones(3, 1, 2, 2)).shape
        torch.Size([3, 4])
    """
    images, x = (
        {0: torch.export.Dim("images")},
        255 * torch.rand(3, *in_shape, generator=torch.Generator().manual_seed(0)),
    )
    program = torch.export.export(net, (torch.zeros(2, *in_shape),), dynamic_shapes=(images,))
    if own := {n.target for n in program.graph.nodes if getattr(n.target, "namespace", "") == "plexus"}:
        program = program.run_decompositions(torch._decomp.get_decompositions([*own]))  # it is to load without plexus
    content = io.BytesIO()
    torch.export.save(program, content)
    content.seek(0)
    with torch.no_grad():
        answers, expected = torch.export.load(content).module()(x), net(x)
    if not (difference := (answers - expected).abs().max().item()) <= 1e-3 * max(1.0, expected.abs().max().item()):
        raise TrainingError(f"{path}: the program differs from the net by {difference:.2g}; it was not written")
    atomic_write(path, content.getvalue())


def _check_source(source: str, weights: bytes, pixels: torch.Tensor, expected: torch.Tensor) -> None:
    space: dict[str, object] = {}
    exec(compile(source, "model.py", "exec"), space)
    net = space["Net"]()  # type: ignore[operator]
    net.load_state_dict(load(weights))
    with torch.no_grad():
        difference = (net.eval()(pixels) - expected).abs().max().item()
    if not difference <= 1e-5 * max(1.0, expected.abs().max().item()):
        raise TrainingError(f"model.py differs from the trained net by {difference:.2g}; it was not written")
