"""What do rotation-max neurons cost in accuracy, and how invariant to rotation do they make a network?

The notes' network (mini-VGG) with 8 or 4 rotations in its last 1 to 4 convolutions, against the plain one and against
the plain one trained on turned images; and, in the last convolution alone, the other ways to reduce 8 rotations:
`concat`, `squeeze`, `continuous`. Every trained net is probed with test images at angles all around. The baseline's
weights are then put into each rotation net without training (`transplant` in its record), and that is probed, too.

    plexus study run rotation --data CIFAR10_FOLDER --scale standard

All images, of training and of test, are multiplied by the inscribed circle, or the black corners of turned images
would disturb nets that never saw any; the notes did not do this. Quarter turns (`exact`) need no interpolation and are
reported apart from all other angles (`interpolated`). Training is the notes', see `neurons`.

The entry `rotation` of a record, in percent: `accuracy` by angle and by group of angles (`upright`, `exact`,
`interpolated`), `agreement_*` with the prediction at 0 degrees whether right or wrong, and `angles_correct`, the
percentage of angles at which an image is classified correctly, with its `quartiles` over images (least, lower, median,
upper, greatest). `probability` of the true class is the mean by angle, `one` that of the first image.

Ten seeds at `standard`, 0 to 9: fixed on 2026-11-25, before seeds beyond the first ones were read, with the rule
unchanged and no early stop.

Cost: 1 to 3 minutes a trial on one core at `standard`, beside another (the baseline with its eight twins up to 7;
`concat`, `squeeze` and `continuous` 4 to 7, estimated), 130 trials; `quick` 30 seconds on digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from plexus.experiments import Job, Scale, Study, Variant
from plexus.experiments.claims import Part, above, higher, lower, not_lower, same
from plexus.experiments.statistics import mean_of, paired

from .evidence import BEST, Summary, change, entry, gain, mean, metric

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .context import TrialContext


LAYERS = (1, 2, 3, 4)
WHERE = {1: "the last layer", 2: "the last two layers", 3: "the last three layers", 4: "all four layers"}
TURNED = tuple(f"{k}_rot_{n}" for k in (8, 4) for n in LAYERS)
REDUCED = ("concat", "squeeze", "continuous")
AGREEMENT, ANGLES = "rotation.agreement_interpolated", "rotation.angles_correct"
PATTERN = 0.9
"""Correlation from which two curves have the same pattern."""
_PARTS = 8  # of a batch that is turned in training, each by an angle of its own


def trial(job: Job) -> dict[str, Any]:
    """Train one variant of mini-VGG and probe it."""
    from plexus.models import variant
    from plexus.nn import transplant

    context, net, metrics = trained(job)
    metrics["rotation"] = probe(net, context)
    if job.variant.name == STUDY.baseline:
        metrics["transplant"] = {}
        for name in TURNED:
            twin = transplant(net, variant(name, context.classes, context.in_shape).to(context.device))
            figures = {"test_accuracy": context.test(twin), "val_accuracy": context.score(twin, context.data.val)[1]}
            metrics["transplant"][name] = figures | {"rotation": probe(twin, context)}
    return metrics


def trained(job: Job) -> tuple[TrialContext, nn.Module, dict[str, Any]]:
    """Train one variant of mini-VGG, images cut to the inscribed circle; with its metrics, but for the probe."""
    from .context import NOTES, TrialContext

    context = TrialContext(job, NOTES, small=16, mask=circle)
    net = build(job.variant.options, context)
    history = context.train(net, turn=turned if job.variant.options.get("turn") else None)
    return context, net, context.metrics(net, history)


def build(options: Mapping[str, Any], context: TrialContext) -> nn.Module:
    """Make a variant's net; where shapes agree, so do the weights of one seed."""
    import torch
    from torch import nn

    from plexus.models import variant
    from plexus.nn import RotConv2d

    torch.manual_seed(context.job.seed)
    net: Any = variant(options["net"], context.classes, context.in_shape)
    if reduce := options.get("reduce"):
        last = RotConv2d(64, 64, 3, rotations=8, reduce=reduce)
        last.load_state_dict(net.conv4.state_dict(), strict=False)
        net.conv4 = last
        if reduce == "concat":  # eight times the maps for the dense layer to read
            net.dense1 = nn.Linear(8 * net.dense1.in_features, net.dense1.out_features)
    return net


def probe(net: nn.Module, context: TrialContext) -> dict[str, Any]:
    """Measure accuracy against angle, as the study's docstring says."""
    import numpy as np
    from torch import nn

    from plexus.robustness import rotation

    options, test = context.job.scale.options, context.data.test
    slow = context.job.variant.options.get("reduce") == "continuous"
    count, angles = options["slow_probe_images" if slow else "probe_images"], range(0, 360, options["angle_step"])
    model = nn.Sequential(context.pixels, net)
    curve = rotation(model, test.images[:count].float(), test.labels[:count], angles, progress=False)
    groups = {name: curve.group(name) for name in ("upright", "exact", "interpolated")}
    return {
        "images": len(curve.labels),
        "mask": curve.mask,
        "angles": list(angles),
        "accuracy": percent(curve.accuracy),
        "probability": np.round(curve.mean, 3).tolist(),
        "one": np.round(curve.probability[:, 0].astype(float), 3).tolist(),
        **{name: round(100 * group["accuracy"], 3) for name, group in groups.items()},
        "agreement_exact": round(100 * groups["exact"]["agreement"], 3),
        "agreement_interpolated": round(100 * groups["interpolated"]["agreement"], 3),
        "angles_correct": round(float(curve.percent_correct.mean()), 3),
        "quartiles": np.round(np.quantile(curve.percent_correct, (0, 0.25, 0.5, 0.75, 1)), 2).tolist(),
    }


def percent(fractions: Any) -> list[float]:
    """Turn fractions into percentages with two decimals."""
    return [round(100 * float(fraction), 2) for fraction in fractions]


def circle(side: int) -> Tensor:
    """1 within the inscribed circle of a square, 0 outside: what the probe shows of an image."""
    import torch

    from plexus.robustness import rotate

    return rotate(torch.ones(1, 1, side, side), [0])[0, 0, 0]


def turned(pixels: Tensor, random: torch.Generator) -> Tensor:
    """A batch in parts, each turned by an angle of its own."""
    import torch

    from plexus.robustness import rotate

    parts = pixels.chunk(_PARTS)
    angles = (360 * torch.rand(_PARTS, generator=random)).tolist()
    return torch.cat([rotate(part, [angle])[0] for part, angle in zip(parts, angles, strict=False)])


def _probed(images: int, slow: int, step: int) -> dict[str, int]:
    """Options of the probe: how many images (fewer of `continuous`, which is slow), and the angle between two turns."""
    return {"probe_images": images, "slow_probe_images": slow, "angle_step": step}


STUDY = Study(
    name="rotation",
    question="What do rotation-max neurons cost in accuracy, and how invariant do they make a network?",
    baseline="baseline",
    variants=(
        Variant("baseline", {"net": "baseline"}),
        Variant("augmented", {"net": "baseline", "turn": True}),
        *(Variant(name, {"net": name}) for name in TURNED),
        *(Variant(name, {"net": "baseline", "reduce": name}) for name in REDUCED),
    ),
    scales={
        "quick": Scale(images=96, epochs=1, seeds=1, options=_probed(12, 12, 45)),
        "standard": Scale(images=2_000, epochs=8, seeds=10, options=_probed(1_000, 200, 10)),
        "full": Scale(images=None, epochs=200, seeds=10, options={"patience": 10, **_probed(1_000, 1_000, 1)}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
    terms={f"{k}_rot_{n}": f"{k} rotations in {WHERE[n]}" for k in (8, 4) for n in LAYERS},
)


EVERYWHERE = (
    "K_rot_4 has a lower test accuracy than the baseline and than each of K_rot_1, 2 and 3, for K = 8 and 4: every "
    "paired difference below 0 with p < .05; refuted where one drop is below the margin. Beside it, the notes' own "
    "measure: the highest validation accuracy over the epochs, against the baseline."
)


def everywhere(study: Summary) -> Sequence[Part]:
    """Claim 6."""
    margin = study["margin"]
    return [
        *(
            lower(f"{k}_rot_4 below {base}", gain(study, f"{k}_rot_4", base), margin)
            for k in (8, 4)
            for base in ("baseline", f"{k}_rot_3", f"{k}_rot_2", f"{k}_rot_1")
        ),
        *(_notes(lower, study, f"{k}_rot_4", "baseline", f"{k}_rot_4 below baseline") for k in (8, 4)),
    ]


FEWER = (
    "Test accuracy falls from K_rot_1 to K_rot_4, by the least-squares line through the four, seed by seed: below 0 "
    "with p < .05, refuted where the fall is below the margin. And K_rot_1 is not below the baseline by the margin, a "
    "one-sided test; refuted where it is below it with p < .05. Both for K = 8 and 4. The fall is judged on "
    "`rotation`, K_rot_1 on the fresh seeds of `one_layer`. Beside it, K_rot_1 by the notes' own measure, the highest "
    "validation accuracy."
)


def falls(study: Summary) -> Sequence[Part]:
    """The first half of claim 7: accuracy falls from one layer to four, by a line through them."""
    return [
        lower(
            f"{k}_rot_1 to {k}_rot_4 falls",
            change([metric(study, f"{k}_rot_{n}") for n in LAYERS]),
            study["margin"],
        )
        for k in (8, 4)
    ]


def last(study: Summary) -> Sequence[Part]:
    """The second half of claim 7: one layer costs nothing."""
    pairs, margin = [(f"{k}_rot_1", "baseline") for k in (8, 4)], study["margin"]
    return [
        *(not_lower(f"{a} no worse than {b}", gain(study, a, b), margin) for a, b in pairs),
        *(_notes(not_lower, study, a, b, f"{a} no worse than {b}") for a, b in pairs),
    ]


SKEW = (
    "For 1, 2, 3 and 4 rotation layers, 8 and 4 rotations differ in test accuracy by less than the margin, by two "
    "one-sided tests each; refuted where they differ with p < .05 and this does not show. Beside it, by the notes' own "
    "measure, the highest validation accuracy."
)


def skew(study: Summary) -> Sequence[Part]:
    """Claim 8."""
    pairs = [(f"8_rot_{n}", f"4_rot_{n}") for n in LAYERS]
    return [
        *(same(f"{a} as {b}", gain(study, a, b), study["margin"]) for a, b in pairs),
        *(_notes(same, study, a, b, f"{a} as {b}") for a, b in pairs),
    ]


INVARIANT = (
    "Invariance is the share of test images that get the answer they get upright, right or wrong, over all angles but "
    "quarter turns. It is higher than the baseline's for each of the eight models, and K_rot_4's is higher than "
    "K_rot_1's, 2's and 3's, K = 8 and 4: every paired difference above 0 with p < .05; refuted where one gain is "
    "below the margin. Beside it, the notes' own measure, which mixes invariance with accuracy: the mean percentage of "
    "the angles at which an image is classified correctly."
)


def invariant(study: Summary) -> Sequence[Part]:
    """Claim 9."""
    margin = study["margin"]
    pairs = [(m, "baseline") for m in TURNED] + [(f"{k}_rot_4", f"{k}_rot_{n}") for k in (8, 4) for n in (1, 2, 3)]
    return [
        *(higher(f"{a} agrees more than {b}", gain(study, a, b, AGREEMENT), margin) for a, b in pairs),
        *(
            higher(f"{a} right at more angles than {b}", gain(study, a, b, ANGLES), margin, counted=False)
            for a, b in pairs
        ),
    ]


EIGHT = (
    "The same invariance, in the mean over models with 1 to 4 rotation layers, is higher with 8 rotations than with 4: "
    "paired difference above 0 with p < .05; refuted where the gain is below the margin. Beside it, each number of "
    "layers, and the mean by the notes' own measure, the percentage of angles classified correctly."
)


def eight(study: Summary) -> Sequence[Part]:
    """Claim 10."""
    margin = study["margin"]

    def over(path: str, k: int) -> dict[str, float]:
        return mean([metric(study, f"{k}_rot_{n}", path) for n in LAYERS])

    return [
        higher("8 rotations agree more than 4", paired(over(AGREEMENT, 4), over(AGREEMENT, 8)), margin),
        *(
            higher(f"8_rot_{n} agrees more than 4_rot_{n}", gain(study, f"8_rot_{n}", f"4_rot_{n}", AGREEMENT), margin,
                   counted=False)
            for n in LAYERS
        ),
        higher(
            "8 rotations right at more angles than 4", paired(over(ANGLES, 4), over(ANGLES, 8)), margin, counted=False
        ),
    ]  # fmt: skip


TRANSPLANT = (
    "The baseline's weights in a rotation net, untrained, have a lower test accuracy than in the baseline, for each of "
    "the eight models; and from K_rot_1 to K_rot_4 it falls, by the least-squares line, K = 8 and 4: below 0 with "
    "p < .05; refuted where a fall is below the margin. Beside it, by the notes' own measure, the percentage of angles "
    "classified correctly."
)


def transplanted(study: Summary) -> Sequence[Part]:
    """Claim 11."""

    def moved(name: str, path: str = "test_accuracy") -> dict[str, float]:
        return metric(study, "baseline", f"transplant.{name}.{path}")

    margin, plain = study["margin"], metric(study, "baseline", "test_accuracy")
    return [
        *(lower(f"{name} with the baseline's weights below the baseline", paired(plain, moved(name)), margin)
          for name in TURNED),
        *(lower(f"falls from {k}_rot_1 to {k}_rot_4", change([moved(f"{k}_rot_{n}") for n in LAYERS]), margin)
          for k in (8, 4)),
        *(
            lower(
                f"{name} with the baseline's weights right at fewer angles",
                paired(metric(study, "baseline", ANGLES), moved(name, ANGLES)), margin, counted=False,
            )
            for name in TURNED
        ),
    ]  # fmt: skip


SEASONS = (
    "The curves of accuracy against the angle of baseline and the eight models correlate: the mean of Pearson's r over "
    f"pairs of models, seed by seed, is above {PATTERN} (one-sided p < .05; refuted where it is below). And near 100 "
    "degrees (95 to 105) accuracy, in the mean over models, is lower than on both sides of it (70 to 85 and 115 to "
    "130): below 0 with p < .05; refuted where the dip is below the margin. All images are multiplied by the inscribed "
    "circle, which the notes did not do, and the dip may have come from corners."
)


def seasons(study: Summary) -> Sequence[Part]:
    """Claim 12."""
    curves = _curves(study)
    alike = [float(np.mean([_correlation(a, b) for a, b in combinations(each, 2)])) for each in curves.values() if each]
    angles = np.array(next(iter(entry(study, "baseline")["others"].get("rotation.angles", {}).values()), []))
    away = np.abs(angles - 100)
    near, flanks = away <= 5, (away >= 15) & (away <= 30)
    whole = near.any() and (flanks & (angles < 100)).any() and (flanks & (angles > 100)).any()
    dips = [float(np.mean(each, 0)[near].mean() - np.mean(each, 0)[flanks].mean()) for each in curves.values()]
    return [
        above("all models have the same pattern", mean_of(alike) if alike else None, PATTERN, "correlation"),
        lower("accuracy dips near 100 degrees", mean_of(dips) if whole and dips else None, study["margin"]),
    ]


def _curves(study: Summary) -> Mapping[str, list[list[float]]]:
    """Seed -> the curves of all nine models, of seeds that have them all."""
    models = [entry(study, m)["others"].get("rotation.accuracy", {}) for m in ("baseline", *TURNED)]
    return {seed: [each[seed] for each in models] for seed in models[0] if all(seed in each for each in models)}


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's; 0 where a curve is flat."""
    return 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else float(scipy.stats.pearsonr(a, b).statistic)


def _notes(rule: Callable[..., Part], study: Summary, name: str, base: str, text: str) -> Part:
    """The same by the notes' own measure, beside the sound one."""
    difference = gain(study, name, base, BEST)
    return rule(f"{text}, by the highest validation accuracy", difference, study["margin"], counted=False)
