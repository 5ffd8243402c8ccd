"""The estimator for scikit-learn. All of its checks run in `benchmarks/front_door.py`; the quick ones here."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator

from plexus.sklearn import PlexusClassifier

QUICK = {
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_complex_data",
    "check_estimators_empty_data_messages",
    "check_estimators_nan_inf",
    "check_estimator_sparse_array",
    "check_classifiers_one_label",
    "check_classifiers_regression_target",
    "check_parameters_default_constructible",
    "check_fit2d_1sample",
    "check_get_params_invariance",
    "check_set_params",
}
FAST: dict[str, Any] = {"epochs": 3, "width": 16, "keep": 0.5, "random_state": 0}
CHECKS = [
    (estimator, check)
    for estimator, check in estimator_checks_generator(PlexusClassifier(epochs=3))
    if check.func.__name__ in QUICK
]


def stripes(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    labels = np.array(["lying", "upright"])[np.arange(count) % 2]
    images = np.zeros((count, 8, 8))
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (image if label == "lying" else image.T)[1 + i % 6] = 1
    return images, labels


@pytest.mark.filterwarnings("ignore")  # the checks warn about what they try
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=[check.func.__name__ for _, check in CHECKS])
def test_it_keeps_to_the_rules_of_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


def test_all_quick_checks_were_found() -> None:
    assert {check.func.__name__ for _, check in CHECKS} == QUICK


@pytest.fixture(scope="module")
def fitted() -> PlexusClassifier:
    return PlexusClassifier(**FAST).fit(*stripes(60))


def test_it_learns_and_leaves_no_folder(fitted: PlexusClassifier, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = stripes(60)
    again = PlexusClassifier(**FAST).fit(images, labels)
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(again.predict_proba(images), fitted.predict_proba(images))
    assert fitted.classes_.tolist() == ["lying", "upright"]
    assert fitted.in_shape_ == (1, 8, 8)
    assert len(fitted.history_) == 3
    assert fitted.score(images, labels) == (fitted.predict(images) == labels).mean()


@pytest.mark.parametrize("columns", [1, 3])
def test_three_pixels_side_by_side_are_no_colours(columns: int) -> None:
    labels = np.arange(40) % 2
    images = np.random.default_rng(0).normal(size=(40, 8, columns)) + 9 * labels[:, None, None]
    for given in (images, torch.from_numpy(images)[:, None], images.reshape(40, -1)):
        made = PlexusClassifier(epochs=8, random_state=0, image_shape=(8, columns)).fit(given, labels)
        assert made.in_shape_ == (1, 8, columns)
        assert made.score(given, labels) == 1


def test_rows_of_three_numbers_are_learned_from_as_they_are() -> None:
    labels = np.arange(40) % 2
    rows = np.random.default_rng(0).normal(size=(40, 3)) + 9 * labels[:, None]
    assert PlexusClassifier(epochs=8, random_state=0).fit(rows, labels).score(rows, labels) == 1


def test_a_fit_that_fails_leaves_what_was_learned_before(fitted: PlexusClassifier) -> None:
    images, labels = stripes(60)
    again = PlexusClassifier(**FAST).fit(images, labels)
    with pytest.raises(ValueError, match="max_params"):
        again.set_params(keep=None, max_params=1).fit(images, np.where(labels == "lying", "z", "a"))
    np.testing.assert_array_equal(again.predict(images), fitted.predict(images))
    never = PlexusClassifier(epochs=3, max_params=1)
    with pytest.raises(ValueError, match="max_params"):
        never.fit(images, labels)
    with pytest.raises(NotFittedError):
        never.predict(images)


def test_what_x_and_random_state_say_is_no_option() -> None:
    with pytest.raises(ValueError, match="data is given by X or random_state"):
        PlexusClassifier(options={"data": "digits"}).fit(*stripes(20))


def test_threads_do_not_disturb_each_other(fitted: PlexusClassifier) -> None:
    images, labels = stripes(60)
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: PlexusClassifier(**FAST).fit(images, labels).predict_proba(images), "ab"))
    for shares in both:
        np.testing.assert_array_equal(shares, fitted.predict_proba(images))


def test_the_model_is_plain_and_takes_the_same_images(fitted: PlexusClassifier) -> None:
    images = stripes(10)[0]
    with torch.no_grad():
        shares = fitted.model_(torch.from_numpy(images)[:, None]).softmax(1)
    np.testing.assert_allclose(shares, fitted.predict_proba(images), atol=1e-5)
    assert not [m for m in fitted.model_.modules() if type(m).__module__.startswith("plexus")]


def test_an_answer_does_not_depend_on_the_layout_or_the_batch(fitted: PlexusClassifier) -> None:
    images = stripes(10)[0]
    shares = fitted.predict_proba(images)
    for other in (images[:, None], images[..., None], torch.from_numpy(images), images.reshape(10, 64)):
        if np.ndim(other) == 3 or other.shape[1] == 8:  # scikit-learn compares the second axis with that of the fit
            np.testing.assert_array_equal(fitted.predict_proba(other), shares)
    np.testing.assert_allclose(np.concatenate([fitted.predict_proba(x[None]) for x in images]), shares, rtol=1e-12)


def test_it_pickles_and_clones(fitted: PlexusClassifier) -> None:
    images = stripes(10)[0]
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(images), fitted.predict_proba(images))
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(images)


def test_rows_of_numbers_are_images_of_a_shape() -> None:
    images, labels = stripes(40)
    rows = images[:, :, :6].reshape(40, 48)
    with pytest.raises(ValueError, match="holds 49 numbers, and X has 48 for each image"):
        PlexusClassifier(image_shape=(7, 7), **FAST).fit(rows, labels)
    assert PlexusClassifier(image_shape=(8, 6), **FAST).fit(rows, labels).in_shape_ == (1, 8, 6)
    assert PlexusClassifier(**FAST).fit(images.reshape(40, 64), labels).in_shape_ == (1, 8, 8)


def test_it_works_in_cross_validation_and_grid_search() -> None:
    images, labels = stripes(48)
    scores = cross_val_score(PlexusClassifier(**FAST), images, labels, cv=2)
    assert scores.shape == (2,)
    search = GridSearchCV(PlexusClassifier(**FAST), {"keep": np.array([0.25, 0.5])}, cv=2).fit(images, labels)
    assert search.best_params_["keep"] in (0.25, 0.5)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"options": {"neurn": "rot8"}}, "unknown option 'neurn'; did you mean 'neuron'"),
        ({"keep": 0.5, "fan_in": 3}, "give one budget"),
    ],
)
def test_mistakes_are_value_errors_in_one_line(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        PlexusClassifier(**{**FAST, **options}).fit(*stripes(20))
    assert "\n" not in str(error.value)


def test_a_class_with_one_image_is_named() -> None:
    images, labels = stripes(20)
    labels = labels.astype(object)
    labels[0] = "rare"
    with pytest.raises(ValueError, match="class 'rare' has one image"):
        PlexusClassifier(**FAST).fit(images, labels)


def test_it_starts_from_a_backbone_and_learns_from_a_teacher() -> None:
    images, labels = stripes(40)
    maps = torch.nn.Conv2d(1, 4, 3, stride=2)
    given: dict[str, Any] = {"backbone": maps, "epochs": 2, "random_state": 0}
    assert cross_val_score(PlexusClassifier(**given), images, labels, cv=2).shape == (2,)
    fitted = PlexusClassifier(**given).fit(images, labels)
    assert any(
        torch.equal(part, maps.weight)
        for part in fitted.model_.state_dict().values()
        if part.shape == maps.weight.shape
    )
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(images), fitted.predict_proba(images))

    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    plain, taught = (PlexusClassifier(**FAST, teacher=teacher).fit(images, labels) for teacher in (None, flat))
    assert taught.classes_.tolist() == ["lying", "upright"]
    assert np.abs(taught.predict_proba(images) - plain.predict_proba(images)).max() > 1e-3
    wrong = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    with pytest.raises(ValueError, match=r"teacher: .* one logit for each of the classes"):
        PlexusClassifier(**FAST, teacher=wrong).fit(images, labels)
    with pytest.raises(ValueError, match="backbone is 3: give a torch module"):
        PlexusClassifier(**FAST, backbone=3).fit(images, labels)
