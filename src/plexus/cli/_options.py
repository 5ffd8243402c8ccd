"""Options of the command line: those of a class of options, in panels, and those that several verbs have."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import make_dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cyclopts import Group, Parameter, Token
from cyclopts.validators import Number

from plexus.cli._show import says_unicode, trained
from plexus.errors import ConfigError, one_line

if TYPE_CHECKING:
    from plexus.training import Declared, Options

C = TypeVar("C", bound="Options")
NAME = 100
"""Letters of the data's name in that of a folder made for it: no file system takes more than 255."""
NAMES = ("data", "network", "wiring", "training", "hardware", "output")
PANELS = {name: Group(name.capitalize(), sort_key=i) for i, name in enumerate(NAMES)}
"""Where an option stands in the help of its verb."""


def in_panel(group: Group, text: str, *, default: str | None = None, **more: Any) -> Parameter:
    """Return an option's line in the help.

    Args:
        group: its panel.
        text: what it is.
        default: in words, where the value does not say it.
        more: as for cyclopts' `Parameter`.
    """
    shown = False if default is None and more.get("negative") == "" else default  # a flag, or a list
    return Parameter(group=group, help=text, show_default=shown, **more)


DATA, NETWORK, WIRING, TRAINING, HARDWARE, OUTPUT = (partial(in_panel, group) for group in PANELS.values())
Data = Annotated[str | None, Parameter(group=PANELS["data"])]
Run = Annotated[Path | None, OUTPUT("The run folder to make.", default="runs/DATA-DATE")]
Resume = Annotated[Path | None, OUTPUT("Go on with this run folder; other options are not read.")]
Config = Annotated[Path | None, OUTPUT("A YAML file of options; the command line overrides it.")]
PrintConfig = Annotated[bool, OUTPUT("Print all options as YAML and stop.", negative="")]
Json = Annotated[bool, OUTPUT("Print the figures as JSON.", name="--json", negative="")]
Skip = Annotated[bool, DATA("Leave out images that cannot be read.", negative="")]
Label = Annotated[str | None, DATA("The column of the labels, where a table has several.")]
Seed = Annotated[int, Parameter(validator=Number(gte=0, lte=2**63 - 1))]
"""A seed, from 0 to what numpy and torch both take."""


def option_class(config: type[Options], module: str) -> type:
    """Return a config's fields but `data` as options that may be left out, so that a config file can fill them.

    Args:
        config: what each option is stands in its declaration; it checks the values, all at once.
        module: of the verb, where the class is looked up.
    """
    from plexus.training import declared

    parameters: list[tuple[str, Any, None]] = []
    for name, field in declared(config).items():
        if name == "data":  # the verb's argument
            continue
        kind: Any = Literal[field.choices] if field.choices else next(k for k in _KINDS if k in field.kinds)
        more: dict[str, Any] = {"consume_multiple": True, "negative": ""} if field.several else {}
        if kind is not bool:
            more |= {"converter": _words if field.several else _word, "metavar": _metavar(field)}
            kind |= str  # so that a value that is wrong comes as it was typed
        parameter = in_panel(PANELS[field.panel], _sentence(field.text), default=field.default, **more)
        hint = tuple[kind, ...] if field.several else kind
        parameters.append((name, Annotated[hint | None, parameter], None))
    options = make_dataclass("Options", parameters, kw_only=True)
    options.__module__ = module
    return options


_KINDS = (bool, str, float, int)


def _word(kind: Any, tokens: Sequence[Token]) -> str:
    """Return what was typed as it is: the config reads it, and tells all that is wrong at once."""
    return tokens[0].value


def _words(kind: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(token.value for token in tokens)


def _metavar(field: Declared) -> str:
    kind = "CHOICE" if field.choices else next(k.__name__.upper() for k in _KINDS if k in field.kinds)
    return {"STR": "TEXT"}.get(kind, kind) + ("..." if field.several else "")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def chosen_config(
    config: type[C], data: str | None, options: Any, file: Path | None, *, either: tuple[str, ...] = ()
) -> C:
    """Return the config that a file and the command line make together.

    Args:
        config: of which kind.
        data: from the command line, as the options, which come first.
        options: an instance of the config's `option_class`.
        file: a YAML file, or none.
        either: options of which one on the command line takes the place of the others in the file.
    """
    from plexus.training import read_yaml

    typed = typed_options(data, options)
    raw = read_yaml(file) if file is not None else {}
    if typed.keys() & set(either):
        raw = {k: v for k, v in raw.items() if k not in either}
    return config.from_mapping({**raw, **typed}, name=str(file or "options"))


def typed_options(data: str | None, options: Any) -> dict[str, Any]:
    """Return the options that stand on the command line."""
    return {k: v for k, v in ({"data": data} | vars(options)).items() if v is not None}


def train_or_resume(
    verb: str,
    config: type[C],
    package: ModuleType,
    begin: Callable[..., Path],
    *,
    data: str | None,
    options: Any,
    file: Path | None,
    run: Path | None,
    resume: Path | None,
    print_config: bool,
    either: tuple[str, ...] = (),
) -> None:
    """Train or resume, from the options of `fit`, `segment train` and `represent train`.

    Args:
        verb: which of them.
        config, data, options, file, either: see `chosen_config`.
        package: its `resume` goes on with a run folder, and its `finished` says whether that is needed.
        begin: trains anew.
        run, resume, print_config: as on the command line.

    Raises:
        ConfigError: options out of range, or options beside --resume.
    """
    if resume is not None:
        if typed_options(data, options) or run is not None or file is not None:
            raise ConfigError(f"--resume goes on with what {resume} was started with; leave the other options out")
        if package.finished(resume):
            print(f"{one_line(str(resume))}: the run is finished; its report is written again", file=sys.stderr)
        trained(verb, lambda: package.resume(resume, progress=True))
        return
    chosen = chosen_config(config, data, options, file, either=either)
    if print_config:
        print(chosen.to_yaml(ascii_only=not says_unicode()), end="")
    else:
        trained(verb, lambda: begin(chosen, run=run, command=command(), progress=True))


def command() -> str:
    """Return the command line that this process was started with."""
    return shlex.join(["plexus", *sys.argv[1:]])


def tell(line: str) -> None:
    """Write one line to stderr."""
    print(f"plexus: {one_line(' '.join(line.split()))}", file=sys.stderr, flush=True)


def named(things: Sequence[Any], usage: str) -> None:
    """Refuse a command without images.

    Raises:
        ConfigError: none is named.
    """
    if not things:
        raise ConfigError(f"name at least one image or folder: {usage}")
