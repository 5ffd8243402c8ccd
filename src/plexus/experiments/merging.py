"""Does it matter how a connection merges its sources, and how it brings them to one size?

The notes' four convolutions, each one lego, all connected; global average pooling behind, since the notes' dense head
would grow to 100 million parameters for `largest`. One factor at a time differs from the default, concatenation after
area averaging to the smallest source:

- merge: `sum`, `max` (missing maps count as 0), `squeeze` (concat, then a 1x1 convolution);
- resize: `nearest`, `bilinear`, `bicubic`;
- size: `largest`, which pads with zeros instead of averaging.

    plexus study run merging --data CIFAR10_FOLDER --scale standard

Training is the notes', see `neurons`; gates as in `gates`, w = .5 at the start. Nets of different merges have different
numbers of parameters, which every record states.

Cost: about 30 minutes on one core at `standard`, beside another, for `default`, `nearest`, `bilinear` and `bicubic` (12
trainings); the other four not run (`largest` takes several times as long); `quick` 8 seconds on digits.
Expected: at `standard` on CIFAR-10, three seeds (test accuracy, lowest and highest seed), of these four: default (area)
35.2 % (34.3 to 36.7), nearest 35.3 (34.6 to 36.3), bilinear 35.5 (34.3 to 36.7), bicubic 35.5 (34.5 to 36.8). The same
number of epochs to the fixed loss within 10 %, by intervals; within .5 pt of accuracy is not shown by three seeds.
"""

from __future__ import annotations

from typing import Any

from plexus.experiments._study import Job, Scale, Study, Variant


def trial(job: Job) -> dict[str, Any]:
    """Trains one supernet."""
    from plexus.experiments._nets import edges, supernet
    from plexus.experiments._train import NOTES, Bench
    from plexus.models import blocks

    bench = Bench(job, NOTES, small=16)
    net = supernet(bench, blocks, "gap", **job.variant.options)
    history = bench.train(net)
    return bench.metrics(net, history) | {"edges": edges(net.body.wiring()), "gates": history.gates}  # type: ignore[operator]


STUDY = Study(
    name="merging",
    question="Does it matter how connections merge and resize their sources?",
    baseline="default",
    variants=(
        Variant("default", {"merge": "concat", "resize": "area", "size": "smallest"}),
        *(
            Variant(merge, {"merge": merge, "resize": "area", "size": "smallest"})
            for merge in ("sum", "max", "squeeze")
        ),
        *(
            Variant(resize, {"merge": "concat", "resize": resize, "size": "smallest"})
            for resize in ("nearest", "bilinear", "bicubic")
        ),
        Variant("largest", {"merge": "concat", "resize": "area", "size": "largest"}),
    ),
    scales={
        "quick": Scale(images=96, epochs=2, seeds=1),
        "standard": Scale(images=2_000, epochs=8, seeds=3),
        "full": Scale(images=None, epochs=200, seeds=5, options={"patience": 10}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)
