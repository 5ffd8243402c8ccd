"""Do sigmoid gates converge faster than bare weights, and does the start of the gates matter?

The notes' four convolutions, each one lego, all connected by concatenation; flatten and 512 dense units behind. One
thing at a time differs from the notes' default, a scalar gate sigmoid(w) with w = .5 at the start:

- `none`: the weight itself, .5, in place of the gate, as in the notes; `none_0.62` starts where sigmoid(.5) does, so
  that only the sigmoid is missing;
- `init_0`, `init_1`, `gaussian`, `chain`: other starts of w. These are values before the sigmoid, as in the notes, and
  so put the gates between .5 and .73 only;
- `gate_0.05`, `gate_0.5`, `gate_0.95`: starts of the gate itself (`gate_0.5` is `init_0` by another name, and must
  give its numbers);
- `channel`: one gate for each map.

    plexus study run gates --data CIFAR10_FOLDER --scale standard

Training is the notes', see `neurons`: Adam at 1e-3 for gates and weights alike. A record holds `edges` and `gates`, one
list of values before the first epoch and one after each; of channel gates the means.

Cost: about 67 minutes on one core at `standard`, beside another (33 trainings of 1.5 to 2 minutes, `channel` 4);
`quick` 10 seconds on digits.
Expected: at `standard` on CIFAR-10, three seeds (test accuracy, lowest and highest seed; of `channel` one seed):
sigmoid 49.0 % (48.2 to 50.2), none 48.9 (48.2 to 50.3), none_0.62 49.4 (48.5 to 50.3), init_0 48.6 (48.1 to 49.5),
init_1 49.5 (49.2 to 49.9), gaussian 49.3, chain 49.4, gate_0.95 50.1 (48.9 to 51.1), gate_0.05 38.4 (37.7 to 39.3).
Without the sigmoid a net needs as many epochs (-1 %, -5 to 4). Starts before the sigmoid hardly differ, as the notes
say; but they put gates between .5 and .73 only: gates that start at .05 need 88 % (71 to 105) more epochs than at .5.
"""

from __future__ import annotations

from typing import Any

from plexus.experiments._study import Job, Scale, Study, Variant

SAME_START = 0.6224593312018546  # sigmoid(.5)


def trial(job: Job) -> dict[str, Any]:
    """Trains one supernet."""
    from plexus.experiments._nets import edges, supernet
    from plexus.experiments._train import NOTES, Bench
    from plexus.models import blocks

    bench = Bench(job, NOTES, small=16)
    net = supernet(bench, blocks, "flatten512", **job.variant.options)
    history = bench.train(net)
    return bench.metrics(net, history) | {"edges": edges(net.body.wiring()), "gates": history.gates}  # type: ignore[operator]


STUDY = Study(
    name="gates",
    question="Do sigmoid gates converge faster than bare weights, and does their start matter?",
    baseline="sigmoid",
    variants=(
        Variant("sigmoid", {"init": 0.5}),
        Variant("none", {"init": 0.5, "activation": "none"}),
        Variant("none_0.62", {"gate_init": SAME_START, "activation": "none"}),
        Variant("init_0", {"init": 0.0}),
        Variant("init_1", {"init": 1.0}),
        Variant("gate_0.05", {"gate_init": 0.05}),
        Variant("gate_0.5", {"gate_init": 0.5}),
        Variant("gate_0.95", {"gate_init": 0.95}),
        Variant("gaussian", {"init": "gaussian"}),
        Variant("chain", {"init": "chain"}),
        Variant("channel", {"init": 0.5, "gate": "channel"}),
    ),
    scales={
        "quick": Scale(images=96, epochs=2, seeds=1),
        "standard": Scale(images=2_000, epochs=8, seeds=3),
        "full": Scale(images=None, epochs=200, seeds=5, options={"patience": 10}),
    },
    data="uoft-cs/cifar10",
    trial=trial,
)
