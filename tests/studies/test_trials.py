"""The notes' studies: what they compare, that their trials are paired, and that every kind of trial runs."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from itertools import combinations, product
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from plexus.errors import TrainingError
from plexus.experiments import Job, Study, names
from plexus.graph import Wiring
from studies import context as training
from studies.context import CYCLE, NOTES, Pixels, Recipe, TrialContext, drops, stalled
from studies.granularity import LONGER, SIZES, made
from studies.rotation import build, circle, turned
from studies.search import all_wirings, cut, edges_of, fresh, masks_of, mutated, name_of, wiring_of

TURNED = [f"{k}_rot_{n}" for k in (8, 4) for n in (1, 2, 3, 4)]
VARIANTS = {
    "neurons": ["baseline", "norm_conv", "norm_dense", "norm_conv_dense", "elu"],
    "rotation": ["baseline", "augmented", *TURNED, "concat", "squeeze", "continuous"],
    "gates": [
        *("sigmoid", "none", "none_0.62", "init_0", "init_1", "gate_0.05", "gate_0.5", "gate_0.95"),
        *("gaussian", "chain", "channel"),
    ],
    "merging": ["default", "sum", "max", "squeeze", "nearest", "bilinear", "bicubic", "largest"],
    "pruning": [
        *("full", "finetuned", "retrained", "chain", "ones", "random_1", "random_2", "random_3"),
        *("residual", "ablation"),
    ],
    "granularity": [
        *("residual", "residual_longer"),
        *(
            f"{between}_{way}"
            for between in ("map", "columns", "layers")
            for way in ("learned", "random", "random_cuts")
        ),
    ],
    "absence": ["none", "threshold", "expected"],
    "contradictions": ["published", "published_middle", "intended", "intended_middle"],
    "duplicates": ["corrupted", "audited", "both", "clean"],
    "representation": ["pixels", "z", "tuned"],
    "searches": ["gradient"],
    "resizing": ["default", "nearest", "bilinear", "bicubic"],
    "elu": ["baseline", "elu"],
    "many_gates": ["sigmoid"],
    "one_layer": ["baseline", "8_rot_1", "4_rot_1"],
}
FRESH = {
    "searches": (100, 99),
    "resizing": (100, 40),
    "elu": (100, 36),
    "many_gates": (100, 10),
    "one_layer": (100, 80),
}
"""Studies of seeds that no other has read: the first, and how many."""


def load(name: str) -> Study:
    """A study as these tests import it, so that its parts can be watched."""
    study: Study = import_module(f"studies.{name}").STUDY
    return study


def job(study: Study, variant: str, folder: Path, *, seed: int = 0, data: str = "digits", **scale: Any) -> Job:
    """A trial of two epochs on forty images, with a folder of its own."""
    quick = study.scales["quick"]
    folder = folder / f"{variant}~{seed}"
    folder.mkdir(exist_ok=True)
    made = replace(quick, **({"images": 40, "epochs": 2} | scale))
    return Job(study.name, study.variant(variant), seed, made, "quick", data, folder)


def run(name: str, variant: str, folder: Path, **more: Any) -> dict[str, Any]:
    study = load(name)
    return study.trial(job(study, variant, folder, **more))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Colour images of 16 x 16, thirty of each of two classes."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for kind in ("dark", "light"):
        (folder / kind).mkdir()
        for i in range(30):
            pixels = random.integers(0, 128, (16, 16, 3)) + 100 * (kind == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / f"{i:02}.png")
    return str(folder)


def test_the_studies_are_those_that_are_promised() -> None:
    assert names() == sorted([*VARIANTS, "search"])


@pytest.mark.parametrize("name", VARIANTS)
def test_the_variants_are_those_that_are_promised(name: str) -> None:
    study = load(name)
    assert [v.name for v in study.variants] == VARIANTS[name]
    assert study.baseline == VARIANTS[name][0]


@pytest.mark.parametrize("name", [*VARIANTS, "search"])
def test_every_study_has_three_scales_of_growing_effort(name: str) -> None:
    study = load(name)
    assert list(study.scales) == ["quick", "standard", "full"]
    first, count = FRESH.get(name, (0, 10))
    assert study.scales["standard"].each() == range(first, first + count)
    assert study.scales["full"].seeds >= count
    efforts = [(scale.images or math.inf, scale.epochs) for scale in study.scales.values()]
    assert efforts == sorted(set(efforts))
    assert study.scales["full"].images is None
    for variant in study.variants:
        assert json.loads(json.dumps(variant.options)) == dict(variant.options)


@pytest.mark.parametrize("name", [*VARIANTS, "search"])
def test_the_docstring_says_what_is_asked_how_to_run_it_and_what_it_costs_and_not_what_came_out(name: str) -> None:
    text = sys.modules[load(name).trial.__module__].__doc__ or ""
    assert f"plexus study run {name} " in text
    assert "\nCost: " in text
    first, count = FRESH.get(name, (0, 10))
    seeds = f"{count if name in FRESH else 'Ten'} seeds at `standard`, {first} to {first + count - 1}"
    assert re.search(rf"{seeds}: fixed on 2026-11-2[567]\b", text)
    assert "Expected" not in text
    assert "test accuracy, lowest" not in text
    assert text.partition("\n")[0].endswith("?")


def test_studies_are_listed_without_loading_torch() -> None:
    code = (
        "import sys; from plexus.experiments import load, names; [load(n) for n in names()]; "
        "print(*sorted({'torch', 'scipy.stats'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# --- pairs ---


class Watch(nn.Module):
    """A linear classifier that keeps the batches it is trained on."""

    def __init__(self, context: TrialContext) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(int(np.prod(context.in_shape)), context.classes)
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen.append(x.clone())
        logits: torch.Tensor = self.layer(x.flatten(1))
        return logits


@pytest.mark.parametrize("recipe", [NOTES, CYCLE], ids=lambda r: r.name)
def test_variants_of_one_seed_see_the_same_batches(photos: str, tmp_path: Path, recipe: Recipe) -> None:
    study = load("neurons")
    one, two, other = (
        TrialContext(job(study, variant, tmp_path, seed=seed, data=photos), recipe)
        for variant, seed in (("baseline", 0), ("elu", 0), ("baseline", 1))
    )
    first, second, third = Watch(one), Watch(two), Watch(other)
    history = one.train(first)
    torch.rand(7)  # whatever a net draws meanwhile
    assert two.train(second) == history  # the labels are the same, too
    other.train(third)
    assert len(first.seen) == len(second.seen) == 2 * one.steps
    assert all(torch.equal(x, same) for x, same in zip(first.seen, second.seen, strict=True))
    assert not torch.equal(first.seen[0], first.seen[one.steps])  # the second epoch has another order
    assert not torch.equal(first.seen[0], third.seen[0])


def test_the_splits_of_a_trial_share_no_image(photos: str, tmp_path: Path) -> None:
    data = TrialContext(job(load("neurons"), "elu", tmp_path, data=photos), NOTES).data
    parts = [set(split.names) for split in (data.train, data.val, data.test)]
    assert all(a.isdisjoint(b) for a, b in combinations(parts, 2))
    assert len(data.train) == 38  # 40 images for training would need 50, and 48 are not for the test
    assert len(data.val) == 10


def test_two_names_of_one_start_give_one_result(tmp_path: Path) -> None:
    one, two = run("gates", "init_0", tmp_path), run("gates", "gate_0.5", tmp_path)
    assert one == two
    assert one["gates"][0] == [0.5] * 14
    assert one["gates"][2] != one["gates"][0]


def test_the_test_images_are_read_once_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    score, train = TrialContext.score, TrialContext.train

    def scored(self: TrialContext, net: nn.Module, split: Any) -> tuple[float, float]:
        read.append("test" if split is self.data.test else "val")
        return score(self, net, split)

    def trained(self: TrialContext, net: nn.Module, **more: Any) -> Any:
        batches = self.batches()
        assert batches.train is self.data.train
        assert batches.val is self.data.val
        read.append("training")
        return train(self, net, **more)

    monkeypatch.setattr(TrialContext, "score", scored)
    monkeypatch.setattr(TrialContext, "train", trained)
    run("neurons", "elu", tmp_path, epochs=3)
    assert read == ["training", "test"]


# --- training ---


def test_pixels_are_centred_scaled_and_masked() -> None:
    x, mean = torch.randint(0, 256, (4, 3, 6, 6), dtype=torch.uint8), 255 * torch.rand(3, 6, 6)
    mask = torch.zeros(6, 6)
    mask[1:5, 2:4] = 1
    expected = torch.zeros(4, 3, 6, 6, dtype=torch.float64)
    expected[..., 1:5, 2:4] = ((x.double() - mean.double()) / 128)[..., 1:5, 2:4]
    assert torch.allclose(Pixels(mean, 128.0, mask)(x).double(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("losses", "times", "since"),
    [([], 0, 0), ([2, 1, 1, 1, 1, 1], 0, 4), ([2, 1, *[1] * 5], 1, 5), ([1, *[2] * 10], 2, 10), ([1, 2, 2, 0.5], 0, 0)],
)
def test_the_rate_falls_where_the_loss_has_stalled(losses: list[float], times: int, since: int) -> None:
    assert (drops(losses), stalled(losses)) == (times, since)


def test_patience_ends_a_training_early(tmp_path: Path) -> None:
    still = replace(NOTES, lr=0.0)  # the loss stays what it is
    context = TrialContext(job(load("neurons"), "elu", tmp_path, epochs=9, options={"patience": 2}), still)
    assert len(context.train(Watch(context)).val_loss) == 3


def dropping() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.ReLU(), nn.Linear(16, 10))


@pytest.mark.parametrize("recipe", [NOTES, CYCLE], ids=lambda r: r.name)
def test_a_stopped_training_goes_on_to_the_same_numbers(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_SAVE_EVERY", 0.0)

    class Stop(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            if trainer.global_step == 2 * stopped.steps:
                raise KeyboardInterrupt

    study = load("neurons")
    whole, stopped = (TrialContext(job(study, name, tmp_path, epochs=4), recipe) for name in ("baseline", "elu"))
    nets = dropping(), dropping()
    expected = whole.train(nets[0])
    with pytest.raises(KeyboardInterrupt):
        stopped.train(dropping(), callbacks=[Stop()])
    assert stopped.train(nets[1]) == expected
    for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, two)


def test_what_is_trained_briefly_is_what_the_loop_makes_of_it(photos: str, tmp_path: Path) -> None:
    study = load("search")
    histories, states = [], []
    for name, brief in (("w2_4_8", True), ("w3_7_15", False)):
        context = TrialContext(job(study, name, tmp_path, data=photos), CYCLE, brief=brief)
        net = fresh(context, (3, 7, 15))
        histories.append(context.train(net))
        states.append(net.state_dict())
    assert histories[0] == histories[1]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("brief", [False, True])
def test_a_loss_that_is_no_number_fails_the_trial(tmp_path: Path, brief: bool) -> None:
    context = TrialContext(job(load("neurons"), "baseline", tmp_path), CYCLE, brief=brief)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.constant_(net[1].weight, float("nan"))  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="became nan in epoch 1"):
        context.train(net)


# --- trials ---

COMMON = {
    *("test_accuracy", "val_accuracy", "best_val_accuracy", "train_loss", "val_loss", "val_accuracy_curve"),
    *("parameters", "data"),
}


def check(metrics: dict[str, Any], epochs: int) -> None:
    """Check the parts that all records share."""
    assert metrics.keys() >= COMMON
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    curves = [metrics[key] for key in ("train_loss", "val_loss", "val_accuracy_curve")]
    assert [len(c) for c in curves] == [epochs] * 3
    assert metrics["val_accuracy"] == curves[2][-1]
    assert metrics["best_val_accuracy"] == max(curves[2])
    assert all(0 <= metrics[key] <= 100 for key in ("test_accuracy", "val_accuracy"))
    assert {"fingerprint", "images", "validation", "test"} == metrics["data"].keys()
    assert len(json.dumps(metrics)) < 20_000


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("neurons", "norm_conv_dense"),
        *[("gates", v) for v in ("none", "gaussian", "channel")],
        *[("merging", v) for v in ("sum", "max", "squeeze", "bicubic", "largest")],
    ],
)
def test_a_trial_runs(name: str, variant: str, photos: str, tmp_path: Path) -> None:
    data = "digits" if name == "neurons" else photos
    metrics = run(name, variant, tmp_path, data=data)
    check(metrics, 2)
    if "edges" in metrics:
        assert [len(values) for values in metrics["gates"]] == [len(metrics["edges"])] * 3
        assert metrics["edges"][0] == ["input", "lego2"]


@pytest.mark.parametrize("variant", ["baseline", "concat", "squeeze", "4_rot_2", "augmented"])
def test_a_trial_of_rotations_is_probed(variant: str, photos: str, tmp_path: Path) -> None:
    metrics = run("rotation", variant, tmp_path, data=photos, epochs=1)
    check(metrics, 1)
    probes = [metrics["rotation"]]
    if variant == "baseline":
        assert list(metrics["transplant"]) == TURNED
        probes += [twin["rotation"] for twin in metrics["transplant"].values()]
    for found in probes:
        assert found["angles"] == list(range(0, 360, 45))
        assert {len(found[key]) for key in ("accuracy", "probability", "one")} == {8}
        accuracy = dict(zip(found["angles"], found["accuracy"], strict=True))
        assert found["upright"] == pytest.approx(accuracy[0], abs=0.01)
        assert found["exact"] == pytest.approx(np.mean([accuracy[a] for a in (90, 180, 270)]), abs=0.01)
        assert found["angles_correct"] == pytest.approx(np.mean(found["accuracy"]), abs=0.01)
        assert found["quartiles"] == sorted(found["quartiles"])


def test_nets_of_one_seed_start_from_the_same_weights(photos: str, tmp_path: Path) -> None:
    study = load("rotation")
    contexts = [TrialContext(job(study, "baseline", tmp_path, seed=seed, data=photos), NOTES) for seed in (0, 1)]
    plain_net, other = (build({"net": "baseline"}, context).state_dict() for context in contexts)
    assert not torch.equal(plain_net["conv1.weight"], other["conv1.weight"])
    for variant in [v for v in study.variants if v.name != "baseline"]:
        net = build(variant.options, contexts[0]).state_dict()
        shared = [key for key in plain_net if key in net and net[key].shape == plain_net[key].shape]
        assert len(shared) >= 10
        assert all(torch.equal(net[key], plain_net[key]) for key in shared if not key.startswith("dense"))


def test_what_is_turned_in_training_is_masked_as_in_the_probe() -> None:
    pixels = torch.rand(11, 3, 16, 16) + 1
    made = turned(pixels, torch.Generator().manual_seed(0))
    outside = circle(16) == 0
    assert made.shape == pixels.shape
    assert 0.15 < outside.double().mean() < 0.25
    assert bool((made[..., outside] == 0).all())
    assert bool((made[..., ~outside] > 0.9).all())
    assert not torch.allclose(made, pixels * circle(16))


@pytest.mark.parametrize("variant", VARIANTS["pruning"])
def test_every_way_to_a_wiring_ends_in_one(variant: str, tmp_path: Path) -> None:
    metrics = run("pruning", variant, tmp_path, epochs=3)
    check(metrics, 3)
    pairs = {(source, target) for source, target, _ in metrics["wiring"]}
    chain = {(f"lego{i}", f"lego{i + 1}") for i in range(1, 9)} | {("lego9", "head")}
    assert chain <= pairs
    expected = {"full": 54, "ones": 54, "chain": 9, "residual": 13}.get(variant, 18)  # 9 legos on 8x8 digits
    assert metrics["edges_kept"] == len(pairs) == expected
    assert metrics["trainings"] == (2 if variant in ("retrained", "ablation") else 1)
    assert ("gap" in metrics) == (variant in ("finetuned", "retrained", "ablation"))


def test_random_wirings_differ_by_draw_and_by_seed(tmp_path: Path) -> None:
    found = [
        {tuple(e[:2]) for e in run("pruning", variant, tmp_path, seed=seed, epochs=3)["wiring"]}
        for variant, seed in (("random_1", 0), ("random_2", 0), ("random_1", 1), ("random_1", 0))
    ]
    assert found[0] == found[3]
    assert found[0] != found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize("variant", VARIANTS["granularity"])
def test_every_granularity_keeps_the_edges_it_is_given(variant: str, photos: str, tmp_path: Path) -> None:
    metrics = run("granularity", variant, tmp_path, data=photos)
    epochs = round(2 * LONGER) if variant == "residual_longer" else 2
    check(metrics, epochs)
    assert metrics["processor_seconds"] > 0
    between, _, way = variant.partition("_")
    edges = {"map": 15 * 24 * 10, "columns": 14 * 8 + 3 + 15 * 7, "layers": 45, "residual": 0}[between]
    # of two classes; with ten 8242, 8545, 8610 and 8136
    whole = {"map": 8042, "columns": 7673, "layers": 8538, "residual": 7992}[between]
    if between in ("map", "residual") or way == "random":
        assert metrics["parameters"] == whole
    else:  # a layer that nobody reads takes its own along
        assert 0.8 * whole <= metrics["parameters"] <= whole
        assert 0.8 * edges <= metrics["edges"] <= edges
    if between == "map":
        assert metrics["edges"] == edges
    assert ("began" in metrics) == (way in ("learned", "random_cuts"))


def test_random_cuts_follow_the_seed_alone(photos: str, tmp_path: Path) -> None:
    found = []
    for seed in (0, 0, 1):
        context = TrialContext(job(load("granularity"), "map_random_cuts", tmp_path, data=photos, seed=seed), CYCLE)
        net, cut = made(context, "map", "random_cuts", SIZES["small"])
        cut[0].apply(1.0)
        found.append(torch.cat([c.mask.flatten() for c in net.body.connections]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


# --- the exhaustive search ---

TARGETS = {"lego2": ("input", "lego1"), "lego3": ("input", "lego1", "lego2")}
TARGETS["head"] = (*TARGETS["lego3"], "lego3")


def test_all_wirings_of_three_legos_in_which_every_connection_has_a_source() -> None:
    pairs = [(source, target) for target, sources in TARGETS.items() for source in sources]
    every = {frozenset(p for p, there in zip(pairs, bits, strict=True) if there) for bits in product((0, 1), repeat=9)}
    expected = {edges for edges in every if {target for _, target in edges} == set(TARGETS)}
    study = load("search")
    listed = [frozenset(map(tuple, v.options["wiring"])) for v in study.variants if "wiring" in v.options]
    assert len(listed) == len(expected) == 3 * 7 * 15 == 315
    assert set(listed) == expected
    assert [v.name for v in study.variants if "wiring" not in v.options] == ["gradient", "evolution", "random"]
    chain = {("lego1", "lego2"), ("lego2", "lego3"), ("lego3", "head")}
    assert set(map(tuple, study.variant(study.baseline).options["wiring"])) == chain


def test_a_name_is_a_wiring() -> None:
    study = load("search")
    for masks in all_wirings():
        wiring = wiring_of(masks)
        assert masks_of(name_of(masks)) == masks
        assert edges_of(masks) == len(wiring.edges)
        assert [list(e[:2]) for e in wiring.edges] == study.variant(name_of(masks)).options["wiring"]
        assert Wiring.from_json(wiring.to_json()) == wiring


@pytest.mark.parametrize("edges", range(3, 10))
def test_the_cut_keeps_the_strongest_edges_of_all_wirings_that_large(edges: int) -> None:
    random = np.random.default_rng(edges)
    pairs = [(source, target) for target, sources in TARGETS.items() for source in sources]
    for _ in range(20):
        strengths = dict(zip(pairs, random.normal(size=9).tolist(), strict=True))
        best = max(
            (m for m in all_wirings() if edges_of(m) == edges),
            key=lambda m: sum(strengths[e[:2]] for e in wiring_of(m).edges),
        )
        assert cut(strengths, edges) == best


def test_a_mutation_changes_one_edge_and_reaches_every_wiring() -> None:
    random = torch.Generator().manual_seed(0)
    masks: tuple[int, ...] = (2, 4, 8)
    reached = set()
    for _ in range(10_000):
        child = mutated(masks, random)
        assert sum((a ^ b).bit_count() for a, b in zip(masks, child, strict=True)) == 1
        masks = child
        reached.add(masks)
    assert reached == set(all_wirings())


@pytest.mark.parametrize("variant", ["w1_1_1", "w3_7_15", "w2_1_12"])
def test_a_wiring_is_trained(variant: str, tmp_path: Path) -> None:
    metrics = run("search", variant, tmp_path)
    check(metrics, 2)
    assert metrics["edges"] == edges_of(masks_of(variant))


@pytest.mark.parametrize("variant", ["evolution", "random"])
def test_a_search_trains_as_the_exhaustive_trials_do(variant: str, tmp_path: Path) -> None:
    found = run("search", variant, tmp_path, epochs=1, options={"trainings": 12})
    check(found, 1)
    assert found["trainings"] == len(found["history"]) == 12
    assert found["history"] == sorted(found["history"], reverse=True)
    truth = run("search", found["found"], tmp_path, epochs=1)
    for key in ("test_accuracy", "train_loss", "val_loss", "edges"):
        assert found[key] == truth[key]
    assert found["history"][-1] == truth["val_loss"][-1]


def test_the_gradient_pays_for_one_training_and_chooses_for_every_budget(tmp_path: Path) -> None:
    found = run("search", "gradient", tmp_path)
    check(found, 2)
    assert found["trainings"] == 1
    assert found["found"] == found["chosen"]["gate"]["5"]
    for chosen in found["chosen"].values():
        assert {int(edges) for edges in chosen} == set(range(3, 10))
        assert all(edges_of(masks_of(name)) == int(edges) for edges, name in chosen.items())
    truth = run("search", found["found"], tmp_path)
    assert found["test_accuracy"] == truth["test_accuracy"]
