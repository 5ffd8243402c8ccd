"""`plexus predict`: classes of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from plexus.cli._printing import one_line
from plexus.errors import ConfigError


def predict(
    run: Path,
    /,
    *images: Path,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON list.")] = False,
) -> None:
    """Print the most likely class of each image, and its probability.

    Parameters
    ----------
    run
        A run folder that `plexus fit` made.
    images
        Image files; read and resized as in training.
    """
    if not images:
        raise ConfigError(f"name at least one image: plexus predict {run} IMAGE...")
    from plexus.training import predict as classify

    found = classify(run, images)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        for entry in found:
            print(f"{one_line(entry['image'])}\t{one_line(entry['label'])}\t{entry['probability']:.3f}")
