"""Statistics against formulas written another way, and against what they promise, by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from plexus.experiments import statistics as s

SEEDS = {3: [1.2, 0.4, 2.1], 5: [0.3, -0.2, 0.5, 0.9, 0.1]}


@pytest.mark.parametrize("values", SEEDS.values())
def test_interval_and_p_are_those_of_the_paired_t_test(values: list[float]) -> None:
    base = {i: 50.0 + i * i for i in range(len(values))}
    found = s.paired(base, {i: b + v for (i, b), v in zip(base.items(), values, strict=True)}, resamples=50)
    assert found is not None
    peer = stats.ttest_1samp(values, 0)
    ends = peer.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((ends.low, ends.high, peer.pvalue), rel=1e-9)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.interval(0.9) == pytest.approx(tuple(peer.confidence_interval(0.9)), rel=1e-9)


def test_one_sided_p_values_add_up_and_match() -> None:
    found = s.mean_of(SEEDS[5], resamples=50)
    above, below = found.p_above(0.2), found.p_below(0.2)
    assert above is not None
    assert below is not None
    assert above + below == pytest.approx(1)
    assert above == pytest.approx(stats.ttest_1samp(SEEDS[5], 0.2, alternative="greater").pvalue)
    assert below == pytest.approx(stats.ttest_1samp(SEEDS[5], 0.2, alternative="less").pvalue)


def test_pairs_are_matched_by_seed_and_not_by_place() -> None:
    found = s.paired({0: 1.0, 1: 2.0, 2: 3.0}, {2: 4.0, 0: 2.0, 9: 100.0}, resamples=50)
    assert found is not None
    assert (found.n, found.mean, found.std) == (2, 1.0, 0.0)
    assert s.paired({0: 1.0}, {1: 2.0}) is None


def test_the_bootstrap_stays_among_the_means_of_all_resamples() -> None:
    """Of three values there are 27 resamples."""
    values = np.array([0.0, 1.0, 5.0])
    means = sorted(sum(c) / 3 for c in itertools.product(values, repeat=3))
    found = s.mean_of(values.tolist())
    assert found.method == "BCa"
    assert found.bootstrap is not None
    assert means[0] <= found.bootstrap[0] <= found.mean <= found.bootstrap[1] <= means[-1]


def test_bca_ends_are_shifted_percentiles_of_the_resampled_means() -> None:
    """Efron's formulas, written out: bias from the share below the mean, acceleration from the jackknife."""
    values = np.array([0.1, 0.2, 0.3, 0.9, 2.5, 0.4, 0.35, 0.15])
    rng = np.random.default_rng(5)
    means = values[rng.integers(0, 8, (40_000, 8))].mean(1)
    bias = stats.norm.ppf(((means < values.mean()).sum() + (means <= values.mean()).sum()) / (2 * len(means)))
    left_out = np.array([np.delete(values, i).mean() for i in range(8)])
    pull = left_out.mean() - left_out
    acceleration = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    shifted = [
        stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in stats.norm.ppf([0.025, 0.975])
    ]
    found = s.mean_of(values.tolist(), resamples=40_000)
    assert found.bootstrap == pytest.approx(np.quantile(means, shifted), abs=0.02)


@pytest.mark.parametrize(("n", "least"), [(3, 0.94), (5, 0.94)])
def test_students_interval_covers_and_bootstraps_interval_does_not(n: int, least: float) -> None:
    rng = np.random.default_rng(n)
    samples = 1.0 + rng.normal(size=(2000, n))
    found = [_student(row) for row in samples]
    covered = np.mean([low <= 1.0 <= high for low, high in found])
    assert least < covered < 0.96
    boots = [s.mean_of(row, resamples=300, seed=i).bootstrap for i, row in enumerate(samples[:300])]
    assert np.mean([b is not None and b[0] <= 1.0 <= b[1] for b in boots]) < 0.9


def _student(row: np.ndarray) -> tuple[float, float]:
    made = s.Difference(float(row.mean()), None, None, None, len(row), float(row.std(ddof=1)))
    found = made.interval(0.95)
    assert found is not None
    return found


def test_equal_differences_count_as_sign_flips() -> None:
    found = s.mean_of([1.0] * 5)
    flips = [abs(np.mean(f)) for f in itertools.product((-1.0, 1.0), repeat=5)]
    assert found.p == np.mean([f >= 1.0 for f in flips]) == 2 / 32
    assert (found.low, found.high, found.bootstrap, found.method) == (1.0, 1.0, (1.0, 1.0), "percentile")
    assert s.mean_of([0.0] * 5).p == 1.0


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_seeds_give_no_interval(n: int) -> None:
    found = s.mean_of([1.0, 3.0][:n])
    assert found.bootstrap is None
    assert (found.low is None) == (n == 1)
    assert (found.p is None) == (n == 1)
    assert not s.equivalent(found, 100.0) or n == 2
    assert (found.p_above(0) is None) == (n == 1)


def test_holm_steps_down_as_its_definition_rejects() -> None:
    """Reject in order while p_(k) <= alpha / (m - k + 1): an adjusted p is the least alpha that rejects."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        p = rng.uniform(0, 0.2, rng.integers(1, 7)).tolist()
        adjusted = s.holm(p)
        for alpha in (0.01, 0.05, 0.1, 0.3):
            rejected: set[int] = set()
            for k, i in enumerate(sorted(range(len(p)), key=lambda j: p[j])):
                if p[i] > alpha / (len(p) - k):
                    break
                rejected.add(i)
            assert rejected == {i for i, q in enumerate(adjusted) if q <= alpha}
    assert s.holm([]) == []


def test_holm_keeps_the_error_of_a_family_on_data_without_effect() -> None:
    """Six variants share one baseline, so their comparisons are not even independent."""
    rng = np.random.default_rng(7)
    base, variants = rng.normal(size=(2000, 1, 5)), rng.normal(size=(2000, 6, 5))
    p = stats.ttest_1samp(variants - base, 0, axis=2).pvalue
    wrong = np.mean([min(s.holm(row)) < 0.05 for row in p.tolist()])
    naive = np.mean(p.min(1) < 0.05)
    assert wrong < 0.06
    assert naive > 0.12


def test_equivalence_is_two_one_sided_tests() -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        values = rng.normal(0.1, 0.2, 5)
        inside = max(
            stats.ttest_1samp(values, -0.5, alternative="greater").pvalue,
            stats.ttest_1samp(values, 0.5, alternative="less").pvalue,
        )
        low, high = stats.ttest_1samp(values, 0).confidence_interval(0.9)
        found = s.mean_of(values.tolist(), resamples=1)
        assert found.p_equivalent(0.5) == pytest.approx(inside)
        assert s.equivalent(found, 0.5) == (low > -0.5 and high < 0.5)


def test_equivalence_errs_in_one_case_of_twenty_at_the_margin() -> None:
    rng = np.random.default_rng(11)
    values = rng.normal(0.5, 0.1, (4000, 5))  # the truth stands at the margin itself
    ends = [s.Difference(float(v.mean()), None, None, None, 5, float(v.std(ddof=1))) for v in values]
    assert np.mean([s.equivalent(d, 0.5) for d in ends]) == pytest.approx(0.05, abs=0.012)


def test_epochs_to_a_level_lie_between_the_epochs() -> None:
    assert s.epochs_to([4.0, 2.0, 1.0], 3.0) == 1.5
    assert s.epochs_to([4.0, 2.0, 1.0], 2.0) == 2.0
    assert s.epochs_to([4.0, 2.0, 3.0, 1.0], 1.0) == 4.0
    assert s.epochs_to([4.0], 5.0) == 1.0
    assert s.epochs_to([4.0, 2.0], 1.9) is None
    assert s.epochs_to([], 1.0) is None


def test_area_is_a_mean_height() -> None:
    x = np.linspace(0, 1, 50)
    assert s.area((x**2).tolist()) == pytest.approx(float(np.trapezoid(x**2, x)))
    assert s.area([3.0]) == 3.0
    assert math.isclose(s.area([5.0] * 7), 5.0)
