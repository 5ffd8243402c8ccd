"""`plexus fit`: from images to a plain model."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import plexus.train
from plexus.errors import ConfigError
from plexus.train import FitConfig, read_yaml

_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "tuple[float, ...]": tuple[float, ...]}


def _help() -> dict[str, str]:
    """Option -> its line in FitConfig's docstring."""
    text = re.sub(r"\n {12,}", " ", FitConfig.__doc__ or "")
    found = re.findall(r"^ {8}(?P<names>[a-z_, ]+): (?P<text>.+)$", text, re.MULTILINE)
    return {name: line for names, line in found for name in names.split(", ")}


def _parameter(name: str, text: str) -> Parameter:
    if name == "gate_init":
        return Parameter(help=text, show_default=False, consume_multiple=True, negative="")
    return Parameter(help=text, show_default=False)


def _options() -> type:
    """FitConfig's fields as options that may be left out, so that a config file can fill them."""
    lines = _help()
    made = []
    for f in fields(FitConfig):
        if f.name == "data":
            continue
        kind = str if f.name == "max_params" else _TYPES[str(f.type).removesuffix(" | None")]  # 200k is a count, too
        shown = "" if f.default is None else f" [default: {f.default}]"
        made.append((f.name, Annotated[kind | None, _parameter(f.name, lines[f.name] + shown)], None))
    options = make_dataclass("Options", made, kw_only=True)
    options.__module__ = __name__
    return options


Options = _options()
NONE = Options()


def fit(
    data: str | None = None,
    *,
    run: Annotated[Path | None, Parameter(help="The run folder to make [default: runs/DATA-DATE].")] = None,
    resume: Annotated[Path | None, Parameter(help="Go on with this run folder; other options are not read.")] = None,
    config: Annotated[Path | None, Parameter(help="A YAML file of options; the command line overrides it.")] = None,
    print_config: Annotated[bool, Parameter(help="Print all options as YAML and stop.", negative="")] = False,
    options: Annotated[Options, Parameter(name="*")] = NONE,  # type: ignore[valid-type]
) -> None:
    """Learn how layers should be connected, from images.

    Trains every connection at once, each with a gate; fades out and cuts the weakest; trains on; and leaves
    `model.safetensors`, `model.py`, `model.onnx`, `wiring.json`, `record.json` and `report.html` in a run folder.

    Parameters
    ----------
    data
        `digits` (the default; built in), a folder of class folders, a folder of parquet files, or a hub id.
    """
    given = {k: v for k, v in vars(options).items() if v is not None}
    if data is not None:
        given["data"] = data
    if resume is not None:
        if given or run or config:
            raise ConfigError(f"--resume goes on with what {resume} was started with; leave the other options out")
        _resume(resume)
        return
    raw = read_yaml(config) if config is not None else {}
    for one, other in (("keep", "max_params"), ("max_params", "keep")):
        if one in given and other not in given:
            raw.pop(other, None)
    settings = FitConfig.from_mapping({**raw, **given}, name=str(config or "options"))
    if print_config:
        print(settings.to_yaml(), end="")
        return
    command = shlex.join(["plexus", *sys.argv[1:]])

    from plexus.cli._show import trained

    trained(lambda listen: plexus.train.fit(settings, run=run, command=command, listen=listen, progress=True))


def _resume(run: Path) -> None:
    from plexus.cli._show import trained

    if plexus.train.finished(run):
        print(f"{run}: the run is finished; its report is written again", file=sys.stderr)
    trained(lambda listen: plexus.train.resume(run, listen=listen, progress=True))
