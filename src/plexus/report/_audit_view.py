"""What the page of an audit says: sentences, counts, clusters and the pairs to review, from plain JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from plexus.errors import RunError
from plexus.report._facts import PICTURE
from plexus.report._words import count, day, decimal, duration, number, plural

SHOWN = 200
"""Of clusters and of problems; the findings hold them all."""
NAMED = 60
"""Images of a cluster that are named."""
CONTRADICTIONS = ("class", "presence", "overlap")
Found = Mapping[str, Any]


def headline(found: Found) -> str:
    """What is wrong with the set, in one sentence."""
    total, images = _counted(found, "pairs"), found["data"].get("images")
    if not total:
        return f"No near-duplicates among {plural(number(images) or 0, 'image')}."
    wrong = sum(contradictions(found).values())
    copies, leaks = _counted(found, "exact"), _counted(found, "leaks")
    said = f"{plural(total, 'near-duplicate pair')} among {plural(number(images) or 0, 'image')}: "
    if not wrong and not leaks:
        return said + f"none contradicts itself, none leaks between splits, {count(copies)} exact."
    return said + f"{count(wrong)} with contradictory labels, {count(leaks)} across splits, {count(copies)} exact."


def lede(found: Found) -> str:
    """How the pairs were found, and what is proposed."""
    used = found["settings"]
    where = "within each group" if used.get("scope") == "group" else "across all images"
    text = (
        f"Searched {where} with the fingerprint {used.get('fingerprint')}. A pair counts as near up to a distance of "
    )
    text += f"{decimal(used.get('threshold'), 4)}, "
    rate = number(used.get("false_positive_rate"))
    if used.get("threshold_from") == "given":
        text += "a threshold that was given."
    elif rate:
        text += f"chosen from the data: about one unrelated pair in {count(1 / rate)} comes as near."
    else:
        text += "chosen from the data."
    kept, dropped = _counted(found, "kept"), _counted(found, "dropped")
    if kept or dropped:
        text += f" The cleaning rule would keep {plural(kept, 'image')} and drop {count(dropped)}; nothing was deleted."
    return text


def masthead(found: Found) -> list[str]:
    """Name of the data, date and seed."""
    seed = found.get("seed")
    parts = (str(found["data"].get("name") or ""), day(str(found.get("created", ""))))
    return [part for part in (*parts, "" if seed is None else f"seed {seed}") if part]


def contradictions(found: Found) -> dict[str, int]:
    """Pairs with contradictory labels, by kind."""
    raw = found["summary"].get("contradictions")
    return {kind: int(number(raw.get(kind)) or 0) if isinstance(raw, Mapping) else 0 for kind in CONTRADICTIONS}


def tiles(found: Found) -> list[tuple[str, str, str]]:
    """Counts of the summary: figure, name, remark."""
    kinds = contradictions(found)
    remark = ", ".join(f"{count(n)} of {kind}" for kind, n in kinds.items() if n)
    flagged, exact = _counted(found, "flagged"), _counted(found, "exact")
    shown = [
        (
            _counted(found, "pairs"),
            "near-duplicate pairs",
            f"{count(exact)} exact {'copy' if exact == 1 else 'copies'}",
        ),
        (sum(kinds.values()), "contradictory", remark),
        (_counted(found, "leaks"), "leaks between splits", ""),
        (_counted(found, "clusters"), "clusters", f"{count(flagged)} flagged" if flagged else ""),
        (_counted(found, "unreadable"), "unreadable", ""),
        (_counted(found, "degenerate"), "degenerate", "constant or all zero"),
        (_counted(found, "kept"), "kept by the rule", f"{count(_counted(found, 'dropped'))} dropped"),
    ]
    return [(count(n), name, remark) for n, name, remark in shown]


def _counted(found: Found, key: str) -> int:
    return int(number(found["summary"].get(key)) or 0)


def clusters(found: Found) -> list[dict[str, Any]]:
    """Flagged clusters first, then by size."""
    images = found["images"]
    rows = [
        {
            "id": entry.get("id"),
            "size": len(entry.get("images") or ()),
            "diameter": decimal(entry.get("diameter"), 3),
            "flagged": entry.get("flagged") is True,
            "names": [str(images[i]["name"]) for i in (entry.get("images") or ())[:NAMED] if 0 <= i < len(images)],
        }
        for entry in found.get("clusters") or ()
    ]
    return sorted(rows, key=lambda row: (not row["flagged"], -row["size"]))


def payload(found: Found) -> dict[str, Any]:
    """What the reviewer needs: the pairs, and of the images only those in pairs."""
    images = found["images"]
    places: dict[int, int] = {}
    pairs = []
    for k, pair in enumerate(found["pairs"]):
        ends = [i for end in "ab" if type(i := pair.get(end)) is int] if isinstance(pair, Mapping) else []
        if len(ends) != 2 or not all(0 <= i < len(images) for i in ends):
            raise RunError(f"broken findings: pair {k} does not name two of the {len(images)} images; audit again")
        a, b = (places.setdefault(i, len(places)) for i in ends)
        leak = pair.get("leak")
        pairs.append(
            {
                "a": a,
                "b": b,
                "distance": number(pair.get("distance")),
                "dice": number(pair.get("dice")),
                "exact": pair.get("exact") is True,
                "shift": _two(pair.get("shift")),
                "contradiction": pair["contradiction"] if pair.get("contradiction") in CONTRADICTIONS else None,
                "leak": [str(end) for end in leak] if isinstance(leak, list | tuple) and len(leak) == 2 else None,
            }
        )
    return {"key": _key(found), "file": _file(found), "images": [_image(images[i]) for i in places], "pairs": pairs}


def pictures(found: Found, given: Mapping[int, Mapping[str, str | None]] | None) -> list[list[str | None]]:
    """Image and outline of each image of `payload`, in its order; what is no embedded bitmap is left out."""
    order = dict.fromkeys(i for pair in found["pairs"] for i in (pair["a"], pair["b"]))
    known = {int(i): entry for i, entry in (given or {}).items()}
    return [[_picture(known.get(i, {}).get(key)) for key in ("image", "mask")] for i in order]


def _picture(text: Any) -> str | None:
    return text if isinstance(text, str) and PICTURE.match(text) else None


def _image(entry: Found) -> dict[str, Any]:
    made: dict[str, Any] = {key: None if entry.get(key) is None else str(entry[key]) for key in ("label", "group")}
    for key in ("split", "why"):
        made[key] = str(entry[key]) if entry.get(key) else None
    for key in ("present", "keep"):
        made[key] = entry[key] if isinstance(entry.get(key), bool) else None
    made |= {"name": str(entry.get("name", "")), "area": number(entry.get("area")), "size": _two(entry.get("size"))}
    return made


def _two(pair: Any) -> list[float] | None:
    ends = [number(end) for end in pair] if isinstance(pair, list | tuple) and len(pair) == 2 else []
    return [end for end in ends if end is not None] if ends and None not in ends else None


def _key(found: Found) -> str:
    """The same for every audit of the same names, so that decisions outlive a second audit."""
    names = [str(found["data"].get("name")), *sorted(str(entry.get("name")) for entry in found["images"])]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def _file(found: Found) -> str:
    """A file name for the decisions that every system takes."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in str(found["data"].get("name")))
    return f"{name.strip('-')[:60] or 'audit'}-decisions.json"


def making(found: Found) -> list[dict[str, Any]]:
    """Groups of name and value on the data, the settings, the versions and the time."""
    data = found["data"]
    facts = {
        "name": data.get("name"),
        "layout": data.get("layout"),
        "images": data.get("images"),
        "classes": _list(data.get("classes")),
        "groups": data.get("groups"),
        **{f"split {name}": n for name, n in (data.get("splits") or {}).items()},
        "masks": {True: "yes", False: "no"}.get(data.get("masks")),
    }
    spent = found.get("seconds") or {}
    groups = {
        "Data": facts,
        "Settings": found["settings"],
        "Versions": found.get("versions") or {},
        "Time": {name: duration(seconds) for name, seconds in spent.items()},
    }
    shown = [
        {"title": title, "rows": [(name, _value(value)) for name, value in group.items() if value not in (None, "")]}
        for title, group in groups.items()
    ]
    return [group for group in shown if group["rows"]]


def _list(classes: Sequence[Any] | None) -> str:
    return ", ".join(map(str, classes)) if classes and len(classes) <= 12 else str(len(classes)) if classes else ""


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
