"""Where does the wiring that gates choose stand among all that there are, over seeds enough to tell?

The trial `gradient` of `search` from seeds that were never read: one supernet on digits, and a training of the wiring
that its gates choose. The ranking it is placed in stays that of `search`, the means of all 315 wirings over ten seeds,
whose reliability is .99: a further seed costs two trainings in place of 317. With the ten seeds of `search` the claim
stays open, five of them in the best tenth and five not.

    plexus study run searches --scale standard

99 seeds at `standard`, 100 to 198: fixed on 2026-11-26, before any of them was trained, with the rule of `search`
unchanged and no early stop. An odd number, so that half of them is never in doubt.

Cost: 3 seconds a trial on one core at `standard`, 99 trials; `quick` 2 seconds.
"""

from __future__ import annotations

from typing import Any

from plexus.experiments import Job

from . import search
from .evidence import again


def trial(job: Job) -> dict[str, Any]:
    """Search by gates, and train what was found."""
    return search.trial(job)


STUDY = again(
    search.STUDY, ("gradient",), trial,
    name="searches", question="Where does the wiring that gates choose stand in the ranking of all 315?", seeds=99,
)  # fmt: skip
