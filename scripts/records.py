"""Compare the figures of the documentation with the records they come from: python scripts/records.py [--write].

`docs/figures.toml` has an entry for each sentence with a measured figure: its page, the sentence with the figures as
fields of `str.format`, and how each is computed from `benchmarks/results` and `results`. A sentence is found however
its lines are broken. `--write` puts the figures of the records into the pages. A figure with a unit (%, x, ms, kB, s,
points, ...) that no entry covers is a fault, and so is any row of docs/benchmarks.md with a number in it, unless an
entry `said` gives the reason why it has no record. docs/claims.md is written from the records as a whole.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
MEASURED = "docs/benchmarks.md"
PAGES = (
    *("README.md", "docs/index.md", "docs/gallery.md", "docs/contribute.md", MEASURED),
    *(f"docs/guide/{p.name}" for p in sorted((HERE / "docs/guide").glob("*.md"))),
)
UNITS = r"%|ms\b|kB\b|MB\b|GB\b|s\b|pt\b|points|(?:milli|micro)?seconds|minutes|hours|parameters|weights|times\b"
NUMBER = r"[+-]?(?:\d[\d,]*)?\.?\d+"
FIGURE = re.compile(rf"(?<![\w`.,]){NUMBER}(?:\s?(?:{UNITS})|\s±|x\b)(?!\sinterval)")
ROW = re.compile(r"^\|[^|\n]*\|.*\d.*$(?!\n\| *---)", re.MULTILINE)
"""A row of a table, not its head, with a number behind the first cell."""
CODE = re.compile(r"^```.*?^```|(?<!`)`[^`\n]+`", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One sentence of a page.

    Args:
        page: from the root of the clone.
        text: the sentence, its figures as fields.
        values: an expression for each field; see `names`.
        said: why the figures of the sentence have no record.
    """

    page: str
    text: str
    values: dict[str, str] = field(default_factory=dict)
    said: str = ""

    def filled(self, known: dict[str, Any]) -> str:
        """The sentence with the figures of the records."""
        return self.text.format(**{name: eval(rule, dict(known)) for name, rule in self.values.items()})

    def pattern(self, *, loose: bool = False, known: dict[str, Any] | None = None) -> re.Pattern[str]:
        """Finds the sentence, however it is broken into lines; `loose` with any numbers in its fields."""
        parts = re.split(r"\{[^}]*\}", self.text) if loose else [self.text if self.said else self.filled(known or {})]
        return re.compile(NUMBER.join(r"\s+".join(map(re.escape, re.split(r"\s+", part))) for part in parts))


@cache
def read(root: Path, file: str) -> dict[str, Any]:
    return json.loads((root / "benchmarks" / "results" / f"{file}.json").read_text("utf-8"))


def bench(root: Path) -> Callable[..., list[Any]]:
    """Make the function bench(file, keys, path): values at a dotted path of all records whose key fits a pattern."""

    def values(file: str, keys: str, path: str = "") -> list[Any]:
        found = [value for key, value in sorted(read(root, file).items()) if fnmatch(key, keys)]
        if not found:
            raise KeyError(f"benchmarks/results/{file}.json has no {keys}")
        for step in filter(None, path.split("/")):
            found = [value[int(step) if isinstance(value, list) else step] for value in found]
        return found

    return values


def trials(root: Path) -> Callable[..., list[dict[str, Any]]]:
    """Make the function trials(study, variant, scale, seeds): records of a study, by variant and seed."""

    @cache
    def read_trials(study: str, scale: str) -> list[dict[str, Any]]:
        files = (root / "results" / study / scale).glob("*.json")
        return sorted((json.loads(f.read_text("utf-8")) for f in files), key=lambda t: (t["variant"], t["seed"]))

    def chosen(
        study: str, variant: str | None = None, scale: str = "standard", seeds: int = 10
    ) -> list[dict[str, Any]]:
        found = [t for t in read_trials(study, scale) if variant in (None, t["variant"]) and t["seed"] < seeds]
        if not found:
            raise KeyError(f"results/{study}/{scale} has no trial of {variant}")
        return found

    return chosen


def overhead(trials: Sequence[dict[str, Any]]) -> float:
    """The share by which the time from the first start to the last end is longer than the trials took, in turn."""
    starts = [datetime.fromisoformat(t["started"]).timestamp() for t in trials]
    end = max(start + t["seconds"] for start, t in zip(starts, trials, strict=True))
    return float((end - min(starts)) / sum(t["seconds"] for t in trials) - 1)


def names(root: Path) -> dict[str, Any]:
    """What an expression may use beside builtins.

    bench and read of the benchmarks' records, part of a claim, trials of a study and their overhead; row of a run's
    table; mean and half width of Student's 95 % interval; less and over: differences and excess in percent, in pairs;
    sooner: how many times fewer epochs a curve takes to where another ends; short and percent to write them.
    """

    @cache
    def parts(claim: int) -> list[dict[str, Any]]:
        sys.path.insert(0, str(root))
        from plexus.experiments.claims import ledger
        from studies.claims import CLAIMS

        return list(ledger([c for c in CLAIMS if c.id == claim], root / "results")["claims"][0]["parts"])

    def part(claim: int, text: str) -> dict[str, Any]:
        return next(p for p in parts(claim) if text in p["text"])

    def half(samples: Sequence[float]) -> float:
        return float(module(root, "wiring_parts.table").interval(samples)[1])

    def less(a: Sequence[float], b: Sequence[float]) -> list[float]:
        return [x - y for x, y in zip(a, b, strict=True)]

    def over(a: Sequence[float], b: Sequence[float]) -> list[float]:
        return [100 * (x / y - 1) for x, y in zip(a, b, strict=True)]

    def sooner(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> list[float]:
        sys.path.insert(0, str(root))
        reached = import_module("studies.representation").reached
        return [reached(x, x[-1]) / reached(y, x[-1]) for x, y in zip(a, b, strict=True)]

    def short(x: float, digits: int) -> str:
        return re.sub(r"^(-?)0", r"\1", f"{x:.{digits}f}")

    def percent(interval: dict[str, float]) -> dict[str, str]:
        return {key: f"{100 * value:.1f}" for key, value in interval.items()}

    def row(file: str, name: str) -> dict[str, Any]:
        return next(row for row in read(root, file)["results"] if row["name"] == name)

    return {
        "bench": bench(root), "part": part, "trials": trials(root), "row": row, "read": lambda file: read(root, file),
        "mean": statistics.fmean, "half": half, "less": less, "over": over, "sooner": sooner, "overhead": overhead,
        "short": short, "percent": percent,
    }  # fmt: skip


def entries(root: Path) -> list[Entry]:
    table = tomllib.loads((root / "docs" / "figures.toml").read_text("utf-8"))
    return [Entry(**entry) for entry in table["figure"]]


def module(root: Path, name: str) -> Any:
    """Import a module of the benchmarks."""
    sys.path.insert(0, str(root / "benchmarks"))
    return import_module(name)


def tables(root: Path) -> dict[str, list[str]]:
    """Page -> rows that stand there as the records have them, whatever is in their columns."""
    wiring: list[str] = module(root, "wiring_parts.table").markdown(read(root, "wiring")).splitlines()[2:]
    recall = {key: value for key, value in read(root, "audit").items() if key.startswith("kinds")}
    rows = []
    for name in dict.fromkeys(key.split("/", 2)[2] for key in recall):
        cells = [recall.get(f"kinds/{kind}/{name}") for kind in ("photos", "speckle")]
        shown = [f"{c['recall']:.2f} | {c['phash_recall']:.2f}" if c else " | " for c in cells]
        shown.insert(1, f"{recall[f'kinds_embedding/photos/{name}']['recall']:.2f}")
        rows.append(f"| {name} | {' | '.join(shown)} |".replace("|  |", "|  |"))
    return {"docs/benchmarks.md": [*wiring, *_others(root)], "docs/guide/audit.md": rows}


def _others(root: Path) -> Iterator[str]:
    """Rows of docs/benchmarks.md on masks, on the balance of a Z, and on sums of squares."""
    masks = read(root, "segment")

    def dice(key: str, sign: str, unit: str) -> str:
        digits = [f"{masks[key][name]:{sign}.1f}" for name in ("mean", "low", "high")]
        return f"{digits[0]} {unit} ({digits[1].removeprefix('+')} to {digits[2].removeprefix('+')})"

    for gate, key in (("none", "none"), (".5", "threshold"), ("expected", "expected")):
        yield f"| absence set, mean Dice: gate {gate} |  | {dice(f'absence/{key}', '', '%')} |  |"
    for name, key in ((".5 minus none", "threshold - none"), ("expected minus .5", "expected - threshold")):
        met = "yes" if masks[f"absence/{key}"]["low"] >= 0 else "yes, by the mean"
        if masks[f"absence/{key}"]["mean"] < 0:
            met = "no"
        yield f"| gate {name} | >= 0 | {dice(f'absence/{key}', '+', 'pt')} | {met} |"
    yield f"| modern minus notes', paired |  | {dice('nerve/modern - nerve', '+', 'pt')} |  |"
    yield from module(root, "segment_gates").table(masks)
    balances = [run for key, run in read(root, "represent").items() if key.startswith("balance/")]
    for run in balances:
        mse = f"{run['mse']:.4f}".removeprefix("0")
        balance = f"{run['balance']:g}".removeprefix("0") or "0"
        right = f"{100 * run['linear']['value']:.1f} % | {100 * run['knn']['value']:.1f} %"
        yield f"| {run['dim']} | {balance} | {right} | {mse} |"
    squares = read(root, "essays")

    def seconds(of: str, *keys: str) -> str:
        return ", ".join(f"{squares[of][f'{key}_s']:.2f}".removeprefix("0") for key in keys) + " s"

    loop, some, random = squares["at 2147483647"]["ratio"], "100 products of two 30-bit primes", "1,000 random 60-bit"
    yield f"| 100 numbers at 2147483647, the loop's time over `count`'s | >= 20x | {loop:.0f}x | yes |"
    least = squares["distinct, 1 or 2 modulo 4"]["ratio"]
    yield f"| the 100 largest numbers below it that leave 1 or 2 when divided by 4 |  | {least:.1f}x |  |"
    yield f"| 1,000 random 60-bit numbers, counted | < 5 s | {seconds(random, 'count')} | yes |"
    yield f"| the same, all pairs |  | {seconds(random, 'pairs')} |  |"
    yield f"| {some}, counted |  | {seconds(some, 'count')} |  |"
    for of in (random, some):
        yield f"| the same, factored wholly: plexus, sympy |  | {seconds(of, 'factors', 'sympy')} |  |"


def faults(root: Path, pages: Sequence[str] = PAGES) -> Iterator[str]:
    """One line for each sentence that differs from its record, and for each figure that nothing covers."""
    known = names(root)
    covered: dict[str, list[tuple[int, int]]] = {}
    texts = {page: (root / page).read_text("utf-8") for page in pages}
    for entry in entries(root):
        try:
            found = [match.span() for match in entry.pattern(known=known).finditer(texts[entry.page])]
        except (LookupError, OSError, StopIteration) as error:
            yield f"{entry.page}: its record is not there ({error}): {entry.text}"
            continue
        covered.setdefault(entry.page, []).extend(found)
        if not found:
            yield f"{entry.page}: not there as the records have it: {entry.text if entry.said else entry.filled(known)}"
    for page, rows in tables(root).items():
        written = texts.get(page) or (root / page).read_text("utf-8")
        for row in rows:
            if (start := f"\n{written}\n".find(f"\n{row}\n")) < 0:
                yield f"{page}: a row of the record is not there: {row}"
            covered.setdefault(page, []).append((start, start + len(row)))
    for page, text in texts.items():
        spans = [*covered.get(page, []), *(code.span() for code in CODE.finditer(text))]
        for match in FIGURE.finditer(text):
            if not any(start <= match.start() < end for start, end in spans):
                line = text.count("\n", 0, match.start()) + 1
                yield f"{page}:{line}: no record is named for {match[0]!r} in docs/figures.toml"
    for unnamed in ROW.finditer(texts.get(MEASURED, "")):
        if not any(start <= unnamed.start() < end for start, end in covered.get(MEASURED, [])):
            yield f"{MEASURED}: no record is named for the row {unnamed[0]}"


def write(root: Path) -> None:
    """Put the figures of the records into the pages; a row that is new is added by hand."""
    for page, lines in tables(root).items():
        text, rows = (root / page).read_text("utf-8"), {line.split("|")[1]: line for line in lines}
        names_of = [line.split("|")[1] for line in lines]
        rows = {name: line for name, line in rows.items() if names_of.count(name) == 1}  # others go by hand
        for figure, line in rows.items():  # a row of this name, or one whose name differs by a number, as of seeds
            exact, loose = re.escape(figure), NUMBER.join(map(re.escape, re.split(NUMBER, figure)))
            named = exact if f"|{figure}|" in text else f"(?!{'|'.join(map(re.escape, rows))}){loose}"
            text = re.sub(rf"^\|{named}\|.*$", line, text, flags=re.MULTILINE)
        (root / page).write_text(text, "utf-8")
    known = names(root)
    for entry in entries(root):
        if not entry.said and not entry.pattern(known=known).search((root / entry.page).read_text("utf-8")):
            path, filled = root / entry.page, entry.filled(known)
            text, count = entry.pattern(loose=True).subn(filled, path.read_text("utf-8"))
            if count:
                path.write_text(text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the figures of the records into the pages")
    if parser.parse_args().write:
        write(HERE)
    found = list(faults(HERE))
    print(*(found or ["every figure is that of its record"]), sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
