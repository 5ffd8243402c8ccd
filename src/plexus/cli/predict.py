"""`plexus predict`: classes of images."""

from __future__ import annotations

from pathlib import Path

from plexus.cli._options import Json, named
from plexus.cli._show import print_json
from plexus.errors import one_line


def predict(
    run: Path,
    /,
    *images: Path,
    as_json: Json = False,
) -> None:
    """Print the most likely class of each image, and its probability.

    Parameters
    ----------
    run
        A run folder that `plexus fit` made.
    images
        Image files; read and resized as in training.
    """
    named(images, f"plexus predict {run} IMAGE...")
    from plexus.training import predict as classify

    answers = classify(run, images)
    if as_json:
        print_json(answers)
    else:
        for entry in answers:
            print(f"{one_line(entry['image'])}\t{one_line(entry['label'])}\t{entry['probability']:.3f}")
