"""Fingerprints: what the cache keeps, the notes' histograms, embeddings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from plexus.audit import fingerprint, near_duplicates, read_labels
from plexus.data import open_samples
from plexus.errors import ConfigError, RunError
from tests.audit.speckle import scene, view


def test_a_second_run_decodes_nothing(wrong: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = open_samples(wrong)
    first, masks = fingerprint(samples, cache=tmp_path), read_labels(samples, cache=tmp_path)
    decoded: list[int] = []
    look, mask = type(samples).look, type(samples).mask

    def counted(self: object, i: int) -> object:
        decoded.append(i)
        return look(self, i)  # type: ignore[arg-type]

    monkeypatch.setattr(type(samples), "look", counted)
    monkeypatch.setattr(type(samples), "mask", lambda self, i: decoded.append(-1) or mask(self, i))  # type: ignore[func-returns-value]
    again = fingerprint(samples, cache=tmp_path)
    assert len(decoded) == 1  # only the one that cannot be read is tried again
    for name in ("rows", "digests", "checks", "sizes", "usable"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert again.problems == first.problems
    assert read_labels(samples, cache=tmp_path) == masks
    assert len(decoded) == 3  # and its mask, and the mask that does not fit


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (600, 24, 32), dtype=np.uint8))

    class Counted(list[np.ndarray]):
        """Images that count how often they are asked for, and may stop at one of them."""

        stop, reads = -1, 0

        def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]
            if i == self.stop:
                raise KeyboardInterrupt
            self.reads += 1
            return super().__getitem__(i)

    stopped, whole, rest, again = (Counted(images) for _ in range(4))
    stopped.stop = 550
    with pytest.raises(KeyboardInterrupt):
        fingerprint(stopped, cache=tmp_path, workers=1)
    assert len(list(tmp_path.glob("*/*.npz"))) == 2  # two parts of 256 images
    expected = fingerprint(whole)
    found = fingerprint(rest, cache=tmp_path)
    np.testing.assert_array_equal(found.rows, expected.rows)
    fingerprint(again, cache=tmp_path)
    hashing = again.reads  # every image is hashed, and none of them decoded
    assert rest.reads - hashing == (whole.reads - hashing) * (600 - 512) // 600 > 0


def test_a_damaged_cache_is_as_good_as_none(tmp_path: Path) -> None:
    images = [view(scene(i)) for i in range(3)]
    first = fingerprint(images, cache=tmp_path)
    (file,) = tmp_path.glob("*/*.npz")
    for content in (b"", b"nothing", file.read_bytes()[:-40]):
        file.write_bytes(content)
        np.testing.assert_array_equal(fingerprint(images, cache=tmp_path).rows, first.rows)
    np.savez(file, digest=np.array([object()], object))  # would need pickle
    np.testing.assert_array_equal(fingerprint(images, cache=tmp_path).rows, first.rows)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert len(fingerprint([view(scene(0))], cache=tmp_path / "file")) == 1
    shutil.rmtree(tmp_path)


def test_equal_pixels_in_another_file_are_a_copy(tmp_path: Path) -> None:
    from PIL import Image

    for i in range(3):
        Image.fromarray(view(scene(i))).save(tmp_path / f"{i}.png")
    Image.fromarray(view(scene(1))).save(tmp_path / "9.bmp")
    near = near_duplicates(fingerprint(open_samples(tmp_path)))
    assert [(int(a), int(b), bool(e)) for a, b, e in zip(near.a, near.b, near.exact, strict=True)] == [(1, 3, True)]


def test_histograms_are_numpys() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (45, 61), dtype=np.uint8)
    blocks = pixels[:40, :60].reshape(2, 20, 3, 20).swapaxes(1, 2)
    edges = np.linspace(0, 1, 10)
    expected = [np.histogram(b / 255, bins=edges)[0] for row in blocks for b in row]
    np.testing.assert_array_equal(fingerprint([pixels], "blockhist").rows[0], np.concatenate(expected))
    pixels[pixels < 40] = 0
    pixels[pixels == 41] = 1
    blocks = pixels[:40, :60].reshape(2, 20, 3, 20).swapaxes(1, 2)
    expected = [np.histogram(row, bins=edges)[0] for row in blocks]  # the loop over the first axis; 0..255 in [0, 1]
    np.testing.assert_array_equal(fingerprint([pixels], "blockhist-published").rows[0], np.concatenate(expected))


def test_images_of_zero_blocks_do_not_make_nan() -> None:
    bright = [np.full((40, 40), 90 + i, np.uint8) for i in range(3)]
    for image in bright:
        image[0, 0] = 99
    near = near_duplicates(fingerprint(bright, "blockhist-published"), threshold=0.5)
    assert len(near) == 0
    assert np.isfinite(near_duplicates(fingerprint(bright, "blockhist"), threshold=0.5).distance).all()


class Means(nn.Module):
    """Means of an 8 x 8 grid."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 8)


def test_embeddings_are_centred_and_compared_by_their_cosine() -> None:
    images = [view(scene(i)) for i in range(6)] + [view(scene(2), 1, 1)]
    found = fingerprint(images, "embedding", model=Means(), size=(HIGH, WIDE))
    x = torch.from_numpy(np.stack(images)).float()[:, None]
    rows = Means()(x).flatten(1).numpy()
    np.testing.assert_allclose(found.rows, rows, rtol=1e-5)
    centred = rows - rows.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    near = near_duplicates(found, threshold=0.3)
    assert (2, 6) in set(zip(near.a.tolist(), near.b.tolist(), strict=True))
    for a, b, d in zip(near.a, near.b, near.distance, strict=True):
        assert d == pytest.approx(1 - centred[a] @ centred[b], abs=1e-4)


HIGH, WIDE = 144, 192


def test_models_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef grid():\n    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(4))\n"
        "def three():\n    return 3\n"
    )
    images = [view(scene(i)) for i in range(2)]
    assert fingerprint(images, "embedding", model=f"{tmp_path}/net.py:grid", size=32).rows.shape == (2, 64)
    for model, error, words in (
        (f"{tmp_path}/net.py:three", ConfigError, "must return a torch module"),
        (f"{tmp_path}/net.py:none", ConfigError, "has no function none"),
        (f"{tmp_path}/no.py:net", ConfigError, "there is no file"),
        (f"{tmp_path}/no.onnx", RunError, "there is no such file"),
        (nn.Flatten(0), ConfigError, "cannot take images"),
    ):
        with pytest.raises(error, match=words):
            fingerprint(images, "embedding", model=model)


def test_a_model_and_its_kind_belong_together() -> None:
    with pytest.raises(ConfigError, match="belong together"):
        fingerprint([], "embedding")
    with pytest.raises(ConfigError, match="'hash' is unknown"):
        fingerprint([], "hash")
