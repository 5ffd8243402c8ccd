"""A finished run, opened again by `load`: it predicts, exports, prunes and reports."""

from __future__ import annotations

import copy
import html
import json
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plexus import report
from plexus.data import Memory, SampleSet, in_memory, is_place, open_samples
from plexus.errors import ConfigError, DataError, RunError, short
from plexus.given import Legos, labelled, named_legos, plain
from plexus.progress import whole
from plexus.record import FitRecord
from plexus.results import Results
from plexus.training import MEMORY, FitConfig, open_run, reprune
from plexus.training import finished as is_finished

if TYPE_CHECKING:
    from torch import nn

    from plexus.graph import Wiring

DARK = 16
"""The brightest pixel of images that most likely are on another scale than 0..255."""
_WIDEST = 65535
"""White in 16-bit files that use all of their bits."""
EXPORTS = ("onnx", "int8", "torch")
"""The forms that a run's net can be written in."""


def load(
    run: str | Path, *, legos: Legos | Sequence[nn.Module] | None = None, teacher: nn.Module | None = None,
    backbone: nn.Module | Callable[[], nn.Module] | None = None,
) -> Run:  # fmt: skip
    """Open the folder of a finished run of `plexus fit` or `plexus.fit`.

    Args:
        run: the folder.
        legos: the function that made the legos, or the list of them, where they were in memory; `Run.model` and
            `Run.prune` need it.
        teacher: the module that taught, where it was in memory; `Run.prune` needs it.
        backbone: that of the run, where it was in memory; `Run.model` and `Run.prune` need it.

    Returns:
        The run.

    Raises:
        RunError: not such a folder, or the run is not finished.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        plexus.errors.RunError: nowhere: not a run folder (it has no config.yaml); name one of `plexus fit`
    """
    if not isinstance(run, str | Path):
        raise ConfigError(f"a run is named by its folder, not by {short(run)}")
    if not is_finished(run):
        raise RunError(f"{run}: the run is not finished; go on with `plexus fit --resume {run}`")
    given = {"legos": None if legos is None else named_legos(legos)[1], "teacher": teacher, "backbone": backbone}
    return Run(Path(run), {name: value for name, value in given.items() if value is not None})


class Run:
    """A finished run: the net that was learned, its evidence, and what can be done with it.

    Made by `plexus.fit` and `plexus.load`. All of it lies in the run folder; nothing is unpickled.

    Args:
        folder: the run folder.
        given: what the run's options only name: `data`, images in memory; `legos`, a function; `teacher` and
            `backbone`, modules.

    Example:
        >>> Run("nowhere").folder.name
        'nowhere'
    """

    def __init__(self, folder: str | Path, given: dict[str, Any] | None = None) -> None:
        self.folder = Path(folder).absolute()  # the working directory may change
        self._given = given or {}

    @cached_property
    def config(self) -> FitConfig:
        """The options of the run."""
        return open_run(self.folder)[0]

    @cached_property
    def record(self) -> FitRecord:
        """The record: every figure of the run, typed."""
        return open_run(self.folder)[1]

    @cached_property
    def wiring(self) -> Wiring:
        """The wiring that was kept, with the strength of every edge."""
        from plexus.wiring import read_wiring

        return read_wiring(self.folder / "wiring.json")

    @property
    def results(self) -> Results:
        """The networks of the run on its test images; prints as a table."""
        return Results(self.record)

    @property
    def next_steps(self) -> list[str]:
        """Sentences on what to do next, from the figures of the run: what makes these untrue first."""
        return report.next_steps(self.record, plain=True)

    @property
    def classes(self) -> NDArray[Any]:
        """The classes, in the order of the columns of `predict_proba`: text, or whole numbers where labels were."""
        names = self.record.data.classes
        return np.array([int(name) for name in names]) if self.record.data.numbers else np.array(names)

    @property
    def scale(self) -> tuple[float, float] | None:
        """The numbers that stand for black and white in the images it was trained on; None for 0 and 255."""
        scale = self.record.data.scale
        return None if scale is None else (scale[0], scale[1])

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the images that the net reads."""
        channels, rows, columns = self.record.data.in_shape
        return channels, rows, columns

    @cached_property
    def model(self) -> nn.Module:
        """The net as a plain torch module in evaluation mode, its normalisation in front.

        It takes images (N, C, H, W) on the scale of those it was trained on, and gives logits (N, K). It can be
        trained on, compiled and exported; but for layers of other neurons, such as rotating ones, it shares no code
        with plexus. What is done to it changes `export`, and not the answers of the run, which are those of its files.

        Raises:
            RunError: files of the run are gone.
        """
        from plexus.training import read_model

        return read_model(
            self.folder, scale=self.scale, legos=self._given.get("legos"), backbone=self._given.get("backbone")
        )

    def predict_proba(self, images: Any, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Return the probability of every class for every image.

        Args:
            images: an image file, a folder or a data set's name; or images in memory, as `plexus.fit` takes them, on
                the scale they had there; one image alone is fine. They are resized as in training.
            batch_size: images in one forward pass.

        Returns:
            (N, K), in the order of the images, or of the names of files in a folder; columns as in `classes`.

        Raises:
            DataError: an image that cannot be read.
        """
        import torch

        from plexus.data import read_batches

        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size}: give 1 or more")
        how: dict[str, Any] = {"fit": self.record.data.fit or "squash", "white": self.record.data.white}

        parts = [
            torch.from_numpy(self._session.run(None, {"pixels": pixels.float().numpy()})[0]).softmax(1).numpy()
            for _, pixels in read_batches([self._samples(images)], self.in_shape, batch_size=batch_size, **how)
        ]
        return np.concatenate(parts)

    def predict(self, images: Any, *, batch_size: int = 256) -> NDArray[Any]:
        """Return the most likely class of every image.

        Args:
            images, batch_size: see `predict_proba`.

        Returns:
            (N,), text, or whole numbers where the labels were.

        Raises:
            DataError: an image that cannot be read.
        """
        return self.classes[self.predict_proba(images, batch_size=batch_size).argmax(1)]

    def score(self, images: Any, labels: ArrayLike | None = None) -> float:
        """Return the share of images whose most likely class is the true one.

        Args:
            images: see `predict_proba`.
            labels: the true classes, (N,); by default those that the images bring, as a folder of class folders does.

        Raises:
            DataError: an image that cannot be read, or not one label for each.
        """
        if labels is None:
            labels = _own_labels(images)
        answers, truth = self.predict(images), np.asarray(labels)
        truth = truth[:, 0] if truth.ndim == 2 and truth.shape[1] == 1 else truth
        if truth.shape != answers.shape:
            raise DataError(f"labels have shape {truth.shape} for {len(answers)} images: give one for each")
        if "U" in (answers.dtype.kind, truth.dtype.kind):
            answers, truth = answers.astype(str), truth.astype(str)
        return float((answers == truth).mean())

    def report(self) -> Path:
        """Write the page of the run again, and return its path.

        Raises:
            RunError: the record is gone or broken, or the page cannot be written.
        """
        return report.write_run(self.folder)[1]

    def prune(
        self, *, out: str | Path | None = None, data: Any = None, labels: Any = None, progress: bool = True,
        **budget: Any,
    ) -> Run:  # fmt: skip
        """Cut the net to a smaller budget, train on, and return the new run; this one stays as it is.

        Args:
            out: the new run folder; by default beside this one, named by the budget.
            data, labels: the images again, where they were in memory and this run was opened by `plexus.load`.
            progress: show live progress where stderr is a terminal.
            **budget: one of keep, fan_in, max_params, max_macs, max_ms and max_kb.

        Raises:
            PlexusError: not exactly one budget, one that is met already, or other images than those of the training.
        """
        given = dict(self._given)
        if data is not None:
            given["data"] = labelled(in_memory(data, labels, label=self.config.label))
        if self.config.data == MEMORY and "data" not in given:
            raise DataError(f"{self.folder}: its images were in memory: give them again: prune(..., data=(X, y))")
        values = {name: plain(value) for name, value in budget.items()}
        called = ", ".join(f"{name}={value!r}" for name, value in values.items())
        command = f"plexus.load({str(self.folder)!r}).prune({called})"
        with whole(progress) as shown:
            folder = reprune(self.folder, run=out, command=command, progress=progress, given=given, **values)
            with shown.part("writing the page"):
                report.write_run(folder)
        return Run(folder, given)

    def export(self, kind: Literal["onnx", "int8", "torch"], path: str | Path) -> Path:
        """Write the net in a form that runs without plexus, taking images on the scale of the training.

        It is `model` as it stands now, in evaluation mode.

        Args:
            kind: ``onnx``, for any number of images; ``int8``, the same in eight bits, see
                `plexus.training.export_int8`: as onnxruntime's static quantisation or with weights of eight bits,
                whichever is faster here (where the training images are gone, the latter);
                ``torch``, a program of `torch.export`, which `torch.export.load` reads.
            path: the file; an older one is replaced.

        Returns:
            The path.

        Raises:
            ConfigError: another kind.
            RunError: files of the run are gone, or the file cannot be written.
        """
        from plexus.training.export import export_int8, export_onnx, export_program
        from plexus.training.onnx_model import read_metadata, to_onnx

        file = Path(path)
        if kind not in EXPORTS:
            raise ConfigError(f"export: no kind {short(kind)}; choose from {', '.join(EXPORTS)}")
        about = {"classes": json.dumps(self.record.data.classes), **read_metadata(self.folder / "model.onnx")}
        if self.scale is not None:
            about = {name: text for name, text in about.items() if name not in ("mean", "std")}
            about["pixels"] = "on the scale of the training images, float32; normalised inside"
        net = copy.deepcopy(self.model).eval()
        if kind == "onnx":
            export_onnx(net, file, self.in_shape, about=about)
        elif kind == "int8":
            export_int8(to_onnx(net, self.in_shape), file, self._training_images(), about=about)
        elif kind == "torch":
            export_program(net, file, self.in_shape)
        return file

    def __repr__(self) -> str:
        """Return one line: the folder, the classes and the accuracy."""
        return f"Run({str(self.folder)!r}: {self._line()})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the place; what was in memory is left out."""
        return Run, (self.folder,)

    def _repr_html_(self) -> str:
        """Show the results in a notebook."""
        page = html.escape(str(self.folder / "report.html"))
        steps = "".join(f"<li>{html.escape(step)}</li>" for step in self.next_steps)
        return f"<p>{html.escape(self._line())}</p>{self.results._repr_html_()}<ul>{steps}</ul><p>{page}</p>"

    def _line(self) -> str:
        data = self.record.data
        shape = "x".join(map(str, [*self.in_shape[1:], self.in_shape[0]]))
        accuracy = next((row.accuracy for row in self.record.results if row.name == "final"), None)
        found = "" if accuracy is None else f", {accuracy:.1%} right of {data.counts.get('test', 0)} test images"
        return f"{data.name}, {len(data.classes)} classes, images of {shape}{found}"

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        try:
            return onnxruntime.InferenceSession(str(self.folder / "model.onnx"), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class of its own for each kind of broken file
            raise RunError(f"{self.folder / 'model.onnx'}: cannot be loaded: {str(error).splitlines()[0]}") from None

    def _training_images(self) -> Any:
        """Images of the training on the scale that the model takes, (N, C, H, W); None where they are gone."""
        from plexus.training import CALIBRATED, load_data

        try:
            images = load_data(self.config, self._given.get("data")).train.images[:CALIBRATED].float()
        except DataError:
            return None
        if self.scale is None:
            return images
        black, white = self.scale
        return black + images / 255 * (white - black)

    def _samples(self, images: Any) -> SampleSet:
        samples = open_samples(images, masks=False) if is_place(images) else self._memory(images).samples
        return samples.scaled(self.record.data.white or _WIDEST)

    def _memory(self, images: Any, labels: Any = None) -> Memory:
        """Take images in memory on the scale of the training, and warn where they most likely are on another."""
        memory = in_memory(images, labels, scale=self.scale, trained=True, in_shape=self.in_shape)
        if self.config.data != MEMORY and 0 < memory.top <= DARK:  # the training was on files
            warnings.warn(
                f"these images reach {memory.top:g}, those of the training were on the scale 0..255: bring them to it, "
                "or the answers mean nothing", stacklevel=4,
            )  # fmt: skip
        return memory


def _own_labels(images: Any) -> list[str]:
    """Return the classes that images bring."""
    samples = (open_samples(images, masks=False) if is_place(images) else in_memory(images).samples).samples
    labels = [sample.label for sample in samples if sample.label is not None]
    if len(labels) < len(samples):
        raise DataError(f"{short(images)}: {len(samples) - len(labels)} of the images have no class: give the labels")
    return labels
