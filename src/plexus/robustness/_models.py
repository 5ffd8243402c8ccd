"""Models that can be probed: a run's, an ONNX file, or a function of the user's own file. Nothing is unpickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from plexus.errors import ConfigError, RunError
from plexus.record import FitRecord
from plexus.training import FitConfig, open_run
from plexus.user_code import first_line, user_model


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
    """

    name: str
    source: str
    model: nn.Module
    in_shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] | None = None
    config: FitConfig | None = None
    fingerprint: str = ""


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

    def forward(self, pixels: Tensor) -> Tensor:
        parts = pixels.split(self.batch) if isinstance(self.batch, int) else (pixels,)
        return torch.cat([self._run(part) for part in parts])

    def _run(self, pixels: Tensor) -> Tensor:
        try:
            logits = self.session.run(None, {self.name: pixels.float().contiguous().cpu().numpy()})[0]
        except Exception as error:  # images of another kind
            raise RunError(f"{self.file}: cannot classify these images: {first_line(error)}") from None
        return torch.from_numpy(logits)


def open_model(spec: str, *, mean: float = 0.0, std: float = 1.0) -> Opened:
    """Open a model by its name on the command line.

    Args:
        spec: a run folder; an ``.onnx`` file; or ``FILE.py:function`` that returns a module, which may be followed by
            ``+WEIGHTS.safetensors``.
        mean, std: pixels 0..255 reach the model as (pixels - mean) / std; a run's model does its own.

    Raises:
        RunError: a run or file that is missing or broken.
        ConfigError: a name or a function that gives no module.
    """
    if ".py:" in spec:
        return Opened(_stem(spec), spec, Scaled(user_model(spec), mean, std))
    path = Path(spec)
    if path.suffix == ".onnx":
        if not path.is_file():
            raise RunError(f"{spec}: there is no such file; name a run folder, an .onnx file or FILE.py:function")
        onnx = Onnx(path)
        return Opened(_stem(spec), spec, Scaled(onnx, mean, std), onnx.in_shape)
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
    )


def _stem(spec: str) -> str:
    where, _, weights = spec.partition("+")
    return Path(weights or where.rpartition(".py:")[2] or where).stem
