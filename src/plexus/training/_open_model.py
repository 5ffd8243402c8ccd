"""Models by their names: of a run, of an ONNX file, or made by a function of the user's file; nothing is unpickled."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnxruntime
import torch
from torch import Tensor, nn

from plexus.errors import ConfigError, DataError, PlexusError, PlexusWarning, RunError
from plexus.record import FitRecord
from plexus.training._config import FitConfig
from plexus.training._fit import open_run
from plexus.user_code import first_line, split_weights, user_model

SUM = 1e-3
"""A sum of answers no further from 1 is that of probabilities, in whatever numbers they were computed."""


@dataclass(frozen=True)
class Opened:
    """Model and what is known of the images it takes.

    Args:
        name: for people.
        source: as it was named.
        model: reads pixels 0..255, (N, C, H, W); gives logits.
        in_shape: (C, H, W), where it is fixed.
        classes: in the order of the logits, where they are known.
        config: of the run, where it is one.
        fingerprint: of the run's data.
        figures: of the run's result: parameters and the like.
        white: of the 16-bit images that the run was trained on, where there were any.
        fit: what a run makes of images of another aspect ratio: letterbox | crop | squash.

    Example:
        >>> Opened("flat", "flat", nn.Flatten()).classes is None
        True
    """

    name: str
    source: str
    model: nn.Module
    in_shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] | None = None
    config: FitConfig | None = None
    fingerprint: str = ""
    figures: FitRecord.Result | None = None
    white: int | None = None
    fit: Literal["letterbox", "crop", "squash"] = "squash"


class Scaled(nn.Module):
    """f((x - mean) / std), with one number each for all channels."""

    def __init__(self, model: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.model, self.mean, self.std = model, mean, std

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.model((pixels - self.mean) / self.std)
        return logits


class Onnx(nn.Module):
    """An ONNX file as a module: (N, C, H, W) float32 to logits, on the CPU.

    Raises:
        RunError: the file cannot be loaded, or takes something else than one batch of images.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class of its own for each kind of broken file
            raise RunError(f"{file}: cannot be loaded: {first_line(error)}") from None
        takes = self.session.get_inputs()
        if len(takes) != 1 or takes[0].type != "tensor(float)" or len(takes[0].shape) != 4:
            raise RunError(f"{file}: takes {[(i.type, i.shape) for i in takes]}; expected one float batch (N, C, H, W)")
        self.name, (self.batch, *shape) = takes[0].name, takes[0].shape
        fixed = all(isinstance(size, int) for size in shape)
        self.in_shape: tuple[int, int, int] | None = (shape[0], shape[1], shape[2]) if fixed else None
        self.classes = _classes(self.session.get_modelmeta().custom_metadata_map)

    def forward(self, pixels: Tensor) -> Tensor:
        parts = pixels.split(self.batch) if isinstance(self.batch, int) else (pixels,)
        return torch.cat([self._run(part) for part in parts])

    def _run(self, pixels: Tensor) -> Tensor:
        try:
            logits = self.session.run(None, {self.name: pixels.float().contiguous().cpu().numpy()})[0]
        except Exception as error:  # images of another kind
            raise RunError(f"{self.file}: cannot classify these images: {first_line(error)}") from None
        return torch.from_numpy(logits)


def open_model(spec: str | Path | nn.Module, *, mean: float = 0.0, std: float = 1.0) -> Opened:
    """Open a model by its name on the command line.

    Args:
        spec: a run folder; an ``.onnx`` file; or ``FILE.py:function`` that returns a module, which may be followed by
            ``+WEIGHTS.safetensors``; or a module itself.
        mean, std: pixels 0..255 reach the model as (pixels - mean) / std; a run's model does its own.

    Raises:
        RunError: a run or file that is missing or broken.
        ConfigError: a name or a function that gives no module.

    Example:
        >>> open_model("nowhere.onnx")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere.onnx: there is no such file; name a run folder, an .onnx file or ...
    """
    if isinstance(spec, nn.Module):
        name = type(spec).__name__
        return Opened(name, name, Scaled(spec, mean, std))
    spec = str(spec)
    if ".py:" in spec:
        return Opened(_stem(spec), spec, Scaled(user_model(spec), mean, std))
    path = Path(spec)
    if path.suffix == ".onnx":
        if not path.is_file():
            raise RunError(f"{spec}: there is no such file; name a run folder, an .onnx file or FILE.py:function")
        onnx = Onnx(path)
        return Opened(_stem(spec), spec, Scaled(onnx, mean, std), onnx.in_shape, onnx.classes)
    if path.is_file() or not (path / "config.yaml").is_file():
        raise RunError(f"{spec}: neither a run folder, nor an .onnx file, nor FILE.py:function; name one of these")
    if (mean, std) != (0.0, 1.0):
        raise ConfigError(f"{spec}: a run's model scales its own pixels; leave --mean and --std out")
    config, record = open_run(path)
    return _run_model(path, spec, config, record)


def _run_model(folder: Path, spec: str, config: FitConfig, record: FitRecord) -> Opened:
    if not (folder / "model.onnx").is_file():
        raise RunError(f"{folder}: the run has no model.onnx yet; finish it with `plexus fit --resume {folder}`")
    onnx = Onnx(folder / "model.onnx")
    facts = record.data
    return Opened(
        folder.absolute().name,
        spec,
        onnx,
        (facts.in_shape[0], facts.in_shape[1], facts.in_shape[2]) if len(facts.in_shape) == 3 else onnx.in_shape,
        tuple(facts.classes) or None,
        config,
        facts.fingerprint,
        next((row for row in record.results if row.name == "final"), None),
        facts.white,
        facts.fit or "squash",
    )


def _classes(about: Mapping[str, str]) -> tuple[str, ...] | None:
    """The classes that plexus writes into a file's metadata; None where they are not there."""
    try:
        names = json.loads(about["classes"])
    except (KeyError, ValueError):
        return None
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _stem(spec: str) -> str:
    where, weights = split_weights(spec)
    return Path(weights or where.rpartition(".py:")[2] or where).stem


def check_classes(each: Opened, name: str, classes: tuple[str, ...]) -> None:
    """Refuse data of other classes than a model was trained on, where these are known.

    Args:
        each: the model.
        name: of the data.
        classes: of the data, in the order of the labels.

    Raises:
        DataError: the classes differ; the message names some that do.

    Example:
        >>> check_classes(open_model(nn.Flatten()), "digits", ("0", "1"))
    """
    if each.classes is None or each.classes == classes:
        return
    mine, theirs = set(each.classes), set(classes)
    extra, lost = sorted(theirs - mine), sorted(mine - theirs)
    parts = [
        f"{text} {', '.join(map(repr, names[:3]))}" for text, names in (("it adds", extra), ("it lacks", lost)) if names
    ]
    raise DataError(
        f"{name}: its {len(classes)} classes are not the {len(each.classes)} of {each.source}"
        f"{': ' if parts else ''}{'; '.join(parts)}; give data with the classes the model was trained on"
    )


def check_logits(each: Opened, pixels: Tensor, classes: int) -> None:
    """Try one image: a model for other images or classes is told before what takes long, and warned of a softmax.

    Args:
        each: the model.
        pixels: one image, (1, C, H, W), 0..255.
        classes: of the data.

    Raises:
        ConfigError: the model does not take it.
        DataError: it does not give one logit for each class.

    Example:
        >>> check_logits(open_model(nn.Flatten()), torch.zeros(1, 1, 1, 2), 2)
    """
    try:
        with torch.no_grad():
            logits = each.model.eval()(pixels.float())
    except PlexusError:
        raise
    except Exception as error:  # whatever a user's model raises
        raise ConfigError(f"{each.source}: cannot take images {tuple(pixels.shape[1:])}: {first_line(error)}") from None
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (1, classes):
        answer = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise DataError(
            f"{each.source}: gives {answer} for one image; expected {(1, classes)}, one logit for each of the classes "
            "of the data"
        )
    if classes > 1 and bool((logits >= 0).all()) and abs(float(logits.sum()) - 1) < SUM:
        warnings.warn(
            f"{each.source}: its answers sum to 1, as probabilities do, and are read as logits, so that it seems "
            "hardly sure of anything: leave its softmax out",
            PlexusWarning,
            stacklevel=3,
        )
