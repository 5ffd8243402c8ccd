"""What the page of a representation says: sentences, tables and pictures, from plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plexus.report._segment_view import grouped, picture
from plexus.report._words import NONE, count, day, decimal, duration, number, percent, plural, signed

Record = Mapping[str, Any]
HEADS = {
    "prototype": "nearest class mean in Z",
    "logistic": "logistic regression on Z",
    "pixels": "nearest class mean of raw pixels",
}
OBJECTIVES = {"ae": "autoencoder", "vae": "variational autoencoder", "denoise": "denoising autoencoder"}


def part(record: Record, name: str) -> Record:
    """A part of the record that is an object; an empty one for anything else."""
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def plain(value: Any) -> str:
    """A number with no more digits than it has: 0.0 -> 0, 0.25 -> 0.25."""
    known = number(value)
    return NONE if known is None else f"{known:g}"


def headline(record: Record) -> str:
    """The result in one sentence."""
    results, units = part(record, "results"), part(record, "units")
    rest = number(results.get("unexplained"))
    if not record.get("finished") or rest is None:
        return f"This run has not finished: {plural(len(record.get('epochs') or ()), 'epoch')} recorded so far."
    size = f"{count(units.get('dim'))} numbers keep {percent(1 - rest)} of what pixels vary by"
    for name, what in (("classifier", "name the class of"), ("linear", "let a line name the class of")):
        if (value := number(part(results, name).get("value"))) is not None:
            return f"{size}, and {what} {percent(value)} of the test images."
    return f"{size}."


def lede(record: Record) -> str:
    """Size, labels and the units in use."""
    config, data, units = part(record, "config"), part(record, "data"), part(record, "units")
    pixels = 1
    for side in data.get("in_shape") or ():
        pixels *= int(number(side) or 1)
    kind = OBJECTIVES.get(str(config.get("objective")), "autoencoder")
    labels, train = number(data.get("labelled")) or 0, number(part(data, "counts").get("train")) or 0
    known = "no labels" if not labels else "all labels" if labels >= train else plural(labels, "label")
    article = "An" if kind.startswith("a") else "A"
    text = f"{article} {kind} with {known} on {plural(train, 'image')} of {count(pixels)} numbers each"
    text += f", balance {plain(config.get('balance'))} towards recognition." if "balance" in config else "."
    if (active := number(units.get("active"))) is not None:
        text += f" {count(active)} of the {count(units.get('dim'))} numbers are in use"
        text += ": the others have collapsed." if units.get("collapsed") is True else "."
    return text


def masthead(record: Record) -> list[str]:
    """Name of the data, date and seed."""
    parts = (str(part(record, "data").get("name") or ""), day(str(record.get("created", ""))))
    seed = record.get("seed")
    return [text for text in (*parts, "" if seed is None else f"seed {seed}") if text]


def figures(record: Record) -> list[tuple[str, str, str]]:
    """Name, value and interval of what was measured on test images."""
    results, units = part(record, "results"), part(record, "units")
    rows = []
    for name, title in (
        ("classifier", "classifier on Z"),
        ("linear", "logistic regression on Z, all labels"),
        ("knn", "5 nearest images in Z, all labels"),
    ):
        if (value := number(part(results, name).get("value"))) is not None:
            ends = part(results, name)
            rows.append((title, percent(value), f"{percent(ends.get('low'))} to {percent(ends.get('high'))}"))
    if (rest := number(results.get("unexplained"))) is not None:
        beside = f"squared error {decimal(results.get('mse'), 4)}"
        rows.append(("variance of pixels left unexplained", percent(rest), beside))
    if (effective := number(units.get("effective"))) is not None:
        beside = f"as much as {effective:.1f} of equal variance"
        rows.append(("numbers of Z in use", count(units.get("active")), beside))
    if (nats := number(units.get("divergence"))) is not None:
        rows.append(("divergence from the prior", f"{nats:.1f} nats", "of an image"))
    return rows


def pictures(record: Record) -> dict[str, Any]:
    """Embedded pictures by kind; what is none is left out."""
    found = part(record, "pictures")
    made: dict[str, Any] = {
        name: picture(found.get(name)) for name in ("reconstructions", "interpolations", "neighbours")
    }
    made["traversals"] = [
        {"picture": uri, "deviation": decimal(row.get("deviation"), 2)}
        for row in found.get("traversals") or ()
        if isinstance(row, Mapping) and (uri := picture(row.get("picture")))
    ]
    return made


def variations(record: Record) -> list[dict[str, str]]:
    """What `plexus represent vary` was asked for, the newest first."""
    made = []
    for row in record.get("variations") or ():
        if isinstance(row, Mapping) and (uri := picture(row.get("picture"))):
            to = f" to {row['to']}" if row.get("to") else ""
            made.append({"title": f"{row.get('image', '')}{to}", "picture": uri, "kind": str(row.get("kind", ""))})
    return made


def plane(record: Record) -> dict[str, Any]:
    """The map: places, classes, names and the picture of all thumbnails; empty where a part does not fit."""
    found = part(record, "map")
    xs, ys = ([number(v) for v in found.get(axis) or ()] for axis in ("x", "y"))
    labels, names = found.get("labels") or [], [str(name) for name in found.get("names") or ()]
    sprite, tile, columns = picture(found.get("sprite")), found.get("tile"), number(found.get("columns"))
    whole = len(xs) == len(ys) == len(labels) == len(names) > 0 and None not in xs and None not in ys
    sized = isinstance(tile, Sequence) and len(tile) == 2 and all(number(side) for side in tile)
    if not (whole and sized and sprite and columns and all(type(k) is int for k in labels)):
        return {}
    classes = [str(name) for name in found.get("classes") or ()]
    known = [k if 0 <= k < len(classes) else -1 for k in labels]
    return {"x": xs, "y": ys, "labels": known, "names": names, "classes": classes, "sprite": sprite,
            "tile": list(tile or ()), "columns": int(columns)}  # fmt: skip


def probed(record: Record) -> list[Record]:
    """Rows of `plexus represent probe` with figures in them."""
    return [
        row
        for row in part(record, "probe").get("rows") or ()
        if isinstance(row, Mapping) and number(row.get("unexplained")) is not None
    ]


def probe_rows(rows: Sequence[Record]) -> list[dict[str, Any]]:
    """The table of the probe."""
    made = []
    for row in rows:
        shares = []
        for name in ("linear", "knn"):
            found = part(row, name)
            ends = f"{percent(found.get('low'))} to {percent(found.get('high'))}" if found else ""
            shares.append((percent(found.get("value")), ends))
        turn = part(row, "turning")
        at = dict(zip(turn.get("angles") or (), turn.get("moved") or (), strict=False))
        made.append({
            "own": row.get("own") is True, "dim": count(row.get("dim")), "balance": plain(row.get("balance")),
            "unexplained": percent(row.get("unexplained")), "shares": shares,
            "moved": decimal(at[90], 2) if 90 in at else NONE, "active": count(row.get("active")),
        })  # fmt: skip
    return made


def fewshot(record: Record) -> list[dict[str, Any]]:
    """Every few-shot test: what was drawn, and each head with its interval."""
    made = []
    for test in record.get("fewshot") or ():
        if not isinstance(test, Mapping):
            continue
        gains = part(test, "gains")
        heads = []
        for name, found in part(test, "heads").items():
            gain = part(gains, str(name))
            more = f"{signed(100 * float(gain['mean']), 1)} points" if number(gain.get("mean")) is not None else ""
            ends = f"{percent(found.get('low'))} to {percent(found.get('high'))}" if isinstance(found, Mapping) else ""
            heads.append((HEADS.get(str(name), str(name)), percent(found.get("mean")), ends, more))
        title = f"{count(test.get('ways'))}-way, {plural(number(test.get('shots')) or 0, 'shot')}"
        names = ", ".join(map(str, test.get("classes") or ()))
        drawn = f"{plural(number(test.get('episodes')) or 0, 'episode')} of {names}"
        made.append({"title": title, "drawn": drawn, "heads": heads})
    return made


def making(record: Record) -> list[dict[str, Any]]:
    """Groups of name and value on data, model, configuration, versions, machine and time."""
    data, model = part(record, "data"), part(record, "model")
    facts = {key: data.get(key) for key in ("name", "fingerprint", "labelled")}
    facts["shape"] = " \u00d7 ".join(map(str, data.get("in_shape") or ()))
    facts |= {f"{name} images": count(n) for name, n in part(data, "counts").items()}
    return grouped(
        {
            "Data": facts,
            "Model": {key: count(model.get(key)) for key in ("parameters", "encoder") if model.get(key)},
            "Configuration": part(record, "config"),
            "Versions": part(record, "versions"),
            "Machine": part(record, "machine"),
            "Time": {name: duration(seconds) for name, seconds in part(record, "seconds").items()},
        }
    )
