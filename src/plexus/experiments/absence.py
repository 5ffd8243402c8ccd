"""Does it help to leave an image empty where the net does not believe that the target is there?

A small U-Net with a presence head, trained once per seed; then every variant decides which masks are emptied, from the
same outputs:

- `none`: every mask as it is;
- `threshold`: the notes' gate, empty where the probability of presence is below .5;
- `expected`: empty where (1 - p) > p E[Dice | present], with p calibrated, and threshold and least area of masks chosen
  with it, on the validation fold.

    python benchmarks/absence_set.py USGRA_FOLDER CROPS
    plexus study run absence --data CROPS --scale standard

The score is the mean over test images of Dice, 1 where truth and prediction are both empty and 0 where one is, in
percent. Seed s holds back fold s of five for test and the next for validation; crops of one image and of its near-
duplicates are in one fold. A record holds the score of every test image (`images`) and its `groups`. The five test sets
are disjoint, their training sets overlap: intervals over folds are somewhat too narrow for that.

Cost: about 20 minutes on one core at `standard`, beside others (five trainings; the variants of a seed share one);
`quick` 10 seconds.
Expected: at `standard`, five folds (mean Dice, lowest and highest fold): none 58.3 % (49.3 to 68.3), threshold 66.2
(61.7 to 70.7), expected 68.2 (64.1 to 73.6). Over the 608 images, drawn by cluster, threshold is 7.8 pt (5.5 to 10.4)
above none and expected 2.0 (-.04 to 4.1) above threshold; over five folds the interval of the first holds 0 (-1.9 to
17.6).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from plexus.experiments._study import Job, Scale, Study, Variant

GROUP = r"^(\d+)-"
"""What the file names of the crops begin with."""


def trial(job: Job) -> dict[str, Any]:
    """Trains a net, unless the last trial has just trained the same, and scores one gate."""
    from plexus.metrics import dice, presence
    from plexus.segment._gate import choose_gate

    val, test, facts = _outputs(job.data, job.seed, job.scale.images, job.scale.epochs, job.scale.options["size"])
    gate = choose_gate(job.variant.options["gate"], val[0], val[1], val[2])
    masks, truth = gate.apply(test[0], test[1]), test[2]
    scores, there = dice(masks, truth), truth.any((1, 2))
    found = presence(gate.presence(test[1]), there)
    return {
        "test_dice": 100 * float(scores.mean()),
        "dice_present": 100 * float(scores[there].mean()),
        "empty_right": 100 * float(scores[~there].mean()),
        "presence_auc": 100 * found.auc,
        "gate": gate.to_dict(),
        "images": [round(100 * score, 2) for score in scores.tolist()],
        **facts,
    }


@lru_cache(maxsize=1)
def _outputs(data: str, seed: int, limit: int | None, passes: int, size: int) -> tuple[Any, Any, dict[str, Any]]:
    """What the net of a seed says of validation and test images, each as (probability, logit, truth)."""
    from plexus.experiments._masks import BATCH, pairs, predict, train

    found = pairs(data, size, GROUP)
    rows, val, test = found.split(seed, limit)
    held = (found.images[val], found.masks[val])
    steps = passes * max(1, len(rows) // BATCH)
    made = train(found.images[rows], found.masks[rows], held, steps=steps, passes=passes, seed=seed)
    said = [(*predict(made.net, found.images[r]), found.masks[r][:, 0].numpy()) for r in (val, test)]
    facts = {
        "groups": [found.samples.samples[r].group for r in test.tolist()],
        "train_loss": made.train_loss,
        "val_loss": made.val_loss,
        "val_accuracy_curve": made.val_dice,
        "parameters": sum(p.numel() for p in made.net.parameters()),
        "data": {"images": len(rows), "validation": len(val), "test": len(test)},
    }
    return said[0], said[1], facts


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
        "standard": Scale(images=None, epochs=30, seeds=5, options={"size": 80}),
        "full": Scale(images=None, epochs=200, seeds=5, options={"size": 160}),
    },
    data="crops",
    trial=trial,
    measure="test_dice",
)
