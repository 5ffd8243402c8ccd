"""Does it help to leave an image empty where the net does not believe that the target is there?

A small U-Net with a presence head, trained once per seed; then every variant decides which masks are emptied, from the
same outputs:

- `none`: every mask as it is;
- `threshold`: the notes' gate, empty where the probability of presence is below .5;
- `expected`: empty where (1 - p) > p E[Dice | present], with p calibrated and what masks promise judged on the
  validation fold. The records at `standard` are of the rule as it was until 2026-11-26: p by the presence head alone,
  one threshold and least area for the masks of all images. The present rule, which cuts each image for itself, has the
  same mean on these images and misses fewer targets (docs/benchmarks.md); run anew, the variant is that one.

    python benchmarks/absence_set.py USGRA_FOLDER CROPS
    plexus study run absence --data CROPS --scale standard

The score is the mean over test images of Dice, 1 where truth and prediction are both empty and 0 where one is, in
percent. Seed s holds back fold s mod 5 of five for test and the next for validation; crops of one image and of its
near-duplicates are in one fold. A record holds the score of every test image (`images`) and its `groups`. The five test
sets are disjoint, their training sets overlap: intervals over folds are somewhat too narrow for that. Seeds s and s + 5
share a fold: ten seeds are five folds, each trained twice.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-25, before seeds beyond the first ones were read, with the rule
unchanged and no early stop.

Cost: about 4 minutes a training on one core at `standard`, beside others (ten trainings; the variants of a seed share
one); `quick` 10 seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, higher

from .evidence import Summary, gain

GROUP = r"^(\d+)-"
"""Of the file names of the crops: what the group is called."""


def trial(job: Job) -> dict[str, Any]:
    """Train a net, unless the last trial has just trained the same, and score one gate."""
    from plexus.metrics import dice, presence
    from plexus.segment import choose_gate

    val, test, facts = _outputs(job.data, job.seed, job.scale.images, job.scale.epochs, job.scale.options["size"])
    gate = choose_gate(job.variant.options["gate"], val[0], val[1], val[2])
    masks, truth = gate.apply(test[0], test[1]), test[2]
    scores, there = dice(masks, truth), truth.any((1, 2))
    detection = presence(gate.presence(test[1], test[0]), there)
    return {
        "test_dice": 100 * float(scores.mean()),
        "dice_present": 100 * float(scores[there].mean()),
        "empty_right": 100 * float(scores[~there].mean()),
        "presence_auc": 100 * detection.auc,
        "gate": gate.to_dict(),
        "images": [round(100 * score, 2) for score in scores.tolist()],
        **facts,
    }


@lru_cache(maxsize=1)
def _outputs(data: str, seed: int, limit: int | None, passes: int, size: int) -> tuple[Any, Any, dict[str, Any]]:
    """Outputs of the net of a seed on validation and test images, each as (probability, logit, truth)."""
    from .segmentation import BATCH, pairs, predict, train

    whole = pairs(data, size, GROUP)
    rows, val, test = whole.split(seed, limit)
    held = (whole.images[val], whole.masks[val])
    steps = passes * max(1, len(rows) // BATCH)
    trained = train(whole.images[rows], whole.masks[rows], held, steps=steps, passes=passes, seed=seed)
    outputs = [(*predict(trained.net, whole.images[r]), whole.masks[r][:, 0].numpy()) for r in (val, test)]
    facts = {
        "groups": [whole.samples.samples[r].group for r in test.tolist()],
        "train_loss": trained.train_loss,
        "val_loss": trained.val_loss,
        "val_accuracy_curve": trained.val_dice,
        "parameters": sum(p.numel() for p in trained.net.parameters()),
        "data": {"images": len(rows), "validation": len(val), "test": len(test)},
    }
    return outputs[0], outputs[1], facts


STUDY = Study(
    name="absence",
    question="Does a gate on the presence of the target raise the mean Dice?",
    baseline="none",
    variants=(
        Variant("none", {"gate": "none"}),
        Variant("threshold", {"gate": "0.5"}),
        Variant("expected", {"gate": "expected"}),
    ),
    scales={
        "quick": Scale(images=16, epochs=1, seeds=2, options={"size": 32}),
        "standard": Scale(images=None, epochs=30, seeds=10, options={"size": 80}),
        "full": Scale(images=None, epochs=200, seeds=10, options={"size": 160}),
    },
    data="crops",
    trial=trial,
    measure="test_dice",
)


GATED = (
    "The notes' gate (`threshold`: empty below a presence probability of .5) against none, the same net: mean Dice, 1 "
    "where truth and prediction are empty, higher with p < .05; refuted where the gain is below the margin. Beside it: "
    "the gate by expected Dice against the notes', and what each costs where the target is there."
)


def gated(study: Summary) -> Sequence[Part]:
    """Claim 16."""
    margin, present = study["margin"], "dice_present"
    return [
        higher("Dice higher with the notes' gate", gain(study, "threshold", "none"), margin),
        higher("Dice higher with the gate by expected Dice", gain(study, "expected", "none"), margin, counted=False),
        higher("expected Dice better than the notes' gate", gain(study, "expected", "threshold"), margin,
               counted=False),
        *(
            higher(f"Dice where the target is there, `{name}`", gain(study, name, "none", present), margin,
                   counted=False)
            for name in ("threshold", "expected")
        ),
    ]  # fmt: skip
