"""Both scores of a run and of siblings that differ in one option, which are trained once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from plexus.data import load
from plexus.errors import ConfigError, RunError
from plexus.models import read_autoencoder
from plexus.represent import finished, open_run, probe
from plexus.represent.space import Space, encode, knn_accuracy, linear_accuracy, nearest, share
from tests.represent.shapes import read_record, write_shapes

SCORES = {"mse", "unexplained", "knn", "linear", "turning", "active"}


def test_the_run_itself_has_the_figures_of_its_record(three: Path, shapes: Path) -> None:
    (row,) = probe(three, shapes)
    record = read_record(three / "record.json")
    assert row | {"dim": 5, "balance": 0.1, "objective": "ae", "own": True} == row
    assert set(row) == {"dim", "balance", "objective", "own"} | SCORES
    assert record["probe"]["rows"] == [row]
    assert record["probe"]["test"] == row["linear"]["n"]
    for name in ("mse", "unexplained", "knn", "linear"):
        assert row[name] == pytest.approx(record["results"][name], rel=1e-6)
    assert not (three / "probe").exists()


def test_siblings_are_trained_once_and_read_back(three: Path, shapes: Path) -> None:
    heard: list[dict[str, Any]] = []
    rows = probe(three, shapes, dims=[5, 3], balances=[0.1, 1], listen=heard.append)
    assert [(row["dim"], row["balance"], row["own"]) for row in rows] == [
        (5, 0.1, True),
        (3, 0.1, False),
        (5, 1, False),
    ]
    assert len(heard) == 4
    for name, options in (("dim-3", {"dim": 3}), ("balance-1", {"balance": 1})):
        assert finished(three / "probe" / name)
        ours, theirs = (asdict(open_run(place)[0]) for place in (three, three / "probe" / name))
        assert {k: v for k, v in theirs.items() if ours[k] != v} == options
    assert read_autoencoder(three / "probe" / "dim-3").dim == 3
    heard.clear()
    assert probe(three, shapes, dims=[3], balances=[1.0], listen=heard.append) == rows
    assert heard == []


class StopError(Exception):
    """The power fails."""


def test_a_sibling_that_was_stopped_goes_on(three: Path, shapes: Path) -> None:
    def stop(entry: dict[str, Any]) -> None:
        raise StopError

    with pytest.raises(StopError):
        probe(three, shapes, dims=[3], listen=stop)
    assert not finished(three / "probe" / "dim-3")
    assert len(probe(three, shapes, dims=[3])) == 2
    assert finished(three / "probe" / "dim-3")


def test_neighbours_and_lines_are_those_of_scikit_learn(trained: Path, shapes: Path) -> None:
    model, space, data = read_autoencoder(trained), Space.read(trained), load(shapes)
    z, held = encode(model, data.train.images), encode(model, data.test.images)
    labels, truth = data.train.labels.numpy(), data.test.labels.numpy()
    scaler = StandardScaler().fit(z)
    line = LogisticRegression(max_iter=1000).fit(scaler.transform(z), labels)
    assert linear_accuracy(z, labels, held, truth)["value"] == line.score(scaler.transform(held), truth)
    rows, values = nearest(space.direction(held), space.direction(z), 5)
    known = KNeighborsClassifier(5, metric="cosine").fit((z - space.mean) / space.std, labels)
    distance, other = known.kneighbors((held - space.mean) / space.std)
    np.testing.assert_allclose(1 - values, distance, atol=1e-9)
    assert np.array_equal(np.sort(rows), np.sort(other))
    right = []
    for row, k in zip(rows, truth, strict=True):
        votes = [(labels[row] == c).sum() + 0.5 * (labels[row[0]] == c) for c in range(5)]
        right.append(int(np.argmax(votes)) == k)
    assert knn_accuracy(space, z, labels, held, truth)["value"] == np.mean(right)


def test_nearest_takes_what_is_there() -> None:
    known = np.eye(3)
    rows, values = nearest(known[:1], known, 10)
    assert rows[0, 0] == 0
    assert sorted(rows[0].tolist()) == [0, 1, 2]
    assert values[0].tolist() == [1.0, 0.0, 0.0]
    many = np.random.default_rng(0).normal(size=(1300, 4))
    rows, _ = nearest(many, many[:50], 3)
    assert np.array_equal(rows, np.argsort(-(many @ many[:50].T), axis=1)[:, :3])


@pytest.mark.parametrize(
    ("right", "low", "high"), [([True] * 8 + [False] * 2, 0.4902, 0.9433), ([True] * 10, 0.7225, 1.0)]
)
def test_shares_have_wilsons_interval(right: list[bool], low: float, high: float) -> None:
    found = share(np.array(right))
    assert (found["low"], found["high"], found["n"]) == pytest.approx((low, high, 10), abs=1e-4)
    assert found["value"] == np.mean(right)


def test_turning_is_measured_against_the_distance_of_images(three: Path, shapes: Path) -> None:
    (row,) = probe(three, shapes)
    model, test = read_autoencoder(three), load(shapes)
    x = test.test.images[[k < 3 for k in test.test.labels.tolist()]].float()
    y, z = torch.meshgrid(torch.arange(12) - 5.5, torch.arange(12) - 5.5, indexing="ij")
    x = x * ((y**2 + z**2) <= 36)
    still, turned = encode(model, x), encode(model, x.rot90(1, (2, 3)))
    pairs = [np.linalg.norm(a - b) for i, a in enumerate(still) for b in still[i + 1 :]]
    expected = np.median(np.linalg.norm(turned - still, axis=1)) / np.median(pairs)
    at = row["turning"]["angles"].index(90)
    assert row["turning"]["moved"][at] == pytest.approx(expected, rel=1e-3)


def test_what_cannot_be_probed(three: Path, shapes: Path, tmp_path: Path) -> None:
    for options in ({"dims": [0]}, {"dims": [145]}, {"balances": [1.5]}, {"balances": [float("nan")]}):
        with pytest.raises(ConfigError, match=r"dim=|balance="):
            probe(three, shapes, **options)
        assert not (three / "probe").exists() or not list((three / "probe").iterdir())
    colour = write_shapes(tmp_path / "d", "bar", "disc", colour=True)
    with pytest.raises(ConfigError, match="its images are colour, those of the run are not"):
        probe(three, colour)
    with pytest.raises(RunError, match="not a run folder"):
        probe(tmp_path, shapes)
    assert "probe" not in read_record(three / "record.json")
