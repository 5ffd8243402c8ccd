"""`plexus claims`: what holds, what fails, what is open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from plexus.cli._options import DATA, OUTPUT, Json
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
    from plexus.experiments.claims import ledger
    from plexus.report import claims_lines, claims_markdown, write_claims

    found = ledger(results, scale=scale)
    if html is not None:
        page = write_claims(found, html)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
    elif markdown:
        print(claims_markdown(found), end="")
    else:
        print("\n".join([*claims_lines(found), *([f"open {page}"] if html is not None else [])]))
