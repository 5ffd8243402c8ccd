"""Options of the command line, made from a config's fields: what a verb that makes a run folder is told."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

from plexus.errors import ConfigError
from plexus.training._settings import Settings, read_yaml

S = TypeVar("S", bound=Settings)
Run = Annotated[Path | None, Parameter(help="The run folder to make [default: runs/DATA-DATE].")]
Resume = Annotated[Path | None, Parameter(help="Go on with this run folder; other options are not read.")]
Config = Annotated[Path | None, Parameter(help="A YAML file of options; the command line overrides it.")]
PrintConfig = Annotated[bool, Parameter(help="Print all options as YAML and stop.", negative="")]


def option_class(config: type[Settings], module: str, types: Mapping[str, Any], lists: Sequence[str]) -> type:
    """A config's fields but `data` as options that may be left out, so that a config file can fill them.

    Args:
        config: its docstring has a line for every field.
        module: of the verb, where the class is looked up.
        types: type of an option, by its annotation without `None`, or by its name.
        lists: options that take several values.
    """
    text = re.sub(r"\n {12,}", " ", config.__doc__ or "")
    found = re.findall(r"^ {8}(?P<names>[a-z_, ]+): (?P<text>.+)$", text, re.MULTILINE)
    lines = {name: line for names, line in found for name in names.split(", ")}
    made: list[tuple[str, Any, None]] = []
    for f in fields(config):  # type: ignore[arg-type]
        if f.name == "data":
            continue
        kind = types.get(f.name, types.get(str(f.type).removesuffix(" | None")))
        shown = "" if f.default is None else f" [default: {f.default}]"
        several: dict[str, Any] = {"consume_multiple": True, "negative": ""} if f.name in lists else {}
        parameter = Parameter(help=lines[f.name] + shown, show_default=False, **several)
        made.append((f.name, Annotated[kind | None, parameter], None))
    options = make_dataclass("Options", made, kw_only=True)
    options.__module__ = module
    return options


def given(data: str | None, options: Any) -> dict[str, Any]:
    """What was said on the command line."""
    said = {k: v for k, v in vars(options).items() if v is not None}
    return said if data is None else {**said, "data": data}


def refuse_more(resume: Path, *others: Any) -> None:
    """A run goes on as it was started.

    Raises:
        ConfigError: other options are given, too.
    """
    if any(others):
        raise ConfigError(f"--resume goes on with what {resume} was started with; leave the other options out")


def settings(config: type[S], said: Mapping[str, Any], file: Path | None, *, either: Sequence[str] = ()) -> S:
    """The config that a file and the command line make together.

    Args:
        config: of which kind.
        said: what was said on the command line, which comes first.
        file: a YAML file, or none.
        either: two options of which one on the command line takes the place of the other in the file.
    """
    raw = read_yaml(file) if file is not None else {}
    for one, other in (tuple(either), tuple(reversed(either))) if either else ():
        if one in said and other not in said:
            raw.pop(other, None)
    return config.from_mapping({**raw, **said}, name=str(file or "options"))


def command() -> str:
    """The command line that this process was started with."""
    return shlex.join(["plexus", *sys.argv[1:]])
