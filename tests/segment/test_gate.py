"""The gate: its rule is the best there is for known chances, and what it learns comes from the images it is shown."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from plexus.errors import ConfigError
from plexus.metrics import dice, dice_summary
from plexus.segment.gate import Gate, best_cut, calibrate, choose_gate, dice_line, evidence, promise
from plexus.segment.measure import Measured, outdone


def world(n: int, seed: int, *, scale: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Discs in half of the images; the maps are blurred and often see one where none is; logits know the chance."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :24]
    p = rng.beta(0.6, 0.6, n).clip(0.01, 0.99)
    present = rng.random(n) < p
    maps, truth = np.empty((n, 24, 24), np.float32), np.zeros((n, 24, 24), bool)
    for i in range(n):
        y, x, r = rng.uniform(8, 16), rng.uniform(8, 16), rng.uniform(3, 6)
        truth[i] = ((rows - y) ** 2 + (columns - x) ** 2 < r * r) & present[i]
        dy, dx = rng.normal(0, 2.0, 2)
        maps[i] = expit(r - np.hypot(rows - y - dy, columns - x - dx))
    return maps, scale * logit(p) + shift, truth


@pytest.mark.parametrize("expected", [0.0, 0.3, 0.7, 1.0])
def test_it_leaves_empty_what_scores_more_empty(expected: float) -> None:
    p = np.linspace(0, 1, 1001)
    gain_empty, gain_given = 1 - p, p * expected
    np.testing.assert_array_equal(Gate("expected", expected_dice=expected).empties(p), gain_empty > gain_given)


def test_a_threshold_takes_all_from_it_on() -> None:
    assert Gate("threshold", threshold=0.4).empties([0.39, 0.4, 0.41]).tolist() == [True, False, False]
    assert not Gate("none").empties([0.0, 1.0]).any()


def test_presence_is_calibrated_by_slope_and_offset() -> None:
    z = np.linspace(-5, 5, 11)
    np.testing.assert_allclose(Gate(slope=2, offset=-1).presence(z), 1 / (1 + np.exp(1 - 2 * z)), rtol=1e-12)


def test_masks_obey_threshold_area_and_rule() -> None:
    q = np.zeros((4, 4, 4), np.float16)
    q[0, 0, :3], q[1, 0, :2], q[2, 0, :3], q[3, 0, :3] = 0.6, 0.6, 0.59, 0.6
    gate = Gate("threshold", threshold=0.5, mask_threshold=float(np.float16(0.6)), min_area=3)
    assert gate.apply(q, [1, 1, 1, -1]).sum((1, 2)).tolist() == [3, 0, 0, 0]


def test_the_line_uses_each_image_s_own_promise() -> None:
    q = np.zeros((2, 5, 5), np.float32)
    q[0, :2], q[1, :2], q[1, 2:] = 1.0, 0.55, 0.45
    soft = [2 * m[m >= 0.5].sum(dtype=np.float64) / (m.sum(dtype=np.float64) + (m >= 0.5).sum()) for m in q]
    line = Gate("expected", expected_dice=0.0, dice_slope=1.0)
    for cut in (0.45, 0.55, 0.62, 0.7):
        said = line.apply(q, np.full(2, logit(cut))).any((1, 2))
        assert said.tolist() == [1 - cut <= cut * min(s, 1) for s in soft]


def test_the_mask_of_an_image_promises_the_most_of_all_its_masks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        q = np.round(rng.beta(0.4, 1.5, (6, 7)), 1).astype(np.float32)  # with ties
        masks = np.stack([q >= cut for cut in np.unique(q[q >= 0.01])])
        all_of = promise(np.broadcast_to(q, masks.shape), masks)
        best = promise(q[None], q[None] >= best_cut(q))[0]
        assert best == pytest.approx(all_of.max(), rel=1e-12)
        wide = q.astype(np.float64)
        by_hand = [2 * (wide * m).sum() / (wide.sum() + m.sum()) for m in masks]
        np.testing.assert_allclose(all_of, by_hand, rtol=1e-6)
    assert not (np.full((4, 4), 0.009) >= best_cut(np.full((4, 4), 0.009))).any()


def test_a_gate_of_own_cuts_cuts_each_image_where_it_should() -> None:
    maps, logits, _ = world(12, 0)
    gate = Gate("none", mask_threshold=0.0)
    masks = gate.apply(maps, logits)
    for q, cut, mask in zip(maps, gate.cuts(maps), masks, strict=True):
        assert cut == best_cut(q)
        np.testing.assert_array_equal(mask, q >= cut)


def test_presence_hears_the_surest_pixels_and_the_sum() -> None:
    q = np.zeros((2, 5, 5), np.float32)
    q[1, 0, :3] = 0.9, 0.7, 0.5
    found = evidence(q, 2)
    np.testing.assert_allclose(found[:, 0], logit([1e-4, 0.8]), rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], np.log1p([0, 2.1]), rtol=1e-6)
    np.testing.assert_allclose(evidence([np.pad(q[1], 9)], 2)[0], found[1], rtol=1e-12)  # a larger scene says the same
    gate = Gate(slope=2.0, offset=-1.0, peak_slope=0.5, volume_slope=0.25, peak_pixels=2)
    np.testing.assert_allclose(gate.presence([1, 1], q), expit(1 + found @ [0.5, 0.25]), rtol=1e-12)
    with pytest.raises(ValueError, match="give their probabilities"):
        gate.presence([1, 1])


def test_calibration_finds_the_chances_again() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(20_000, 2))
    said = z * [3, 10] + [5, -7]
    (first, second), offset = calibrate(said, rng.random(20_000) < expit(z @ [1.5, 0.8] - 0.4))
    assert (first, second, offset) == pytest.approx((0.5, 0.08, -0.4 - 2.5 + 0.56), abs=0.12)


def test_calibration_sets_the_gradient_to_zero() -> None:
    rng = np.random.default_rng(2)
    z, there = rng.normal(size=(60, 2)), rng.random(60) < 0.4
    z[:, 0] += there
    slopes, offset = calibrate(z, there)
    n = there.sum()
    rest = expit(z @ slopes + offset) - np.where(there, (n + 1) / (n + 2), 1 / (60 - n + 2))
    assert slopes[0] > 0
    standard = (z - z.mean(0)) / z.std(0)
    for k, slope in enumerate(slopes):
        if slope > 0:
            assert abs(rest @ standard[:, k] + slope * z[:, k].std()) < 1e-2
    assert abs(rest.sum()) < 1e-2


@pytest.mark.parametrize("all_present", [True, False])
def test_images_all_alike_give_a_finite_gate_that_agrees_with_them(all_present: bool) -> None:
    maps, logits, truth = world(30, 3)
    truth[:] = maps >= 0.5 if all_present else False
    gate = choose_gate("expected", maps, logits, truth)
    assert np.isfinite([gate.slope, gate.offset, gate.expected_dice]).all()
    masks = gate.apply(maps, logits)
    assert masks.any((1, 2)).tolist() == [all_present] * 30


def test_separable_and_constant_logits_stay_finite() -> None:
    there = np.arange(10) > 4
    for z in (np.where(there, 50.0, -50.0), np.full(10, 3.0), np.where(there, -1.0, 1.0)):
        (slope,), offset = calibrate(z[:, None], there)
        assert np.isfinite([slope, offset]).all()
        assert slope >= 0
    (slope,), offset = calibrate(np.full((10, 1), 3.0), there)
    assert expit(3 * slope + offset) == pytest.approx(0.5)


def test_the_line_is_taken_only_where_it_predicts_other_groups() -> None:
    rng = np.random.default_rng(4)
    soft = rng.uniform(0.3, 0.9, 100)
    a, b = dice_line(soft, 0.9 * soft + rng.normal(0, 0.02, 100), range(100))
    assert (a, b) == pytest.approx((0, 0.9), abs=0.03)
    noise = rng.uniform(0.3, 0.9, 100)
    flat = [dice_line(rng.permutation(soft), noise, range(100)) for _ in range(20)]
    assert sum(slope == 0 for _, slope in flat) >= 14
    assert next(line for line in flat if line[1] == 0) == (noise.mean(), 0)
    assert dice_line(soft, 0.9 * soft, ["one"] * 100)[1] == 0
    assert dice_line(soft[:0], soft[:0], [])[1] == 0


def test_it_beats_the_others_where_the_presence_is_miscalibrated() -> None:
    maps, logits, truth = world(600, 5, scale=2.0, shift=2.5)
    new_maps, new_logits, new_truth = world(600, 6, scale=2.0, shift=2.5)
    scores = {}
    for kind in ("none", "0.5", "expected"):
        gate = choose_gate(kind, maps, logits, truth)
        scores[kind] = dice_summary(gate.apply(new_maps, new_logits), new_truth).mean
    assert scores["none"] < scores["0.5"] < scores["expected"]
    oracle = Gate("expected", slope=0.5, offset=-1.25, expected_dice=0.66).apply(new_maps, new_logits)
    assert scores["expected"] >= dice_summary(oracle, new_truth).mean - 0.01


def test_masks_of_two_sizes_may_choose_together() -> None:
    maps, logits, truth = world(20, 7)
    wide = [np.pad(m, 4) if i % 2 else m for i, m in enumerate(maps)]
    true = [np.pad(m, 4) if i % 2 else m for i, m in enumerate(truth)]
    assert choose_gate("expected", wide, logits, true).kind == "expected"


def test_small_false_masks_are_left_empty() -> None:
    rng = np.random.default_rng(8)
    q, truth = np.zeros((60, 40, 40), np.float32), np.zeros((60, 40, 40), bool)
    truth[:40, 10:25, 10:25] = True
    q[:40, 10:25, 10:25] = 0.9
    q[40:, 2:4, 2:5] = 0.9
    gate = choose_gate("expected", q, rng.normal(2, 0.01, 60), truth)
    assert gate.volume_slope > 0
    assert dice(gate.apply(q, np.full(60, 2.0)), truth).min() == 1


def test_a_gate_is_kept_as_json() -> None:
    maps, logits, truth = world(30, 10)
    gate = choose_gate("expected", maps, logits, truth)
    assert all(type(value) in (str, float, int) for value in gate.to_dict().values())
    assert Gate.from_dict(gate.to_dict()) == gate
    old = {
        name: value for name, value in Gate("expected", min_area=7).to_dict().items() if not re.match("peak|vol", name)
    }
    assert Gate.from_dict(old) == Gate("expected", min_area=7)  # as runs kept it before gates read pixels
    with pytest.raises(ConfigError, match="slope"):
        Gate.from_dict({name: value for name, value in gate.to_dict().items() if name != "slope"})


@pytest.mark.parametrize("kind", ["1", "0", "soft", "nan", "-0.5"])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"gate='{kind}' must be none"):
        choose_gate(kind, np.zeros((1, 2, 2)), [0.0], np.zeros((1, 2, 2), bool))


def test_what_cannot_choose_is_refused() -> None:
    maps, logits, truth = world(3, 11)
    with pytest.raises(ValueError, match="1 image or more"):
        choose_gate("expected", maps[:2], logits, truth)
    with pytest.raises(ValueError, match="logits must be finite"):
        choose_gate("expected", maps, [0, np.nan, 1], truth)
    with pytest.raises(ValueError, match="probabilities must be finite"):
        choose_gate("expected", np.full((3, 24, 24), np.nan), logits, truth)
    with pytest.raises(ValueError, match="a map of"):
        choose_gate("expected", maps[:, :9], logits, truth)


@pytest.mark.parametrize("change", [{"kind": "never"}, {"slope": "1"}, {"offset": float("nan")}, {"min_area": True}])
def test_what_no_gate_says_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected a kind and finite numbers"):
        Gate.from_dict(Gate().to_dict() | change)


def test_a_gate_that_another_beats_on_the_same_images_is_told() -> None:
    def gate(scores: Sequence[float]) -> Measured:
        nothing = np.zeros(len(scores))
        return Measured(np.array(scores), nothing > 0, nothing, nothing, nothing > 0, nothing)

    none, expected = [0.9, 0.8] * 10, [0.9, 0.4] * 10
    told = outdone({"none": gate(none), "expected": gate(expected)}, "expected", [None] * 20, seed=0)
    assert told is not None
    assert told.startswith("the gate none scores 0.200 more Dice than expected (0.")
    assert told.endswith("the gate that was chosen: --gate none of predict, evaluate and submit uses it")
    assert outdone({"none": gate(none), "expected": gate(expected)}, "none", [None] * 20, seed=0) is None
    once = gate([0.9, 0.4, *none[2:]])  # by one image alone: chance may do that
    assert outdone({"none": gate(none), "expected": once}, "expected", [None] * 20, seed=0) is None
    few = [str(i % 9) for i in range(20)]  # patients
    assert outdone({"none": gate(none), "expected": gate(expected)}, "expected", few, seed=0) is None
