"""Allometric fits: laws that were put in come out; the table's verdicts; tables that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress

from plexus.essays import EssayError
from plexus.essays.kleiber import LIFETIME, QUANTITIES, Animal, animals, fit, fits, verdicts

HEAD = "species,class,mass_kg,metabolic_rate_w,heart_rate_bpm,lifespan_yr,source\n"


def made(masses: list[float], rate: float, life: float) -> list[Animal]:
    return [
        Animal(f"a{i}", "mammal", m, 3 * m**0.75, 200 * m**rate, 10 * m**life, "made") for i, m in enumerate(masses)
    ]


@given(
    st.lists(st.floats(0.01, 1000), min_size=3, max_size=20).filter(lambda m: max(m) / min(m) > 2),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_a_law_comes_out_as_it_went_in(masses: list[float], rate: float, life: float) -> None:
    table = made(masses, rate, life)
    for quantity, exponent in zip((*QUANTITIES, LIFETIME), (0.75, rate, life, rate + life), strict=True):
        f = fit(table, quantity)
        assert f.exponent == pytest.approx(exponent, abs=1e-6)
        assert f.low - 1e-6 <= exponent <= f.high + 1e-6


def test_the_interval_is_students() -> None:
    known = [(a.mass_kg, a.heart_rate_bpm) for a in animals() if a.heart_rate_bpm is not None]
    line = linregress(*np.log(np.array(known)).T)
    f = fit(animals(), "heart_rate_bpm")
    assert f.exponent == pytest.approx(line.slope)
    assert f.high - f.exponent == pytest.approx(2.10982 * line.stderr, rel=1e-5)  # t of 17 degrees, .975
    assert f.r2 == pytest.approx(line.rvalue**2)
    assert f.factor == pytest.approx(np.exp(line.intercept))


def test_what_the_table_says() -> None:
    table = animals()
    assert {a.group for a in table} == {"mammal", "bird"}
    assert all(
        (name in a.source) == (value is not None)
        for a in table
        for name, value in (
            ("metabolic rate", a.metabolic_rate_w),
            ("heart rate", a.heart_rate_bpm),
            ("lifespan", a.lifespan_yr),
        )
    )
    law = fit(table, "metabolic_rate_w")
    assert law.low < 0.75 < law.high
    assert fit(table, "heart_rate_bpm").high < 0
    assert [v.holds for v in verdicts(table, "mammal")] == [False, True]
    assert [v.holds for v in verdicts(table)] == [False, False]


def test_the_verdicts_follow_the_data() -> None:
    masses = [0.1, 1.0, 10.0, 100.0]
    assert [v.holds for v in verdicts(made(masses, 1, 0))] == [True, False]
    assert [v.holds for v in verdicts(made(masses, -0.25, 0.25))] == [False, True]


def test_only_what_has_rows_is_fitted() -> None:
    table = [Animal(a.species, a.group, a.mass_kg, a.metabolic_rate_w, None, None, a.source) for a in animals()]
    assert {f.quantity for f in fits(table)} == {"metabolic_rate_w"}
    with pytest.raises(EssayError, match="0 animals have a value"):
        verdicts(table)


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    rows = "".join(f"a{m},fish,{m},{m**0.5},,,me\n\n" for m in (1, 4, 9))
    (tmp_path / "own.csv").write_text("# note\n" + HEAD + rows)
    table = animals(tmp_path / "own.csv")
    assert [a.mass_kg for a in table] == [1, 4, 9]
    assert table[0].heartbeats_per_lifetime is None
    assert fit(table, "metabolic_rate_w", "fish").exponent == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "has no column 'species'"),
        ("species,class,mass_kg,source\na,b,1,me\n", "has no values"),
        (HEAD, "no animals"),
        (HEAD + "a,b,1,1\n", "line 2: 4 fields, and the header has 7"),
        (HEAD + "a,b,-1,1,1,1,me\n", "line 2: mass_kg: '-1' must be above 0"),
        (HEAD + "a,b,0,1,1,1,me\n", "must be above 0"),
        (HEAD + "a,b,x,1,1,1,me\n", "'x' is not a number"),
        (HEAD + "a,b,nan,1,1,1,me\n", "must be above 0 and finite"),
        (HEAD + "a,b,inf,1,1,1,me\n", "must be above 0 and finite"),
        (HEAD + "a,b,,1,1,1,me\n", "mass_kg is empty"),
        (HEAD + "a,b,1,1,1,1,\n", "source is empty"),
        (HEAD + 'a,b,"1,1,1,1,me\n', "not a CSV file"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(EssayError, match=words) as caught:
        animals(tmp_path / "own.csv")
    assert "\n" not in str(caught.value)


def test_too_few_or_equal_masses_are_refused() -> None:
    with pytest.raises(EssayError, match="all animals have one mass"):
        fits(made([2, 2, 2], 0, 0))
    with pytest.raises(EssayError, match="2 animals have a value"):
        fits(made([1, 2], 0, 0))
    with pytest.raises(EssayError, match="is not a quantity"):
        fit(animals(), "speed")


def test_a_binary_file_and_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(EssayError, match="not a text file"):
        animals(tmp_path / "own.csv")
    with pytest.raises(EssayError, match="cannot be read"):
        animals(tmp_path / "none.csv")
