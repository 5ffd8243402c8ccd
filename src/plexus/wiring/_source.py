"""A plain net written out as a Python file that depends on torch alone."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from plexus.errors import ConfigError

_INFIX = {operator.add: "+", operator.mul: "*", operator.sub: "-", operator.truediv: "/"}


def to_source(net: nn.Module, *, notes: Sequence[str] = (), constants: Mapping[str, object] | None = None) -> str:
    """Python source of a net made by `derive` or `rebuild`: a class `Net` that builds the layers and wires them.

    Its `state_dict` has the net's keys, so that the saved weights load into it.

    Args:
        net: a `torch.fx.GraphModule` of plain torch layers.
        notes: lines for the file's docstring.
        constants: names and values to define at the top, for instance class names; written by `repr`.

    Returns:
        The source; it imports torch and nothing else.

    Raises:
        ConfigError: the net holds a module that torch does not ship, or one whose `repr` does not rebuild it.

    Example:
        >>> net = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3)))
        >>> "class Net(nn.Module)" in to_source(net)
        True
    """
    if not isinstance(net, fx.GraphModule):
        raise ConfigError(f"to_source: expected what derive or rebuild returns, got {type(net).__name__}")
    layers = [f"        self.{name} = {_constructor(name, child)}" for name, child in net.named_children()]
    layers += [
        f"        self.register_buffer({name!r}, torch.zeros({tuple(value.shape)}, dtype={value.dtype}))"
        for name, value in net.named_buffers(recurse=False)
    ]
    layers += [
        f"        self.{name} = nn.Parameter(torch.zeros({tuple(value.shape)}, dtype={value.dtype}))"
        for name, value in net.named_parameters(recurse=False)
    ]
    header = [_plain(line) for line in notes] or ["A network with a learned wiring."]
    lines = [
        '"""' + header[0],
        *header[1:],
        '"""',
        "",
        "import torch",
        "import torch.nn.functional as F",
        "from torch import nn",
        "",
    ]
    lines += [f"{name} = {value!r}" for name, value in (constants or {}).items()]
    lines += ["", "", "class Net(nn.Module):", "    def __init__(self):", "        super().__init__()", *layers, ""]
    lines += ["    def forward(self, x):", *(f"        {line}" for line in _body(net.graph))]
    return "\n".join(lines).replace("\n\n\n\n", "\n\n\n") + "\n"


def _plain(line: str) -> str:
    """Text that cannot end the docstring it stands in."""
    return line.replace("\\", "\\\\").replace('"', "'")


def _constructor(name: str, module: nn.Module) -> str:
    if not type(module).__module__.startswith("torch.nn.modules"):
        raise ConfigError(
            f"to_source: {name} is a {type(module).__name__}, which torch does not ship; build it from torch.nn layers"
        )
    text = "nn." + re.sub(r"padding=([a-z]\w*)", r"padding='\1'", repr(module))
    try:
        built = eval(text, {"nn": nn, "torch": torch, "inf": float("inf"), "__builtins__": {"True": True}})
    except Exception as error:  # a repr is free text: whatever goes wrong means it does not rebuild the layer
        raise ConfigError(
            f"to_source: cannot write {name} out, its repr {text!r} does not rebuild it ({error})"
        ) from None
    shapes = {k: v.shape for k, v in built.state_dict().items()}
    if shapes != {k: v.shape for k, v in module.state_dict().items()}:
        raise ConfigError(f"to_source: cannot write {name} out, its repr {text!r} builds other shapes")
    return text


def _body(graph: fx.Graph) -> list[str]:
    lines, last = [], {n: node for node in graph.nodes for n in node.all_input_nodes}
    for node in graph.nodes:
        if node.op == "output":
            lines.append(f"return {_show(node.args[0])}")
        elif node.op != "placeholder":
            lines.append(f"{node.name} = {_expression(node)}{_release(node, last)}")
    return lines


def _release(node: fx.Node, last: dict[fx.Node, fx.Node]) -> str:
    """Frees what is read here for the last time, as the graph itself does."""
    done = [n.name for n in node.all_input_nodes if last[n] is node]
    return "" if not done else f"; del {', '.join(done)}"


def _expression(node: fx.Node) -> str:
    arguments = [_show(a) for a in node.args]
    keywords = [f"{k}={_show(v)}" for k, v in node.kwargs.items()]
    if node.op == "call_module":
        return f"self.{node.target}({', '.join(arguments + keywords)})"
    if node.op == "get_attr":
        return f"self.{node.target}"
    if node.op == "call_method":
        return f"{arguments[0]}.{node.target}({', '.join(arguments[1:] + keywords)})"
    if node.target in _INFIX and not keywords:
        return f"{arguments[0]} {_INFIX[node.target]} {arguments[1]}"  # type: ignore[index]
    if node.target is operator.getitem:
        return f"{arguments[0]}[{arguments[1]}]"
    return f"{_qualified(node.target)}({', '.join(arguments + keywords)})"


def _qualified(function: Any) -> str:
    name = getattr(function, "__name__", "")
    for prefix, home in (("F", F), ("torch", torch)):
        if getattr(home, name, None) is function:
            return f"{prefix}.{name}"
    raise ConfigError(
        f"to_source: cannot write the call of {function!r} out; use functions of torch or torch.nn.functional"
    )


def _show(value: Any) -> str:
    if isinstance(value, fx.Node):
        return value.name
    if isinstance(value, list | tuple):
        inside = ", ".join(_show(v) for v in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return repr(value)
