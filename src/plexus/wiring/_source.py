"""Source of a plain net: a Python file that depends on torch alone."""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn

from plexus.errors import ConfigError
from plexus.nn import RotConv2d
from plexus.nn.functional import ring_rotate

_FROM_TORCH = {"device", "inf", "nan"}  # names that a graph's code may use without saying where they are from
_BUILTIN = {"getattr", "NoneType", "fx_pytree", "pytree"}  # `getattr`, and names that are always listed but not used

_ROT_CONV = '''class RotConv2d(nn.Conv2d):
    """A convolution that answers the best match over rotations of its kernels: y = max_s(x * R_s W) + b."""

    # (kernel size, rotations) -> for each rotation, the taps of the kernel in the order in which it reads them
    TURNS = {turns}

    def __init__(self, *shape, rotations, **options):
        super().__init__(*shape, **options)
        self.rotations = rotations

    def forward(self, x):
        size = self.kernel_size[0]
        turns = torch.tensor(self.TURNS[size, self.rotations], device=x.device)
        bank = self.weight.flatten(2)[:, :, turns].transpose(1, 2).flatten(0, 1).unflatten(-1, (size, size))
        y = self._conv_forward(x, bank, None).unflatten(1, (self.out_channels, self.rotations)).max(2).values
        return y if self.bias is None else y + self.bias.view(-1, 1, 1)
'''


def to_source(net: nn.Module, *, notes: Sequence[str] = (), constants: Mapping[str, object] | None = None) -> str:
    """Write a net made by `derive` or `rebuild` as Python: a class `Net` that builds the layers and wires them.

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
    forward = textwrap.indent(code.src.strip(), "    ")  # fx writes a function at the left margin
    layers = [*_held(net, "self")]
    used = [name for name in sorted(_FROM_TORCH) if re.search(rf"\b{name}\b", "\n".join([forward, *layers]))]
    header = [_plain(line) for line in notes] or ["A network with a learned wiring."]
    lines = ['"""' + header[0], *header[1:], '"""', "", "import torch", f"from torch import {', '.join([*used, 'nn'])}"]
    lines += ["", *(f"{name} = {_literal(name, value)}" for name, value in (constants or {}).items())]
    if carried := _rotation_class(net.modules()):
        lines += ["", "", *carried]
    lines += ["", "", "class Net(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [*(f"        {line}" for line in layers), "", forward]
    return "\n".join(lines) + "\n"


def _plain(line: str) -> str:
    """Escape what could end the docstring that the text stands in, or spoil the file."""
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
    """Yield one statement for everything a module holds, containers before what is in them."""
    for name, child in module.named_children():
        # parts of a Sequential are called "0", "1": no attribute by syntax, one by getattr and add_module
        child_path = f"{path}.{name}" if name.isidentifier() else f'getattr({path}, "{name}")'
        container = type(child) in (nn.Module, nn.Sequential) or isinstance(child, fx.GraphModule)
        kind = f"nn.{'Sequential' if type(child) is nn.Sequential else 'Module'}()"
        built = kind if container else _constructor(name, child)
        yield f"{child_path} = {built}" if name.isidentifier() else f"{path}.add_module({name!r}, {built})"
        if container:
            yield from _held(child, child_path)
    for name, parameter in module.named_parameters(recurse=False):
        yield f"{path}.{name} = nn.Parameter({_zeros(parameter)}, requires_grad={parameter.requires_grad})"
    for name, buffer in module.named_buffers(recurse=False):
        yield f"{path}.register_buffer({name!r}, {_zeros(buffer)})"


def _zeros(value: torch.Tensor) -> str:
    return f"torch.zeros({tuple(value.shape)}, dtype={value.dtype})"


def _constructor(name: str, module: nn.Module) -> str:
    """Write the call that builds a layer like this one: its repr, and whatever settings that leaves out."""
    if type(module) is RotConv2d:
        return _rotation_call(name, module)
    if not type(module).__module__.startswith("torch.nn.modules"):
        raise ConfigError(
            f"to_source: {name} is a {type(module).__name__}, which torch does not ship; build it from torch.nn layers"
        )
    # torch prints padding=same without quotes
    text = "nn." + re.sub(r"\b(padding|padding_mode)=([a-z]\w*)", r"\1='\2'", repr(module))
    # A repr leaves some settings out: build it, compare, and add what differs, where the class takes it.
    built, wanted = _built(text), _settings(module)
    for key, value in _settings(built).items() if built is not None else ():
        if wanted.get(key, value) != value:
            more = f"{text[:-1]}{'' if text.endswith('()') else ', '}{key}={wanted[key]!r})"
            text, built = (more, _built(more)) if _built(more) is not None else (text, built)
    if built is None or _shapes(built) != _shapes(module) or {**wanted, **_settings(built)} != wanted:
        raise ConfigError(f"to_source: cannot write {name} out, {text!r} does not build it")
    return text


def _built(text: str) -> Any:
    """Build the layer that a text describes; None if it builds none."""
    try:
        return eval(text, {"nn": nn, "inf": torch.inf, "__builtins__": {}})
    except Exception:  # a repr is free text: whatever goes wrong means that it builds nothing
        return None


def _settings(module: nn.Module) -> dict[str, object]:
    """Collect what a layer was told: its plain public attributes."""
    hidden = {key for key in vars(module) if key.startswith("_")} | {"training"}
    plain = bool | int | float | str | tuple | list | None
    return {key: value for key, value in vars(module).items() if key not in hidden and isinstance(value, plain)}


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in module.state_dict().items()}


def _rotation_class(modules: Iterable[nn.Module]) -> list[str]:
    """Write the class of the rotation-max convolutions among these modules, the few lines of the one-bank route."""
    layers = [module for module in modules if type(module) is RotConv2d]
    kinds = sorted({(int(layer.kernel_size[0]), layer.rotations) for layer in layers})
    turns = {kind: _turns(*kind) for kind in kinds}
    rows = [f"        {kind}: [{', '.join(map(str, taps))}]," for kind, taps in turns.items()]
    return _ROT_CONV.replace("{turns}", "\n".join(["{", *rows, "    }"])).splitlines() if layers else []


def _turns(size: int, count: int) -> list[list[int]]:
    """List for each rotation the taps of the kernel in the order in which it reads them."""
    taps = torch.arange(size * size).view(size, size)
    return [ring_rotate(taps, s * 8 // count).flatten().tolist() for s in range(count)]


def _rotation_call(name: str, layer: RotConv2d) -> str:
    if layer.reduce != "max":
        raise ConfigError(
            f"to_source: {name} is a RotConv2d with reduce={layer.reduce!r}; only 'max' can be written out"
        )
    options = {
        **{key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")},
        "bias": layer.bias is not None,
        **{key: getattr(layer, key) for key in ("padding_mode", "rotations")},
    }
    shape = f"{layer.in_channels}, {layer.out_channels}, {layer.kernel_size}"
    return f"RotConv2d({shape}, {', '.join(f'{key}={value!r}' for key, value in options.items())})"
