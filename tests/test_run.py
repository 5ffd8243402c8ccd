"""The front door: from arrays to a run that predicts, exports, prunes and explains itself."""

from __future__ import annotations

import datetime
import inspect
import os
import pickle
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import plexus
from plexus.errors import ConfigError, DataError, PlexusError, RunError
from plexus.training import FitConfig, declared
from plexus.training.run_folder import make_run_folder

SIDE = 8
OPTIONS: dict[str, Any] = {"epochs": 3, "keep": 0.5, "width": 16, "progress": False}


def bars(count: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images with a bright bar, upright or lying, in shades from 0 to 1."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.random((count, SIDE, SIDE)) / 4
    for image, label, at in zip(images, labels, random.integers(1, SIDE - 1, count), strict=True):
        (image if label else image.T)[at] = 1
    return images, np.where(labels, 7, -3)


def stack(in_shape: Any) -> list[nn.Module]:
    return [nn.Sequential(nn.LazyConv2d(8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(2)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> plexus.Run:
    return plexus.fit(*bars(120), out=tmp_path_factory.mktemp("runs") / "bars", **OPTIONS)


def test_a_fit_leaves_what_the_command_line_leaves(run: plexus.Run) -> None:
    assert {"record.json", "report.html", "model.onnx", "model.py", "wiring.json"} <= {
        p.name for p in run.folder.iterdir()
    }
    assert run.record.command == "plexus.fit(IMAGES, epochs=3, keep=0.5, width=16)"
    assert run.record.finished
    assert run.record.data.scale == [0.0, 1.0]
    assert run.wiring.nodes[0] == "input"
    assert run.report().read_text().startswith("<!doctype html>")


def test_answers_are_of_the_kind_of_the_labels(run: plexus.Run) -> None:
    images, labels = bars(40, seed=1)
    assert run.classes.tolist() == [-3, 7]
    answers, shares = run.predict(images), run.predict_proba(images)
    assert set(answers) <= {-3, 7}
    assert shares.shape == (40, 2)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(answers, run.classes[shares.argmax(1)])
    assert run.score(images, labels) == run.score(images, labels[:, None]) == (answers == labels).mean()


def test_images_on_another_scale_than_files_are_told(tmp_path: Path) -> None:
    run = plexus.fit("digits", limit=60, epochs=1, width=8, progress=False, out=tmp_path / "run")
    images = load_digits().images[:20]  # 0..16
    with pytest.warns(UserWarning, match=r"reach 16, those of the training were on the scale 0\.\.255"):
        run.predict(images)
    assert len(run.predict(255 / 16 * images)) == 20


def test_a_score_takes_the_labels_that_images_bring(run: plexus.Run, tmp_path: Path) -> None:
    images, labels = bars(40, seed=1)
    expected = run.score(images, labels)
    assert run.score((images, labels)) == expected
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        Image.fromarray((255 * image).round().astype(np.uint8)).save(tmp_path / str(label) / f"{i}.png")
    assert abs(run.score(tmp_path) - expected) <= 1 / 40  # of bytes, no more
    with pytest.raises(DataError, match="40 of the images have no class: give the labels"):
        run.score(images)


def test_one_image_a_file_and_bytes_are_read_alike(run: plexus.Run, tmp_path: Path) -> None:
    from PIL import Image

    images = np.rint(bars(3, seed=2)[0] * 255).astype(np.uint8)
    expected = run.predict_proba(images)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for other in (images / 255, torch.from_numpy(images)[:, None], files, tmp_path):
        np.testing.assert_allclose(run.predict_proba(other), expected, atol=1e-6)
    np.testing.assert_allclose(run.predict_proba(images[0]), expected[:1], atol=1e-6)
    np.testing.assert_allclose(run.predict_proba(files[0]), expected[:1], atol=1e-6)
    colours = np.repeat(images[0][..., None], 3, 2)  # grey as a photograph is
    np.testing.assert_allclose(run.predict_proba(colours), expected[:1], atol=1e-2)
    for named in (np.array(list(map(str, files))), np.array(files, object)):
        np.testing.assert_allclose(run.predict_proba(named), expected, atol=1e-6)
    with pytest.raises(ConfigError, match="batch_size=0: give 1 or more"):
        run.predict(images, batch_size=0)
    with pytest.raises(DataError, match="NaN"):
        run.predict(np.full((2, SIDE, SIDE), np.nan))


def test_grey_images_and_one_of_colours_are_told_apart_where_colours_were_learned(tmp_path: Path) -> None:
    images, labels = bars(60)
    colours = np.stack([images, images, images], 1)
    run = plexus.fit(torch.from_numpy(colours), labels, out=tmp_path / "run", **OPTIONS)
    expected = run.predict_proba(images[:5])
    assert len(expected) == 5
    for one in (images[0], colours[0], np.moveaxis(colours[0], 0, 2)):
        np.testing.assert_allclose(run.predict_proba(one), expected[:1], atol=1e-6)


def test_model_and_exports_take_the_images_of_the_training(run: plexus.Run, tmp_path: Path) -> None:
    images = bars(20, seed=3)[0]
    expected = run.predict_proba(images)
    stacked = torch.from_numpy(images)[:, None]
    with torch.no_grad():
        logits = run.model(stacked)
        np.testing.assert_allclose(logits.softmax(1), expected, atol=0.02)  # pixels of predict are bytes
        program = torch.export.load(run.export("torch", tmp_path / "net.pt2")).module()
        np.testing.assert_allclose(program(stacked.float()), logits, atol=1e-4)
    session = onnxruntime.InferenceSession(str(run.export("onnx", tmp_path / "net.onnx")))
    (answers,) = session.run(None, {session.get_inputs()[0].name: images[:, None].astype(np.float32)})
    np.testing.assert_allclose(answers, logits, atol=1e-4)
    small = onnxruntime.InferenceSession(str(run.export("int8", tmp_path / "int8.onnx")))
    (near,) = small.run(None, {small.get_inputs()[0].name: images[:, None].astype(np.float32)})
    assert np.abs(near - answers).max() < 0.2 * (answers.max() - answers.min())
    assert small.get_modelmeta().custom_metadata_map["classes"] == '["-3", "7"]'
    assert not [m for m in run.model.modules() if type(m).__module__.startswith("plexus")]


def test_exports_are_in_evaluation_mode_and_need_no_plexus(tmp_path: Path) -> None:
    run = plexus.fit(*bars(60), neuron="rot4", out=tmp_path / "run", **OPTIONS)
    images = torch.from_numpy(bars(5)[0])[:, None].float()
    with torch.no_grad():
        expected = run.model(images)
    run.model.train()
    run.export("onnx", tmp_path / "net.onnx")
    program = torch.export.load(run.export("torch", tmp_path / "net.pt2"))
    assert run.model.training
    np.testing.assert_allclose(program.module()(images).detach(), expected, atol=1e-4)
    assert not [node for node in program.graph.nodes if "plexus" in str(node.target)]


def test_a_fit_leaves_random_numbers_and_environment_as_they_were(tmp_path: Path) -> None:
    before, drawn = dict(os.environ), torch.rand(2, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(3)
    plexus.fit(*bars(40), out=tmp_path / "run", **{**OPTIONS, "epochs": 1})
    assert torch.equal(torch.rand(2), drawn)
    assert dict(os.environ) == before


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    made = [make_run_folder(None, {"config.yaml": ""}, data="x", verb="fit", now=now) for _ in range(3)]
    assert [path.name for path in made] == [f"x-20260102-030405{end}" for end in ("", "-2", "-3")]


def test_a_run_can_be_opened_again_and_pickled(run: plexus.Run) -> None:
    images = bars(10, seed=4)[0]
    for again in (plexus.load(run.folder), plexus.load(str(run.folder)), pickle.loads(pickle.dumps(run))):
        np.testing.assert_array_equal(again.predict_proba(images), run.predict_proba(images))
        assert torch.equal(again.model(torch.ones(1, 1, SIDE, SIDE)), run.model(torch.ones(1, 1, SIDE, SIDE)))


def test_results_print_as_a_table(run: plexus.Run) -> None:
    lines = str(run.results).splitlines()
    assert lines[0].split() == ["network", "accuracy", "95", "%", "weights", "MACs", "ms", "kB", "train"]
    assert len({len(line) for line in lines}) == 1
    assert run.results["final"] is run.results[0]
    assert f"{run.results['final'].accuracy:.1%} right of 24 test images" in repr(run)
    with pytest.raises(KeyError, match="no network of the run; it has final"):
        run.results["chain"]


def test_what_a_notebook_shows_is_escaped(run: plexus.Run) -> None:
    record = run.record.model_copy(deep=True)
    record.results[0].label = "<script>"
    shown = plexus.Results(record)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "<table>" in run._repr_html_()


def test_pruning_gives_a_smaller_run(run: plexus.Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its images were in memory: give them again"):
        plexus.load(run.folder).prune(keep=0.25)
    with pytest.raises(RunError, match=r"the images under .* are not those the run started with"):
        plexus.load(run.folder).prune(keep=0.25, data=bars(120, seed=9), out=tmp_path / "no", progress=False)
    assert not (tmp_path / "no").exists()
    pruned = plexus.load(run.folder).prune(keep=0.25, data=bars(120), out=tmp_path / "pruned", progress=False)
    assert (pruned.folder / "report.html").is_file()
    before, after = run.results["final"].parameters, pruned.results["final"].parameters
    assert before is not None
    assert after is not None
    assert after < before
    was, now = run.results["final"], pruned.results["before"]
    assert (now.label, now.accuracy, now.ci, now.parameters) == ("before pruning", was.accuracy, was.ci, was.parameters)
    assert now.latency_ms is not None
    assert pruned.results[1] is now
    assert len(pruned.predict(bars(5)[0])) == 5


def test_the_command_line_says_where_images_in_memory_are(run: plexus.Run, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "plexus",
        "prune",
        str(run.folder),
        "--keep",
        "0.25",
        "--run",
        str(tmp_path / "no"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "the images were in memory; give them again in Python" in done.stderr
    assert not (tmp_path / "no").exists()


def test_legos_may_be_a_function_or_a_list(tmp_path: Path) -> None:
    options = {"epochs": 3, "keep": 0.5, "progress": False}
    run = plexus.fit(*bars(60), legos=stack, out=tmp_path / "function", **options)
    assert run.config.legos == "(in memory)"
    with pytest.raises(ConfigError, match="legos were a function in memory: give it again"):
        plexus.load(run.folder).model  # noqa: B018
    images = torch.rand(3, 1, SIDE, SIDE)
    for given in (stack, stack(None), nn.ModuleList(stack(None))):
        assert torch.equal(plexus.load(run.folder, legos=given).model(images), run.model(images))
    listed = plexus.fit(*bars(60), legos=stack(None), out=tmp_path / "list", **options)
    assert torch.equal(listed.model(images), run.model(images))


def test_a_set_and_a_folder_are_named(tmp_path: Path) -> None:
    for call in (lambda: plexus.fit("digits", limit=5), lambda: plexus.fit(limit=5)):
        with pytest.raises(DataError, match="--limit 5 is too low for 10 classes"):
            call()
    with pytest.raises(DataError, match="no such folder"):
        plexus.fit(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        ((np.zeros((20, 8, 8)),), {}, "the images have no labels: give one class per image"),
        (("digits", [0, 1]), {}, "labels beside 'digits', which brings its own"),
        (bars(20), {"epochs": np.arange(5000)}, "epochs=a ndarray of shape"),
        (bars(20), {"epoch": 3}, "unknown option 'epoch'; did you mean 'epochs'"),
        (bars(20), {"epochs": list(range(5000))}, "epochs=a list of 5000"),
        (bars(20), {"legos": 3}, "legos are 3: give a function"),
        (bars(20), {"legos": lambda shape: shape.wrong}, "raised AttributeError"),
        (bars(20), {"legos": lambda shape: [nn.Conv2d(9, 9, 3)]}, "lego"),
        (bars(4), {}, "class '-3' has 2 usable images of the 3 needed"),
        (("no/such/folder/at/all",), {}, "no such folder"),
        (
            ([np.zeros((90, 72)), np.zeros((72, 90))] * 9, [0, 1] * 9),
            {},
            "resize all with --size, for example --size 64",
        ),
    ],
)
def test_a_mistake_is_one_short_line_and_leaves_nothing(
    arguments: Any, options: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlexusError, match=told) as error:
        plexus.fit(*arguments, progress=False, **options)
    assert len(str(error.value)) < 300
    assert "\n" not in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_help_and_completion_know_every_option_and_its_choices() -> None:
    parameters = inspect.signature(plexus.fit).parameters
    assert set(declared(FitConfig)) <= set(parameters)
    assert "Literal['plain', 'rot8'" in str(parameters["neuron"].annotation).replace("typing.", "")
    assert parameters["epochs"].default == FitConfig().epochs
    shown = pydoc.render_doc(plexus.fit, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    for name, option in declared(FitConfig).items():
        assert f" {name}: " in shown, name
        assert name in ("data", "legos", "teacher", "backbone") or option.text in shown


def test_importing_loads_nothing_heavy_and_names_everything() -> None:
    code = """if True:
        import sys
        import plexus
        names = dir(plexus)
        assert {"fit", "load", "audit", "Run", "nn", "wiring", "training"} <= set(names), names
        heavy = {"torch", "lightning", "numpy", "sklearn", "pandas", "pydantic"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", code], check=True)


class Middle(nn.Module):
    """Logits that follow the middle of the image, which no turn changes; they expect shades from 0 to 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = x[..., 3:5, 3:5].mean((1, 2, 3))
        return torch.stack([0.5 - middle, middle - 0.5], 1)


def dots(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    labels = np.arange(count) % 2
    images = np.zeros((count, SIDE, SIDE))
    images[:, 3:5, 3:5] = labels[:, None, None]
    return images, labels


def test_a_probe_takes_modules_and_arrays(tmp_path: Path) -> None:
    net = Middle().train()
    found = plexus.probe(net, *dots(6), step=90, out=tmp_path / "probe", progress=False)
    assert net.training
    assert found.record.models[0].curve.summary.groups["exact"].accuracy == 1
    assert found.record.data.images == 6
    assert {path.name for path in (tmp_path / "probe").iterdir()} == {"rotation.json", "rotation.html"}
    assert "Middle" in str(found)
    for told, arguments in (
        ("name the images, too", (Middle(),)),
        ("3 is no model", (3, *dots(4))),
        ("label '2' is none of the model's 2 classes", (Middle(), dots(3)[0], [0, 1, 2])),
    ):
        with pytest.raises(PlexusError, match=told):
            plexus.probe(*arguments, progress=False)
    with pytest.raises(ConfigError, match="unknown option 'angle'"):
        plexus.probe(Middle(), *dots(4), angle=3)


def test_a_model_that_gives_probabilities_is_told() -> None:
    with pytest.warns(UserWarning, match="Sequential: its answers sum to 1, as probabilities do, and are"):
        plexus.probe(nn.Sequential(Middle(), nn.Softmax(1)), *dots(6), step=90, progress=False)
    plexus.probe(nn.Sequential(Middle(), nn.LogSoftmax(1)), *dots(6), step=90, progress=False)  # those are logits


def test_a_probe_of_a_run_takes_the_images_it_was_tested_on(run: plexus.Run) -> None:
    found = plexus.probe(run, step=90, progress=False)
    assert found.record.data.images == run.record.data.counts["test"]
    upright = found.record.models[0].curve.summary.groups["upright"]
    assert upright.accuracy is not None
    with pytest.raises(DataError, match="its images were in memory: give images"):
        plexus.probe(run.folder, progress=False)


def test_a_probe_of_a_run_scales_16_bit_images_as_its_training(tmp_path: Path) -> None:
    images, labels = bars(60)
    places = {(bits, shades): tmp_path / f"{bits}-{shades}" for bits in (8, 12) for shades in (60, 255)}
    for (bits, shades), folder in places.items():
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            grey = (image * shades).round()
            stored = grey.astype(np.uint8) if bits == 8 else (grey * 4095 / 255).round().astype(np.uint16)
            (folder / f"{label}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(stored).save(folder / f"{label}" / f"{i}.png")
    run = plexus.fit(places[12, 255], out=tmp_path / "run", **OPTIONS | {"epochs": 1})
    assert run.record.data.white == 4095
    dark = {bits: plexus.probe(run, places[bits, 60], step=90, progress=False).record.models[0] for bits in (8, 12)}
    assert dark[12].curve == dark[8].curve


def test_a_probe_of_a_run_sees_images_in_memory_as_predict_does(run: plexus.Run, tmp_path: Path) -> None:
    images, labels = bars(40, seed=3)
    for dark in (images, images / 4, images[labels == 7] / 2):  # 0..1, as the training; the last reach a half
        truth = labels[: len(dark)]
        found = plexus.probe([run, run.folder], dark, truth, step=90, mask=None, progress=False).record.models
        sure = run.predict_proba(dark)[np.arange(len(dark)), (truth == 7).astype(int)]
        for model in found:
            assert model.curve.summary.groups["upright"].probability == pytest.approx(sure.mean(), abs=1e-5)
    other = plexus.fit(images * 40, labels, out=tmp_path / "other", **OPTIONS | {"epochs": 1})
    with pytest.raises(ConfigError, match=r"on different scales \(bars 0\.\.1, other 0.*40\): probe them one"):
        plexus.probe([run, other], images, labels, progress=False)


def test_a_probe_warns_of_images_on_another_scale_than_files_and_fits_them_as_predict(tmp_path: Path) -> None:
    run = plexus.fit("digits", limit=60, epochs=1, width=8, progress=False, size=8, fit="crop", out=tmp_path / "run")
    images, labels = load_digits().images[:20], load_digits().target[:20]  # 0..16
    with pytest.warns(UserWarning, match=r"reach 16, those of the training were on the scale 0\.\.255"):
        plexus.probe(run, images, labels, step=90, progress=False)
    wide = np.pad(255 / 16 * images, ((0, 0), (0, 0), (0, 8)))
    sure = run.predict_proba(wide)[np.arange(20), labels].mean()
    found = plexus.probe(run, wide, labels, step=90, mask=None, progress=False).record.models[0]
    assert found.curve.summary.groups["upright"].probability == pytest.approx(sure, abs=1e-5)


def test_the_rotation_of_arrays_is_that_of_tensors() -> None:
    from plexus.robustness import rotation

    images, labels = dots(6)
    stacked = torch.from_numpy(images)[:, None].float()
    tensors = rotation(Middle(), stacked, torch.from_numpy(labels), range(0, 360, 90), progress=False)
    arrays = rotation(Middle(), images[:, None], labels, range(0, 360, 90), progress=False)
    listed = rotation(Middle(), images[:, None], labels.tolist(), range(0, 360, 90), progress=False)
    np.testing.assert_array_equal(arrays.probability, tensors.probability)
    np.testing.assert_array_equal(listed.probability, tensors.probability)
    with pytest.raises(ConfigError, match="images are 'cat'; give a tensor or an array"):
        rotation(Middle(), "cat", labels)  # type: ignore[arg-type]


def test_the_audit_is_a_package_and_can_be_called(tmp_path: Path) -> None:
    from PIL import Image

    import plexus.audit
    from plexus.audit import Audit, fingerprint

    assert callable(fingerprint)
    images = np.random.default_rng(0).integers(0, 256, (5, 72, 96), dtype=np.uint8)
    images[4] = images[1]
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    for found in (
        plexus.audit(images, k=2),  # type: ignore[operator]
        plexus.audit(paths, k=2),  # type: ignore[operator]
        plexus.audit(list(map(str, paths)), [0, 1, 0, 1, 1], k=2),  # type: ignore[operator]
        plexus.audit(tmp_path, k=2),  # type: ignore[operator]
        plexus.audit.audit((images, list("abbab")), k=2),
    ):
        assert isinstance(found, Audit)
        assert [(pair.a, pair.b, pair.exact) for pair in found.findings.pairs] == [(1, 4, True)]
    with pytest.raises(DataError, match="17 holds no images"):
        plexus.audit(17)  # type: ignore[operator]
