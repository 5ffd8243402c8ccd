"""Python files of the user's own: they are run, as they are trusted; weights are never unpickled."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from plexus.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


def run_file(file: str | Path, alias: str) -> ModuleType:
    """The module in a file, known to `sys.modules` by an alias, where dataclasses and pickles look it up.

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
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise ConfigError(f"{file}: leaves the program (exit code {error.code}); only define things in it") from None
    return module


def user_model(spec: str) -> nn.Module:
    """The torch module that FILE.py:function returns, in evaluation mode.

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
    from safetensors.torch import load_file
    from torch import nn

    where, _, weights = spec.partition("+")
    file, _, name = where.rpartition(":")
    if not file.endswith(".py"):
        raise ConfigError(f"{spec}: not a model; name an .onnx file or FILE.py:function")
    if not Path(file).is_file():
        raise ConfigError(f"{spec}: there is no file {file}")
    try:
        made = getattr(run_file(file, "plexus_user_model"), name)()
    except Exception as error:  # the user's to read, in one line
        raise ConfigError(f"{spec}: {name}() of {file} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{spec}: {name}() must return a torch module, got {type(made).__name__}")
    if weights:
        try:
            made.load_state_dict(load_file(weights))
        except Exception as error:  # a missing file, another format, other names or shapes: each has its own class
            raise ConfigError(f"{spec}: cannot load {weights}: {first_line(error)}") from None
    return made.eval()


def first_line(error: Exception) -> str:
    """What an error says, or else its class.

    Args:
        error: any exception.

    Example:
        >>> first_line(ValueError("too few\\nat line 3")), first_line(KeyError())
        ('too few', 'KeyError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]
