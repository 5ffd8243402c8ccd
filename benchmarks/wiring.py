"""Figures of learned wiring, each with its target.

Command: python benchmarks/wiring.py PART... [--data FOLDER] [--seeds N] [--out FILE]
    exact     derive with nothing cut, on every preset                                     (seconds)
    speed     training steps, inference and memory against the chain and ready-made inputs (2 minutes)
    digits    fit on scikit-learn's digits, 5 seeds                                        (4 minutes)
    cifar     chain, gates fixed at 1, learned, pruned: 8 epochs each, 5 seeds             (35 minutes on one core)
    family    the default fit beside a ResNet of as many milliseconds and the same net never wider, 5 seeds (50 minutes)
    pruned    a wide ResNet cut by Torch-Pruning to the milliseconds of `family`'s result, 5 seeds (25 minutes)
    large     the default fit within 41,000 parameters on all 50,000 images, one seed        (35 minutes)
    steps     a training step of the default family at 32 to 224 pixels                    (1 minute)
    execution steps of a cut supernet over its plain net, and what a multiply-add costs  (1 minute)
    photos    the default fit on a folder of 2,000 images of 64 pixels                     (4 minutes)
    cut       the default family whole, and cut to a half and a quarter of its multiply-adds, 5 seeds (50 minutes)
    recipe    label smoothing, averaged weights, Muon and others, one at a time, 3 seeds   (30 minutes)
    retrain   the pattern of 45 edges trained anew against random, residual and chain, 5 seeds (30 minutes on one core)
    report    prints all results so far as a table
Data: CIFAR-10 (uoft-cs/cifar10) as a folder of parquet files; 5,000 training images, validation images apart, all
10,000 test images, touched once per net. Every number is kept in FILE as soon as it is known; what is there is not
measured again. Timings are ratios of medians, taken in turn in one process. `pruned` needs torch-pruning, of the extra
`benchmark`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "2000")

from measure import Results
from wiring_parts import accuracy, defaults, exactness, execution, family, pruned, recipe, speed, table

PARTS = {
    "exact": exactness.run,
    "speed": speed.run,
    "digits": accuracy.digits,
    "family": family.run,
    "cut": family.cut,
    "large": family.large,
    "pruned": pruned.run,
    "steps": defaults.steps,
    "execution": execution.run,
    "photos": defaults.photos,
    "cifar": accuracy.cifar,
    "recipe": recipe.run,
    "retrain": accuracy.retrain,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "report"])
    parser.add_argument(
        "--data", default="../shared/data/cifar10", help="CIFAR-10 as parquet files, or uoft-cs/cifar10"
    )
    parser.add_argument("--seeds", type=int, nargs="*", help="instead of the part's own seeds")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "wiring.json")
    parser.add_argument("--work", type=Path, help="keep the runs of family, cut and pruned here, and go on with them")
    arguments = parser.parse_args()
    results = Results(arguments.out)
    for part in arguments.parts:
        if part == "report":
            print(table.markdown(results.values))
        elif (
            part in ("family", "cut", "large", "pruned", "photos", "cifar", "recipe", "retrain")
            and not Path(arguments.data).exists()
            and "/" not in arguments.data.strip("./")
        ):
            print(f"{part}: there is no {arguments.data}; give --data uoft-cs/cifar10 to fetch it")
        else:
            kept = {"work": arguments.work} if part in ("family", "cut", "large", "pruned") else {}
            PARTS[part](results, data=arguments.data, seeds=arguments.seeds, **kept)


if __name__ == "__main__":
    main()
