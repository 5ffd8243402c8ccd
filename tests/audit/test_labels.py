"""Doubtful labels, decisions on them, and the cleaned set that a training takes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plexus.audit import Predictions, audit, read_decisions, suspects, write_clean, write_files
from plexus.data import SampleSet, in_memory, load, open_samples
from plexus.errors import DataError
from plexus.report import render
from tests.audit.speckle import save, scene, view
from tests.report.pages import embedded

CLASSES = ("cat", "dog", "eel")


def near_perfect(truth: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """Probabilities of a net that is right, and more or less sure of it."""
    own = np.random.default_rng(seed).uniform(0.900, 0.905, len(truth))
    rows = np.repeat(((1 - own) / 2)[:, None], 3, 1)
    rows[np.arange(len(truth)), truth] = own
    return rows


def labelled(truth: NDArray[np.int64], wrong: dict[int, int]) -> SampleSet:
    labels = [CLASSES[wrong.get(i, int(k))] for i, k in enumerate(truth)]
    return in_memory(np.zeros((len(truth), 8, 8)), labels).samples


def test_planted_wrong_labels_are_all_found_with_the_right_class_and_nothing_else() -> None:
    truth = np.arange(120) % 3
    wrong = {5: 0, 40: 2, 77: 0, 80: 1}
    found = suspects(labelled(truth, wrong), Predictions(CLASSES, near_perfect(truth), "a net"))
    assert {s.image: (s.given, s.suggested) for s in found} == {
        i: (CLASSES[given], CLASSES[truth[i]]) for i, given in wrong.items()
    }
    assert [s.quality for s in found] == sorted(s.quality for s in found)
    assert {s.evidence for s in found} == {"strong"}
    for s in found:
        assert s.example is not None
        assert truth[s.example] == CLASSES.index(s.suggested)
        assert s.example not in wrong


def test_without_wrong_labels_there_are_no_suspects() -> None:
    truth = np.arange(90) % 3
    assert suspects(labelled(truth, {}), Predictions(CLASSES, near_perfect(truth), "a net")) == ()


@pytest.mark.parametrize("surer", [1, 2])
def test_the_mistakes_of_a_weak_net_are_not_strong_evidence(surer: int) -> None:
    """Right labels, drawn from its probabilities, and wrong ones beside; it is as sure as it may be, or surer."""
    random = np.random.default_rng(0)
    rows = random.dirichlet(np.full(3, 0.25), 900)
    truth = (rows.cumsum(1) < random.random((900, 1))).sum(1)
    told = rows**surer / (rows**surer).sum(1, keepdims=True)
    found = suspects(labelled(truth, {}), Predictions(CLASSES, told, "a net"))
    assert len(found) > 60
    assert sum(s.evidence == "strong" for s in found) <= 1
    sure = random.choice(np.flatnonzero(rows.max(1) > 0.9), 30, replace=False)
    wrong = {int(i): int((truth[i] + 1) % 3) for i in sure}
    found = suspects(labelled(truth, wrong), Predictions(CLASSES, told, "a net"))
    assert len(found) > 100
    strong = [s.image for s in found if s.evidence == "strong"]
    right = sum(i in wrong for i in strong)
    assert right > len(wrong) / 2
    assert right > 2 / 3 * len(strong)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_sure_net_at_chance_is_no_strong_evidence(classes: int) -> None:
    random = np.random.default_rng(0)
    truth, told = random.integers(0, classes, 600), np.exp(random.normal(0, 5, (600, classes)))
    found = suspects(labelled(truth, {}), Predictions(CLASSES[:classes], told / told.sum(1, keepdims=True), "a net"))
    assert len(found) > 200
    assert {s.evidence for s in found} == {"weak"}


def test_the_only_image_of_a_class_is_told_not_to_be_judged() -> None:
    truth = np.arange(60) % 2
    samples = labelled(truth, {9: 2})
    noise = np.random.default_rng(0).integers(0, 256, (60, 32, 32))
    judged = Predictions(CLASSES, near_perfect(truth), "a net")
    assert suspects(samples, judged) == ()
    notes = audit((noise, [s.label for s in samples.samples]), predictions=judged).findings.data.notes
    assert any(note.endswith("; but not the only image of its class: eel") for note in notes)


def test_what_the_net_learned_from_is_not_judged_nor_are_its_copies(tmp_path: Path) -> None:
    truth = np.arange(60) % 3
    for i, k in enumerate(truth):
        label = {7: "cat", 10: "eel", 13: "eel"}.get(i, CLASSES[k])
        twin = 7 if i == 10 else i  # 10 is 7 again
        save(tmp_path / label / f"{i:02}.png", view(scene(twin)))
    samples = open_samples(tmp_path)
    at = {sample.name[-6:-4]: i for i, sample in enumerate(samples.samples)}
    rows = np.array([int(sample.name[-6:-4]) for sample in samples.samples])
    chances, learned = near_perfect(truth)[rows], np.zeros(60, bool)
    learned[at["07"]] = True
    for name in ("07", "10", "13"):  # surer than the net is on average, which confident learning asks for
        chances[at[name]] = (0.01, 0.98, 0.01)
    plain = audit(samples, predictions=Predictions(CLASSES, chances, "a net")).findings
    assert {s.image for s in plain.suspects} == {at["07"], at["10"], at["13"]}
    chances[at["07"]] = np.nan
    found = audit(samples, predictions=Predictions(CLASSES, chances, "a net", learned)).findings
    assert {s.image for s in found.suspects} == {at["13"]}
    assert "1 near-duplicates of images that were learned from are not judged either" in found.data.notes
    assert found.summary.suspects == 1


def test_folds_for_cross_validation_tear_no_copies_apart(tmp_path: Path) -> None:
    for i in range(24):
        save(tmp_path / CLASSES[i % 2] / f"{i:02}.png", view(scene(i % 20)))
    seen: list[NDArray[np.int64]] = []

    def judge(samples: SampleSet, fold: NDArray[np.int64]) -> Predictions:
        seen.append(fold)
        return Predictions(samples.classes, np.full((len(samples), 2), 0.5), "nobody")

    samples = open_samples(tmp_path)
    audit(samples, predictions=judge, k=3)
    fold = {sample.name[-6:-4]: k for sample, k in zip(samples.samples, seen[0].tolist(), strict=True)}
    assert set(fold.values()) == {0, 1, 2}
    assert all(fold[f"{i:02}"] == fold[f"{i + 20:02}"] for i in range(4))


@pytest.mark.parametrize(
    ("classes", "rows", "words"),
    [
        (CLASSES[:2], (30, 2), "class 'eel' is none of a net"),
        (CLASSES, (29, 3), r"predictions of shape \(29, 3\)"),
    ],
)
def test_predictions_of_something_else_are_refused(classes: tuple[str, ...], rows: tuple[int, int], words: str) -> None:
    truth = np.arange(30) % 3
    with pytest.raises(DataError, match=words):
        suspects(labelled(truth, {}), Predictions(classes, np.full(rows, 0.5), "a net"))
    with pytest.raises(DataError, match="has no classes"):
        audit(np.zeros((4, 8, 8)), predictions=Predictions(classes, np.zeros(rows), "a net"))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Eight images; 3 and 7 are one scene with two labels."""
    for i in range(8):
        save(tmp_path / "pets" / CLASSES[i % 2] / f"{i}.png", view(scene(3 if i == 7 else i), int(i == 7)))
    (tmp_path / "pets" / "dog" / "7.png").rename(tmp_path / "pets" / "cat" / "7.png")
    return tmp_path / "pets"


def decided(path: Path, decisions: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"format": 1, "kind": "audit-decisions", "decisions": decisions}))
    return path


def test_of_two_that_contradict_each_other_the_one_with_the_likely_wrong_label_goes(pets: Path) -> None:
    samples = open_samples(pets)
    names = [s.name for s in samples.samples]

    def gone(*seen: str) -> list[str]:
        chances = np.array(
            [(0.98, 0.01, 0.01) if name in seen or "cat" in name else (0.01, 0.98, 0.01) for name in names]
        )
        chances[names.index("cat/7.png")] = chances[names.index("dog/3.png")]  # they are one scene
        done = audit(samples, predictions=Predictions(CLASSES, chances, "a net"))
        return [name for name, keep in zip(names, done.cleaned.keep, strict=True) if not keep]

    assert gone("dog/3.png") == ["dog/3.png"]
    assert gone() == ["cat/7.png"]


def test_a_relabelled_image_contradicts_nothing_and_trains_with_its_new_class(pets: Path, tmp_path: Path) -> None:
    samples = open_samples(pets)
    before = audit(samples)
    assert [before.findings.images[p.b].name for p in before.findings.pairs if p.contradiction] == ["dog/3.png"]
    decisions = read_decisions(decided(tmp_path / "d.json", {"cat/7.png": "relabel:dog", "cat/0.png": "drop"}), samples)
    done = audit(samples, decisions=decisions)
    assert [p.contradiction for p in done.findings.pairs] == [None]
    assert done.findings.summary.relabelled == 1
    assert {i.name: i.decision for i in done.findings.images if i.decision} == decisions
    folder = write_clean(samples, done, tmp_path / "clean", link=True)
    table = {row["path"]: row["label"] for row in csv.DictReader((folder / "clean.csv").read_text().splitlines())}
    assert table == {
        f"../pets/{name}": "dog" if name == "cat/7.png" else name[:3]
        for name in ("cat/2.png", "cat/4.png", "cat/6.png", "cat/7.png", "dog/1.png", "dog/3.png", "dog/5.png")
    }
    assert (folder / "dog" / "7.png").resolve() == pets / "cat" / "7.png"
    assert not (folder / "cat" / "7.png").exists()
    data = load(folder / "clean.csv")
    assert {name: data.classes[k] for s in data.splits.values() for name, k in zip(s.names, s.labels, strict=True)} == (
        table
    )
    again = audit(open_samples(folder / "clean.csv")).findings
    assert (again.summary.contradictions["class"], again.summary.dropped) == (0, 0)


def test_decisions_on_other_images_of_the_same_names_are_told_once(pets: Path, tmp_path: Path) -> None:
    samples = open_samples(pets)
    first = audit(samples).findings
    page = embedded(render(first))
    assert (page["name"], page["key"]) == ("pets", first.data.fingerprint)

    def notes(folder: Path, **more: str) -> list[str]:
        """Of the set, with decisions whose file says so much of where they were made."""
        raw = {"format": 1, "kind": "audit-decisions", "decisions": {"cat/0.png": "drop"}}
        (tmp_path / "d.json").write_text(json.dumps(raw | more))
        here = open_samples(folder)
        done = audit(here, decisions=read_decisions(tmp_path / "d.json", here))
        assert not done.cleaned.keep[0]  # names agree
        return [note for note in done.findings.data.notes if "decisions" in note]

    made = {"data": page["name"], "key": page["key"]}
    assert notes(pets, **made) == notes(pets) == []
    assert notes(Path(shutil.copytree(pets, tmp_path / "moved")), **made) == []  # contents count, not the place
    other = Path(shutil.copytree(pets, tmp_path / "other"))
    save(other / "cat" / "2.png", view(scene(99)))
    (note,) = notes(other, **made)
    assert note.startswith(
        f"{tmp_path / 'd.json'}: these decisions were made on other images, pets ({page['key'][:15]})"
    )
    assert "are applied by name to other (sha256:" in note
    assert notes(other) == []  # a file that does not say where, as earlier pages wrote
    assert notes(other, data="pets", key="0123456789abcdef") == []  # of a record that knew names only


def test_a_link_never_takes_the_name_of_another(pets: Path, tmp_path: Path) -> None:
    (pets / "cat" / "7.png").rename(pets / "cat" / "1.png")
    samples = open_samples(pets)
    done = audit(samples, decisions={"cat/1.png": "relabel:dog"})
    folder = write_clean(samples, done, tmp_path / "clean", link=True)
    assert (folder / "dog" / "1.png").resolve() == pets / "dog" / "1.png"
    assert (folder / "dog" / "1-2.png").resolve() == pets / "cat" / "1.png"
    assert sum(path.is_symlink() for path in folder.rglob("*.png")) == 8


def test_the_table_of_doubtful_labels_is_a_decisions_file_once_filled_in(tmp_path: Path) -> None:
    root = tmp_path / "set"
    truth = np.arange(60) % 3
    for i, k in enumerate(truth):
        save(root / CLASSES[0 if i == 4 else k] / (f"={i}+1.png" if i == 4 else f"{i:02}.png"), view(scene(i)))
    samples = open_samples(root)
    order = np.array([4 if "=" in s.name else int(s.name[-6:-4]) for s in samples.samples])
    done = audit(samples, predictions=Predictions(CLASSES, near_perfect(truth)[order], "a net"))
    folder = write_files(done, tmp_path / "out")
    (row,) = csv.DictReader((folder / "labels.csv").read_text().splitlines())
    assert row == {
        "name": "cat/=4+1.png", "given": "cat", "suggested": "dog", "p_given": row["p_given"],
        "p_suggested": row["p_suggested"], "evidence": "strong", "decision": "", "label": "",
    }  # fmt: skip
    text = (folder / "labels.csv").read_text()
    assert read_decisions(folder / "labels.csv", samples) == {}
    (folder / "labels.csv").write_text(text.replace("strong,,", "strong,Relabel,"))
    assert read_decisions(folder / "labels.csv", samples) == {"cat/=4+1.png": "relabel:dog"}
    (folder / "labels.csv").write_text(text.replace("strong,,", "strong,relabel,eel"))
    decisions = read_decisions(folder / "labels.csv", samples)
    assert decisions == {"cat/=4+1.png": "relabel:eel"}
    write_files(audit(samples, decisions=decisions), folder, keep=folder / "labels.csv")
    assert read_decisions(folder / "labels.csv", samples) == decisions  # what a person wrote is still there
    write_files(audit(samples), folder)
    assert not (folder / "labels.csv").exists()


def test_names_that_begin_a_formula_are_found_again(tmp_path: Path) -> None:
    for name in ("=1.png", "'=2.png", "@3.png"):
        save(tmp_path / "set" / name, view(scene(len(name))))
    table = tmp_path / "decisions.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["name", "decision"], ["'=1.png", "drop"], ["'=2.png", "keep"], ["'@3.png", "drop"]]
        )
    read = read_decisions(table, open_samples(tmp_path / "set"))
    assert read == {"=1.png": "drop", "'=2.png": "keep", "@3.png": "drop"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,decision,label\ncat/0.png,relabel,dgo\n", "no class 'dgo' in .*; its classes: cat, dog"),
        ("name,decision,label\ncat/0.png,relabel,\n", "line 2: relabel to which class"),
        ("name,decision\ncat/0.png,burn\n", "line 2: 'burn' is no decision; choose from keep, drop, unsure, relabel"),
        ("name,decision\nwho.png,drop\n", "who.png: there is no such image"),
        ("name,decision\ncat/0.png,drop\ncat/0.png,keep\n", "line 3: a second, other decision on cat/0.png"),
        ("name,word\ncat/0.png,drop\n", "no columns name and decision"),
        ('name,decision\n"cat/0.png,drop\n', "not a table of text"),
    ],
)
def test_a_slip_in_a_table_of_decisions_is_one_line(pets: Path, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_decisions(tmp_path / "d.csv", open_samples(pets))


@pytest.mark.parametrize("word", ["relabel:dgo", "relabel:", "relabel", 3, None, "KEEP"])
def test_a_decision_that_is_none_is_refused(pets: Path, tmp_path: Path, word: Any) -> None:
    with pytest.raises(DataError, match=r"cat/0\.png"):
        read_decisions(decided(tmp_path / "d.json", {"cat/0.png": word}), open_samples(pets))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path\na.png\nb.png\n", "has no column label: 2 images"),
        ("path,label\na.png,x\nb.png,\n", r"lacks labels: 1 image \(first: b.png\)"),
        ("path,label,split\na.png,x,test\nb.png,y,test\n", "no image is in the train split"),
    ],
)
def test_a_table_that_nobody_can_train_on_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    for name in "ab":
        save(tmp_path / f"{name}.png", view(scene(0)))
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        load(tmp_path / "list.csv")


def test_near_duplicates_that_stay_are_of_one_group(pets: Path, tmp_path: Path) -> None:
    """A pair that decisions keep: no split of the cleaned set tears it."""
    samples = open_samples(pets)
    kept = read_decisions(decided(tmp_path / "d.json", {"dog/3.png": "keep", "cat/7.png": "keep"}), samples)
    folder = write_clean(samples, audit(samples, decisions=kept), tmp_path / "clean")
    rows = csv.DictReader((folder / "clean.csv").read_text().splitlines())
    group = {row["path"].removeprefix("../pets/"): row["group"] for row in rows}
    assert group["dog/3.png"] == group["cat/7.png"] == "like cat/7.png"
    assert {group[name] for name in group.keys() - {"dog/3.png", "cat/7.png"}} == {""}
