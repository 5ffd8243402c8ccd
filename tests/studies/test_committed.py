"""The committed records, by another library: intervals, tests and corrections are those of statsmodels."""

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from plexus.experiments import load, names, records, statistics, summary
from plexus.experiments.statistics import holm, mean_of

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(autouse=True)
def no_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compared with its definition elsewhere, and takes most of the time."""
    monkeypatch.setattr(statistics, "_bootstrap", lambda *_: (None, ""))


def gains(base: dict[str, float], variant: dict[str, float]) -> DescrStatsW:
    return DescrStatsW([variant[seed] - base[seed] for seed in base if seed in variant])


def check(found: dict[str, Any], peer: DescrStatsW, margin: float) -> None:
    """Mean, interval, p of no difference and p of equivalence."""
    assert (found["mean"], found["std"], found["n"]) == pytest.approx((peer.mean, float(peer.std_ddof(1)), peer.nobs))
    assert (found["low"], found["high"]) == pytest.approx(peer.tconfint_mean(), rel=1e-9, abs=1e-12)
    assert found["p"] == pytest.approx(peer.ttest_mean()[1], rel=1e-9)
    assert found["p_equivalent"] == pytest.approx(peer.ttost_mean(-margin, margin)[0], rel=1e-9)


COMPARED = [name for name in names() if len(load(name).variants) > 1]


@pytest.mark.parametrize("name", COMPARED)
def test_differences_of_the_committed_records_are_those_of_statsmodels(name: str) -> None:
    study = load(name)
    found = summary(study, records(RESULTS, study, "standard"), "standard")
    base, *others = sorted(found["variants"], key=lambda v: v["name"] != study.baseline)
    measures = [(v["difference"], gains(base["points"], v["points"])) for v in others if v["difference"]]
    areas = [(v["area"], gains(base["area"]["points"], v["area"]["points"])) for v in others]
    assert measures
    for family in (measures, [(area["difference"], peer) for area, peer in areas if area["difference"]]):
        several = [(difference, peer) for difference, peer in family if difference["n"] > 1]  # one seed has no p
        for difference, peer in several:
            if difference["std"]:  # equal differences have no t
                check(difference, peer, study.margin)
        if several:
            expected = multipletests([difference["p"] for difference, _ in several], method="holm")[1]
            assert [difference["p_holm"] for difference, _ in several] == pytest.approx(list(expected))


def test_a_verdict_follows_from_statsmodels_alone() -> None:
    """Claim 6, all of whose parts are paired differences: lower than each, or not by as much as counts."""
    from plexus.experiments.claims import judge
    from studies.claims import CLAIMS

    claim = next(claim for claim in CLAIMS if claim.id == 6)
    found = summary(claim.study, records(RESULTS, claim.study, "standard"), "standard")
    points = {v["name"]: v["points"] for v in found["variants"]}
    pairs = chain.from_iterable(
        ((f"{k}_rot_4", other) for other in ("baseline", f"{k}_rot_3", f"{k}_rot_2", f"{k}_rot_1")) for k in (8, 4)
    )
    peers = [gains(points[other], points[name]) for name, other in pairs]
    against = multipletests([p.ttest_mean(-claim.study.margin, "larger")[1] for p in peers], method="holm")[1]
    holds = all(p.mean < 0 and p.ttest_mean()[1] < 0.05 for p in peers)
    expected = "fails" if min(against) < 0.05 else "holds" if holds else "open"
    verdict = judge(claim, found)
    assert verdict.word == expected
    counted = [part for part in verdict.parts if part.counted]
    assert [part.effect for part in counted] == pytest.approx([p.mean for p in peers])
    assert [part.p_fails for part in counted] == pytest.approx(list(against))


def test_seeds_to_come_keep_mean_and_scatter() -> None:
    """Sixteen values of the same mean and standard deviation as four."""
    four = [1.0, -0.5, 2.0, 0.4]
    found, peer = mean_of(four, resamples=0), DescrStatsW([-1.0, 1.0] * 8)
    assert found.std is not None
    scaled = DescrStatsW(found.mean + peer.data * found.std / peer.std_ddof(1))
    later = found.at(16)
    assert (later.mean, later.std, later.n) == pytest.approx((found.mean, found.std, 16))
    assert (later.low, later.high) == pytest.approx(scaled.tconfint_mean())
    assert later.p == pytest.approx(scaled.ttest_mean()[1])


def test_holm_is_that_of_statsmodels() -> None:
    p = [0.03, 0.001, 0.2, 0.03, 0.8, 0.012]
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))
