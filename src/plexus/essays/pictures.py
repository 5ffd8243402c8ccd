"""Pictures of the essays' answers, by altair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexus.essays import EssayError
from plexus.essays.fitness import End, reciprocal
from plexus.essays.keystrokes import Hand, Power
from plexus.essays.kleiber import LIFETIME, QUANTITIES, Animal, fits
from plexus.essays.shields import Army

if TYPE_CHECKING:
    import altair as alt

KINDS = (".svg", ".png", ".html")
_TITLES = ("metabolic rate, W", "heart rate, beats a minute", "longest life, years", "heartbeats in a lifetime")
_RED, _GREY = "#c0392b", "#888888"


def save(chart: alt.TopLevelMixin, path: str | PathLike[str]) -> Path:
    """Write a chart to a new file; its suffix says in which form.

    Args:
        chart: what to write.
        path: FILE.svg, FILE.png or FILE.html, in a folder that exists.

    Returns:
        The path.

    Raises:
        EssayError: see ``check``; or the file cannot be written.

    Example:
        >>> save(None, "picture.gif")
        Traceback (most recent call last):
        plexus.essays.EssayError: picture.gif: a picture ends in .svg, .png or .html
    """
    file = check(path)
    try:
        chart.save(str(file), scale_factor=2) if file.suffix == ".png" else chart.save(str(file))
    except OSError as error:
        raise EssayError(f"{file}: cannot be written: {error.strerror or error}") from None
    return file


def check(path: str | PathLike[str]) -> Path:
    """Refuse a path at which no picture can be written, before any work.

    Args:
        path: FILE.svg, FILE.png or FILE.html.

    Raises:
        EssayError: another suffix, a folder that is not there, or a file that is.

    Example:
        >>> check("picture.svg").name
        'picture.svg'
    """
    file = Path(path)
    if file.suffix not in KINDS:
        raise EssayError(f"{file}: a picture ends in .svg, .png or .html")
    if file.exists() or file.is_symlink():
        raise EssayError(f"{file}: is there already; name another file")
    if not file.parent.is_dir():
        raise EssayError(f"{file.parent}: is no folder; make it first")
    return file


def shields(shield: float, warrior: float, money: float, army: Army) -> alt.LayerChart | alt.FacetChart:
    """Draw the damage by the number of shields, as bought and if parts could be bought; best and rule marked.

    Example:
        >>> from plexus.essays.shields import best
        >>> len(shields(1, 2, 6, best(1, 2, 6)).layer)
        3
    """
    import altair as alt

    most = max(math.floor(money / shield), 1)
    numbers = sorted({round(i * most / 400) for i in range(401)}) if most > 400 else list(range(most + 1))
    # as floats, since the drawing takes no integers above 2^64
    bought = [{"X": x * 1.0, "damage": x * float(max((money - x * shield) // warrior, 0))} for x in numbers]
    ideal = [{"X": x, "damage": x * (money - x * shield) / warrior} for x in (i * most / 400 for i in range(401))]
    marks = [{"X": x * 1.0, "damage": float(army.damage), "which": "best"} for x, _ in army.pairs[:100]]
    marks.append({"X": army.rule[0] * 1.0, "damage": float(army.rule_damage), "which": "floor(M/2G)"})
    x, y = alt.X("X:Q", title="shields"), alt.Y("damage:Q", title="damage")
    return alt.layer(
        alt.Chart(alt.Data(values=ideal)).mark_line(color=_GREY, strokeDash=[4, 4]).encode(x, y),
        alt.Chart(alt.Data(values=bought)).mark_point(filled=True, color="#4c78a8", size=24, opacity=1).encode(x, y),
        alt.Chart(alt.Data(values=marks))
        .mark_point(size=170, strokeWidth=2.5)
        .encode(
            x,
            y,
            shape=alt.Shape("which:N", title=None),
            color=alt.Color("which:N", title=None, scale=alt.Scale(range=[_RED, "black"])),
        ),
        title="Damage by number of shields; dashed: if parts could be bought",
    ).properties(width=480, height=300)


def fitness(ends: dict[str, list[End]]) -> alt.HConcatChart:
    """Draw both landscapes on [-5, 5], with the places where the searches ended.

    Example:
        >>> len(fitness({"1/x": [End(0.0, 9.0, 1)], "-x": [End(-5.0, 5.0, 1)]}).hconcat)
        2
    """
    import altair as alt

    charts = []
    for name, searches in ends.items():
        grid = [i / 100 for i in range(-500, 501)]
        if name == "1/x":
            line = [{"x": x, "y": reciprocal(x), "side": x > 0} for x in grid if abs(x) >= 0.05]
        else:
            line = [{"x": x, "y": -x, "side": True} for x in grid]
        top = max(point["y"] for point in line)
        marks = [{"x": end.x, "y": min(end.fitness, top)} for end in searches]
        x = alt.X("x:Q", title="x, to be as small as can be", scale=alt.Scale(domain=[-5.5, 5.5], nice=False))
        y = alt.Y("y:Q", title="fitness")
        charts.append(
            alt.layer(
                alt.Chart(alt.Data(values=line)).mark_line().encode(x, y, detail="side:N"),
                alt.Chart(alt.Data(values=marks)).mark_point(color=_RED, size=120, filled=True).encode(x, y),
                title=f"fitness {name}: {len(searches)} searches end at {_about(searches)}",
            ).properties(width=320, height=260)
        )
    return alt.hconcat(*charts)


def kleiber(table: Sequence[Animal]) -> alt.ConcatChart:
    """Draw each quantity against body mass, both logarithmic, with the line through all animals.

    Example:
        >>> from plexus.essays.kleiber import animals
        >>> len(kleiber(animals()).concat)
        4
    """
    import altair as alt

    lines = {f.quantity: f for f in fits(table) if f.group == "all"}
    charts = []
    for quantity, title in zip((*QUANTITIES, LIFETIME), _TITLES, strict=True):
        if quantity not in lines:
            continue
        f = lines[quantity]
        points = [
            {"mass": a.mass_kg, "y": getattr(a, quantity), "class": a.group, "species": a.species}
            for a in table
            if getattr(a, quantity) is not None
        ]
        ends = (min(p["mass"] for p in points), max(p["mass"] for p in points))
        line = [{"mass": m, "y": f.factor * m**f.exponent} for m in ends]
        x = alt.X("mass:Q", title="body mass, kg", scale=alt.Scale(type="log"), axis=alt.Axis(tickCount=6, format="~g"))
        y = alt.Y(
            "y:Q",
            title=title,
            scale=alt.Scale(type="log", zero=False, nice=False, padding=12),
            axis=alt.Axis(tickCount=4, format="~s"),
        )
        charts.append(
            alt.layer(
                alt.Chart(alt.Data(values=line)).mark_line(color=_GREY).encode(x, y),
                alt.Chart(alt.Data(values=points))
                .mark_point(filled=True, size=60, opacity=0.9)
                .encode(x, y, color=alt.Color("class:N", title=None), tooltip=["species:N", "mass:Q", "y:Q"]),
                title=f"mass^{f.exponent:.2f} ({f.low:.2f} to {f.high:.2f}), n = {f.n}",
            ).properties(width=320, height=220)
        )
    return alt.concat(*charts, columns=2)


def keystrokes(hands: dict[str, Hand], power: Sequence[Power] = ()) -> alt.HConcatChart:
    """Draw the keystrokes of each key with its likeliest finger; and the power curve, where there is one.

    Example:
        >>> from plexus.essays.keystrokes import SAMPLE, infer
        >>> len(keystrokes({"hand": infer(SAMPLE)}).hconcat)
        1
    """
    import altair as alt

    charts: list[Any] = []
    for name, hand in hands.items():
        assignment, posterior = hand.ranking[0]
        bars = [{"key": f"{key}: {assignment[key]}", "n": n} for key, n in hand.counts.items()]
        charts.append(
            alt.Chart(alt.Data(values=bars), title=f"{name}: likeliest fingers, posterior {posterior:.3f}")
            .mark_bar()
            .encode(
                alt.X("key:N", sort=None, title=None, axis=alt.Axis(labelAngle=0)), alt.Y("n:Q", title="keystrokes")
            )
            .properties(width=300, height=220)
        )
    if power:
        rows = [
            {"n": p.keystrokes, "share": getattr(p, which), "which": which}
            for p in power
            for which in ("right", "wrong")
        ]
        charts.append(
            alt.Chart(alt.Data(values=rows), title=f"Texts with a posterior of {power[0].posterior:g} or more")
            .mark_line(point=True)
            .encode(
                alt.X("n:Q", title="keystrokes", scale=alt.Scale(type="log"), axis=alt.Axis(tickCount=5, format="~s")),
                alt.Y("share:Q", title="fraction of simulated texts", scale=alt.Scale(domain=[0, 1])),
                alt.Color("which:N", title=None),
            )
            .properties(width=320, height=220)
        )
    return alt.hconcat(*charts)


def _about(ends: Sequence[End]) -> str:
    low, high = min(end.x for end in ends), max(end.x for end in ends)
    return f"{low + 0:.3g}" if high - low < 1e-6 else f"{low:.3g} to {high:.3g}"
