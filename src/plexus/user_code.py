"""Python files of the user's own: they are run, as they are trusted; weights are never unpickled."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from plexus.errors import ConfigError
from plexus.record import open_file

if TYPE_CHECKING:
    from torch import Tensor, nn


def run_file(file: str | Path, alias: str) -> ModuleType:
    """Run a file as a module, known to `sys.modules` by an alias, where dataclasses and pickles look it up.

    Modules beside the file can be imported as by a script: its folder comes first while it runs.

    Args:
        file: a Python file that is there.
        alias: a name that nothing else has.

    Returns:
        The module.

    Raises:
        ConfigError: no Python file, or one that leaves the program.
        Exception: whatever else the file raises.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "own.py")
        ...     _ = file.write_text("answer = 42")
        ...     run_file(file, "own_example").answer
        42
    """
    spec = importlib.util.spec_from_file_location(alias, Path(file).resolve())
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file}: cannot be loaded as Python: give a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    try:
        with _beside(file):
            spec.loader.exec_module(module)
    except SystemExit as error:
        raise ConfigError(f"{file}: leaves the program (exit code {error.code}); only define things in it") from None
    return module


@contextmanager
def _beside(file: str | Path) -> Iterator[None]:
    """Look for modules in the file's folder first, and forget those found there: another folder may have the like."""
    folder = Path(file).resolve().parent
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        beside = []
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
            # helper.py or helper/__init__.py: a library in an environment that lies in the folder stays
            if origin is not None and folder in (Path(origin).parent, *Path(origin).parents[1:2]):
                beside.append(name)
        for name in beside:
            del sys.modules[name]


def user_function(spec: str, alias: str, *, label: str | None = None) -> Callable[..., Any]:
    """Return the function FILE.py:function; whatever goes wrong in it is told in one line.

    Args:
        spec: FILE.py:function.
        alias: what the file is known by, see `run_file`.
        label: what opens each message; `spec` unless given.

    Returns:
        The function.

    Raises:
        ConfigError: no such file or function, or whatever the file raises; a call raises it, too.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "own.py")
        ...     _ = file.write_text("def double(x):\\n    return 2 * x")
        ...     user_function(f"{file}:double", "own_function")(21)
        42
    """
    label = label or spec
    file, _, name = spec.rpartition(":")
    if not file or not name:
        raise ConfigError(f"{label}: must be FILE.py:function")
    if not Path(file).is_file():
        raise ConfigError(f"{label}: there is no file {file}")
    try:
        function = getattr(run_file(file, alias), name, None)
    except MemoryError:
        raise
    except Exception as error:  # whatever the user's file raises is the user's to read, in one line
        raise ConfigError(f"{label}: running {file} raised {type(error).__name__}: {error}") from error
    if not callable(function):
        raise ConfigError(f"{label}: {file} has no function {name}")

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            with _beside(file):
                return function(*args, **options)
        except SystemExit as error:
            raise ConfigError(f"{label}: {name}() of {file} leaves the program (exit code {error.code})") from None
        except MemoryError:
            raise
        except Exception as error:
            shown = ", ".join(map(str, args))
            raise ConfigError(f"{label}: {name}({shown}) of {file} raised {type(error).__name__}: {error}") from error

    return call


def split_weights(spec: str) -> tuple[str, str]:
    """Split FILE.py:function+WEIGHTS.safetensors at its plus sign; folders may have one in their names.

    Args:
        spec: such a name.

    Returns:
        FILE.py:function, and the file of the weights, empty where there is none.

    Example:
        >>> split_weights("c++/net.py:small+w.safetensors"), split_weights("net.py:small")
        (('c++/net.py:small', 'w.safetensors'), ('net.py:small', ''))
    """
    file, mark, rest = spec.partition(".py:")
    if not mark:
        return spec, ""
    function, _, weights = rest.partition("+")
    return f"{file}{mark}{function}", weights


def user_model(spec: str) -> nn.Module:
    """Return the torch module that FILE.py:function gives, in evaluation mode.

    Args:
        spec: FILE.py:function, which may be followed by +WEIGHTS.safetensors.

    Shape:
        The module's own; nothing is asked of it here.

    Returns:
        The module.

    Raises:
        ConfigError: no such file or function, whatever it raises, something else than a module, or weights that do not
            fit; in one line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "own.py")
        ...     _ = file.write_text("from torch import nn\\ndef small():\\n    return nn.Linear(3, 2)")
        ...     user_model(f"{file}:small")
        Linear(in_features=3, out_features=2, bias=True)
    """
    from torch import nn

    where, weights = split_weights(spec)
    if not where.rpartition(":")[0].endswith(".py"):
        raise ConfigError(f"{spec}: not a model; name an .onnx file or FILE.py:function")
    model = user_function(where, "plexus_user_model", label=spec)()
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"{spec}: {where.rpartition(':')[2]}() must return a torch module, got {type(model).__name__}"
        )
    if weights:
        try:
            _load(model, weights)
        except ConfigError as error:
            raise ConfigError(f"{spec}: cannot load {weights}: {error}") from None
    return model.eval()


TYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""Types of tensors that weights have -> their names in a safetensors file."""


def weights_header(path: str | Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Read the shapes and types of the tensors in a safetensors file; no tensor is read.

    Args:
        path: the file.

    Returns:
        Name -> (shape, type as in `TYPES`).

    Raises:
        OSError: it cannot be read, or is no regular file.
        safetensors.SafetensorError: something else than safetensors.

    Example:
        >>> import tempfile
        >>> from safetensors.numpy import save_file
        >>> from numpy import zeros
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file({"weight": zeros((2, 3), "float32")}, f"{folder}/a.safetensors")
        ...     weights_header(f"{folder}/a.safetensors")
        {'weight': ((2, 3), 'F32')}
    """
    from safetensors import safe_open

    open_file(path).close()
    with safe_open(path, "np") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        return {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in parts.items()}


def check_sizes(header: Mapping[str, tuple[tuple[int, ...], str]], **sizes: int) -> None:
    """Refuse sizes of a net that no tensor of a file has, before memory is asked for.

    Every number of channels is a side of some tensor, and every layer has one.

    Args:
        header: from `weights_header`.
        **sizes: widths, channels, depths: name -> number.

    Raises:
        ConfigError: one is larger than all sides and the number of the tensors.

    Example:
        >>> check_sizes({"weight": ((2, 3), "F32")}, width=10**9)
        Traceback (most recent call last):
        plexus.errors.ConfigError: width=1000000000 does not fit the weights, whose largest side is 3
    """
    sides = [side for shape, _ in header.values() if 0 not in shape for side in shape]
    for name, size in sizes.items():
        if size > max([*sides, len(header)]):
            raise ConfigError(f"{name}={size} does not fit the weights, whose largest side is {max(sides, default=0)}")


def check_weights(wanted: Mapping[str, Tensor], header: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    """Refuse weights whose shapes or types are not those of a net; names that only one of them has are left aside.

    Args:
        wanted: the net's state; it may be on the device `meta`, which takes no memory.
        header: from `weights_header`.

    Shape:
        Those of the state; nothing is read from the file here.

    Raises:
        ConfigError: what differs first, and how many more.

    Example:
        >>> import torch
        >>> check_weights({"bias": torch.zeros(2)}, {"bias": ((3,), "F32")})
        Traceback (most recent call last):
        plexus.errors.ConfigError: 'bias' is (3,) in the file, (2,) in the model
    """
    wrong = []
    for name, tensor in wanted.items():
        if name in header:
            shape, kind = header[name]
            own = TYPES.get(str(tensor.dtype).removeprefix("torch."), str(tensor.dtype))
            if shape != tuple(tensor.shape):
                wrong.append(f"{name!r} is {shape} in the file, {tuple(tensor.shape)} in the model")
            elif kind != own:
                wrong.append(f"{name!r} is {kind} in the file, {own} in the model; convert it there")
    if wrong:
        raise ConfigError(wrong[0] + (f" (and {len(wrong) - 1} more)" if wrong[1:] else ""))


def check_numbers(state: Mapping[str, Tensor]) -> None:
    """Refuse weights that hold NaN.

    Args:
        state: name -> tensor.

    Shape:
        Any.

    Raises:
        ConfigError: the name of the first that does.

    Example:
        >>> import torch
        >>> check_numbers({"bias": torch.tensor([1.0, float("nan")])})
        Traceback (most recent call last):
        plexus.errors.ConfigError: 'bias' holds NaN, which is no number; take weights of a training that went well
    """
    if wrong := next((name for name, tensor in state.items() if tensor.isnan().any()), None):
        raise ConfigError(f"{wrong!r} holds NaN, which is no number; take weights of a training that went well")


def _load(model: nn.Module, weights: str) -> None:
    """Load the weights of a safetensors file.

    Raises:
        ConfigError: why not, and what to do.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    save = "save weights with safetensors.torch.save_file(model.state_dict(), 'NAME.safetensors')"
    try:
        header = weights_header(weights)
        state = load_file(weights)
    except SafetensorError as error:
        raise ConfigError(f"not a safetensors file ({first_line(error)}); {save}") from None
    except OSError as error:
        raise ConfigError(error.strerror or first_line(error)) from None
    if misfit := _misfit(model.state_dict(), state):
        raise ConfigError(misfit)
    check_weights(model.state_dict(), header)
    check_numbers(state)
    try:
        model.load_state_dict(state)
    except Exception as error:  # a module may load in a way of its own
        raise ConfigError(" ".join(str(error).split())) from None


def _misfit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """The names of weights whose names or shapes differ; empty where they fit."""
    missing, strange = [n for n in wanted if n not in state], [n for n in state if n not in wanted]
    if missing or strange:
        parts = [("has no", missing), ("has", strange)]
        told = ", ".join(f"{verb} {_some(names)}" for verb, names in parts if names)
        for prefix in ("module.", "_orig_mod."):  # of DataParallel, and of torch.compile
            if {name.removeprefix(prefix) for name in state} == set(wanted):
                return f"the file {told}; take {prefix!r} off the names in it"
        return f"the file {told}; the names of the model's weights are wanted"
    shapes = [n for n in wanted if wanted[n].shape != state[n].shape]
    if shapes:
        name = shapes[0]
        more = f" (and {len(shapes) - 1} more)" if len(shapes) > 1 else ""
        return f"{name!r} is {tuple(state[name].shape)} in the file, {tuple(wanted[name].shape)} in the model{more}"
    return ""


def _some(names: list[str], most: int = 3) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest


def first_line(error: Exception) -> str:
    """Return what an error says, or else its class.

    Args:
        error: any exception.

    Example:
        >>> first_line(ValueError("too few\\nat line 3")), first_line(KeyError())
        ('too few', 'KeyError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]
