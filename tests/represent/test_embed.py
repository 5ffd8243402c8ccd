"""Z as a table that is never written over, and the nearest images from pixels or from that table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from plexus.errors import ConfigError, DataError, PlexusWarning, RunError
from plexus.models import read_autoencoder
from plexus.represent import embed, search
from plexus.represent.space import Space
from tests.represent.shapes import KINDS, shape, write_flat, write_shapes


def test_the_table_has_path_z_and_label(trained: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "z.parquet"
    assert embed(trained, [shapes], out) == out
    table = pq.read_table(out)
    assert table.column_names == ["path", "z", "label"]
    assert table.schema.field("path").type == pa.string()
    assert table.schema.field("z").type == pa.list_(pa.float32(), 5)
    assert table.schema.field("label").type == pa.string()
    rows = table.to_pylist()
    assert len(rows) == 70
    model = read_autoencoder(trained)
    for row in rows[::9]:
        assert Path(row["path"]).parent.name == row["label"]
        pixels = torch.from_numpy(np.asarray(Image.open(row["path"])).copy())[None, None]
        with torch.no_grad():
            np.testing.assert_allclose(row["z"], model.encode(pixels)[0], atol=1e-5)


def test_images_files_and_sets_go_into_one_table(trained: Path, shapes: Path, tmp_path: Path) -> None:
    flat = write_flat(tmp_path / "flat", 4)
    embed(trained, [flat, shapes / "bar" / "03.png"], tmp_path / "z.parquet")
    table = pq.read_table(tmp_path / "z.parquet")
    assert len(table) == 5
    assert {Path(p).name for p in table.column("path").to_pylist()} == {"00.png", "01.png", "02.png", "03.png"}
    assert "label" not in table.column_names or table.column("label").to_pylist()[:4] == [None] * 4
    embed(trained, ["digits"], tmp_path / "digits.parquet")
    rows = pq.read_table(tmp_path / "digits.parquet").to_pylist()
    assert len(rows) == 1797
    assert {row["label"] for row in rows} == set("0123456789")
    assert rows[0]["path"].startswith("digits/")


def test_each_path_leads_to_its_image(trained: Path, shapes: Path, tmp_path: Path) -> None:
    files = [shapes / "bar" / "03.png", shapes / "disc" / "03.png"]
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\n" + "\n".join(f"{shapes}/{name}/01.png" for name in ("bar", "disc")))
    embed(trained, [*files, manifest, f"{shapes}/tee/"], tmp_path / "z.parquet")
    paths = pq.read_table(tmp_path / "z.parquet").column("path").to_pylist()
    assert paths[:2] == list(map(str, files))
    assert "//" not in "".join(paths)
    assert all(Path(path).is_file() for path in paths)
    assert len(set(paths)) == len(paths)
    assert search(trained, files[0], files)["found"][0]["path"] == str(files[0])


def test_one_place_may_be_given_alone(trained: Path, shapes: Path, tmp_path: Path) -> None:
    for place in (shapes / "bar", f"{shapes}/bar"):
        table = embed(trained, place, tmp_path / f"{type(place).__name__}.parquet")
        assert pq.read_table(table).equals(pq.read_table(embed(trained, [place], table.with_suffix(".pq"))))
        whole = search(trained, shapes / "bar" / "00.png", place)
        assert whole == search(trained, shapes / "bar" / "00.png", [place])
        assert search(trained, shapes / "bar" / "00.png", table)["images"] == whole["images"]


def test_colours_and_sizes_are_made_to_fit(trained: Path, tmp_path: Path) -> None:
    grey = shape("disc", 3)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).convert("RGB").save(tmp_path / "colour.png")
    Image.fromarray(grey).resize((48, 30)).save(tmp_path / "large.png")
    embed(trained, [tmp_path], tmp_path / "z.parquet")
    z = {Path(r["path"]).stem: r["z"] for r in pq.read_table(tmp_path / "z.parquet").to_pylist()}
    np.testing.assert_allclose(z["colour"], z["grey"], atol=1e-4)
    assert len(z["large"]) == 5


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_is_overwritten(trained: Path, shapes: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "z.parquet"
    if kind == "file":
        out.write_text("mine")
    elif kind == "folder":
        out.mkdir()
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunError, match="exists and is not overwritten; name another file with --out"):
        embed(trained, [shapes], out)
    assert out.is_symlink() or out.exists()
    assert kind != "file" or out.read_text() == "mine"


def test_what_cannot_be_embedded(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "z.parquet"
    with pytest.raises(RunError, match="not a run folder"):
        embed(tmp_path, [tmp_path], out)
    with pytest.raises(ConfigError, match="name at least one image"):
        embed(trained, [], out)
    flat = write_flat(tmp_path / "flat", 3)
    (flat / "bad.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"bad.png: .*--skip-unreadable") as told:
        embed(trained, [flat], out)
    assert "\n" not in str(told.value)
    assert not out.exists()
    embed(trained, [flat], out, skip_unreadable=True)
    assert len(pq.read_table(out)) == 3


def test_what_another_run_made_is_not_searched(trained: Path, three: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "z.parquet"
    embed(trained, [shapes], out)
    query = next(shapes.rglob("*.png"))
    assert search(trained, query, [out])["found"]
    with pytest.raises(RunError, match="its Z was made by another run; embed the images with this run"):
        search(three, query, [out])
    pq.write_table(pq.read_table(out).replace_schema_metadata(), out)
    with pytest.warns(PlexusWarning, match="does not say which run made it"):
        search(trained, query, [out])


def test_an_image_finds_itself_first(trained: Path, shapes: Path) -> None:
    query = shapes / "tee" / "05.png"
    found = search(trained, query, [shapes], most=7)
    assert found["query"] == str(query)
    assert found["images"] == 70
    assert len(found["found"]) == 7
    first = found["found"][0]
    assert first["path"] == str(query)
    assert first["label"] == "tee"
    assert first["similarity"] == pytest.approx(1, abs=1e-6)
    values = [entry["similarity"] for entry in found["found"]]
    assert values == sorted(values, reverse=True)
    assert min(values) >= -1
    assert found["picture"].startswith("data:image/png;base64,")


def test_similarity_is_the_cosine_about_the_mean(trained: Path, shapes: Path, tmp_path: Path) -> None:
    embed(trained, [shapes], tmp_path / "z.parquet")
    rows = pq.read_table(tmp_path / "z.parquet").to_pylist()
    space = Space.read(trained)
    z = (np.array([row["z"] for row in rows]) - space.mean) / space.std
    ask = next(i for i, row in enumerate(rows) if row["path"].endswith("disc/02.png"))
    cosine = z @ z[ask] / np.linalg.norm(z, axis=1) / np.linalg.norm(z[ask])
    order = np.argsort(-cosine)[:6]
    found = search(trained, rows[ask]["path"], [shapes], most=6)["found"]
    assert [entry["path"] for entry in found] == [rows[i]["path"] for i in order]
    np.testing.assert_allclose([entry["similarity"] for entry in found], cosine[order], atol=1e-5)


def test_a_table_answers_as_its_images_do(trained: Path, shapes: Path, tmp_path: Path) -> None:
    table = embed(trained, [shapes], tmp_path / "z.parquet")
    query = shapes / "rows" / "01.png"
    ours, theirs = (search(trained, query, [place], most=100) for place in (table, shapes))
    assert ours["images"] == theirs["images"] == len(ours["found"]) == 70
    for a, b in zip(ours["found"][:20], theirs["found"][:20], strict=True):
        assert (a["path"], a["label"]) == (b["path"], b["label"])
        assert a["similarity"] == pytest.approx(b["similarity"], abs=1e-5)
    assert ours["picture"] is None


def test_the_best_of_many_batches_is_found(trained: Path, shapes: Path) -> None:
    query = shapes / "bar" / "00.png"
    whole = search(trained, query, [shapes], most=9)["found"]
    parts = [shapes / kind for kind in KINDS]  # each place begins a batch of its own
    assert [e["path"] for e in search(trained, query, parts, most=9)["found"]] == [e["path"] for e in whole]


def test_tables_that_do_not_fit(trained: Path, shapes: Path, tmp_path: Path) -> None:
    query, table = shapes / "bar" / "00.png", tmp_path / "z.parquet"
    z = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(8, np.float32)), 4)
    pq.write_table(pa.table({"path": ["a", "b"], "z": z}), table)
    with pytest.raises(RunError, match="its Z has 4 numbers, that of the run 5; embed the images with this run"):
        search(trained, query, [table])
    pq.write_table(pa.table({"path": ["a", "b"], "z": [1.0, 2.0]}), table)
    with pytest.raises(RunError, match=r"z.parquet: "):
        search(trained, query, [table])
    pq.write_table(pa.table({"path": ["a", "b"], "z": [[1.0], [2.0, 3.0]]}), table)
    with pytest.raises(RunError, match=r"z.parquet: cannot be read as a table of Z") as told:
        search(trained, query, [table])
    assert "\n" not in str(told.value)
    empty = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(0, np.float32)), 5)
    pq.write_table(pa.table({"path": pa.array([], pa.string()), "z": empty}), table)
    with pytest.raises((RunError, DataError), match=r"z.parquet: "):
        search(trained, query, [table])
    table.write_bytes(b"PAR1 no")
    with pytest.raises(RunError, match=r"z.parquet: cannot be read as a table of Z"):
        search(trained, query, [table])


def test_queries_that_are_none(trained: Path, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; name one image"):
        search(trained, tmp_path / "none.png", [shapes])
    with pytest.raises(ConfigError, match="most=0 must be at least 1"):
        search(trained, shapes / "bar" / "00.png", [shapes], most=0)
    with pytest.raises(ConfigError, match="name at least one image"):
        search(trained, shapes / "bar" / "00.png", [])


def test_one_class_alone_can_be_searched(trained: Path, tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "d", "bar", count=3)
    found = search(trained, data / "bar" / "01.png", [data / "bar"])
    assert len(found["found"]) == 3
    assert found["found"][0]["label"] in (None, "bar")
    assert KINDS[0] == "bar"
