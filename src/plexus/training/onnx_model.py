"""ONNX models in memory: made from a net, told what they are, timed and asked for answers."""

from __future__ import annotations

import contextlib
import io
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn


def read_metadata(path: Path) -> dict[str, str]:
    """Return the texts in the metadata of an ONNX file; nothing where there is none.

    Args:
        path: the file.

    Example:
        >>> read_metadata(Path("nowhere.onnx"))
        {}
    """
    try:
        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    except Exception:  # of a file that is broken onnx tells with a class of protobuf's
        return {}


def with_metadata(model: bytes, about: Mapping[str, str]) -> bytes:
    """Return an ONNX model with texts in its metadata, which `onnxruntime` gives as `custom_metadata_map`.

    Args:
        model: ONNX.
        about: name -> text.

    Example:
        >>> model = with_metadata(to_onnx(nn.Flatten(), (1, 2, 2)), {"size": "2x2"})
        >>> session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        >>> session.get_modelmeta().custom_metadata_map
        {'size': '2x2'}
    """
    proto = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(proto, dict(about))
    return proto.SerializeToString()


def to_onnx(
    net: nn.Module, in_shape: Sequence[int], outputs: Sequence[str] = ("logits",),
    *, source: str = "pixels", quick: bool = False,
) -> bytes:  # fmt: skip
    """Return the net as ONNX, `source` in and `outputs` out, for any number of images.

    torch's present exporter takes seconds, its former one tenths; `quick` takes the former, where a net is only timed.
    """
    names: dict[str, Any] = {"verbose": False, "input_names": [source], "output_names": list(outputs)}
    if quick:  # its own attribute `graph` would be taken for that of TorchScript
        net, names["dynamo"], names["dynamic_axes"] = nn.Sequential(net).eval(), False, {source: {0: "images"}}
    else:
        names |= {"dynamo": True, "external_data": False, "dynamic_shapes": ({0: torch.export.Dim("images")},)}
    with TemporaryDirectory() as folder, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            file = Path(folder) / "model.onnx"
            torch.onnx.export(net, (torch.zeros(2, *in_shape),), file, **names)
        finally:
            logging.disable(before)
        return file.read_bytes() if quick else _bare(file.read_bytes())


def _bare(model: bytes) -> bytes:
    """Drop what the exporter notes about every node: half of the file, with paths of this machine; nothing reads it."""
    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    graph.ClearField("value_info")  # shapes in between, which follow from the rest
    for part in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
    for function in proto.functions:
        for part in (function, *function.node):
            part.ClearField("metadata_props")
    return proto.SerializeToString()


def milliseconds(model: bytes, in_shape: Sequence[int], *, rounds: int = 9, least: float = 0.005) -> float:
    """Measure how long onnxruntime takes for one image on one thread: `latencies` of one model.

    Example:
        >>> milliseconds(to_onnx(nn.Flatten(), (1, 2, 2)), (1, 2, 2)) > 0
        True
    """
    return latencies([model], in_shape, rounds=rounds, least=least)[0]


def latencies(
    models: Sequence[bytes], in_shape: Sequence[int], *, rounds: int = 9, least: float = 0.005
) -> list[float]:
    """Measure how long onnxruntime takes for one image on one thread, the models in turn.

    Caches and clock rates change while other work runs: figures that were taken in one round can be compared, those of
    two moments cannot.

    Args:
        models: ONNX; of equal ones the first is measured.
        in_shape: of the image, or of whatever they read.
        rounds: measurements of each, of which the median counts; each repeats the call.
        least: seconds that a measurement takes at least.

    Returns:
        Milliseconds of a call, after a warm-up, for each model.

    Example:
        >>> one = to_onnx(nn.Flatten(), (1, 2, 2))
        >>> a, b = latencies([one, one], (1, 2, 2))
        >>> a == b > 0
        True
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    image = np.zeros((1, *in_shape), dtype=np.float32)

    def timer(model: bytes) -> Callable[[int], float]:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: image}

        def timed(calls: int) -> float:
            start = time.process_time()  # of one thread; a busy machine does not count
            for _ in range(calls):
                session.run(None, feed)
            return (time.process_time() - start) / calls

        timed(10)
        return timed

    timers = {model: timer(model) for model in dict.fromkeys(models)}
    calls = {model: max(1, round(least / max(timed(10), 1e-6))) for model, timed in timers.items()}
    times: dict[bytes, list[float]] = {model: [] for model in timers}
    for _ in range(rounds):
        for model, timed in timers.items():
            times[model].append(timed(calls[model]))
    return [1000 * statistics.median(times[model]) for model in models]


def onnx_logits(model: bytes, images: torch.Tensor, *, batch: int = 100) -> torch.Tensor:
    """Return the answers of a model on one thread, (N, classes).

    Args:
        model: ONNX.
        images: (N, C, H, W), 0..255.
        batch: images at a time.

    Example:
        >>> onnx_logits(to_onnx(nn.Flatten(), (1, 1, 2)), torch.ones(3, 1, 1, 2)).shape
        torch.Size([3, 2])
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return torch.cat(
        [torch.from_numpy(np.asarray(session.run(None, {name: x.float().numpy()})[0])) for x in images.split(batch)]
    )
