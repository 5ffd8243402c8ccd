"""A plain net written out as a Python file that depends on torch alone."""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn

from plexus.errors import ConfigError
from plexus.nn import RotConv2d
from plexus.wiring import _source_rotation as rotation

_FROM_TORCH = {"device", "inf", "nan"}  # names that a graph's code may use without saying where they are from
_BUILTIN = {"getattr", "NoneType", "fx_pytree", "pytree"}  # `getattr`, and names that are always listed but not used


def to_source(net: nn.Module, *, notes: Sequence[str] = (), constants: Mapping[str, object] | None = None) -> str:
    """Python source of a net made by `derive` or `rebuild`: a class `Net` that builds the layers and wires them.

    Its `state_dict` has the net's keys, so that the saved weights load into it.

    Args:
        net: a `torch.fx.GraphModule` of torch layers and of `RotConv2d` with reduce="max", whose few lines are carried
            along; other neurons become torch layers by `plexus.nn.fold`.
        notes: lines for the file's docstring; any text, it stays text.
        constants: names and values to define at the top, for instance class names; numbers, strings, None and lists,
            tuples and dicts of such.

    Returns:
        The source; it imports torch and nothing else.

    Raises:
        ConfigError: the net holds a module or calls a function that torch does not ship, or a layer whose settings
            cannot be written; or a constant that is not plain data.

    Example:
        >>> net = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3)))
        >>> "class Net(nn.Module)" in to_source(net)
        True
    """
    if not isinstance(net, fx.GraphModule):
        raise ConfigError(f"to_source: expected what derive or rebuild returns, got {type(net).__name__}")
    code = net.graph.python_code("self")
    strange = code.globals.keys() - {"torch"} - _FROM_TORCH - _BUILTIN
    if strange:
        raise ConfigError(f"to_source: the net calls {', '.join(sorted(strange))}, which torch does not ship")
    forward = textwrap.indent(code.src.strip(), "    ")
    layers = [*_held(net, "self")]
    used = [name for name in sorted(_FROM_TORCH) if re.search(rf"\b{name}\b", "\n".join([forward, *layers]))]
    header = [_plain(line) for line in notes] or ["A network with a learned wiring."]
    lines = ['"""' + header[0], *header[1:], '"""', "", "import torch", f"from torch import {', '.join([*used, 'nn'])}"]
    lines += ["", *(f"{name} = {_literal(name, value)}" for name, value in (constants or {}).items())]
    if carried := rotation.definition(net.modules()):
        lines += ["", "", *carried]
    lines += ["", "", "class Net(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [*(f"        {line}" for line in layers), "", forward]
    return "\n".join(lines) + "\n"


def _plain(line: str) -> str:
    """Text that cannot end the docstring it stands in, nor spoil the file."""
    line = line.replace("\\", "\\\\").replace('"', "'")
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in line)


def _literal(name: str, value: object) -> str:
    text = repr(value)
    try:
        if name.isidentifier() and not keyword.iskeyword(name) and ast.literal_eval(text) == value:
            return text
    except (ValueError, SyntaxError):
        pass
    raise ConfigError(f"to_source: constant {name!r} must be a name with plain data, got {text}")


def _held(module: nn.Module, path: str) -> Iterator[str]:
    """One statement for everything a module holds, containers before what is in them."""
    for name, child in module.named_children():
        where = f"{path}.{name}" if name.isidentifier() else f'getattr({path}, "{name}")'
        container = type(child) in (nn.Module, nn.Sequential) or isinstance(child, fx.GraphModule)
        kind = f"nn.{'Sequential' if type(child) is nn.Sequential else 'Module'}()"
        built = kind if container else _constructor(name, child)
        yield f"{where} = {built}" if name.isidentifier() else f"{path}.add_module({name!r}, {built})"
        if container:
            yield from _held(child, where)
    for name, parameter in module.named_parameters(recurse=False):
        yield f"{path}.{name} = nn.Parameter({_zeros(parameter)}, requires_grad={parameter.requires_grad})"
    for name, buffer in module.named_buffers(recurse=False):
        yield f"{path}.register_buffer({name!r}, {_zeros(buffer)})"


def _zeros(value: torch.Tensor) -> str:
    return f"torch.zeros({tuple(value.shape)}, dtype={value.dtype})"


def _constructor(name: str, module: nn.Module) -> str:
    """The call that builds a layer like this one: its repr, and whatever settings that leaves out."""
    if type(module) is RotConv2d:
        return rotation.constructor(name, module)
    if not type(module).__module__.startswith("torch.nn.modules"):
        raise ConfigError(
            f"to_source: {name} is a {type(module).__name__}, which torch does not ship; build it from torch.nn layers"
        )
    text = "nn." + re.sub(r"\b(padding|padding_mode)=([a-z]\w*)", r"\1='\2'", repr(module))
    built, wanted = _built(text), _settings(module)
    for key, value in _settings(built).items() if built is not None else ():
        if wanted.get(key, value) != value:
            more = f"{text[:-1]}{'' if text.endswith('()') else ', '}{key}={wanted[key]!r})"
            text, built = (more, _built(more)) if _built(more) is not None else (text, built)
    if built is None or _shapes(built) != _shapes(module) or {**wanted, **_settings(built)} != wanted:
        raise ConfigError(f"to_source: cannot write {name} out, {text!r} does not build it")
    return text


def _built(text: str) -> Any:
    """The layer that this text builds, or None."""
    try:
        return eval(text, {"nn": nn, "inf": torch.inf, "__builtins__": {}})
    except Exception:  # a repr is free text: whatever goes wrong means that it builds nothing
        return None


def _settings(module: nn.Module) -> dict[str, object]:
    """What a layer was told: its plain public attributes."""
    hidden = {key for key in vars(module) if key.startswith("_")} | {"training"}
    plain = bool | int | float | str | tuple | list | None
    return {key: value for key, value in vars(module).items() if key not in hidden and isinstance(value, plain)}


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in module.state_dict().items()}
