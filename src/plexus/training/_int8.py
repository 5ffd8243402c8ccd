"""ONNX models in eight bits: onnxruntime's static quantisation, or weights alone, in files as small as they can be."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

F32 = NDArray[np.float32]
_LAYERS = {"Conv": 0, "Gemm": 0, "MatMul": 1}
"""Operators whose weights are stored in eight bits -> the axis of the weights that is the output's."""


_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "auto_pad": (b"NOTSET",), "dilations": ([1, 1],), "pads": ([0, 0, 0, 0],), "ceil_mode": (0,), "allowzero": (0,),
    "storage_order": (0,), "count_include_pad": (0,), "noop_with_empty_axes": (0,), "alpha": (1.0,), "beta": (1.0,),
    "transA": (0,),
}  # fmt: skip
"""Attributes that say what the standard supposes without them."""


def quantize(model: bytes, batches: Sequence[F32], source: str = "pixels") -> bytes:
    """Quantise a model statically: weights and activations in eight bits, computed in integers (QDQ).

    Weights are signed, one scale for each output channel, and use seven of the eight bits: processors without VNNI add
    products in 16 bits, which would overflow; so a file answers alike on all of them. Activations are unsigned, with
    the range that the images have shown.

    Args:
        model: ONNX, batch norms folded.
        batches: images of the training, (N, C, H, W) each.
        source: name of the input.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(batches)

        def get_next(self) -> dict[str, F32] | None:
            batch = next(self.batches, None)
            return None if batch is None else {source: batch}

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises to run passes of its own, which the exporter has done
    try:
        with TemporaryDirectory() as folder:
            start, end = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
            start.write_bytes(_prepared(model))
            quantize_static(
                str(start), str(end), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
                weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
            )  # fmt: skip
            return _compact(end.read_bytes())
    finally:
        logging.disable(before)


def shrink(model: bytes, *, wide: bool = False) -> bytes:
    """Store the weights of a model in eight bits, and compute with them in floating point.

    The runtime turns them back once, when it loads the file: from then on it is as fast as the float model. Weights
    have a scale for each output channel, biases are float16.

    Args:
        model: ONNX, batch norms folded.
        wide: store scales and biases in 32 bits, as those of some trained weights are: the largest file of such a net.
    """
    proto = onnx.load_model_from_string(model)
    graph, constants = proto.graph, _constants(proto)
    axes = {node.input[1]: _axis(node) for node in graph.node if node.op_type in _LAYERS and node.input[1] in constants}
    biases = {
        node.input[2]
        for node in graph.node
        if node.op_type in _LAYERS and len(node.input) > 2 and node.input[2] in constants
    }
    nodes: list[onnx.NodeProto] = []
    for name, axis in axes.items():
        weight = constants[name]
        shape = [1] * weight.ndim
        shape[axis] = -1
        others = tuple(i for i in range(weight.ndim) if i != axis)
        largest = np.maximum(np.abs(weight).max(others) / 127, 1e-30)
        small = not wide and largest.min() > 2.0**-14 and largest.max() < 60000  # float16 has all its bits there
        # the scale is rounded to what is stored before the weights are rounded by it
        scale = largest.astype(np.float16 if small else np.float32).reshape(shape)
        eighth = np.clip(np.round(weight / scale.astype(np.float32)), -127, 127).astype(np.int8)
        nodes += _stored(graph, name, eighth, scale)
    for name in biases - axes.keys():
        if not wide and np.abs(constants[name]).max(initial=0.0) < 60000:
            nodes += _stored(graph, name, constants[name].astype(np.float16))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    return _compact(proto.SerializeToString())


def _axis(node: onnx.NodeProto) -> int:
    """The axis of a layer's weights that is the output's."""
    turned = any(a.name == "transB" and a.i for a in node.attribute)
    return 1 if node.op_type == "Gemm" and not turned else _LAYERS[node.op_type]


def _stored(
    graph: onnx.GraphProto, name: str, value: NDArray[Any], scale: NDArray[Any] | None = None
) -> Iterator[onnx.NodeProto]:
    """Nodes that make a constant from smaller ones; a runtime computes them once, when it loads the model."""
    _replace(graph, name, value, f"{name}_q")
    kind = onnx.TensorProto.FLOAT if value.dtype != np.uint16 else onnx.TensorProto.INT64
    if scale is None:
        yield helper.make_node("Cast", [f"{name}_q"], [name], to=kind)
        return
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}_s"))
    yield helper.make_node("Cast", [f"{name}_q"], [f"{name}_f"], to=kind)
    if scale.dtype == np.float16:
        yield helper.make_node("Cast", [f"{name}_s"], [f"{name}_t"], to=kind)
    yield helper.make_node("Mul", [f"{name}_f", f"{name}_{'t' if scale.dtype == np.float16 else 's'}"], [name])


def _replace(graph: onnx.GraphProto, name: str, value: NDArray[Any], new: str) -> None:
    (old,) = (i for i in graph.initializer if i.name == name)
    graph.initializer.remove(old)
    graph.initializer.append(numpy_helper.from_array(value, new))


def _constants(proto: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def _prepared(model: bytes) -> bytes:
    """Write averages as operators with fast integer kernels: onnxruntime's average pooling in integers has none."""
    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model))
    graph, constants = proto.graph, _constants(proto)
    channels = {
        value.name: value.type.tensor_type.shape.dim[1].dim_value
        for value in (*graph.value_info, *graph.input)
        if len(value.type.tensor_type.shape.dim) == 4
    }
    for node in graph.node:
        options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "ReduceMean" and len(node.input) == 2 and options.get("keepdims", 1):
            axes = constants.get(node.input[1])
            if axes is not None and sorted(axes.tolist()) in ([2, 3], [-2, -1]) and node.input[0] in channels:
                node.CopyFrom(helper.make_node("GlobalAveragePool", [node.input[0]], [node.output[0]], name=node.name))
        elif node.op_type == "AveragePool" and channels.get(node.input[0]) and not any(options.get("pads", [0])):
            kernel, count = options["kernel_shape"], channels[node.input[0]]
            average = np.full((count, 1, *kernel), 1 / np.prod(kernel), np.float32)
            graph.initializer.append(numpy_helper.from_array(average, f"{node.output[0]}_mean"))
            node.CopyFrom(
                helper.make_node(
                    "Conv", [node.input[0], f"{node.output[0]}_mean"], [node.output[0]], name=node.name, group=count,
                    kernel_shape=kernel, strides=options.get("strides", [1] * len(kernel)),
                )
            )  # fmt: skip
    return _unused(proto).SerializeToString()


def _compact(model: bytes) -> bytes:
    """Leave out what no runtime reads: names of nodes, long names of tensors, shapes in between; small indices."""
    proto = onnx.load_model_from_string(model)
    graph = _unused(proto).graph
    graph.ClearField("value_info")
    graph.name = "g"
    for node in graph.node:
        for attribute in [a for a in node.attribute if helper.get_attribute_value(a) in _DEFAULTS.get(a.name, ())]:
            node.attribute.remove(attribute)
    nodes: list[onnx.NodeProto] = []
    for name, value in _constants(proto).items():
        reads = {node.op_type for node in graph.node for read in node.input if read == name}
        if (
            reads == {"Gather"}
            and value.dtype == np.int64
            and value.size > 32
            and 0 <= value.min() <= value.max() < 65536
        ):
            nodes += _stored(graph, name, value.astype(np.uint16))
    for node in reversed(nodes):
        graph.node.insert(0, node)
    fixed = {value.name for value in (*graph.input, *graph.output)}
    short: dict[str, str] = {"": ""} | {name: name for name in fixed}

    def named(name: str) -> str:
        return short.setdefault(name, _letters(len(short)))

    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        for i, name in enumerate(node.input):
            node.input[i] = named(name)
        for i, name in enumerate(node.output):
            node.output[i] = named(name)
    for tensor in graph.initializer:
        tensor.name = named(tensor.name)
    proto.ClearField("metadata_props")
    return proto.SerializeToString()


def _unused(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Drop constants that nothing reads."""
    read = {name for node in proto.graph.node for name in node.input} | {o.name for o in proto.graph.output}
    for tensor in [t for t in proto.graph.initializer if t.name not in read]:
        proto.graph.initializer.remove(tensor)
    return proto


def _letters(number: int) -> str:
    """A short name for a number: digits in base 36."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return f"t{digits[number // 1296 % 36]}{digits[number // 36 % 36]}{digits[number % 36]}"
