"""The summary of a study's records: paired by seed, corrected as families, honest about what is not there."""

import json
import math
from typing import Any

import pytest
from scipy import stats

from plexus.experiments import speed, statistics, summary
from tests.report.findings import make_records, make_study

STUDY = make_study(4)
RECORDS = make_records(STUDY)


def test_points_and_means_are_those_of_the_records() -> None:
    found = summary(STUDY, RECORDS)
    assert [v["name"] for v in found["variants"]] == [v.name for v in STUDY.variants]
    for v in found["variants"]:
        values = {str(r.seed): r.metrics["test_accuracy"] for r in RECORDS if r.variant == v["name"]}
        assert v["points"] == values
        assert v["mean"] == pytest.approx(sum(values.values()) / 5)
        peer = stats.t.interval(0.95, 4, v["mean"], stats.sem(list(values.values())))
        assert v["interval"] == pytest.approx(list(peer))
    assert (found["trials"], found["expected"], found["seeds"]) == (20, 20, [0, 1, 2, 3, 4])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_differences_are_paired_and_corrected_as_one_family() -> None:
    found = summary(STUDY, list(reversed(RECORDS)))["variants"]
    raw = [
        stats.ttest_rel([v["points"][s] for s in "01234"], [found[0]["points"][s] for s in "01234"]).pvalue
        for v in found[1:]
    ]
    assert [v["difference"]["p"] for v in found[1:]] == pytest.approx(raw)
    assert [v["difference"]["p_holm"] for v in found[1:]] == pytest.approx(statistics.holm(raw))
    assert "difference" not in found[0]


def test_the_words_of_a_difference() -> None:
    words = {
        effect: [v["difference"]["verdict"] for v in summary(STUDY, make_records(STUDY, effect=effect))["variants"][1:]]
        for effect in (-3.0, 0.0, 3.0)
    }
    assert words[3.0] == ["higher"] * 3
    assert words[-3.0] == ["lower"] * 3
    assert set(words[0.0]) <= {"equivalent", "open"}


def test_the_level_is_the_baselines_mean_loss_at_half_time() -> None:
    found = summary(STUDY, RECORDS)
    losses = [r.metrics["train_loss"][4] for r in RECORDS if r.variant == "baseline"]
    assert found["level"] == pytest.approx(sum(losses) / 5)
    base, other = found["variants"][0], found["variants"][1]
    changes = [100 * (other["epochs_to"][s] / base["epochs_to"][s] - 1) for s in "01234"]
    assert other["speed"]["mean"] == pytest.approx(sum(changes) / 5)
    assert other["speed"]["mean"] < 0


def test_one_that_never_reaches_the_level_counts_its_last_epoch() -> None:
    base = {"epochs_to": {"0": 4.0, "1": None, "2": 5.0}}
    slow = {"epochs_to": {"0": None, "1": 3.0}, "curves": {"train_loss": {"seeds": {"0": [1.0] * 10, "1": [1.0]}}}}
    found = speed(base, slow)
    assert found is not None
    assert (found.n, found.mean) == (1, 150.0)


def test_bands_reach_from_the_lowest_seed_to_the_highest() -> None:
    curve = summary(STUDY, RECORDS)["variants"][2]["curves"]["val_accuracy_curve"]
    columns = list(zip(*curve["seeds"].values(), strict=True))
    assert curve["low"] == [min(c) for c in columns]
    assert curve["high"] == [max(c) for c in columns]
    assert curve["mean"] == pytest.approx([math.fsum(c) / 5 for c in columns])


def test_numbers_and_the_rest_are_kept_by_their_path() -> None:
    found = summary(STUDY, make_records(STUDY, seeds=2, extras=True))["variants"][0]
    assert found["metrics"]["rotation.angles_correct"] == {"0": 50.0, "1": 50.0}
    assert found["metrics"]["transplant.8_rot_1.test_accuracy"] == {"0": 20.0, "1": 20.0}
    assert len(found["others"]["rotation.angles"]["1"]) == 36
    assert -1 <= found["agreement"]["kappa"] <= 1


def test_trials_on_another_machine_than_their_baseline_are_counted_and_every_machine_is_named() -> None:
    epyc, xeon = {"processor": "AMD EPYC", "cores": 2}, {"processor": "Xeon", "cores": 2, "gpu": "H100"}

    def found(other: dict[str, Any]) -> dict[str, Any]:
        rows = [
            r.model_copy(update={"machine": other if r.variant != STUDY.baseline and r.seed == 1 else epyc})
            for r in RECORDS
        ]
        return summary(STUDY, rows)

    others = len(STUDY.variants) - 1
    assert found(xeon)["apart"] == others
    assert found(xeon)["machine"] == {"processor": "AMD EPYC, Xeon", "cores": 2, "gpu": "H100"}
    assert found({**epyc, "cores": 64})["apart"] == 0
    assert found(epyc)["machine"] == epyc
    assert found({**epyc, "cores": [2, 4]})["machine"]["cores"] == "2, [2, 4]"  # records of others may hold anything


def test_no_records_one_seed_and_no_baseline_are_said_and_not_raised() -> None:
    empty = summary(STUDY, [], "standard")
    assert (empty["trials"], empty["level"]) == (0, None)
    assert all(v["mean"] is None and v.get("difference") is None for v in empty["variants"])
    one = summary(STUDY, [r for r in RECORDS if r.seed == 0])["variants"][1]
    assert one["interval"] is None
    assert (one["difference"]["low"], one["difference"]["verdict"]) == (None, "open")
    lost = summary(STUDY, [r for r in RECORDS if r.variant != "baseline"])
    assert all(v["difference"] is None for v in lost["variants"] if v["name"] != "baseline")
