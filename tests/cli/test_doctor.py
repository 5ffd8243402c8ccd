"""What `plexus doctor` says is what is there."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from plexus.cli import doctor, main

PINS = Path(__file__).parents[2] / "constraints.txt"


def told(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What it prints; it leaves with 0 whatever is missing."""
    with pytest.raises(SystemExit) as left:
        main(["doctor", *options])
    assert left.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def found(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The same as data."""
    made: dict[str, Any] = json.loads(told(capsys, "--json"))
    return made


def test_versions_and_devices(capsys: pytest.CaptureFixture[str]) -> None:
    made = found(capsys)
    for name in ("torch", "lightning", "numpy", "numba", "onnxruntime"):
        assert made["versions"][name] == version(name)
    assert made["devices"]["cores"] == len(os.sched_getaffinity(0))
    assert made["devices"]["threads"] == torch.get_num_threads()
    assert len(made["devices"]["gpus"]) == torch.cuda.device_count()


def test_a_version_that_was_never_tried_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(capsys)["untried"] == {}
    monkeypatch.setattr(doctor, "version", lambda name: {"lightning": "99.0"}.get(name) or version(name))
    monkeypatch.setattr(doctor, "requires", lambda name: ["lightning>=2.6,<3", "numpy>=2", 'ray>=3; extra == "ray"'])
    assert found(capsys)["untried"] == {"lightning": {"installed": "99.0", "tried": "<3,>=2.6"}}
    assert (
        "lightning     99.0 is not among the versions that plexus was tried with: pip install 'lightning<3,>=2.6'"
        in (told(capsys))
    )


def test_a_version_newer_than_any_that_was_tried_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were tried are pinned for the tests; a fix of one of them is not another."""
    pins = dict(line.split("==") for line in PINS.read_text().splitlines() if "==" in line)
    assert {name: ".".join(pins[name].split(".")[:2]) for name in doctor.NEWEST} == doctor.NEWEST
    numbers = {"torch": "2.14.0+cpu", "lightning": "2.6.99"}
    monkeypatch.setattr(doctor, "version", lambda name: numbers.get(name) or version(name))
    assert found(capsys)["untried"] == {"torch": {"installed": "2.14.0+cpu", "tried": "==2.13.*"}}
    assert (
        "torch         2.14.0+cpu is not among the versions that plexus was tried with: pip install 'torch==2.13.*'"
        in told(capsys)
    )


@pytest.mark.parametrize(("wanted", "backend"), [("auto", "taps"), ("bank", "bank")])
def test_the_backend_is_the_one_that_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wanted: str, backend: str
) -> None:
    monkeypatch.setenv("PLEXUS_ROT_BACKEND", wanted)
    assert found(capsys)["kernels"]["cpu"] == backend
    monkeypatch.setenv("PLEXUS_ROT_BACKEND", "fast")
    assert "PLEXUS_ROT_BACKEND='fast': expected one of auto, taps, bank" in told(capsys)


def test_what_is_missing_has_a_remedy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there = told(capsys)
    assert "missing" not in there
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "version", lambda name: (_ for _ in ()).throw(doctor.PackageNotFoundError(name)))
    lines = {line.split()[0]: line for line in told(capsys).splitlines() if line}
    for module, extra in (("pydicom", "dicom"), ("faiss", "faiss"), ("ray", "ray")):
        assert f"pip install 'plexus-nn[{extra}]'" in lines[module]
    assert "pip install triton" in lines["triton"]
    assert "pip install torch" in lines["torch"]


def test_the_hub_and_the_place_of_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
    assert "HF_HUB_OFFLINE set: only what was loaded before" in told(capsys)
    assert found(capsys)["runs"] == {"folder": "runs", "writable": True}
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert "sets are loaded when named" in told(capsys)
    (tmp_path / "runs").write_text("a file")
    assert found(capsys)["runs"]["writable"] is False
    assert "may not be written; go to another folder" in told(capsys)
