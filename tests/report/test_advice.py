"""What to do next: each sentence appears where its figures are there, and says them; none appears without."""

from typing import Any

import pytest

from plexus.record import FitRecord
from plexus.report import next_steps, render
from tests.report.pages import said

NOTHING = "Nothing in these figures asks for another run."


def run(**parts: Any) -> FitRecord:
    """A run of which nothing needs to be said: 95 % of 1,000 test images, as good on training images, flat curves."""
    final = {"name": "final", "accuracy": 0.95, "ci": [0.935, 0.962], "train_accuracy": 0.96, "parameters": 10_000}
    data = {
        "spec": "photos", "classes": ["cat", "ship"], "counts": {"train": 2000, "val": 400, "test": 1000},
        "in_shape": [3, 32, 32], "class_counts": [1000, 1000], "copies": {"val": 0, "test": 0},
        "original_size": [40, 40],
    }  # fmt: skip
    whole = {
        "format": 1, "kind": "fit", "finished": True, "epochs": curve(0.94, 0.95, 0.95, 0.95),
        "config": {"crop": 0.0, "cutout": 0.0, "keep": 0.5, "balance": None},
        "results": [final | parts.pop("final", {}), *parts.pop("controls", [])],
        "confusion": [[475, 25], [25, 475]], "data": data | parts.pop("data", {}),
    }  # fmt: skip
    return FitRecord.from_dict(whole | parts)


def curve(*accuracies: float) -> list[dict[str, Any]]:
    return [
        {"phase": "fit", "epoch": k, "val_accuracy": a, "val_loss": 1 - a, "seconds": 10.0}
        for k, a in enumerate(accuracies)
    ]


def test_a_run_without_a_fault_says_what_to_do_before_relying_on_it() -> None:
    (step,) = next_steps(run())
    assert step.startswith(f"{NOTHING} Before you rely on it: `plexus audit photos` looks for copies")
    assert "`plexus.audit(images)`" in next_steps(run(data={"spec": "(in memory)"}))[0]


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "copies": (
        {"data": {"copies": {"test": 12}}},
        "12 of 1,000 test images are among the training images, pixel by pixel, so the accuracy is flattered: "
        "`plexus audit photos` lists such pairs; take them out and fit anew.",
    ),
    "linear head": (
        {"controls": [{"name": "linear", "accuracy": 0.945, "ci": [0.93, 0.957]}]},
        "A linear layer on the backbone is as good as the wiring, as far as 1,000 test images can tell: +0.5 ",
    ),
    "linear head better": (
        {"controls": [{"name": "linear", "accuracy": 0.99, "ci": [0.98, 0.995]}]},
        "Take more epochs, or let the backbone learn, too (`--backbone-lr 0.0001`).",
    ),
    "never": (
        {"confusion": [[500, 0], [12, 0]], "data": {"class_counts": [900, 30]}},
        "No image of 'ship' was ever recognised (of 12 test images, 12 taken for 'cat'); there were 30 training images "
        "of it: add images of it, or make up for it with `--balance weights`.",
    ),
    "scarce": (
        {"data": {"class_counts": [900, 7]}},
        "There are only 7 training images of it, for 'ship': add images of it, or make up for it with `--balance "
        "weights`.",
    ),
    "by heart": (
        {"final": {"train_accuracy": 1.0, "accuracy": 0.8, "ci": [0.775, 0.825]}, "epochs": curve(0.1, 0.5, 0.7, 0.8)},
        "100.0 % of the training images are right and 80.0 % of the test images: the net has learned its images by "
        "heart. More images help most, or vary them more (`--crop 0.2` `--cutout 0.3`); more epochs will not.",
    ),
    "rising": (
        {"epochs": curve(0.5, 0.6, 0.8, 0.84)},
        "Accuracy on validation images rose by 4.0 points in the last quarter of the epochs, and was not at its end: "
        "try `plexus fit --epochs 8`, about 1 min 20 s of learning.",
    ),
    "rising fast": (
        {"epochs": curve(0.5, 0.6, 0.7, 0.84)},
        "try `plexus fit --epochs 16`, about 2 min 40 s of learning.",
    ),
    "weakest": (
        {"confusion": [[499, 1], [49, 451]], "final": {"accuracy": 0.99, "train_accuracy": 0.99, "ci": [0.98, 0.995]}}
        | {"confusion": [[900, 0], [60, 40]]},
        "'ship' is recognised worst: 40.0 % of 100 test images, most often taken for 'cat' (60)",
    ),
    "small": (
        {"data": {"original_size": [256, 300]}},
        "Images of 256 x 300 (the median) were made 32 x 32: if small things tell the classes apart, `--size 64` "
        "shows them, at about four times the time.",
    ),
    "cutting": (
        {"epochs": curve(0.90, 0.95, 0.95, 0.93, 0.85, 0.85, 0.85)},
        "Cutting cost accuracy: 95.0 % of the validation images were right while it went on, 85.0 % in the end: a "
        "larger budget (`--keep 0.7`) keeps more.",
    ),
    "never wider": (
        {"controls": [{"name": "direct", "accuracy": 0.99, "ci": [0.98, 0.995]}]},
        "The same net, never wider, is better by 4.0 points: here cutting did not pay.",
    ),
    "as good": (
        {"controls": [{"name": "resnet", "accuracy": 0.945, "ci": [0.93, 0.957], "parameters": 60_000}]},
        "A plain ResNet that takes as long is as good, as far as 1,000 test images can tell: +0.5 points (-1.4 to "
        "+2.4 points). This net has 6.0 times fewer parameters.",
    ),
    "better": (
        {"controls": [{"name": "resnet", "accuracy": 0.99, "ci": [0.98, 0.995]}]},
        "A plain ResNet that takes as long is better: -4.0 points (-5.6 to -2.4 points). Use that, or a larger budget",
    ),
    "few tests": (
        {"final": {"ci": [0.85, 0.99]}, "data": {"counts": {"test": 60}}},
        "60 test images tell the accuracy to 7 points either way only: more of them (`--test`) narrow that.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_finding_says_its_figures_and_a_remedy(case: str) -> None:
    parts, text = CASES[case]
    record = run(**parts)
    steps = next_steps(record, plain=True)
    assert any(text in step for step in steps), steps
    assert not any(NOTHING in step for step in steps)
    shown = said(render(record))
    assert "What to do next" in shown
    assert next_steps(record)[0].replace("\u202f", " ").partition("`")[0] in shown


def test_what_pruning_cost_comes_first_and_alone() -> None:
    before = {"name": "before", "accuracy": 0.95, "ci": [0.935, 0.962]}
    worse = {"accuracy": 0.4, "ci": [0.37, 0.43], "train_accuracy": 0.41}
    (step,) = next_steps(run(final=worse, controls=[before]), plain=True)
    assert step == (
        "Pruning cost 55.0 points (95.0 % of the test images right before, 40.0 % now): take a larger budget "
        "(`--keep 0.7`), or let a fit cut to this one while it learns (`plexus fit photos --keep 0.5 --epochs 24`)."
    )
    config = {"keep": None, "max_params": 1_500_000, "epochs": 60}
    (step,) = next_steps(run(final=worse, controls=[before], config=config))
    assert "(`--max-params 3000000`)" in step
    assert step.endswith("(`plexus fit photos --max-params 1500000 --epochs 60`).")
    as_good = {"accuracy": 0.945, "ci": [0.93, 0.957]}
    assert next_steps(run(final=as_good, controls=[before])) == next_steps(run(final=as_good))


def test_other_runs_do_not_find_the_same() -> None:
    """Each case is found in its own run alone, but for those that go together."""
    together = {"rising fast": {"rising"}, "never": {"weakest"}}
    for case, (parts, _) in CASES.items():
        steps = next_steps(run(**parts), plain=True)
        for other, (_, text) in CASES.items():
            if other != case and other not in together.get(case, set()):
                assert not any(text in step for step in steps), (case, other)


def test_a_larger_budget_is_named_by_the_one_that_was_given() -> None:
    worse = [{"name": "resnet", "accuracy": 0.99, "ci": [0.98, 0.995]}]
    asked = {"max_params": 200_000, "max_ms": 0.25, "keep": None}
    for name, value in asked.items():
        record = run(controls=worse, config={name: value}, plan={"channels": 0.75})
        option = {"max_params": "--max-params 400000", "max_ms": "--max-ms 0.5", "keep": "--keep 1"}[name]
        assert f"(`{option}`)" in next_steps(record)[0]


@pytest.mark.parametrize(("latency", "named"), [(0.219, "ResNet that takes as long"), (0.1, "ResNet (0.1 ms an image")])
def test_what_did_not_take_as_long_is_not_said_to(latency: float, named: str) -> None:
    plain = [{"name": "resnet", "accuracy": 0.99, "ci": [0.98, 0.995], "latency_ms": latency}]
    assert named in next_steps(run(controls=plain, final={"latency_ms": 0.2}), plain=True)[0]


def test_nothing_is_advised_without_a_tested_net() -> None:
    assert next_steps(run(finished=False)) == ["The run has not finished: `plexus fit --resume RUN` goes on with it."]
    assert next_steps(FitRecord(finished=True)) == ["No net was tested in this run, so its figures say nothing yet."]


def test_options_are_not_broken_at_their_hyphens() -> None:
    page = render(run(data={"copies": {"test": 12}}, command="plexus fit a--b.png --max-params 20k"))
    assert '<code id="command">plexus fit a<span>--b</span>.png <span>--max-params</span> 20k</code>' in page
    assert "code span { white-space: nowrap; }" in page
    page = render(run(confusion=[[500, 0], [12, 0]]))
    assert "<code><span>--balance</span> weights</code>" in page


def test_classes_cannot_become_elements() -> None:
    data = {"classes": ["<b>`x`</b>", "ship"], "class_counts": [3, 1000]}
    page = render(run(data=data))
    assert "&lt;b&gt;<code>x</code>&lt;/b&gt;" in page
    assert "<b>`" not in page


def test_a_net_that_has_hardly_begun_to_learn_needs_epochs_and_nothing_else() -> None:
    record = run(final={"train_accuracy": 0.2}, epochs=curve(0.2), data={"class_counts": [900, 7]})
    (step,) = next_steps(record, plain=True)
    assert step.startswith("Only 20.0 % of the training images themselves are right after 1 epoch: the net has hardly")
    assert "`plexus fit --epochs 24`" in step
