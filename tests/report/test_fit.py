"""The page of a training: its sentences, tables, drawing and charts say what the record says."""

import re
from typing import Any

import pytest
from scipy.stats import spearmanr

from plexus.record import FitRecord
from plexus.report import render
from tests.report.pages import MINUS, NONE, Elements, chart, charts, embedded, marks, said, ticks
from tests.report.records import make_record

FINAL = {"name": "final", "accuracy": 0.97}
QUIET: dict[str, Any] = {"epochs": [], "mistakes": []}
"""Parts that take time to draw."""


@pytest.fixture(scope="module")
def made() -> str:
    return render(make_record(9))


def told(**parts: Any) -> str:
    return said(render(make_record(9, **QUIET | parts)))


def test_everything_the_record_says_is_on_the_page(made: str) -> None:
    record, text = make_record(9), said(made)
    assert "Kept 16 of 54 connections: 98.3 % against 95.3 % for the chain, 19.2 k parameters." in text
    for word in (
        *(entry.label for entry in record.results),
        *map(str, record.config),
        *record.versions.values(),
        record.machine["processor"],
        record.data.fingerprint,
        record.data.skipped[0],
        record.command,
        *(mistake.name for mistake in record.mistakes),
    ):
        assert word in text
    table = made[made.index('id="connections"') :]
    assert table[: table.index("</table>")].count("<tr") == 1 + len(record.edges)
    assert [image["src"] for image in Elements(made).named("img")] == [mistake.image for mistake in record.mistakes]


def test_what_should_be_known_first_is_told() -> None:
    note, blind = "max_macs=9 cuts <nothing>", "The cut began before the net was clearly better than always answering"
    assert note in told(plan={"note": note})
    assert blind in told(blind=True)
    assert blind not in told()


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"results": [FINAL]}, "Kept 16 of 54 connections: 97.0 % of the test images right."),
        ({"results": [FINAL | {"name": "pruned", "accuracy": 0.5}]}, "Kept 16 of 54 connections: 50.0 % of"),
        ({"results": []}, "Kept 16 of 54 connections; the net was not tested."),
        ({"finished": False}, "This run has not finished: 0 epochs recorded so far."),
        ({"chosen": None, "results": []}, "Kept 16 of 54 connections; "),
        ({"chosen": None, "edges": [], "budgets": [], "results": []}, "A run without a tested net."),
    ],
)
def test_the_headline_states_the_result(parts: dict[str, Any], text: str) -> None:
    assert text in told(**parts)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999, "999"), (12_034, "12.0 k"), (999_400, "999 k"), (999_600, "1.00 M"), (1_151_000, "1.15 M"),
        (2_500_000_000, "2.50 G"), (None, NONE),
    ],
)  # fmt: skip
def test_multiply_adds_keep_three_digits(value: int | None, text: str) -> None:
    other = {"name": "chain", "label": "chain", "accuracy": 0.9, "macs": 5}
    results = [FINAL | {"parameters": 19_226, "macs": value, "latency_ms": 1.2345}, other]
    assert f"97.0 % {NONE} 19,226 {text} 1.23" in told(results=results)


def test_what_no_network_was_measured_at_is_a_sentence() -> None:
    text = told(results=[FINAL | {"parameters": 19_226}])
    assert "Not measured in this run: multiply-adds, ms per image, kB, training." in text
    assert f"97.0 % {NONE} 19,226 What cutting" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.31, "0.3 s"), (9.94, "9.9 s"), (9.97, "10 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (7261, "2 h 1 min")],
)
def test_a_duration_carries_over(seconds: float, text: str) -> None:
    assert f"The whole run took {text}." in told(seconds={"total": seconds})


@pytest.mark.parametrize(("after", "text"), [(0.9841, "0.0 points"), (0.982, f"{MINUS}0.2 points"), (0.99, "+0.6")])
def test_the_gap_states_both_accuracies_and_the_difference(after: float, text: str) -> None:
    gap = {"before": 0.984, "after": after, "split": "val"}
    start = "Cutting 38 connections, with no training afterwards, took validation accuracy from 98.4 % to "
    assert f"{start}{100 * after:.1f} %: {text}" in told(gap=gap)


def test_the_background_says_what_was_done() -> None:
    assert (
        "A net of 9 layers learned on 1,222 training images which of its connections to keep; the pruned net was then "
        "fine-tuned. The whole run took 48 s. Tested on 360 images."
    ) in told()
    assert "trained anew" in told(then="retrain")
    assert "which of its channels to keep, 75.0 % of each stream's; " in told(plan={"channels": 0.75})
    assert "So far it took" in told(finished=False)
    assert "Tested" not in told(results=[])


@pytest.mark.parametrize(
    ("final", "chain", "says"),
    [
        ([0.96, 0.99], [0.93, 0.97], "overlap, so"),
        ([0.96, 0.99], [0.93, 0.95], "do not overlap"),
        ([0.90, 0.92], [0.93, 0.95], "do not overlap"),
        ([0.96, 0.99], None, ""),
    ],
)
def test_the_verdict_compares_the_intervals(final: Any, chain: Any, says: str) -> None:
    results = [FINAL | {"ci": final}, {"name": "chain", "accuracy": 0.94, "ci": chain}]
    text = told(results=results)
    assert (f"of the two {says}" in text) if says else "intervals of the two" not in text


@pytest.mark.parametrize(
    ("accuracy", "interval", "says"),
    [
        (0.96, [0.94, 0.98], "the difference is +1.0 points. The 95 % intervals of the two overlap, so"),
        (0.90, [0.88, 0.92], "the difference is +7.0 points. The 95 % intervals of the two do not overlap."),
        (0.98, None, f"the difference is {MINUS}1.0 points. "),
    ],
)
def test_the_verdict_beside_a_resnet_says_what_one_run_settles(accuracy: float, interval: Any, says: str) -> None:
    final = FINAL | {"ci": [0.95, 0.99], "latency_ms": 0.03}
    plain = {"name": "resnet", "accuracy": accuracy, "ci": interval, "latency_ms": 0.031, "parameters": 77_858}
    text = told(results=[final, plain])
    assert says in text
    assert ("intervals of the two" in text) == (interval is not None)


@pytest.mark.parametrize(("legos", "count"), [(1, 2), (2, 5), (15, 135)])
def test_the_drawing_names_every_connection_by_index(legos: int, count: int) -> None:
    record = make_record(legos, mistakes=[])
    drawn = embedded(render(record))
    assert len(drawn["edges"]) == count
    place, longest = {node: i for i, node in enumerate(record.nodes)}, (1, 2, 4, 7, 11, 99)
    for edge, shown in zip(record.edges, drawn["edges"], strict=True):
        assert (drawn["nodes"][shown["source"]]["name"], drawn["nodes"][shown["target"]]["name"]) == edge_ends(edge)
        assert shown["kept"] == edge.kept
        span = place[edge.target] - place[edge.source]
        assert longest[shown["reach"] - 2 if shown["reach"] > 1 else 0] <= span or shown["reach"] == 1
        assert span <= longest[shown["reach"] - 1]
    assert [budget["kept"] for budget in drawn["budgets"]] == [budget.kept for budget in record.budgets]
    assert len(drawn["epochs"]) == 12


def edge_ends(edge: FitRecord.Edge) -> tuple[str, str]:
    return edge.source, edge.target


def test_gates_that_do_not_match_the_connections_are_left_out_and_an_unmeasured_one_is_the_last() -> None:
    record = make_record(2)
    for epoch, gates in zip(record.epochs[12:15], ([0.5], None, []), strict=True):
        epoch.gates = gates  # type: ignore[assignment]
    last = record.epochs[23].gates
    record.edges[0].gate, record.edges[1].gate = None, 0.125
    drawn = embedded(render(record))
    assert len(drawn["epochs"]) == 9
    assert last is not None
    assert [edge["gate"] for edge in drawn["edges"][:2]] == [last[0], 0.125]


@pytest.mark.parametrize(("low", "high"), [(0.951, 0.992), (0.1, 0.9), (0.97, 0.97), (0.0, 1.0), (0.33, 0.34)])
def test_intervals_lie_on_one_scale_with_few_marks(low: float, high: float) -> None:
    results = [FINAL | {"accuracy": low, "ci": [low, low]}, {"name": "chain", "accuracy": high, "ci": [low, high]}]
    page = render(make_record(2, **QUIET, results=results))
    scale = [float(text) / 100 for text in re.findall(r'<text x="[\d.]+" y="9"[^>]*>([^<]*)</text>', page)]
    assert scale[0] <= low + 1e-9
    assert high - 1e-9 <= scale[-1] <= 1 + 1e-9
    assert 2 <= len(scale) <= 7
    ends = [float(end) for pair in re.findall(r'class="span" d="M([\d.]+) 6H([\d.]+)"', page) for end in pair]
    assert len(ends) == 4
    assert all(0 <= end <= 100 for end in ends)


def test_a_network_without_an_accuracy_shows_what_it_costs() -> None:
    text = told(results=[{"name": "uncut", "label": "nothing cut", "accuracy": None, "kb": 1234.4}, FINAL])
    assert "nothing cut \u2013 \u2013 1,234" in text
    assert "What has no accuracy was not trained to its end; it shows what the cutting saved." in text


@pytest.mark.parametrize("offset", [0.0, 0.05])
def test_the_agreement_is_the_rank_correlation(offset: float) -> None:
    record = make_record(9, **QUIET)
    for i, edge in enumerate(record.edges):
        edge.ablation = round((edge.ablation or 0) + offset * (i % 3), 2)  # ties
    expected = spearmanr([e.gate for e in record.edges], [e.ablation for e in record.edges]).statistic
    assert f"The rank correlation of gate and rise in loss is {expected:.2f} over 54 connections" in said(
        render(record)
    )


def test_few_connections_tell_nothing_of_the_gates() -> None:
    record = make_record(9, **QUIET)
    for edge in record.edges[11:]:
        edge.ablation = None
    assert "rank correlation" not in said(render(record))


@pytest.mark.parametrize(("ablation", "text"), [(None, "nothing to hold the gates against"), (0.5, "measured again.")])
def test_the_agreement_says_when_there_is_none(ablation: float | None, text: str) -> None:
    record = make_record(9, **QUIET)
    for edge in record.edges:
        edge.ablation = ablation
    page = said(render(record))
    assert text in page
    assert "rank correlation" not in page


def test_confusion_counts_what_is_off_the_diagonal() -> None:
    matrix = [[5, 0, 1], [0, 4, 0], [2, 0, 0]]
    page = render(make_record(2, classes=("a", "b", "c"), confusion=matrix, **QUIET))
    assert "The final net gets 3 images of 12 wrong." in said(page)
    cells = re.findall(r'<td class="(right|shade-\d)">(\d*)</td>', page)
    assert cells == [
        ("right", "5"), ("shade-0", ""), ("shade-3", "1"), ("shade-0", ""), ("right", "4"), ("shade-0", ""),
        ("shade-5", "2"), ("shade-0", ""), ("right", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("matrix", [[], [[0, 0], [0, 0]], [[1, 2]]])
def test_an_unusable_confusion_matrix_is_none(matrix: list[list[int]]) -> None:
    assert "so there is no confusion matrix." in told(confusion=matrix)


def test_many_classes_become_a_list_of_confusions() -> None:
    classes = tuple(f"class {i}" for i in range(40))
    matrix = [[1 if (i + j) % 3 else 0 for j in range(40)] for i in range(40)]
    page = render(make_record(2, classes=classes, confusion=matrix, **QUIET))
    table = page[page.index("The most frequent confusions") :]
    assert table[: table.index("</table>")].count("<tr>") == 1 + 20
    assert '<table class="confusion">' not in page


@pytest.mark.parametrize(
    "image",
    [
        None, "https://example.org/a.png", "javascript:alert(1)", "data:text/html;base64,AAAA", 3,
        "data:image/svg+xml;base64,AAAA", 'data:image/png;base64,AAAA" onerror="x', "data:image/png;base64,AAAA\n",
    ],
)  # fmt: skip
def test_only_embedded_bitmaps_are_pictures(image: Any) -> None:
    mistakes = [{"name": "a", "image": image, "true": 1, "predicted": 99}]
    page = render(make_record(2, epochs=[], mistakes=mistakes))
    assert f"no picture 1 taken for 99 {NONE} sure a" in said(page)
    assert Elements(page).named("img") == []


SENTENCES = {
    "edges": "No connections have been recorded, so there is no wiring to draw yet.",
    "budgets": "No budget has been measured yet",
    "epochs": "No epoch has been recorded yet.",
    "results": "No network has been tested in this run yet.",
    "confusion": "The final net has not been tested yet, so there is no confusion matrix.",
    "mistakes": "No pictures of mistakes were recorded.",
    "command": "The command was not recorded.",
}
ALONGSIDE = {"edges": ("edges", "budgets", "chosen"), "budgets": ("budgets", "chosen")}


@pytest.mark.parametrize(
    "part", [*SENTENCES, "config", "versions", "machine", "labels", "seconds", "then", "gap", "data"]
)
def test_a_missing_part_becomes_a_sentence(part: str, made: str) -> None:
    raw = make_record(1).to_dict()
    for name in ALONGSIDE.get(part, (part,)):
        del raw[name]
    elements = Elements(render(raw))
    assert len(elements.named("section")) == 7
    assert SENTENCES.get(part, "") in elements.text
    assert part not in SENTENCES or SENTENCES[part] not in said(made)


def test_an_empty_record_is_a_page_of_sentences() -> None:
    text = said(render(FitRecord()))
    assert "This run has not finished: 0 epochs recorded so far." in text
    assert all(sentence in text for part, sentence in SENTENCES.items() if part != "budgets")


def test_entries_without_figures_are_shown_as_unmeasured() -> None:
    record = make_record(2)
    bare = make_record(
        2,
        edges=[{"source": e.source, "target": e.target} for e in record.edges],
        budgets=[{}, {"kept": [0]}],
        chosen=1,
        epochs=[{"phase": "learn"}, {"phase": "unheard of"}, {}],
        results=[{"name": "final"}, {"accuracy": 0.5}],
        mistakes=[{}],
        gap={"before": 0.5},
        seconds={"total": None},
    )
    text = said(render(bare))
    assert "no picture" in text
    assert "Accuracy was not measured at several budgets, so there is no curve to show." in text
    assert "The gates were not recorded over epochs." in text


def test_one_budget_and_no_mistakes_are_told() -> None:
    assert "One budget was measured." in told(budgets=make_record(9).budgets[4:5], chosen=0)
    text = said(render(make_record(2, classes=("a", "b"), confusion=[[3, 0], [0, 4]], **QUIET)))
    assert "There are no mistakes to show." in text


def test_the_curves_of_budgets_have_a_point_per_budget_in_order(made: str) -> None:
    """Against each cost that was measured and differs: milliseconds and size are not in older records."""
    record, name = make_record(9), "Validation accuracy in percent against "
    for cost in ("multiply-adds", "parameters"):
        assert len(marks(chart(made, f"{name}{cost}"))) == len(record.budgets)
    assert f"{name}milliseconds" not in made
    timed = [b.model_copy(update={"latency_ms": 0.1 * i, "kb": 5.0 * i}) for i, b in enumerate(record.budgets, 1)]
    text = render(make_record(9, budgets=timed, **QUIET))
    assert marks(chart(text, f"{name}milliseconds"))[0].startswith("0.100 ms: ")
    assert [float(label.split()[0]) for label in marks(chart(text, f"{name}kilobytes"))] == [b.kb for b in timed]
    alike = [budget.model_copy(update={"kb": 5.0}) for budget in timed]
    assert f"{name}kilobytes" not in render(make_record(9, budgets=alike, **QUIET))
    unmeasured = [budget.model_copy(update={"val_accuracy": None}) for budget in timed]
    assert not chart(render(make_record(9, budgets=unmeasured, **QUIET)), name)


def test_the_final_net_goes_on_where_learning_ended_and_the_chain_starts_beside_it(made: str) -> None:
    labels = marks(chart(made, "Validation accuracy in percent over the epochs"))
    assert len(labels) == len(make_record(9).epochs) == len(marks(chart(made, "Training and validation loss")))
    for phase in ("chain", "learning", "final net"):
        found = [re.match(rf"{phase}, epoch (\d+): ", label) for label in labels]
        assert [int(match[1]) for match in found if match] == list(range(1, 13))
    assert ticks(chart(made, "Validation accuracy in percent over"))[:7] == ["1", "5", "9", "13", "17", "21", "epochs"]


@pytest.mark.parametrize(("low", "high"), [(0.05, 2.0), (1e-6, 1e4), (0.5, 0.5), (0.099, 0.101), (3.0, 700.0)])
def test_the_logarithm_encloses_the_losses_with_few_marks(low: float, high: float) -> None:
    epochs = [{"phase": "learn", "epoch": k, "val_loss": loss} for k, loss in enumerate((high, low))]
    svg = chart(render(make_record(1, mistakes=[], epochs=epochs)), "Training and validation loss")
    axis = [float(text.replace(MINUS, "-")) for text in ticks(svg)[ticks(svg).index("epochs") + 1 :]]
    step = 10 if len({text[0] for text in map(str, axis)}) == 1 and len(axis) > 1 else 1
    assert min(axis) / step <= low
    assert max(axis) * step >= high
    assert 1 <= len(axis) <= 13


def test_a_loss_without_a_logarithm_is_left_out() -> None:
    epochs = [{"phase": "learn", "train_loss": x, "val_loss": x} for x in (1.0, 0.0, -1.0, None)]
    page = render(make_record(1, mistakes=[], epochs=epochs))
    assert marks(chart(page, "Training and validation loss")) == ["learning, epoch 1: validation loss 1.000"]


@pytest.mark.parametrize("legos", [1, 9])
def test_gates_have_a_panel_per_reader_and_a_line_per_input(legos: int) -> None:
    record = make_record(legos, mistakes=[])
    panels = {name: svg for name, svg in charts(render(record)).items() if name.startswith("Gates of the inputs of ")}
    assert [name.split()[5] for name in panels] == [*record.nodes[2:-1], "head"]
    for name, svg in panels.items():
        sources = [edge.source for edge in record.edges if edge.target == name.split()[5]]
        assert [label.split(" to ")[0] for label in marks(svg)] == sources


def test_gates_need_two_epochs_and_may_have_thousands() -> None:
    record = make_record(1, mistakes=[])
    assert "The gates were not recorded over epochs." in said(render(make_record(1, epochs=record.epochs[:13])))
    epochs = [{"phase": "learn", "gates": [0.5, k / 5001]} for k in range(5001)]  # more than altair takes by itself
    assert len(marks(chart(render(make_record(1, epochs=epochs, mistakes=[])), "Gates of the inputs of head"))) == 2


def test_importance_has_a_point_per_ablated_connection() -> None:
    record = make_record(9, **QUIET)
    for edge in record.edges[:10]:
        edge.ablation = None
    labels = marks(chart(render(record), "Rise of the validation loss"))
    assert len(labels) == 44
    edge = record.edges[10]
    text = f"{edge.source} to {edge.target}: gate {edge.gate:.2f}, loss {edge.ablation:.4f}"
    assert labels[0] == text.replace("loss -", f"loss {MINUS}")


def test_map_edges_are_told_where_a_run_has_them(made: str) -> None:
    edges = [edge.model_copy(update={"maps": [7 + i, 96]}) for i, edge in enumerate(make_record(9).edges)]
    page = render(make_record(9, **QUIET, edges=edges))
    assert [tuple(edge["maps"]) for edge in embedded(page)["edges"]] == [(7 + i, 96) for i in range(len(edges))]
    assert [said(page).count(f" {7 + i} of 96") for i in range(len(edges))] == [1] * len(edges)
    assert "map edges" in said(page)
    assert f"Edges between single maps were cut: {sum(7 + i for i in range(54)):,} of 5,184 are left." in said(page)
    assert "map edges" not in said(made)


def test_one_cycle_is_learning_to_its_end() -> None:
    """Without phases, chain or the accuracy of the uncut net, as `plexus fit` leaves it."""
    record = make_record(9)
    epochs = [epoch.model_dump() | {"phase": "fit"} for epoch in record.epochs if epoch.phase == "learn"]
    uncut = {"name": "uncut", "label": "nothing cut", "parameters": 90_210, "macs": 5_000_000, "kb": 400.0}
    parts: dict[str, Any] = {
        "epochs": epochs,
        "results": [FINAL | {"parameters": 19_226, "macs": 500_000}, uncut],
        "gap": {},
        "then": "",
        "chosen": 0,
    }
    text = render(make_record(9, mistakes=[], **parts))
    headline = "of the test images right with 19.2 k parameters: 10.0 times fewer multiply-adds than with nothing cut."
    assert f"97.0 % {headline}" in said(text)
    assert "learning the wiring" in said(text)
    assert len(embedded(text)["epochs"]) == len(epochs)


def test_gates_that_do_not_move_are_neither_drawn_nor_played() -> None:
    epochs = [{"phase": "learn", "gates": [0.5, 0.51]} for _ in range(3)]
    page = render(make_record(1, epochs=epochs, mistakes=[]))
    assert said(page).count("No gate moved by more than 0.02 over the 3 epochs") == 2
    assert not Elements(page).named("button") or "Play" not in said(page)
    assert "Gates of the inputs of" not in page


def test_a_figure_that_is_the_same_for_all_connections_is_no_column() -> None:
    edges = [edge.model_copy(update={"cost": 2.0, "kept": True}) for edge in make_record(2).edges]
    page = render(make_record(2, **QUIET, edges=edges))
    assert "The same for all of them: cost 2.000, kept." in said(page)
    table = page[page.index('id="connections"') :]
    heads = [each for each in ("gate", "strength", "cost", "kept") if f">{each}</button>" in table]
    assert heads == ["gate", "strength"]


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        ({"strength": 0.5, "gate": 0.5, "ablation": 0.0}, "All arcs are of one width"),
        ({"strength": 0.5, "gate": 0.5}, "Arcs are as wide as their ablation"),
        ({}, "Width of the arcs strength gate ablation"),
    ],
)
def test_the_width_of_arcs_is_a_choice_where_several_figures_differ(measured: dict[str, Any], says: str) -> None:
    edges = [edge.model_copy(update=measured) for edge in make_record(2).edges]
    epochs = [{"phase": "learn"}]
    assert says in said(render(make_record(2, mistakes=[], epochs=epochs, edges=edges)))


def test_channels_that_were_cut_are_told_from_connections() -> None:
    """As a residual net is recorded: all connections stay, and carry fewer channels."""
    record = make_record(3)
    streams = {("lego1", "lego2"): [3, 4], ("lego2", "lego3"): [3, 4], ("lego3", "head"): [5, 8]}
    edges = [
        {"source": s, "target": t, "gate": 0.1 * i, "kept": True, "maps": maps}
        for i, ((s, t), maps) in enumerate(streams.items())
    ]
    budgets = [{"edges": n, "kept": [0, 1, 2], "parameters": n, "val_accuracy": 0.9} for n in (11, 7)]
    parts: dict[str, Any] = {"edges": edges, "budgets": budgets, "chosen": 0, "plan": {"channels": 0.7}}
    page = render(make_record(3, **QUIET, **parts))
    assert (
        "Whole channels of the streams were cut, with all that reads and writes them; left are 3 of 4 in the one that "
        "lego2 and lego3 read, 5 of 8 in the one that head reads. That makes the net narrower, and faster. "
        "No connection between layers was cut: all 3 are there."
    ) in said(page)
    drawn = embedded(page)
    assert (drawn["unit"], drawn["whole"], [b["maps"] for b in drawn["budgets"]]) == ("channels", 16, [11, 7])
    assert 'id="maps"' in page
    assert 'id="kept"' not in page  # the same at every budget
    edges[2]["kept"] = False
    lost = said(render(make_record(3, **QUIET, **parts)))
    assert "1 connection between layers was cut, 2 of 3 are left." in lost
    assert "lego3 is a layer that nobody reads any more, and left out of the net." in lost
    assert record.nodes[3] == "lego3"


CLASSES = ("plane", "ship", "cat")


def test_every_class_has_precision_recall_and_support() -> None:
    matrix = [[8, 0, 2], [3, 0, 1], [1, 0, 9]]
    data = make_record(2).data.model_dump() | {"class_counts": [100, 7, 90], "classes": list(CLASSES)}
    text = said(render(make_record(2, **QUIET, confusion=matrix, data=data)))
    assert "No image of \u201cship\u201d was ever recognised." in text
    assert "plane 80.0 % 66.7 % 10 100 cat (2 images)" in text
    assert f"ship 0.0 % {NONE} 4 7 plane (3 images)" in text
    assert "cat 90.0 % 75.0 % 10 90 plane (1 image)" in text
    unseen = said(render(make_record(2, classes=CLASSES, **QUIET, confusion=[[8, 0, 2], [0, 0, 0], [1, 0, 9]])))
    assert "There was no test image of \u201cship\u201d, so nothing is known of it." in unseen
    assert "ever recognised" not in unseen


def test_right_and_wrong_images_are_shown_beside_their_classes() -> None:
    record = make_record(2)
    right = [m.model_dump() | {"name": f"good {i}", "predicted": m.true} for i, m in enumerate(record.mistakes)]
    text = said(render(make_record(2, epochs=[], correct=right)))
    assert "Wrong, the surest first 0 taken for 3 99.0 % sure row 101" in text
    assert "Right, the surest of each class 0 99.0 % sure good 0" in text
