"""`predict` answers for files and folders alike, names what it cannot read, and says what is unlike the training."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from plexus.cli import main
from plexus.errors import DataError
from plexus.record import FitRecord
from plexus.training import export_onnx, predict

CLASSES = ["=dark", "light", "between"]


class ByBrightness(nn.Module):
    """Three logits from the mean of the pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean((1, 2, 3)).unsqueeze(1) / 255
        return torch.cat([0.6 - mean, mean - 0.4, mean * 0], 1) * 8


def make_run(folder: Path, channels: int = 3, greys: int | None = None, original: Sequence[int] = ()) -> Path:
    folder.mkdir()
    data = {"classes": CLASSES, "in_shape": [channels, 16, 16], "name": "made", "greys": greys}
    data |= {"original_size": list(original)}
    record = {"format": 1, "kind": "fit", "finished": True, "data": data, "machine": {"cores": 1}}
    FitRecord.from_dict(record).write(folder / "record.json")
    means = ", ".join(str(100 + k) for k in range(channels))
    export_onnx(ByBrightness().eval(), folder / "model.onnx", (channels, 16, 16), about={"mean": means})
    return folder


def photo(level: int, size: tuple[int, int] = (20, 24), seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(-30, 30, (*size, 3))
    return Image.fromarray((level + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("predict")
    make_run(place / "run")
    make_run(place / "grey run", channels=1)
    make_run(place / "mixed run", greys=3)
    make_run(place / "enlarged run", original=(8, 8))
    (place / "new").mkdir()
    photo(20).save(place / "new" / "=1+1.png")
    photo(230).save(place / "new" / "b.png")
    photo(128).convert("L").save(place / "new" / "grey.png")
    Image.new("RGB", (20, 20), (128, 9, 60)).save(place / "new" / "flat.png")
    photo(128, (8, 30)).save(place / "new" / "low.png")
    photo(20).save(place / "one.png")
    (place / "broken").mkdir()
    photo(20).save(place / "broken" / "a.png")
    (place / "broken" / "b.png").write_bytes(b"no image")
    return place


def test_a_folder_is_answered_as_its_files_one_by_one(place: Path) -> None:
    files = sorted((place / "new").glob("*.png"))
    whole, single = predict(place / "run", [place / "new"]), predict(place / "run", files)
    assert [entry["image"] for entry in whole] == [str(file) for file in files]
    for ours, theirs in zip(whole, single, strict=True):
        assert ours["label"] == theirs["label"]
        assert list(ours["probabilities"].values()) == pytest.approx(list(theirs["probabilities"].values()), abs=1e-6)


def test_that_only_first_frames_are_read_is_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(20).save(tmp_path / "a.gif", save_all=True, append_images=[photo(230)])
    with pytest.raises(SystemExit) as done:
        main(["predict", str(place / "run"), str(tmp_path / "a.gif")])
    assert done.value.code == 0
    assert "note    1 file holds several frames: the first is read (first: a.gif)\n" in capsys.readouterr().err


def unlike(run: Path, images: Sequence[Path]) -> dict[str, list[str]]:
    return {Path(entry["image"]).name: entry["unlike"] for entry in predict(run, images)}


def test_images_unlike_the_training_are_told(place: Path) -> None:
    assert unlike(place / "run", [place / "new", place / "one.png"]) == {
        "=1+1.png": [], "b.png": [], "one.png": [],
        "grey.png": ["grey, not in colour"],
        "flat.png": ["almost constant"],
        "low.png": ["of half the model's size or less"],
    }  # fmt: skip
    assert unlike(place / "grey run", [place / "new"])["b.png"] == ["in colour, not grey"]
    assert unlike(place / "enlarged run", [place / "new"])["low.png"] == []  # those were as small
    assert unlike(place / "mixed run", [place / "new"])["grey.png"] == []  # there were such in the training


def test_what_cannot_be_read_is_refused_or_named(place: Path) -> None:
    with pytest.raises(DataError, match=r"b\.png"):
        predict(place / "run", [place / "broken"])
    good, bad = predict(place / "run", [place / "broken"], skip_unreadable=True)
    assert (good["label"], "label" in bad) == (CLASSES[0], False)
    assert bad["error"]


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    with pytest.raises(SystemExit) as left:
        main(["predict", *map(str, arguments)])
    assert left.value.code == 0
    return capsys.readouterr()


def test_the_command_line_tells_remarks_in_one_line_each(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    out, err = said(capsys, place / "run", place / "new", place / "broken", "--top", 2)
    lines = out.splitlines()
    assert len(lines) == 6
    image, first, share, second, rest = lines[0].split("\t")
    assert (Path(image).name, first, second) == ("a.png" if "broken" in image else "=1+1.png", "=dark", "between")
    assert 1 > float(share) > float(rest) > 0
    unlike, failed = err.splitlines()
    assert unlike == (
        "plexus: 3 of 7 images are unlike the training images (1 almost constant; 1 grey, not in colour; "
        "1 of half the model's size or less): their classes may mean nothing"
    )
    assert failed.startswith(f"plexus: 1 of 7 images could not be read: {place / 'broken' / 'b.png'}: ")


def test_a_table_holds_every_image_and_no_formula(
    capsys: pytest.CaptureFixture[str], place: Path, tmp_path: Path
) -> None:
    out, _ = said(capsys, place / "run", place / "new", place / "broken", "--csv", tmp_path / "a.csv", "--top", 2)
    assert out == f"7 images; open {tmp_path / 'a.csv'}\n"
    text = (tmp_path / "a.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 7
    assert rows[0]["label"] == "'=dark"
    assert float(rows[0]["probability"]) > float(rows[0]["probability2"])
    assert [row["error"] != "" for row in rows] == [False] * 6 + [True]
    assert {row["unlike the training images"] for row in rows} >= {"", "almost constant"}
    assert "\n=" not in text
    assert ",=" not in text


def test_json_and_table_go_together(capsys: pytest.CaptureFixture[str], place: Path, tmp_path: Path) -> None:
    out, _ = said(capsys, place / "run", place / "one.png", "--json", "--csv", tmp_path / "a.csv")
    (entry,) = json.loads(out)
    assert (entry["label"], entry["unlike"]) == (CLASSES[0], [])
