"""Every rule finds what is true, what is false, and what cannot be told, and asks for what the studies record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plexus.experiments import load, names, statistics, summary
from plexus.experiments.claims import Claim, judge, ledger
from plexus.record import TrialRecord
from studies import evidence
from studies import gates as gates_study
from studies import rotation as rotation_study
from studies import search as search_study
from studies.claims import CLAIMS
from tests.studies.invented import invent, layers, moved, summed, turned

CLAIM = {claim.id: claim for claim in CLAIMS}
Summary = dict[str, Any]


@pytest.fixture(autouse=True)
def no_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules do not read it, and it takes most of the time."""
    monkeypatch.setattr(statistics, "_bootstrap", lambda *_: (None, ""))


def rotation(**how: Any) -> Summary:
    truth: dict[str, Any] = {
        "accuracy": lambda n: -2.0 * (layers(n) - 1) if layers(n) else 0.0,
        "extra": turned(lambda n: 50.0 + 3 * layers(n) + 2 * n.startswith("8_")),
    }
    return summed("rotation", **{**truth, **how})[1]


def gates(**how: Any) -> Summary:
    truth: dict[str, Any] = {"slowness": lambda n: 1.4 if n.startswith("none") else 1.0, "extra": moved(0.98)}
    return summed("gates", **{**truth, **how})[1]


def one_layer(**how: Any) -> Summary:
    """Fresh seeds of one layer, beside the study of all layers with the same truth."""
    return again("one_layer", **how) | {"beside": {"rotation": rotation(**how)}}


def again(name: str, **how: Any) -> Summary:
    """A study of fresh seeds, whole unless fewer are asked for, beside the one that left its claim open."""
    scale = load(name).scales["standard"]
    first = {"resizing": "merging", "elu": "neurons", "many_gates": "gates", "one_layer": "rotation"}[name]
    return summed(name, **{"seeds": scale.seeds, **how})[1] | {"beside": {first: summed(first)[1]}}


def search(good: int = 5, *, price: float = 1.0, seeds: int = 5) -> Summary:
    """The gradient finds the best of its wirings from so many seeds, and else the worst."""
    from studies.search import BUDGET, all_wirings, edges_of, name_of

    worth = {name_of(m): 0.1 * k for k, m in enumerate(all_wirings())}
    few = [name_of(m) for m in all_wirings() if edges_of(m) == BUDGET]

    def extra(name: str, seed: int) -> dict[str, Any]:
        if name in worth:
            return {"edges": edges_of(tuple(int(p) for p in name[1:].split("_")))}
        found = few[-1 - seed] if seed < good else few[seed]
        return {"edges": BUDGET, "found": found, "chosen": {"gate": {"5": found}, "ablation": {"5": few[-1]}},
                "trainings": 1 if name == "gradient" else 40}  # fmt: skip

    how: Any = {"accuracy": lambda n: worth.get(n, 0.0), "extra": extra, "seeds": seeds}
    made = invent("search", **how)
    for record in made:
        record.seconds = {"total": 2.0 * price if record.variant == "gradient" else 1.0}
    return summary(load("search"), made, "standard") | {"beside": {"searches": summed("searches", **how)[1]}}


def represented(pace: float) -> Summary:
    """A frozen Z that needs `pace` times the epochs of pixels to the accuracy which pixels end with."""
    made = invent("representation", slowness=lambda n: pace if n == "z" else 1.0)
    for record in made:
        metrics, seed = record.metrics, record.seed
        needs = {"pixels": 10, "z": min(round(10 * pace), 13) + (seed % 3 - 1 if pace == 1 else 0), "tuned": 10}
        metrics["val_accuracy_curve"] = [60.0 if e >= needs[record.variant] else 50.0 for e in range(1, 13)]
        metrics |= {"train_seconds": 10.0, "z_seconds": 0.0 if record.variant == "pixels" else 20.0}
    return summary(load("representation"), made, "standard")


def fast(**factors: float) -> Callable[[str], float]:
    return lambda name: factors.get(name, 1.0)


UNIT = fast(norm_conv=0.7, norm_dense=0.7)
MAPS = {"map_learned": 5.0, "map_random": 2.5}
PRUNED = {"full": 1.0, "retrained": 1.0, "finetuned": 1.0}
CASES: list[tuple[int, str, Callable[[], Summary]]] = [
    (1, "holds", gates),
    (1, "fails", lambda: gates(slowness=fast())),
    (1, "fails", lambda: gates(slowness=fast(none=1.4))),  # the sigmoid itself does nothing
    (1, "open", lambda: gates(noise=3.0)),
    (2, "holds", gates),
    (2, "fails", lambda: gates(slowness=fast(**{"gate_0.05": 1.4}))),
    (2, "fails", lambda: gates(slowness=fast(init_1=0.7))),
    (3, "holds", lambda: again("resizing")),
    (3, "fails", lambda: again("resizing", accuracy=lambda n: 1.5 * (n == "bicubic"))),
    (3, "open", lambda: again("resizing", noise=3.0)),
    (4, "holds", lambda: again("many_gates", extra=moved(0.98, gates=135))),
    (4, "fails", lambda: again("many_gates", extra=moved(0.1, gates=135))),
    (5, "holds", lambda: summed("pruning", accuracy=lambda n: PRUNED.get(n, -1.0))[1]),
    (5, "fails", lambda: summed("pruning", accuracy=lambda n: 1.0)[1]),  # no better than random
    (5, "fails", lambda: summed("pruning", accuracy=lambda n: {"full": 5.0, "retrained": 2.0}.get(n, 0.0))[1]),
    (6, "holds", rotation),
    (6, "fails", lambda: rotation(accuracy=lambda n: 0.0)),
    (6, "fails", lambda: rotation(accuracy=lambda n: 1.0 * (n == "4_rot_4") - 2.0 * (layers(n) == 1))),
    (7, "holds", lambda: one_layer(accuracy=lambda n: -2.0 * max(layers(n) - 1, 0))),
    (7, "fails", lambda: one_layer(accuracy=lambda n: 0.0)),
    (7, "fails", lambda: one_layer(accuracy=lambda n: -1.0 * layers(n))),  # one layer costs a point
    (8, "holds", rotation),
    (8, "fails", lambda: rotation(accuracy=lambda n: 2.0 * (n == "8_rot_3"))),
    (9, "holds", rotation),
    (9, "fails", lambda: rotation(extra=turned(lambda n: 50.0))),
    (9, "fails", lambda: rotation(extra=turned(lambda n: 50.0 + 5 * (layers(n) > 0) - layers(n)))),
    (10, "holds", rotation),
    (10, "fails", lambda: rotation(extra=turned(lambda n: 50.0 + 3 * layers(n)))),
    (11, "holds", rotation),
    (11, "fails", lambda: rotation(extra=turned(lambda n: 50.0, transplanted=lambda n: 30.0))),
    (12, "holds", rotation),
    (12, "fails", lambda: rotation(extra=turned(lambda n: 50.0, dip=0.0))),
    (12, "fails", lambda: rotation(extra=turned(lambda n: 50.0, shift=lambda n: 60.0 * layers(n)))),
    (13, "holds", lambda: summed("neurons", slowness=UNIT)[1]),
    (13, "fails", lambda: summed("neurons", slowness=lambda n: 1.0)[1]),
    (13, "fails", lambda: summed("neurons", slowness=lambda n: 0.7 if n.startswith("norm") else 1.0)[1]),
    (13, "open", lambda: summed("neurons", slowness=UNIT, noise=3.0)[1]),
    (14, "holds", lambda: again("elu")),
    (14, "holds", lambda: again("elu", accuracy=lambda n: -3.0 * (n == "elu"))),
    (14, "fails", lambda: again("elu", accuracy=lambda n: 2.0 * (n == "elu"))),
    (15, "fails", lambda: summed("duplicates", accuracy=lambda n: 3.0 * (n == "clean"))[1]),
    (16, "holds", lambda: summed("absence", accuracy=lambda n: 3.0 * (n == "threshold"))[1]),
    (16, "fails", lambda: summed("absence", accuracy=lambda n: 3.0 * (n == "expected"))[1]),
    (16, "open", lambda: summed("absence", noise=3.0)[1]),
    (17, "holds", lambda: represented(0.5)),
    (17, "fails", lambda: represented(2.0)),
    (17, "open", lambda: represented(1.0)),
    (18, "holds", search),
    (18, "holds", lambda: search(good=3)),
    (18, "open", lambda: search(good=1)),
    (18, "fails", lambda: search(good=0)),
    (18, "fails", lambda: search(price=10.0)),
    (19, "holds", lambda: summed("granularity", accuracy=lambda n: MAPS.get(n, 0.0))[1]),
    (19, "fails", lambda: summed("granularity", accuracy=lambda n: 5.0 if n.startswith("map") else 0.0)[1]),
    (19, "fails", lambda: summed("granularity", accuracy=lambda n: 3.0 * (n == "map_learned"))[1]),
    (19, "open", lambda: summed("granularity", accuracy=lambda n: MAPS.get(n, 0.0), noise=3.0)[1]),
]


@pytest.mark.parametrize(("number", "word", "make"), CASES, ids=[f"{n}-{w}-{i}" for i, (n, w, _) in enumerate(CASES)])
def test_a_rule_finds_what_was_put_in(number: int, word: str, make: Callable[[], Summary]) -> None:
    made = make()
    found = judge(CLAIM[number], made, made.get("beside"))
    assert found.word == word, found
    assert found.effect is not None


def reported(share: float, seeds: int = 5) -> dict[str, Summary]:
    """What the notes' fingerprint reports where nothing contradicts, in percent: 60 and so many points more."""
    return {"contradictions": summed("contradictions", accuracy=lambda _: share - 60, seeds=seeds)[1]}


@pytest.mark.parametrize(("share", "word"), [(10.0, "holds"), (40.0, "open"), (90.0, "fails")])
def test_the_notes_share_of_contradictions_counts_where_it_is_low_without_any(share: float, word: str) -> None:
    dice = summed("duplicates", accuracy=lambda n: 3.0 * (n != "corrupted"))[1]
    found = judge(CLAIM[15], dice, reported(share))
    assert found.word == word
    assert [part.word for part in found.parts if part.counted] == ["holds", word]


def test_without_the_study_beside_it_a_claim_stays_open() -> None:
    found = judge(CLAIM[15], summed("duplicates", accuracy=lambda n: 3.0 * (n != "corrupted"))[1])
    assert (found.word, found.takes) == ("open", "")
    assert found.why.endswith("(not run yet)")


@pytest.mark.parametrize(
    ("number", "make", "takes"),
    [
        (3, lambda: again("resizing", noise=3.0), "seeds would settle it, should effect and scatter stay"),
        (4, lambda: again("many_gates", extra=moved(0.6)), "further seeds do not narrow it: about"),
        (
            18,
            lambda: search(good=1),
            "with 10 seeds it would hold if 6 of them are in the best 10 %, and be refuted if",
        ),
    ],
)
def test_an_open_claim_says_what_would_settle_it(number: int, make: Callable[[], Summary], takes: str) -> None:
    made = make()
    found = judge(CLAIM[number], made, made.get("beside"))
    assert found.word == "open"
    assert takes in found.takes


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: str(c.id))
def test_two_seeds_settle_nothing(claim: Claim) -> None:
    makers: dict[str, Callable[..., Summary]] = {
        "rotation": rotation, "one_layer": one_layer, "gates": gates, "search": search,
    }  # fmt: skip
    of = again if claim.whole else lambda name, **how: summed(name, **how)[1]
    make = makers.get(claim.study.name, lambda **how: of(claim.study.name, **how))
    made = make(seeds=2)
    found = judge(claim, made, reported(10, seeds=2) | made.get("beside", {}))
    assert found.word == "open"
    assert "needed" in found.why or "missing" in found.why or "before the last of" in found.why


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: str(c.id))
def test_a_rule_asks_only_for_variants_that_there_are(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set()
    entry = evidence.entry

    def spy(study: Summary, name: str) -> Any:
        asked.add(name)
        return entry(study, name)

    for module in (evidence, gates_study, rotation_study, search_study):
        monkeypatch.setattr(module, "entry", spy)
    if claim.whole:
        made = again(claim.study.name)
    else:
        made = search(seeds=3) if claim.study.name == "search" else summed(claim.study.name, seeds=3)[1]
    judge(claim, made, reported(10) | made.get("beside", {}))
    assert asked
    assert asked <= {v.name for study in (claim.study, *claim.beside) for v in study.variants}
    assert len(claim.rule) > 100


def test_claims_are_those_of_the_list() -> None:
    assert [c.id for c in CLAIMS] == list(range(1, 20))
    assert {study.name for c in CLAIMS for study in (c.study, *c.beside)} == set(names())


def write(folder: Path, name: str, records: list[TrialRecord]) -> None:
    scale = load(name).scales["standard"]
    settings = {"images": scale.images, "epochs": scale.epochs, "options": dict(scale.options)}
    place = folder / name / "standard"
    place.mkdir(parents=True)
    for record in records:
        whole = record.to_dict() | {"settings": settings}
        (place / f"{record.variant}~{record.seed}.json").write_text(json.dumps(whole))


def test_the_ledger_reads_records_and_leaves_the_rest_open(tmp_path: Path) -> None:
    write(tmp_path, "neurons", invent("neurons", slowness=UNIT))
    found = ledger(CLAIMS, tmp_path)
    words = {c["id"]: (c["verdict"], c["why"]) for c in found["claims"]}
    assert words[13][0] == "holds"
    assert all(words[i] == ("open", "not run yet") for i in range(1, 20) if i != 13)
    (study,) = found["studies"]
    assert (study["study"], study["scale"], study["trials"]) == ("neurons", "standard", 25)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))


def test_a_quick_run_proves_no_claim(tmp_path: Path) -> None:
    write(tmp_path, "neurons", invent("neurons", slowness=UNIT))
    (tmp_path / "neurons" / "standard").rename(tmp_path / "neurons" / "quick")
    for path in (tmp_path / "neurons" / "quick").iterdir():
        path.write_text(path.read_text().replace('"scale": "standard"', '"scale": "quick"'))
    assert {c["why"] for c in ledger(CLAIMS, tmp_path)["claims"]} == {"not run yet"}


def test_half_a_study_is_told_from_none(tmp_path: Path) -> None:
    write(tmp_path, "neurons", [r for r in invent("neurons", slowness=UNIT) if r.variant != "norm_dense"])
    found = {c["id"]: c for c in ledger(CLAIMS, tmp_path)["claims"]}
    assert found[13]["verdict"] == "open"
    assert found[13]["why"] == "not settled: norm_dense needs fewer epochs (not run yet)"


def test_nothing_is_read_of_a_study_of_fixed_seeds_before_its_last_trial() -> None:
    whole = invent("elu", seeds=36, accuracy=lambda n: 2.0 * (n == "elu"))
    first = {"neurons": summed("neurons")[1]}
    assert judge(CLAIM[14], summary(load("elu"), whole, "standard"), first).word == "fails"
    found = judge(CLAIM[14], summary(load("elu"), whole[:-1], "standard"), first)
    assert (found.word, found.effect, found.takes) == ("open", None, "")
    assert found.why.endswith("(nothing is read before the last of 72 trials; 71 are there)")
    assert [part.word for part in found.parts if part.text.endswith("in `neurons`")] == ["holds"]


def test_a_part_that_rests_on_another_study_is_read_while_a_study_waits() -> None:
    started = invent("one_layer", seeds=2)
    beside = {"rotation": rotation()}
    found = judge(CLAIM[7], summary(load("one_layer"), started, "standard"), beside)
    counted = [part for part in found.parts if part.counted]
    assert [(part.word, "nothing is read" in part.note) for part in counted] == [
        *[("holds", False)] * 2,
        *[("open", True)] * 2,
    ]
    assert found.word == "open"
