"""The rotation probe beside the forward passes it cannot do without.

Command: python benchmarks/probe.py [--images N] [--angles N] [--batch N] [--turns N] [--out FILE]
Target: 1,000 images x 360 angles through mini_vgg in at most 1.3 times the time of the forward passes alone, which are
as many batches of the same size, already turned. Both are timed in turn in one process; the ratio is of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

import torch

from plexus.models import mini_vgg
from plexus.robustness import rotation

TARGET = 1.3


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--angles", type=int, default=360)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=3, help="how often both are timed, in turn")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "probe.json")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    net = mini_vgg().eval().to(arguments.device)
    images, labels = torch.randn(arguments.images, 3, 32, 32), torch.randint(0, 10, (arguments.images,))
    batch = torch.randn(arguments.batch, 3, 32, 32, device=arguments.device)
    passes, rest = divmod(arguments.images * arguments.angles, arguments.batch)
    wait = torch.cuda.synchronize if arguments.device.startswith("cuda") else lambda: None

    @torch.inference_mode()
    def forward() -> None:
        for _ in range(passes):
            net(batch)
        if rest:
            net(batch[:rest])
        wait()

    def probe() -> None:
        angles = [i * 360 / arguments.angles for i in range(arguments.angles)]
        rotation(net, images, labels, angles, batch_size=arguments.batch, progress=False)

    net(batch)
    times = [(timed(forward), timed(probe)) for _ in range(arguments.turns)]
    alone, whole = (statistics.median(column) for column in zip(*times, strict=True))
    result = {
        "images": arguments.images,
        "angles": arguments.angles,
        "batch": arguments.batch,
        "device": arguments.device,
        "threads": torch.get_num_threads(),
        "forward_s": round(alone, 3),
        "probe_s": round(whole, 3),
        "ratio": round(whole / alone, 3),
        "target": TARGET,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
