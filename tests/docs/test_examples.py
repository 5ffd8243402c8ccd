"""The examples beside the guide: the notebook runs, the config is one, and the Dockerfile copies what is there."""

import re
import warnings
from pathlib import Path

import pytest

from plexus.training import FitConfig
from tests.docs.pages import ROOT

EXAMPLES = ROOT / "docs" / "examples"


@pytest.mark.e2e
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not kept"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client's own loop
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    told = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "learned wiring" in told
    assert "int8" in told
    assert "epoch 3 of 3" in told


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_a_config_is_one(path: Path) -> None:
    config = FitConfig.read(path)
    assert config.int8
    assert len(config.budget()) == 1


def test_the_image_is_made_of_what_is_there() -> None:
    text, kept = (ROOT / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text()
    sources = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M) for name in line.split()]
    assert sources
    for name in sources:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in kept.splitlines(), name
