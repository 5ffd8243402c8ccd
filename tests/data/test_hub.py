"""The hub is asked once, and what goes wrong with it is one line with a way out."""

from types import SimpleNamespace
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Image
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

from plexus.data import load
from plexus.data._tables import open_hub
from plexus.errors import DataError
from tests.data.images import grey, png


def table(count: int, start: int = 0) -> Dataset:
    rows = {"img": [png(grey(start + i)) for i in range(count)], "label": [i % 2 for i in range(count)]}
    return Dataset.from_dict(rows, features=Features(img=Image(), label=ClassLabel(names=["a", "b"])))


def found(_: str) -> None:
    return None


def failing(error: Exception) -> Any:
    def call(_: str) -> Any:
        raise error

    return call


def test_splits_of_the_hub_are_taken_by_name() -> None:
    tables = {"test": table(4), "train": table(6), "validation": table(2), "extra": table(9)}
    source = open_hub("owner/name", probe=found, fetch=lambda _: tables)
    assert source.name == "name"
    assert {split: len(part.labels) for split, part in source.parts.items()} == {"train": 6, "val": 2, "test": 4}


def test_a_single_split_of_any_name_is_for_training() -> None:
    assert list(open_hub("owner/name", probe=found, fetch=lambda _: {"all": table(6)}).parts) == ["train"]


def test_without_a_train_split_the_others_are_named() -> None:
    with pytest.raises(DataError, match=r"owner/name: no train split \(found: test\)"):
        open_hub("owner/name", probe=found, fetch=lambda _: {"test": table(6)})


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
def test_a_hub_that_does_not_answer(error: Exception, message: str) -> None:
    with pytest.raises(DataError, match=f"^owner/name: .*{message}") as caught:
        open_hub("owner/name", probe=failing(error), fetch=failing(AssertionError("must not be tried")))
    assert "\n" not in str(caught.value)


def test_a_data_set_that_does_not_load() -> None:
    with pytest.raises(DataError, match=r"owner/name: cannot be loaded .*Config name is missing. Pick.*download it"):
        open_hub("owner/name", probe=found, fetch=failing(ValueError("Config name is missing.\nPick one")))


def test_offline_the_cache_is_tried() -> None:
    probe = failing(OfflineModeIsEnabled("offline"))
    assert list(open_hub("owner/name", probe=probe, fetch=lambda _: {"train": table(6)}).parts) == ["train"]
    with pytest.raises(DataError, match=r"^owner/name-that-is-nowhere: cannot be loaded .*Offline.*download it"):
        load("owner/name-that-is-nowhere")
