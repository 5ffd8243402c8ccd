"""A wiring comes back from its files as it was, and files that do not belong together are told."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from plexus.errors import ConfigError, PlexusError, RunError
from plexus.graph import Wiring, stack_nodes
from plexus.wiring import read_wiring, residual_wiring, write_wiring
from tests.wiring.nets import map_wiring


def mapped(kind: str, seed: int = 0) -> Wiring:
    draw = random.Random(seed)
    return map_wiring(4, kind, lambda: draw.uniform(-1, 1), share=0.5, seed=seed)


@pytest.mark.parametrize("kind", ["map", "mix"])
@pytest.mark.parametrize("seed", range(3))
def test_map_edges_come_back(kind: str, seed: int, tmp_path: Path) -> None:
    wiring = mapped(kind, seed)
    assert write_wiring(wiring, tmp_path / "kept.json") == tmp_path / "kept.json"
    assert {p.name for p in tmp_path.iterdir()} == {"kept.json", "kept.safetensors"}
    again = read_wiring(tmp_path / "kept.json")
    assert again == wiring
    assert (again.granularity, again.count()) == (kind, wiring.count())
    assert hash(again) == hash(wiring)


def test_a_wiring_of_layers_is_one_file_and_leaves_others_alone(tmp_path: Path) -> None:
    (tmp_path / "wiring.safetensors").write_bytes(b"another's")
    write_wiring(residual_wiring(4), tmp_path / "wiring.json")
    assert read_wiring(str(tmp_path / "wiring.json")) == residual_wiring(4)
    assert (tmp_path / "wiring.json").read_text() == residual_wiring(4).to_json()
    assert (tmp_path / "wiring.safetensors").read_bytes() == b"another's"


@pytest.mark.parametrize("old", [residual_wiring(4), mapped("mix", 1)])
def test_killed_between_its_files_the_old_wiring_is_there_or_the_fault_is_told(
    old: Wiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wiring(old, tmp_path / "wiring.json")
    new = mapped("mix", 2)

    def killed(self: Wiring) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Wiring, "to_json", killed)
        with pytest.raises(KeyboardInterrupt):
            write_wiring(new, path)
    if old.maps:
        with pytest.raises(RunError, match=r"wiring.json: not a wiring: its map edges are those of another wiring"):
            read_wiring(path)
    else:
        assert read_wiring(path) == old
    write_wiring(new, path)
    assert read_wiring(path) == new


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.json", None, r"w\.json: cannot read the wiring: No such file or directory; name the NAME.json"),
        ("w.safetensors", None, r"w\.safetensors: cannot read the wiring: No such file or directory; .* beside it"),
        ("w.json", b"", r"w\.json: not a wiring: this is not JSON"),
        ("w.json", b"\xff\xfe", r"w\.json: not a wiring: this is not JSON"),
        ("w.json", b"{}", r"w\.json: not a wiring: expected a JSON object with"),
        ("w.safetensors", b"", r"w\.json: not a wiring: its map edges are missing"),
        ("w.safetensors", b"cut short", r"w\.json: not a wiring: its map edges are those of another wiring"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = write_wiring(mapped("mix"), tmp_path / "w.json")
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=message) as caught:
        read_wiring(path)
    assert "\n" not in str(caught.value)


def test_map_edges_that_do_not_fit_their_layers_are_refused(tmp_path: Path) -> None:
    path = write_wiring(mapped("map"), tmp_path / "w.json")
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(raw | {"edges": raw["edges"][1:]}))
    with pytest.raises(
        RunError, match=r"w\.json: not a wiring: the map edges|w\.json: not a wiring: map edges are given"
    ):
        read_wiring(path)


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("wiring.safetensors", ConfigError, "wiring.safetensors: a wiring is written as NAME.json"),
        ("none/wiring.json", RunError, "cannot write: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_told(path: str, kind: type[PlexusError], message: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=message):
        write_wiring(Wiring(stack_nodes(1), [("lego1", "head", 1.0)]), tmp_path / path)
    assert list(tmp_path.iterdir()) == []
