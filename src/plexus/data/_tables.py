"""Tables of images: parquet files in a folder, and data sets on the Hugging Face hub."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any

from plexus.data._columns import find_columns, parts_from_tables
from plexus.data._folder import parquet_splits
from plexus.data._parts import ROLES, Source, with_train
from plexus.errors import DataError


def open_parquet(root: Path, files: Sequence[PurePosixPath], where: str, label: str | None = None) -> Source:
    """Load a folder of parquet files through `datasets`, which keeps an unpacked copy of the two columns in its cache.

    Args:
        root: the folder.
        files: every parquet file, as a path below it.
        where: the folder's name in messages.
        label: the label column, where the user named it.

    Raises:
        DataError: a broken file, files that do not agree, or no train split.
    """
    splits = parquet_splits(files, where)
    tables = with_train(
        read_parquet(root, splits, where, lambda features, at: find_columns(features, at, label)), where
    )
    parts, classes = parts_from_tables(tables, where, label)
    return Source(root.resolve().name, where, parts, classes, ", ")


def open_hub(
    spec: str,
    label: str | None = None,
    *,
    probe: Callable[[str], object] | None = None,
    fetch: Callable[[str], Mapping[str, Any]] | None = None,
) -> Source:
    """Load a data set from the Hugging Face hub, or from its cache when ``HF_HUB_OFFLINE=1`` is set.

    Splits that are neither train, validation nor test are left out; a single split of any name is taken as train.

    Args:
        spec: ``owner/name``.
        label: the label column, where the user named it.
        probe: asks the hub for the data set, once and without retries.
        fetch: loads the splits.

    Raises:
        DataError: no such data set, no way to the hub, or no train split.
    """
    from datasets import load_dataset
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    remedy = "download it where there is a network and give its folder"
    try:
        (probe or HfApi(library_name="plexus").dataset_info)(spec)
    except OfflineModeIsEnabled:
        pass  # the cache may hold it
    except RepositoryNotFoundError:
        raise DataError(f"{spec}: no such folder here and no such public data set on the hub: check the name") from None
    except Exception as error:
        reason = f"{spec}: no such folder, and the hub cannot be reached ({_line(error)})"
        raise DataError(f"{reason}: {remedy}, or set HF_HUB_OFFLINE=1 if it was loaded before") from None
    try:
        with _bars_on_terminals():
            tables = dict((fetch or load_dataset)(spec))
    except Exception as error:
        raise DataError(f"{spec}: cannot be loaded from the hub ({_line(error)}): {remedy}") from None
    roles = {split: ROLES.get(split.lower()) for split in tables}
    if len(tables) == 1 and None in roles.values():
        roles = dict.fromkeys(tables, "train")
    named = {role: tables[split] for split, role in roles.items() if role is not None}
    parts, classes = parts_from_tables(with_train(named, spec), spec, label, files=True)
    return Source(spec.rpartition("/")[2], spec, parts, classes, ", ")


def read_parquet(
    root: Path,
    splits: Mapping[str, list[PurePosixPath]],
    where: str,
    choose: Callable[[Mapping[str, Any], str], Sequence[str]],
) -> dict[str, Any]:
    """Load some columns of parquet files as one `datasets` table per split.

    Args:
        root: the folder.
        splits: the files of each split, as paths below it.
        where: the folder's name in messages.
        choose: picks the columns, given the features of the first file and that file's name.

    Raises:
        DataError: a broken file, or files that do not agree.
    """
    import pyarrow.parquet as pq
    from datasets import Features, load_dataset

    base = root.resolve()
    columns: Sequence[str] | None = None
    kinds: Any = None
    for file in (file for files in splits.values() for file in files):
        try:
            features = Features.from_arrow_schema(pq.read_schema(root / file))
        except Exception as error:
            raise DataError(f"{where}: {file} cannot be read ({_line(error)}): replace it or take it out") from None
        columns = columns or choose(features, f"{where}: {file}")
        here = [features.get(column) for column in columns]
        kinds = kinds or here
        if here != kinds:  # labels would silently change their meaning
            raise DataError(
                f"{where}: {file} declares other columns or classes than the files before it: make them agree"
            )
    try:
        with _bars_on_terminals():
            return dict(
                load_dataset(
                    "parquet",
                    data_files={split: [escape(str(base / file)) for file in files] for split, files in splits.items()},
                    columns=list(columns or ()),
                )
            )
    except Exception as error:
        raise DataError(f"{where}: parquet files cannot be read ({_line(error)}): replace them") from None


@contextmanager
def _bars_on_terminals() -> Iterator[None]:
    from datasets import disable_progress_bars, enable_progress_bars, is_progress_bar_enabled

    hide = is_progress_bar_enabled() and not sys.stderr.isatty()
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            enable_progress_bars()


def _line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:200]
