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

Cost: about 80 minutes on one core at `standard`, beside another, for the variants but `concat`, `squeeze` and
`continuous` (30 trials of 1 to 3 minutes, the baseline with its eight twins up to 7), which take 4 to 7 minutes each
(estimated); `quick` 30 seconds on digits.
Expected: at `standard` on CIFAR-10, three seeds, without those three (test accuracy, lowest and highest seed): baseline
42.8 % (41.4 to 43.8), augmented 29.9 (29.5 to 30.2), 8_rot_1 42.0 (41.1 to 43.2), 8_rot_2 39.2 (37.0 to 40.9), 8_rot_3
40.9 (40.2 to 42.0), 8_rot_4 36.2 (34.5 to 37.2), 4_rot_1 41.9 (41.0 to 43.6), 4_rot_2 41.2 (40.7 to 41.6), 4_rot_3 40.7
(40.3 to 41.1), 4_rot_4 37.4 (37.3 to 37.4). Agreement with the upright prediction at angles between quarter turns:
baseline 41 %, one to three rotation layers 40 to 41, 8_rot_4 54, 4_rot_4 52, augmented 76: only rotation everywhere
makes this network less sensitive, and turned training images do far more, at a price in accuracy. With the baseline's
weights 8_rot_1 has 41.8 % and 8_rot_4 23.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plexus.experiments._study import Job, Scale, Study, Variant

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from plexus.experiments._train import Bench

TURNED = tuple(f"{k}_rot_{n}" for k in (8, 4) for n in (1, 2, 3, 4))
REDUCED = ("concat", "squeeze", "continuous")
_PARTS = 8  # of a batch that is turned in training, each by an angle of its own


def trial(job: Job) -> dict[str, Any]:
    """Trains one variant of mini-VGG and probes it."""
    from plexus.experiments._train import NOTES, Bench
    from plexus.models import variant
    from plexus.nn import transplant

    bench = Bench(job, NOTES, small=16, mask=circle)
    options = job.variant.options
    net = build(options, bench)
    history = bench.train(net, turn=turned if options.get("turn") else None)
    metrics = bench.metrics(net, history) | {"rotation": probe(net, bench)}
    if job.variant.name == STUDY.baseline:
        metrics["transplant"] = {}
        for name in TURNED:
            twin = transplant(net, variant(name, bench.classes, bench.in_shape).to(bench.device))
            figures = {"test_accuracy": bench.test(twin), "val_accuracy": bench.score(twin, bench.data.val)[1]}
            metrics["transplant"][name] = figures | {"rotation": probe(twin, bench)}
    return metrics


def build(options: Mapping[str, Any], bench: Bench) -> nn.Module:
    """A variant's net; where shapes agree, so do the weights of one seed."""
    import torch
    from torch import nn

    from plexus.models import variant
    from plexus.nn import RotConv2d

    torch.manual_seed(bench.job.seed)
    net: Any = variant(options["net"], bench.classes, bench.in_shape)
    if reduce := options.get("reduce"):
        last = RotConv2d(64, 64, 3, rotations=8, reduce=reduce)
        last.load_state_dict(net.conv4.state_dict(), strict=False)
        net.conv4 = last
        if reduce == "concat":  # eight times the maps for the dense layer to read
            net.dense1 = nn.Linear(8 * net.dense1.in_features, net.dense1.out_features)
    return net


def probe(net: nn.Module, bench: Bench) -> dict[str, Any]:
    """Accuracy against angle, as the study's docstring says."""
    import numpy as np
    from torch import nn

    from plexus.robustness import rotation

    options, test = bench.job.scale.options, bench.data.test
    slow = bench.job.variant.options.get("reduce") == "continuous"
    count, angles = options["slow_probe_images" if slow else "probe_images"], range(0, 360, options["angle_step"])
    model = nn.Sequential(bench.pixels, net)
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


def percent(shares: Any) -> list[float]:
    """Shares of 1 as percentages with two decimals."""
    return [round(100 * float(share), 2) for share in shares]


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
    """How many images the probe takes (of `continuous`, which is slow), and the angle between two turns."""
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
        "standard": Scale(images=2_000, epochs=8, seeds=3, options=_probed(1_000, 200, 10)),
        "full": Scale(images=None, epochs=200, seeds=5, options={"patience": 10, **_probed(1_000, 1_000, 1)}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)
