"""A run leaves models, figures and a record; stopped and gone on with, the very same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from plexus.data import load
from plexus.errors import ConfigError, DataError, PlexusError, PlexusWarning, RunError
from plexus.graph import Wiring
from plexus.models import read_autoencoder
from plexus.represent import RepresentConfig, finished, resume, train
from plexus.represent.images import load_images
from plexus.represent.space import Space, digests, encode, units_in_use
from plexus.wiring import write_wiring
from tests.represent.shapes import KINDS, read_record, small, write_flat, write_shapes

KEYS = {
    "format", "kind", "created", "command", "seed", "finished", "config", "versions", "machine", "data", "model",
    "epochs", "results", "units", "pictures", "map", "onnx_difference", "seconds",
}  # fmt: skip
FILES = {
    "config.yaml", "record.json", "space.npz", "encoder.onnx", "decoder.onnx", "model/config.json",
    "model/model.safetensors",
}  # fmt: skip


def read(run: Path) -> dict[str, Any]:
    return read_record(run / "record.json")


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def same(ours: Path, theirs: Path) -> None:
    a, b = weights(ours), weights(theirs)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_the_folder_holds_models_figures_and_a_record(trained: Path) -> None:
    there = {str(f.relative_to(trained)) for f in trained.rglob("*") if f.is_file()}
    assert there >= FILES
    assert not [f for f in there if f.endswith((".pkl", ".pt"))]
    assert finished(trained)
    record = read(trained)
    assert set(record) == KEYS
    assert record["command"] == "plexus represent train shapes"
    data = record["data"]
    assert data["classes"] == list(KINDS)
    assert (data["in_shape"], data["labelled"]) == ([1, 12, 12], data["counts"]["train"])
    assert sum(data["counts"].values()) == 70
    assert [(e["phase"], e["epoch"]) for e in record["epochs"]] == [("train", 0), ("train", 1)]
    model = read_autoencoder(trained)
    assert record["model"]["parameters"] == sum(p.numel() for p in model.parameters())
    assert RepresentConfig.read(trained / "config.yaml").dim == 5


def test_the_figures_are_those_of_the_model_on_test_images(trained: Path, shapes: Path) -> None:
    results, model = read(trained)["results"], read_autoencoder(trained)
    data = load(shapes, seed=0)
    x = data.test.images.double()
    with torch.no_grad():
        back = model(data.test.images).double()
        right = (model.classify(model.encode(data.test.images)).argmax(1) == data.test.labels).double()
    assert results["mse"] == pytest.approx((((back - x) / 255) ** 2).mean().item(), rel=1e-4)
    std = data.train.images.double().std()
    assert results["unexplained"] == pytest.approx((((back - x) / std) ** 2).mean().item(), rel=1e-4)
    assert results["classifier"]["value"] == pytest.approx(right.mean().item())
    assert results["classifier"]["n"] == len(data.test)
    for name in ("classifier", "linear", "knn"):
        assert 0 <= results[name]["low"] <= results[name]["value"] <= results[name]["high"] <= 1
    turn = results["turning"]
    assert turn["angles"] == list(range(0, 360, 15))
    assert turn["moved"][0] == 0
    assert min(turn["moved"][1:]) > 0


def test_space_is_that_of_the_training_images(trained: Path, shapes: Path) -> None:
    space, model, data = Space.read(trained), read_autoencoder(trained), load(shapes, seed=0)
    z = encode(model, data.train.images)
    np.testing.assert_allclose(space.mean, z.mean(0))
    np.testing.assert_allclose(space.std, z.std(0))
    np.testing.assert_allclose(space.axes @ space.axes.T, np.eye(5), atol=1e-9)
    for axis, scale in zip(space.axes, space.scale, strict=True):
        assert (z @ axis).std(ddof=1) == pytest.approx(scale)
    known = set(space.seen.tolist())
    assert set(digests(data.train.images).tolist()) | set(digests(data.val.images).tolist()) == known
    assert not known & set(digests(data.test.images).tolist())


def test_pixels_are_standardised_by_the_training_images(trained: Path, shapes: Path) -> None:
    model, pixels = read_autoencoder(trained), load(shapes, seed=0).train.images.double()
    assert model.mean.item() == pytest.approx(pixels.mean().item(), rel=1e-5)
    assert model.std.item() == pytest.approx(pixels.std().item(), rel=1e-5)


def test_onnx_computes_what_the_model_does(trained: Path, shapes: Path) -> None:
    model, x = read_autoencoder(trained), load(shapes, seed=0).test.images
    with torch.no_grad():
        z, logits = model.encode(x), model.classify(model.encode(x))
        back = model.decode(z).clamp(0, 255)
    sessions = {
        n: onnxruntime.InferenceSession(trained / f"{n}.onnx", providers=["CPUExecutionProvider"])
        for n in ("encoder", "decoder")
    }
    for count in (1, 3, len(x)):  # any number of images
        got = sessions["encoder"].run(["z", "logits"], {"pixels": x[:count].float().numpy()})
        np.testing.assert_allclose(got[0], z[:count], atol=1e-3)
        np.testing.assert_allclose(got[1], logits[:count], atol=1e-3)
        (pixels,) = sessions["decoder"].run(["pixels"], {"z": z[:count].numpy()})
        np.testing.assert_allclose(pixels, back[:count], atol=0.05)


def test_pictures_are_embedded_bitmaps(trained: Path) -> None:
    record = read(trained)
    pictures = record["pictures"]
    uris = [pictures[k] for k in ("reconstructions", "interpolations", "neighbours")]
    uris += [row["picture"] for row in pictures["traversals"]] + [record["map"]["sprite"]]
    assert len(uris) >= 5
    assert all(uri.startswith("data:image/png;base64,") for uri in uris)
    plane = record["map"]
    assert len(plane["x"]) == len(plane["y"]) == len(plane["labels"]) == record["data"]["counts"]["test"]
    assert all(0 <= v <= 1 for v in (*plane["x"], *plane["y"]))


class StopError(Exception):
    """The power fails."""


def stop_after(entries: int) -> Any:
    seen: list[Any] = []

    def listen(entry: dict[str, Any]) -> None:
        seen.append(entry)
        if len(seen) > entries:
            raise StopError

    return listen


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 3, "labels": "4", "objective": "vae"},
        {"epochs": 3, "labels": "none", "objective": "denoise"},
    ],
)
def test_a_stopped_run_goes_on_to_the_same_weights(shapes: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    config = small(shapes, **options)
    whole = train(config, run=tmp_path / "whole")
    with pytest.raises(StopError):
        train(config, run=tmp_path / "run", listen=stop_after(1))
    assert not finished(tmp_path / "run")
    torch.manual_seed(77)
    heard: list[dict[str, Any]] = []
    assert resume(tmp_path / "run", listen=heard.append) == tmp_path / "run"
    assert [entry["epoch"] for entry in heard] == [1, 2]  # the epoch it was stopped in again
    same(tmp_path / "run", whole)
    ours, theirs = read(tmp_path / "run"), read(whole)
    assert ours["results"] == theirs["results"]
    assert [{**e, "seconds": 0} for e in ours["epochs"]] == [{**e, "seconds": 0} for e in theirs["epochs"]]


def test_another_number_of_threads_is_warned_of_and_kept_beside_the_first(shapes: Path, tmp_path: Path) -> None:
    began = torch.get_num_threads()
    with pytest.raises(StopError):
        train(small(shapes, epochs=2), run=tmp_path / "run", listen=stop_after(1))
    torch.set_num_threads(began + 1)
    try:
        with pytest.warns(PlexusWarning, match=f"began with {began} threads and goes on with {began + 1}"):
            resume(tmp_path / "run")
    finally:
        torch.set_num_threads(began)
    machine = read(tmp_path / "run")["machine"]
    assert (machine["threads"], machine["threads_resumed"]) == (began, began + 1)


def test_seeds_decide_the_weights(shapes: Path, trained: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    same(train(small(shapes), run=tmp_path / "again"), trained)
    other = weights(train(small(shapes, seed=1, epochs=1), run=tmp_path / "other"))
    assert not torch.equal(other["to_z.weight"], weights(trained)["to_z.weight"])


def test_a_finished_run_is_left_as_it_is(three: Path) -> None:
    before = {f: f.read_bytes() for f in three.rglob("*") if f.is_file()}
    assert resume(three) == three
    assert {f: f.read_bytes() for f in three.rglob("*") if f.is_file()} == before


def test_images_of_no_class_are_learned_without_labels(tmp_path: Path) -> None:
    run = train(small(write_flat(tmp_path / "flat"), labels="none"), run=tmp_path / "run")
    record = read(run)
    assert record["data"]["classes"] == []
    assert record["data"]["labelled"] == 0
    assert sum(record["data"]["counts"].values()) == 30
    assert set(record["results"]) == {"mse", "unexplained", "turning"}
    assert read_autoencoder(run).classifier is None
    assert set(record["map"]["labels"]) == {-1}


def test_no_label_is_read_where_none_is_asked_for(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other labels give the same weights; the figures still know the classes."""
    config = small(shapes, labels="none", epochs=1)
    run = train(config, run=tmp_path / "run")
    record = read(run)
    assert record["data"]["labelled"] == 0
    assert record["data"]["classes"] == list(KINDS)
    assert read_autoencoder(run).classifier is None
    assert "classifier" not in record["results"]
    assert record["results"]["linear"]["n"] == record["data"]["counts"]["test"]
    assert all(entry["val_accuracy"] is None for entry in record["epochs"])
    other = load_images(config)
    other.data.train.labels.copy_(other.data.train.labels.roll(1))
    monkeypatch.setattr("plexus.represent.images.load_images", lambda config: other)
    torch.manual_seed(5)
    same(train(config, run=tmp_path / "other"), run)


def test_few_labels_are_as_many_of_each_class(shapes: Path, tmp_path: Path) -> None:
    images = load_images(small(shapes, labels="3"))
    assert images.few is not None
    assert images.few.labels.bincount().tolist() == [3] * 5
    assert set(images.few.names) <= set(images.data.train.names)
    for row, name in enumerate(images.few.names):
        at = images.data.train.names.index(name)
        assert torch.equal(images.few.images[row], images.data.train.images[at])
        assert images.few.labels[row] == images.data.train.labels[at]
    other = load_images(small(shapes, labels="3", seed=1)).few
    assert other is not None
    assert other.names != images.few.names
    run = train(small(shapes, labels="3", epochs=1), run=tmp_path / "run")
    assert read(run)["data"]["labelled"] == 15
    assert read(run)["results"]["classifier"]["n"] > 0


def test_other_labels_are_not_read_where_few_are(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All labels but the few are set to something else: the weights stay as they were."""
    config = small(shapes, labels="3", epochs=1)
    whole = train(config, run=tmp_path / "whole")
    real = load_images(config)
    assert real.few is not None
    scrambled = real.data.train.labels.clone()
    hidden = torch.tensor([name not in real.few.names for name in real.data.train.names])
    scrambled[hidden] = (scrambled[hidden] + 1) % 5
    real.data.train.labels.copy_(scrambled)
    monkeypatch.setattr("plexus.represent.images.load_images", lambda config: real)
    same(train(config, run=tmp_path / "run"), whole)


def test_classes_are_numbered_as_they_are_named(shapes: Path, three: Path) -> None:
    assert read(three)["data"]["classes"] == ["bar", "cross", "disc"]
    data = load_images(small(shapes, classes=("tee", "bar"))).data
    assert data.classes == ("tee", "bar")
    for split in (data.train, data.val, data.test):
        assert [data.classes[k] for k in split.labels.tolist()] == [name.split("/")[-2] for name in split.names]


def test_a_limit_keeps_so_many(shapes: Path) -> None:
    for more in ({}, {"classes": ("bar", "tee")}):
        data = load_images(small(shapes, limit=12, **more)).data
        assert len(data.train) + len(data.val) == 12


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"labels": "12"}, DataError, "labels=12 asks for 12 images of each class, but class '.*' has .* to train on"),
        ({"classes": ("bar", "moon")}, ConfigError, "'moon' is none of .*: it has bar, cross, disc, rows, tee"),
        ({"classes": ("bar",)}, ConfigError, "name two classes or more"),
        ({"dim": 145}, ConfigError, "dim=145 must be between 1 and the 144 numbers of an image"),
        (
            {"wiring": "none.json"},
            ConfigError,
            "none.json: cannot read the wiring: No such file or directory; name a wiring.json, or learn",
        ),
        ({"strategy": "none-such"}, PlexusError, "strategy='none-such'"),
    ],
)
def test_what_cannot_be_used_leaves_nothing_behind(
    shapes: Path, tmp_path: Path, options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as told:
        train(small(shapes, **options), run=tmp_path / "run")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_flat_images_that_cannot_be_used(tmp_path: Path) -> None:
    flat = write_flat(tmp_path / "flat", 8)
    with pytest.raises(ConfigError, match="have no labels"):
        train(small(flat, labels="none", classes=("a", "b")), run=tmp_path / "run")
    (flat / "broken.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"broken.png: .*--skip-unreadable"):
        train(small(flat, labels="none"), run=tmp_path / "run")
    data = load_images(small(flat, labels="none", skip_unreadable=True)).data
    assert [line.split(":")[0] for line in data.skipped] == ["broken.png"]
    Image.new("L", (9, 12)).save(flat / "narrow.png")
    with pytest.raises(DataError, match=r"images of 2 sizes: .*: resize all with --size"):
        train(small(flat, labels="none", skip_unreadable=True), run=tmp_path / "run")
    assert load_images(small(flat, labels="none", skip_unreadable=True, size=10)).data.in_shape == (1, 10, 10)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', "\xff"])
def test_wirings_that_are_none(shapes: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "w.json").write_text(content)
    with pytest.raises(ConfigError, match=r"w\.json: not a wiring: "):
        train(small(shapes, wiring=str(tmp_path / "w.json")), run=tmp_path / "run")


def test_a_wiring_of_maps_is_refused(shapes: Path, tmp_path: Path) -> None:
    pair = ("lego1", "head")
    path = write_wiring(Wiring(("input", *pair), [(*pair, 1.0)], {pair: [1.0, 2.0]}), tmp_path / "w.json")
    with pytest.raises(ConfigError, match=r"w\.json: it joins maps, an encoder's joins layers; name another, or learn"):
        train(small(shapes, wiring=str(path)), run=tmp_path / "run")


def test_a_posterior_that_collapses_is_flagged(shapes: Path, tmp_path: Path) -> None:
    options = {"objective": "vae", "balance": 0.0, "lr": 2e-2, "epochs": 12}
    units = read(train(small(shapes, beta=1e4, **options), run=tmp_path / "huge"))["units"]
    assert units["collapsed"] is True
    assert units["active"] == 0
    assert units["divergence"] < 0.1
    units = read(train(small(shapes, beta=0.0, **options), run=tmp_path / "none"))["units"]
    assert units["collapsed"] is False
    assert units["divergence"] > 1


def test_units_in_use_are_counted(trained: Path) -> None:
    model = read_autoencoder(trained)
    z = np.random.default_rng(0).normal(size=(500, 5))
    assert units_in_use(z, model, [])["effective"] == pytest.approx(5, abs=0.2)
    found = units_in_use(z * [1, 1, 0, 0, 0], model, [{"divergence": 2.5}])
    assert found | {"active": 2, "collapsed": True, "divergence": 2.5, "dim": 5} == found
    assert found["effective"] == pytest.approx(2, abs=0.1)
    assert units_in_use(z * [1, 1, 1, 0, 0], model, [])["collapsed"] is False


def test_a_wiring_is_learned_kept_and_used_again(shapes: Path, tmp_path: Path) -> None:
    learned = train(small(shapes, wiring="learn", keep=0.4, depth=2), run=tmp_path / "learn")
    record = read(learned)
    assert [e["phase"] for e in record["epochs"]] == ["learn", "train", "train"]
    wiring = json.loads((learned / "wiring.json").read_text())
    every = sum(range(1, len(wiring["nodes"]) - 1))
    assert 0 < len(wiring["edges"]) < every
    assert record["model"]["wiring"]["nodes"] == wiring["nodes"]
    again = train(small(shapes, wiring=str(learned / "wiring.json"), depth=2), run=tmp_path / "again")
    same(again, learned)  # the same wiring from the same seed
    assert [e["phase"] for e in read(again)["epochs"]] == ["train", "train"]
    with pytest.raises(ConfigError, match="the encoder has 2; learn one with the same depth"):
        train(small(shapes, wiring=str(learned / "wiring.json"), depth=1), run=tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("neuron", ["rot4", "unit"])
def test_other_neurons_and_colours(tmp_path: Path, neuron: str) -> None:
    data = write_shapes(tmp_path / "d", "bar", "disc", count=8, colour=True)
    run = train(small(data, neuron=neuron, epochs=1, onnx=True), run=tmp_path / "run")
    record = read(run)
    assert record["data"]["in_shape"] == [3, 12, 12]
    assert max(record["onnx_difference"].values()) < 0.1


def test_a_space_that_is_broken_or_pickled_is_refused(three: Path) -> None:
    (three / "space.npz").write_bytes(b"PK no")
    with pytest.raises(RunError, match=r"space\.npz: missing or broken"):
        Space.read(three)
    np.savez(three / "space.npz", mean=np.array([{}], dtype=object), std=1, axes=1, scale=1, seen=1)
    with pytest.raises(RunError, match=r"space\.npz: missing or broken"):
        Space.read(three)
    (three / "space.npz").unlink()
    with pytest.raises(RunError, match="finish the run, or train anew"):
        Space.read(three)
