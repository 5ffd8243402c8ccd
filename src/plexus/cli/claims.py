"""`plexus claims`: what holds, what fails, what is open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from plexus.cli._options import DATA, OUTPUT, Json
from plexus.cli._show import print_json, print_lines
from plexus.errors import ConfigError


def claims(
    *,
    results: Annotated[Path, DATA("Folder with the studies' records.")] = Path("results"),
    scale: Annotated[
        Literal["standard", "full"] | None, DATA("Which trials count.", default="the larger that is complete")
    ] = None,
    html: Annotated[Path | None, OUTPUT("Write the ledger as a page.")] = None,
    markdown: Annotated[bool, OUTPUT("Print the ledger as Markdown.", negative="")] = False,
    as_json: Json = False,
) -> None:
    """Judge every claim from the studies' records, by the rule written beside it."""
    if markdown and as_json:
        raise ConfigError("--markdown and --json both print; name one")
    if results.exists() and not results.is_dir():
        raise ConfigError(f"{results}: not a folder; name the folder of the studies' records with --results")
    from plexus.experiments import load_module, studies_folder
    from plexus.experiments.claims import ledger
    from plexus.report import claims_lines, claims_markdown, write

    folder = studies_folder()
    if folder is None or not (folder / "claims.py").is_file():
        raise ConfigError(
            "no claims here: the rules are in studies/claims.py of a clone of plexus, the records in its results/; go "
            "there, or name another folder of records with --results"
        )
    judged = ledger(load_module(folder / "claims.py").CLAIMS, results, scale=scale)
    if html is not None:
        for study in judged["studies"]:
            drawn = results / study["study"] / f"{study['scale']}.html"
            if drawn.is_file():
                study["page"] = quote(Path(os.path.relpath(drawn, html.parent)).as_posix())
        page = write(judged, html)
    if as_json:
        print_json(judged)
    elif markdown:
        print(claims_markdown(judged), end="")
    else:
        print_lines([*claims_lines(judged), *([f"open {page}"] if html is not None else [])])
