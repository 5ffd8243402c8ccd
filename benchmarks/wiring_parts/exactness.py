"""A derived net with nothing cut computes what the gated net does."""

from __future__ import annotations

from typing import Any

import torch

from plexus.models import PRESETS, Classifier, head
from plexus.nn import Supernet
from plexus.wiring import derive


def run(results: Any, **_: Any) -> None:
    """The largest difference of logits in float32, presets x merges x both heads' kinds of fold."""
    worst = 0.0
    for preset in PRESETS.values():
        for merge in ("concat", "sum", "max", "squeeze"):
            torch.manual_seed(0)
            body = Supernet(preset.legos((3, 32, 32)), (3, 32, 32), **{**preset.options, "merge": merge})
            net = Classifier(body, head("gap", body.out_channels, 10)).eval()
            x = torch.randn(8, 3, 32, 32)
            with torch.no_grad():
                for parameter in body.connections.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.5)
                for fold in (True, False):
                    plain = derive(net, body.wiring(), fold=fold)
                    worst = max(worst, (plain(x) - net(x)).abs().max().item())
    results.put("exact", worst)
