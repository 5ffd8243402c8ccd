"""`plexus essay`: five small questions, answered exactly."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from plexus.errors import ConfigError
from plexus.essays import EssayError

essay = App(name="essay", help="Five small questions, answered exactly.")
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the results as JSON.")]
Picture = Annotated[Path | None, Parameter(help="Draw it, too: a new file that ends in .svg, .png or .html.")]
_WORDS = {True: "borne out", False: "not borne out", None: "undecided"}
LIST = """Five small questions, answered exactly; `plexus essay NAME --help` says more.

squares     in how many ways is n a sum of two squares?       plexus essay squares 25 1105 --pairs
shields     shields and warriors: the most damage for money   plexus essay shields 3 2 1000
fitness     why maximising 1/f does not minimise f            plexus essay fitness --picture fitness.svg
kleiber     heart and life against body mass                  plexus essay kleiber
keystrokes  which finger rests on which key?                  plexus essay keystrokes "gh jgh hjg hkg hjg\""""


@essay.default
def overview(name: Annotated[str | None, Parameter(show=False)] = None, /) -> None:
    """List the essays, with an example each."""
    if name is not None:
        raise ConfigError(f"no essay is called {name!r}; there are squares, shields, fitness, kleiber and keystrokes")
    print(LIST)


@essay.command
def squares(
    *numbers: str,
    file: Annotated[
        Path | None, Parameter(allow_leading_hyphen=True, help="A file: how many, then the numbers; - is stdin.")
    ] = None,
    pairs: Annotated[bool, Parameter(negative="", help="Print the pairs, too.")] = False,
    as_json: Json = False,
) -> None:
    """Count the pairs 0 <= x <= y with x^2 + y^2 = n, for each n up to 2^63-1.

    Example: `plexus essay squares 25 1105 --pairs`

    Parameters
    ----------
    numbers
        The numbers n.
    """
    from plexus.essays import squares as essay_squares

    with _plainly():
        if (file is None) == (not numbers):
            raise EssayError("give numbers or --file, one of the two: plexus essay squares 25 1105")
        if file is not None:
            counted = essay_squares.count_file(file)
        else:
            counted = [(n, essay_squares.count(n)) for n in map(essay_squares.parse, numbers)]
        rows: list[dict[str, Any]] = [{"n": n, "count": c} for n, c in counted]
        for row in rows if pairs else []:
            row["pairs"] = essay_squares.pairs(row["n"])
    if as_json:
        _json(rows)
        return
    for row in rows:
        n, c = row["n"], row["count"]
        print(" ".join([f"{n}: {c}", *(f"({x}, {y})" for x, y in row.get("pairs", []))]) if numbers or pairs else c)


@essay.command
def shields(
    shield: str | None = None,
    warrior: str | None = None,
    money: str | None = None,
    /,
    *,
    losses: Annotated[int | None, Parameter(help="Print so many smallest cases in which floor(M/2G) loses.")] = None,
    show: Annotated[int, Parameter(help="Print at most so many optimal pairs.")] = 10,
    as_json: Json = False,
    picture: Picture = None,
) -> None:
    """Find the most damage X*Y of X shields and Y warriors that the money buys, beside the notes' floor(M/2G).

    Example: `plexus essay shields 1 2 5`

    Parameters
    ----------
    shield
        What a shield costs: an integer up to 10^18 or a fraction such as 3/4.
    warrior
        What a warrior costs.
    money
        How much there is.
    """
    from plexus.essays import shields as essay_shields

    with _plainly():
        _picture(picture)
        if show < 1:
            raise EssayError(f"--show must be 1 or more, not {show}")
        if losses is not None:
            if shield is not None or picture is not None:
                raise EssayError("--losses takes no prices and draws nothing; leave them out")
            _losses(essay_shields.losses(losses), as_json)
            return
        if shield is None or warrior is None or money is None:
            raise EssayError(
                "give three numbers, prices of shield and warrior and the money: plexus essay shields 1 2 5"
            )
        army = essay_shields.best(shield, warrior, money)
    if as_json:
        _json(asdict(army) | {"optimal_pairs": len(army.pairs), "pairs": army.pairs[:show]})
    else:
        if army.damage:
            print(f"most damage {army.damage}, in {len(army.pairs)} way{'s' * (len(army.pairs) > 1)}")
            for x, y in army.pairs[:show]:
                print(f"  {x} shields, {y} warriors")
            if len(army.pairs) > show:
                print(f"  and {len(army.pairs) - show} more; see --show")
        else:
            print("most damage 0: the money does not buy one of each")
        lost = army.damage - army.rule_damage
        print(f"floor(M/2G): {army.rule[0]} shields, {army.rule[1]} warriors, damage {army.rule_damage}", end="")
        print(f", {lost} less" if lost else ", as good")
    if picture is not None:
        from plexus.essays import pictures

        g, w, m = (float(Fraction(value)) for value in (shield, warrior, money))
        _save(pictures.shields(g, w, m, army), picture, as_json)


@essay.command
def fitness(
    *,
    seeds: Annotated[int, Parameter(help="How many searches of each fitness.")] = 10,
    generations: Annotated[int, Parameter(help="Of each search.")] = 100,
    as_json: Json = False,
    picture: Picture = None,
) -> None:
    """Minimise y = x on [-5, 5] by evolution, with fitness 1/x and with fitness -x.

    Example: `plexus essay fitness --seeds 3`
    """
    from plexus.essays import fitness as essay_fitness

    with _plainly():
        _picture(picture)
        ends = essay_fitness.compare(seeds, generations=generations)
    if as_json:
        _json({name: [asdict(end) for end in found] for name, found in ends.items()})
    else:
        for name, found in ends.items():
            at = [end.x for end in found]
            print(f"fitness {name:>3}: {len(at)} searches end at x from {min(at):.6g} to {max(at):.6g}")
        print("The smallest x is -5. 1/x grows without bound just right of 0, and is at its lowest just left of it;")
        print("-x turns the order of all values around, and no more: maximise(f) searches so.")
    if picture is not None:
        from plexus.essays import pictures

        _save(pictures.fitness(ends), picture, as_json)


@essay.command
def kleiber(
    *,
    data: Annotated[Path | None, Parameter(help="A CSV of your own [default: 21 mammals and birds].")] = None,
    as_json: Json = False,
    picture: Picture = None,
) -> None:
    """Fit how metabolic rate, heart rate, lifespan and heartbeats per lifetime go with body mass.

    Columns of the CSV: species, class, mass_kg, source, and any of metabolic_rate_w, heart_rate_bpm, lifespan_yr.

    Example: `plexus essay kleiber --json`
    """
    from plexus.essays import kleiber as essay_kleiber

    with _plainly():
        _picture(picture)
        table = essay_kleiber.animals(data)
        fits = essay_kleiber.fits(table)
    both = {f.group for f in fits if f.quantity == essay_kleiber.LIFETIME}
    said = {group: essay_kleiber.verdicts(table, group) for group in sorted(both)}
    if as_json:
        _json({
            "fits": [asdict(f) for f in fits],
            "phylogeny": "not taken into account",
            "verdicts": {group: [asdict(v) for v in verdicts] for group, verdicts in said.items()},
        })  # fmt: skip
    else:
        print(f"{'quantity':24}{'class':10}{'n':>4}  exponent of mass (95 %)")
        for f in fits:
            print(f"{f.quantity:24}{f.group:10}{f.n:4}  {f.exponent:.3f} ({f.low:.3f} to {f.high:.3f})")
        print("Least squares in logarithms, blind to phylogeny: related species count as independent ones, so the")
        print("intervals are too narrow.")
        for group, verdicts in said.items():
            for v in verdicts:
                print(f"{group}: {v.sentence!r}: {_WORDS[v.holds]}: {v.why}")
    if picture is not None:
        from plexus.essays import pictures

        _save(pictures.kleiber(table), picture, as_json)


@essay.command
def keystrokes(
    text: str | None = None,
    *,
    file: Annotated[
        Path | None, Parameter(allow_leading_hyphen=True, help="Read the text from a file; - is stdin.")
    ] = None,
    keys: Annotated[
        str | None, Parameter(help="The hand's keys from left to right [default: those of the text].")
    ] = None,
    left: Annotated[str | None, Parameter(help="The left hand's keys, with two hands.")] = None,
    right: Annotated[str | None, Parameter(help="The right hand's keys, with two hands.")] = None,
    prior: Annotated[Literal["row", "any"], Parameter(help="row: fingers do not cross; any: they may.")] = "row",
    top: Annotated[int, Parameter(help="Print at most so many assignments.")] = 5,
    power: Annotated[
        bool, Parameter(negative="", help="Simulate how many keystrokes a posterior of .95 takes.")
    ] = False,
    seed: Annotated[int, Parameter(help="Of the simulation.")] = 0,
    as_json: Json = False,
    picture: Picture = None,
) -> None:
    """Infer from random keystrokes which finger rests on which key: a longer finger is struck more often.

    Example: `plexus essay keystrokes "gh jgh jg hjg hjg hkg hjg" --prior any`

    Parameters
    ----------
    text
        The keystrokes; blanks are ignored.
    """
    from plexus.essays import keystrokes as essay_keys

    with _plainly():
        _picture(picture)
        if (text is None) == (file is None):
            raise EssayError('give a text or --file, one of the two: plexus essay keystrokes "gh jgh jg"')
        if top < 1 or seed < 0:
            raise EssayError("--top must be 1 or more, and --seed 0 or more")
        typed = text if text is not None else _read(file or Path("-"))
        if left is None and right is None:
            hands = {"hand": essay_keys.infer(typed, keys, prior=prior)}
        elif left is None or right is None or keys is not None:
            raise EssayError("two hands need both --left and --right, and no --keys")
        else:
            two = essay_keys.infer_two(typed, left, right, prior=prior)
            hands = dict(zip(("left hand", "right hand"), two, strict=True))
        curves = {}
        if power:
            curves = {n: essay_keys.power(essay_keys.shares(h), prior=prior, seed=seed) for n, h in hands.items()}
    if as_json:
        _json({
            name: asdict(hand)
            | {"ranking": [{"fingers": a, "posterior": p} for a, p in hand.ranking[:top]]}
            | ({"power": [asdict(point) for point in curves[name]]} if power else {})
            for name, hand in hands.items()
        })  # fmt: skip
    else:
        for name, hand in hands.items():
            counts = ", ".join(f"{key} {n}" for key, n in hand.counts.items())
            print(f"{name}: {counts}; equally likely keys: chi-square {hand.chi_square:.2f}, p = {hand.p_value:.2g}")
            for assignment, posterior in hand.ranking[:top]:
                print(f"  {posterior:.4f}  {', '.join(f'{key} {finger}' for key, finger in assignment.items())}")
            _enough(curves.get(name, []))
    if picture is not None:
        from plexus.essays import pictures

        _save(pictures.keystrokes(hands, next(iter(curves.values()), [])), picture, as_json)


def _losses(cases: list[Any], as_json: bool) -> None:
    if as_json:
        _json([{"shield": g, "warrior": w, "money": m} | asdict(army) for g, w, m, army in cases])
        return
    for g, w, m, army in cases:
        print(f"G={g} W={w} M={m}: best {army.damage} by {army.pairs}, floor(M/2G) {army.rule_damage} by {army.rule}")


def _enough(curve: list[Any]) -> None:
    if not curve:
        return
    for point in curve:
        print(f"  {point.keystrokes:5} keystrokes: right {point.right:.1%}, wrong {point.wrong:.1%} of simulated texts")
    enough = next((p.keystrokes for p in curve if p.right >= 0.9), None)
    asked = f"a posterior of {curve[0].posterior:g} for the right fingers in 9 of 10 texts"
    print(f"  {enough} keystrokes give {asked}" if enough else f"  no number tried gives {asked}")


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except EssayError as error:
        raise ConfigError(str(error)) from None


def _read(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise EssayError(f"{path}: not a text file; expected keystrokes in UTF-8") from None
    except (OSError, ValueError) as error:
        raise EssayError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _picture(path: Path | None) -> None:
    if path is not None:
        from plexus.essays.pictures import check

        check(path)


def _save(chart: Any, path: Path, quiet: bool) -> None:
    from plexus.essays.pictures import save

    with _plainly():
        saved = save(chart, path)
    print(f"open {saved}", file=sys.stderr if quiet else sys.stdout)


def _json(found: Any) -> None:
    print(json.dumps(_finite(found), indent=1, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """Infinity, which JSON does not have, as text."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
