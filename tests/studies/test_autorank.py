"""The committed records by autorank, made for comparing classifiers: `make crosscheck` installs and runs it."""

import warnings
from pathlib import Path

import pandas as pd
import pytest
from autorank import autorank

from plexus.experiments import load, names, records, statistics, summary

RESULTS = Path(__file__).parents[2] / "results"
FEWEST, MOST = 5, 30
"""Seeds that autorank wants at least; variants of one study that are compared."""


@pytest.fixture(autouse=True)
def no_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no part of what is compared, and takes most of the time."""
    monkeypatch.setattr(statistics, "_bootstrap", lambda *_: (None, ""))


@pytest.mark.parametrize("name", [name for name in names() if len(load(name).variants) > 1])
def test_differences_of_the_committed_records_are_those_of_autorank(name: str) -> None:
    study = load(name)
    found = summary(study, records(RESULTS, study, "standard"), "standard")
    base, *others = sorted(found["variants"], key=lambda v: v["name"] != study.baseline)
    compared = 0
    for variant in others[:MOST]:
        difference = variant["difference"]
        if difference is None or difference["n"] < FEWEST or not difference["std"]:
            continue
        table = pd.DataFrame({"base": base["points"], "variant": variant["points"]}).dropna()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of effect sizes, which nobody reads here
            peer = autorank(table, alpha=0.05, force_mode="parametric", approach="frequentist")
        assert (peer.omnibus, len(table)) == ("ttest", difference["n"])
        assert peer.pvalue == pytest.approx(difference["p"], rel=1e-9)
        means = peer.rankdf["mean"]
        assert means["variant"] - means["base"] == pytest.approx(difference["mean"])
        compared += 1
    assert compared
