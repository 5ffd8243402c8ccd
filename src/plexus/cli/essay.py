"""`plexus essay`: five small questions, answered exactly."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import App, Parameter

from plexus.cli._options import DATA, OUTPUT, Json, Seed
from plexus.cli._show import print_json
from plexus.errors import ConfigError, one_line, plural
from plexus.essays import EssayError

F = TypeVar("F", bound=Callable[..., None])
essay = App(name="essay", help="Five small questions, answered exactly.")
Picture = Annotated[Path | None, OUTPUT("Draw it, too: a new file that ends in .svg, .png or .html.")]
_WORDS = {True: "borne out", False: "not borne out", None: "undecided"}
LIST = """Five small questions, answered exactly; `plexus essay NAME --help` says more.

squares     in how many ways is n a sum of two squares?       plexus essay squares 25 1105 --pairs
shields     shields and warriors: the most damage for money   plexus essay shields 3 2 1000
fitness     why maximising 1/f does not minimise f            plexus essay fitness --picture fitness.svg
kleiber     heart and life against body mass                  plexus essay kleiber
keystrokes  which finger rests on which key?                  plexus essay keystrokes "gh jgh hjg hkg hjg\""""


def _command(function: F) -> F:
    """A command of `essay`, whose mistakes are plexus's own; a picture that cannot be drawn is refused first."""

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> None:
        try:
            if options.get("picture") is not None:
                from plexus.essays.pictures import check

                check(options["picture"])
            function(*args, **options)
        except EssayError as error:
            raise ConfigError(str(error)) from None

    essay.command(run)
    return function


def _answer(
    raw: Any,
    lines: Iterable[str],
    as_json: bool,
    picture: Path | None = None,
    draw: Callable[[ModuleType], Any] | None = None,
) -> None:
    """Print an answer, as JSON or in words, and draw it where that is asked for."""
    if as_json:
        print_json(raw)
    else:
        print("\n".join(lines))
    if picture is not None and draw is not None:
        from plexus.essays import pictures

        print(
            f"open {one_line(str(pictures.save(draw(pictures), picture)))}", file=sys.stderr if as_json else sys.stdout
        )


@essay.default
def overview(name: Annotated[str | None, Parameter(show=False)] = None, /) -> None:
    """List the essays, with an example each."""
    if name is not None:
        raise ConfigError(f"no essay is called {name!r}; there are squares, shields, fitness, kleiber and keystrokes")
    print(LIST)


@_command
def squares(
    *numbers: str,
    file: Annotated[
        Path | None, DATA("A file: how many, then the numbers; - is stdin.", allow_leading_hyphen=True)
    ] = None,
    pairs: Annotated[bool, OUTPUT("Print the pairs, too.", negative="")] = False,
    as_json: Json = False,
) -> None:
    """Count the pairs 0 <= x <= y with x^2 + y^2 = n, for each n up to 2^63-1.

    Example: `plexus essay squares 25 1105 --pairs`

    Parameters
    ----------
    numbers
        The numbers n.
    """
    from plexus.essays import squares as answers

    if (file is None) == (not numbers):
        raise EssayError("give numbers or --file, one of the two: plexus essay squares 25 1105")
    if file is not None:
        counts = answers.count_file(file)
    else:
        counts = [(n, answers.count(n)) for n in map(answers.parse, numbers)]
    rows = [{"n": n, "count": count} | ({"pairs": answers.pairs(n)} if pairs else {}) for n, count in counts]
    bare = file is not None and not pairs  # the task asks for the counts alone
    lines = [
        str(c) if bare else " ".join([f"{n}: {c}", *map(str, answers.pairs(n) if pairs else ())]) for n, c in counts
    ]
    _answer(rows, lines, as_json)


@_command
def shields(
    shield: str | None = None,
    warrior: str | None = None,
    money: str | None = None,
    /,
    *,
    losses: Annotated[int | None, OUTPUT("Print so many smallest cases in which floor(M/2G) loses.")] = None,
    show: Annotated[int, OUTPUT("Print at most so many optimal pairs.")] = 10,
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
    from plexus.essays import shields as answers

    if show < 1:
        raise EssayError(f"--show must be 1 or more, not {show}")
    if losses is not None:
        if shield is not None or picture is not None:
            raise EssayError("--losses takes no prices and draws nothing; leave them out")
        cases = answers.losses(losses)
        lines = [
            f"G={g} W={w} M={m}: best {army.damage} by {army.pairs}, floor(M/2G) {army.rule_damage} by {army.rule}"
            for g, w, m, army in cases
        ]
        _answer([{"shield": g, "warrior": w, "money": m} | asdict(army) for g, w, m, army in cases], lines, as_json)
        return
    if shield is None or warrior is None or money is None:
        raise EssayError("give three numbers, prices of shield and warrior and the money: plexus essay shields 1 2 5")
    army = answers.best(shield, warrior, money)
    g, w, m = (float(Fraction(value)) for value in (shield, warrior, money))
    ways, lost = len(army.pairs), army.damage - army.rule_damage
    lines = ["most damage 0: the money does not buy one of each"]
    if army.damage:
        lines = [f"most damage {army.damage}, in {ways} way{'s' * (ways > 1)}"]
        lines += [f"  {_army(x, y)}" for x, y in army.pairs[:show]]
        lines += [f"  and {ways - show} more; see --show"] if ways > show else []
    rule = f"floor(M/2G): {_army(*army.rule)}, damage {army.rule_damage}"
    lines.append(f"{rule}, {lost} less" if lost else f"{rule}, as good")

    raw = asdict(army) | {"optimal_pairs": ways, "pairs": army.pairs[:show]}
    _answer(raw, lines, as_json, picture, lambda pictures: pictures.shields(g, w, m, army))


def _army(shields: int, warriors: int) -> str:
    return f"{plural(shields, 'shield')}, {plural(warriors, 'warrior')}"


@_command
def fitness(
    *,
    seeds: Annotated[int, DATA("How many searches of each fitness.")] = 10,
    generations: Annotated[int, DATA("Of each search.")] = 100,
    as_json: Json = False,
    picture: Picture = None,
) -> None:
    """Minimise y = x on [-5, 5] by evolution, with fitness 1/x and with fitness -x.

    Example: `plexus essay fitness --seeds 3`
    """
    from plexus.essays import fitness as answers

    searches = answers.compare(seeds, generations=generations)
    lines = []
    for name, ends in searches.items():
        at = [end.x for end in ends]
        lines.append(f"fitness {name:>3}: {len(at)} searches end at x from {min(at):.6g} to {max(at):.6g}")
    lines += [
        "The smallest x is -5. 1/x grows without bound just right of 0, and is at its lowest just left of it;",
        "-x turns the order of all values around, and no more: maximise(f) searches so.",
    ]

    raw = {name: [asdict(end) for end in ends] for name, ends in searches.items()}
    _answer(raw, lines, as_json, picture, lambda pictures: pictures.fitness(searches))


@_command
def kleiber(
    *,
    data: Annotated[Path | None, DATA("A CSV of your own.", default="21 mammals and birds")] = None,
    as_json: Json = False,
    picture: Picture = None,
) -> None:
    """Fit how metabolic rate, heart rate, lifespan and heartbeats per lifetime go with body mass.

    Columns of the CSV: species, class, mass_kg, source, and any of metabolic_rate_w, heart_rate_bpm, lifespan_yr.

    Example: `plexus essay kleiber --json`
    """
    from plexus.essays import kleiber as answers

    animals = answers.animals(data)
    fits = answers.fits(animals)
    groups = sorted({f.group for f in fits if f.quantity == answers.LIFETIME})
    verdicts = {group: answers.verdicts(animals, group) for group in groups}
    raw = {
        "fits": [asdict(f) for f in fits],
        "phylogeny": "not taken into account",
        "verdicts": {group: [asdict(v) for v in each] for group, each in verdicts.items()},
    }
    lines = [
        f"{'quantity':24}{'class':10}{'n':>4}  exponent of mass (95 %)",
        *(f"{f.quantity:24}{f.group:10}{f.n:4}  {f.exponent:.3f} ({f.low:.3f} to {f.high:.3f})" for f in fits),
        "Least squares in logarithms, blind to phylogeny: related species count as independent ones, so the",
        "intervals are too narrow.",
        *(f"{group}: {v.sentence!r}: {_WORDS[v.holds]}: {v.why}" for group, each in verdicts.items() for v in each),
    ]

    _answer(raw, lines, as_json, picture, lambda pictures: pictures.kleiber(animals))


@_command
def keystrokes(
    text: str | None = None,
    *,
    file: Annotated[Path | None, DATA("Read the text from a file; - is stdin.", allow_leading_hyphen=True)] = None,
    keys: Annotated[str | None, DATA("The hand's keys from left to right.", default="those of the text")] = None,
    left: Annotated[str | None, DATA("The left hand's keys, with two hands.")] = None,
    right: Annotated[str | None, DATA("The right hand's keys, with two hands.")] = None,
    prior: Annotated[Literal["row", "any"], DATA("row: fingers do not cross; any: they may.")] = "row",
    top: Annotated[int, OUTPUT("Print at most so many assignments.")] = 5,
    power: Annotated[bool, OUTPUT("Simulate how many keystrokes a posterior of .95 takes.", negative="")] = False,
    seed: Annotated[Seed, OUTPUT("Of the simulation.")] = 0,
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
    from plexus.essays import keystrokes as answers

    if (text is None) == (file is None):
        raise EssayError('give a text or --file, one of the two: plexus essay keystrokes "gh jgh jg"')
    if top < 1:
        raise EssayError(f"--top must be 1 or more, not {top}")
    typed = text if text is not None else _read(file or Path("-"))
    if left is None and right is None:
        hands = {"hand": answers.infer(typed, keys, prior=prior)}
    elif left is None or right is None or keys is not None:
        raise EssayError("two hands need both --left and --right, and no --keys")
    else:
        two = answers.infer_two(typed, left, right, prior=prior)
        hands = dict(zip(("left hand", "right hand"), two, strict=True))
    curves = {}
    if power:
        curves = {name: answers.power(answers.shares(h), prior=prior, seed=seed) for name, h in hands.items()}
    raw, lines = {}, []
    for name, hand in hands.items():
        raw[name] = asdict(hand) | {"ranking": [{"fingers": a, "posterior": p} for a, p in hand.ranking[:top]]}
        if power:
            raw[name]["power"] = [asdict(point) for point in curves[name]]
        counts = ", ".join(f"{key} {n}" for key, n in hand.counts.items())
        lines.append(f"{name}: {counts}; equally likely keys: chi-square {hand.chi_square:.2f}, p = {hand.p_value:.2g}")
        for assignment, posterior in hand.ranking[:top]:
            lines.append(f"  {posterior:.4f}  {', '.join(f'{key} {finger}' for key, finger in assignment.items())}")
        lines += _enough(curves.get(name, []))

    _answer(raw, lines, as_json, picture, lambda pictures: pictures.keystrokes(hands, next(iter(curves.values()), [])))


def _enough(curve: list[Any]) -> list[str]:
    """The power of more and more keystrokes, and how many are enough."""
    if not curve:
        return []
    enough = next((p.keystrokes for p in curve if p.right >= 0.9), None)
    asked = f"a posterior of {curve[0].posterior:g} for the right fingers in 9 of 10 texts"
    return [
        *(f"  {p.keystrokes:5} keystrokes: right {p.right:.1%}, wrong {p.wrong:.1%} of simulated texts" for p in curve),
        f"  {enough} keystrokes give {asked}" if enough else f"  no number tried gives {asked}",
    ]


def _read(path: Path) -> str:
    from plexus.record import read_file

    try:
        return sys.stdin.read() if str(path) == "-" else read_file(path, most=2**30).decode()
    except UnicodeDecodeError:
        raise EssayError(f"{path}: not a text file; expected keystrokes in UTF-8") from None
    except (OSError, ValueError) as error:
        raise EssayError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
