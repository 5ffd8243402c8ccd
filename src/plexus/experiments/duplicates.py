"""Does it help to drop near-duplicates whose masks contradict each other before training?

Near-duplicates are planted among the training images: 60 % of them get a twin, shifted by up to 3 pixels, with another
gain and offset and some noise. Two thirds of the twins lose their mask, so that half of the images contradict another
(40 % of the originals lose to a twin; the notes speak of 40 % of their images). A small U-Net is then trained on

- `corrupted`: all of it;
- `audited`: what `plexus audit` keeps, which finds the pairs from the pixels alone and then drops the image with an
  empty mask;
- `both`: what is left when both images of every contradictory pair are dropped, as the notes may have done;
- `clean`: the same twins, with their masks: the upper bound.

    plexus study run duplicates --data USGRA_FOLDER --scale standard

Every variant takes the same number of steps. The score is the mean Dice over test images, in percent; test and
validation images are never changed. Seed s holds back fold s of five for test and the next for validation; images that
are near-duplicates by themselves are in one fold. The five test sets are disjoint, their training sets overlap:
intervals over folds are somewhat too narrow for that.

The corruption is made for the rule, which drops the image with an empty mask: masks that were drawn where nothing is
would be kept. A record also holds `found`, the share of planted contradictions that the audit found, and
`false`, how many pairs it reported that were not planted; and `published_pairs`, `published_images` and
`intended_pairs`, what the notes' own fingerprint, as published and as meant, flags on the untouched images.

Cost: about 19 minutes on one core at `standard`, beside others; `quick` 20 seconds.
Expected: at `standard`, five folds (of `both` and `clean` four; mean Dice, lowest and highest): corrupted 36.5 % (0 to
55.2), audited 48.0 (40.0 to 53.4), both 46.2 (43.4 to 48.3), clean 50.6 (45.0 to 57.5). The audit found every planted
contradiction in every fold looked at. One of the five corrupted trainings ended with every mask empty, which makes the
mean difference (11.5 pt) large and its interval wide (-15.5 to 38.5); in the other four it is -1.8 to 5.2 pt.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from plexus.experiments._study import Job, Scale, Study, Variant


def trial(job: Job) -> dict[str, Any]:
    """Plants twins, cleans them in the variant's way, trains and tests."""
    from plexus.experiments._masks import BATCH, pairs, predict, train
    from plexus.experiments._twins import plant
    from plexus.metrics import dice

    found = pairs(job.data, job.scale.options["size"])
    rows, val, test = found.split(job.seed, job.scale.images)
    planted = plant(found, rows, job.seed, job.folder)
    images, masks = planted.training(job.variant.options["train"])
    passes = job.scale.epochs
    steps = passes * max(1, len(rows) // BATCH)
    held = (found.images[val], found.masks[val])
    made = train(images, masks, held, steps=steps, passes=passes, seed=job.seed)
    probability, _ = predict(made.net, found.images[test])
    scores = dice(probability > 0.5, found.masks[test][:, 0].numpy())
    return {
        "test_dice": 100 * float(scores.mean()),
        "empty": 100 * float((~(probability > 0.5).any((1, 2))).mean()),
        "train_loss": made.train_loss,
        "val_loss": made.val_loss,
        "val_accuracy_curve": made.val_dice,
        "kept": len(images),
        **planted.facts(),
        **_notes(job.data),
        "data": {"images": len(images), "validation": len(val), "test": len(test)},
    }


@lru_cache(maxsize=1)
def _notes(data: str) -> dict[str, float]:
    """Percentage of all pairs and of all images that the notes' fingerprint reports, with the notes' bound."""
    from plexus.audit import fingerprint, near_duplicates
    from plexus.data import open_samples

    samples, found = open_samples(data, masks=True), {}
    for key, kind in (("published", "blockhist-published"), ("intended", "blockhist")):
        near = near_duplicates(fingerprint(samples, kind), threshold=NOTES)
        n = len(samples)
        found[f"{key}_pairs"] = 100 * len(near) / (n * (n - 1) / 2)
        found[f"{key}_images"] = 100 * len({*near.a.tolist(), *near.b.tolist()}) / n
    return found


NOTES = 0.008
"""The notes' largest cosine distance of a near-duplicate."""

STUDY = Study(
    name="duplicates",
    question="Does it help to drop near-duplicates with contradictory masks?",
    baseline="corrupted",
    variants=(
        Variant("corrupted", {"train": "all"}),
        Variant("audited", {"train": "kept"}),
        Variant("both", {"train": "neither"}),
        Variant("clean", {"train": "right"}),
    ),
    scales={
        "quick": Scale(images=16, epochs=1, seeds=2, options={"size": 32}),
        "standard": Scale(images=None, epochs=30, seeds=5, options={"size": 80}),
        "full": Scale(images=None, epochs=200, seeds=5, options={"size": 160}),
    },
    data="usgra",
    trial=trial,
    measure="test_dice",
)
