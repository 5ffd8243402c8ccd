"""What the reference asks of a docstring, as one list of complaints for each public name.

- The first paragraph says what it is and ends with a full stop.
- `Args` explains every parameter, and nothing that is none; an option of a class of options describes itself.
- Where tensors or arrays come in or go out, a shape is named, such as (N, C, H, W).
- `Raises` is there where the function, or one of plexus that it calls by its name, has a `raise`.
- An equation, set (`.. math::`) or in a line (`a = b`), has a `Source`.
- `Example` has a doctest, and none of it is skipped.
- A constant has a line of its own below it; a method has a docstring.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import textwrap
from itertools import pairwise, zip_longest
from types import FunctionType, ModuleType
from typing import Any, TypeGuard

SECTION = re.compile(r"^([A-Z][a-z]+):(?: (.*))?$", re.MULTILINE)
ARGUMENT = re.compile(r"^((?:\*{0,2}\w+, )*\*{0,2}\w+): ", re.MULTILINE)
SHAPE = re.compile(r"\(\)|\((?:[\w'*+/. ^-]{0,24},)+(?:[\w'*+/. ^-]{0,24})?\)|\bShape:")
EQUATION = re.compile(r"^\s*\.\. math::|[\w)\]] = [^=]", re.MULTILINE)
TENSORS = re.compile(r"\b(Tensor|ndarray|NDArray|ArrayLike)\b")
MAKERS = ("__new__", "__init__", "__post_init__", "forward")
"""What runs when a class is called, or an instance of a torch module: the class's docstring speaks for them."""
TORCHS_OWN = frozenset({"forward", "extra_repr", "reset_parameters", "backward"})


def public_names(module: ModuleType) -> list[str]:
    """What a module exports: its `__all__`, or without one what it defines and does not hide."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
    found: list[str] = []
    for node in ast.parse(inspect.getsource(module)).body:
        found += [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else _targets(node)
    return [name for name in found if not name.startswith("_")]


def complaints(name: str, thing: Any) -> list[str]:
    """What the docstring of a function or a class lacks, one line each."""
    text = inspect.cleandoc(thing.__doc__ or "")
    lead, sections = parts(text)
    functions = _functions(thing)
    found = []
    if not lead.split("\n\n")[0].rstrip().endswith((".", ":")):
        found.append("no first sentence that ends with a full stop")
    wanted, told = parameters(thing), {n.lstrip("*") for n in _arguments(sections.get("Args", ""))}
    told |= {name for name, field in vars(thing).get("__pydantic_fields__", {}).items() if field.description}
    found += [f"Args: {what} is not explained" for what in wanted if what not in told]
    found += [f"Args: {what} is no parameter" for what in sorted(told - set(wanted))]
    if TENSORS.search(_annotations(functions)) and not SHAPE.search(text):
        found.append("tensors without a shape: add a section Shape, or (N, C, H, W) in Args and Returns")
    if "Raises" not in sections and any(raises(f) for f in functions):
        found.append("it can raise, and has no section Raises")
    if EQUATION.search(lead) and "Source" not in sections:
        found.append("an equation without a Source")
    if ">>> " not in sections.get("Example", ""):
        found.append("no section Example with a doctest")
    if "+SKIP" in text:
        found.append("an example that is skipped")
    return [f"{name}: {line}" for line in [*found, *(_methods(thing, sections) if inspect.isclass(thing) else ())]]


def documented(module: ModuleType, name: str) -> bool:
    """Whether a constant has a string below its assignment, where it is defined."""
    whole = ast.parse(inspect.getsource(module)).body
    body = [part for node in whole for part in (node.body if isinstance(node, ast.If) else [node])]  # lazy packages
    for node, after in zip_longest(body, body[1:]):
        if name in _targets(node):
            return isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(node, ast.ImportFrom) and node.module and name in {a.asname or a.name for a in node.names}:
            return documented(importlib.import_module(node.module), name)
    return False


def parts(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the first section, and the sections."""
    heads = list(SECTION.finditer(text))
    if not heads:
        return text, {}
    ends = [after.start() for _, after in pairwise(heads)] + [len(text)]
    return text[: heads[0].start()], {
        head[1]: inspect.cleandoc(f"{head[2] or ''}\n{text[head.end() : end]}")
        for head, end in zip(heads, ends, strict=True)
    }


def parameters(thing: Any) -> list[str]:
    """The names that may be given; none of an exception, which takes its message."""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return []
    return list(getattr(thing, "__pydantic_fields__", None) or inspect.signature(thing).parameters)


@functools.cache
def raises(function: FunctionType) -> bool:
    """Whether a function has a `raise` of an exception, or calls by name one of the same library that has."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    if any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree)):
        return True
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    others = (inspect.unwrap(function.__globals__[n]) for n in called if callable(function.__globals__.get(n)))
    return any(
        raises(other)
        for other in others
        if isinstance(other, FunctionType) and _top(other) == _top(function) and other is not function
    )


def _top(function: FunctionType) -> str:
    return function.__module__.partition(".")[0]


def _arguments(section: str) -> list[str]:
    return [name for found in ARGUMENT.finditer(section) for name in found[1].split(", ")]


def _functions(thing: Any) -> list[FunctionType]:
    """What runs when it is called, and was written by hand."""
    if not inspect.isclass(thing):
        return [inspect.unwrap(thing)]
    return [f for name in MAKERS if _handwritten(f := vars(thing).get(name))]


def _handwritten(function: Any) -> TypeGuard[FunctionType]:
    return isinstance(function, FunctionType) and not function.__code__.co_filename.startswith("<")


def _annotations(functions: list[FunctionType]) -> str:
    return " ".join(str(inspect.signature(function)) for function in functions)


def _methods(thing: type, sections: dict[str, str]) -> list[str]:
    """Complaints about the methods and properties that a class defines itself."""
    found = []
    for name, raw in vars(thing).items():
        function = _bare(raw)
        if name.startswith("_") or name in TORCHS_OWN or not _handwritten(function):
            continue
        text = inspect.getdoc(getattr(thing, name)) or ""  # of the method that it overrides, where it has none
        if not text:
            found.append(f"{name}: no docstring")
        elif raises(function) and "Raises" not in parts(text)[1] and "Raises" not in sections:
            found.append(f"{name}: it can raise, and has no section Raises")
    return found


def _bare(raw: Any) -> Any:
    """The function behind a method or a property."""
    match raw:
        case property():
            return raw.fget
        case classmethod() | staticmethod():
            return raw.__func__
        case functools.cached_property():
            return raw.func
    return raw


def _targets(node: ast.AST | None) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    flat = [one for t in targets for one in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return [t.id for t in flat if isinstance(t, ast.Name)]
