"""The hub is asked once, and what goes wrong with it is one line with a way out."""

from types import SimpleNamespace
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Image
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

from plexus.data import load, open_samples
from plexus.errors import DataError
from tests.data.images import grey, png

PROBE, FETCH = "huggingface_hub.HfApi.dataset_info", "datasets.load_dataset"


def table(count: int, start: int = 0) -> Dataset:
    rows = {"img": [png(grey(start + i)) for i in range(count)], "label": [i % 2 for i in range(count)]}
    return Dataset.from_dict(rows, features=Features(img=Image(), label=ClassLabel(names=["a", "b"])))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put tables, or an error, in the place of the hub's answers."""

    def answer(tables: Any, probe: Exception | None = None) -> None:
        def reply(value: Any) -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        monkeypatch.setattr(PROBE, lambda self, name: reply(probe))
        monkeypatch.setattr(FETCH, lambda name: reply(tables))

    return answer


def test_splits_of_the_hub_are_taken_by_name(hub: Any) -> None:
    hub({"test": table(4, 50), "train": table(6), "validation": table(2, 90), "extra": table(9)})
    data = load("owner/name")
    assert (data.name, data.classes, data.given) == ("name", ("a", "b"), ("val", "test"))
    assert [len(split) for split in (data.train, data.val, data.test)] == [6, 2, 4]
    assert data.test.names[1] == "test row 1"
    assert data.test.images[1, 0].tolist() == grey(51).tolist()
    samples = open_samples("owner/name")
    assert (samples.layout, len(samples), samples.splits) == ("hub", 12, ("train", "val", "test"))


def test_a_single_split_of_any_name_is_for_training(hub: Any) -> None:
    hub({"all": table(8)})
    assert load("owner/name").given == ()


def test_without_a_train_split_the_others_are_named(hub: Any) -> None:
    hub({"test": table(6), "dev": table(6)})
    with pytest.raises(DataError, match=r"owner/name: no train split \(found: test, val\)"):
        load("owner/name")


def test_files_that_a_table_of_the_hub_names_are_opened(hub: Any, tmp_path: Any) -> None:
    rows: dict[str, Any] = {"img": [], "label": [0, 1] * 4}
    for i in range(8):
        (tmp_path / f"{i}.png").write_bytes(png(grey(i)))
        rows["img"].append(str(tmp_path / f"{i}.png"))
    hub({"train": Dataset.from_dict(rows, features=Features(img=Image(), label=ClassLabel(names=["a", "b"])))})
    data = load("owner/name")
    for split in (data.train, data.val, data.test):
        for image, name in zip(split.images, split.names, strict=True):
            assert image[0].tolist() == grey(int(name.removeprefix("row "))).tolist()


ANSWER: Any = SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no\nway"), r"hub cannot be reached \(ConnectionError: no way\): download it .* its folder"),
        (TimeoutError(), "hub cannot be reached .* HF_HUB_OFFLINE=1 if it was loaded before"),
        (
            RepositoryNotFoundError("404", response=ANSWER),
            "no such folder here and no such public data set on the hub: check the name",
        ),
    ],
)
def test_a_hub_that_does_not_answer(hub: Any, error: Exception, message: str) -> None:
    hub(AssertionError("must not be tried"), error)
    with pytest.raises(DataError, match=f"^owner/name: .*{message}") as caught:
        load("owner/name")
    assert "\n" not in str(caught.value)


def test_a_data_set_that_does_not_load(hub: Any) -> None:
    hub(ValueError("Config name is missing.\nPick one"))
    with pytest.raises(DataError, match=r"owner/name: cannot be loaded .*Config name is missing. Pick.*download it"):
        load("owner/name")


def test_offline_the_cache_is_tried(hub: Any) -> None:
    hub({"train": table(6)}, OfflineModeIsEnabled("offline"))
    assert sum(len(split) for split in (load("owner/name").train, load("owner/name").test)) == 4


def test_offline_and_not_in_the_cache() -> None:
    with pytest.raises(DataError, match=r"^owner/name-that-is-nowhere: cannot be loaded .*Offline.*download it"):
        load("owner/name-that-is-nowhere")
