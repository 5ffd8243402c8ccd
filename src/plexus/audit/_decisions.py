"""Decisions of a person on images: what to keep, to drop, and to give another class."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping
from pathlib import Path

from plexus.audit._suspects import RELABEL, new_label
from plexus.data import SampleSet
from plexus.errors import DataError, printable
from plexus.record import read_file, read_json, spreadsheet_cell

WORDS = ("keep", "drop", "unsure", "relabel")
_REMEDY = "save the decisions from audit.html"


class Decisions(dict[str, str]):
    """Decisions by the name of the image, and what is known of the set that they were made on.

    Args:
        decisions: ``keep``, ``drop``, ``unsure`` or ``relabel:CLASS`` by name.
        file: that they were read from.
        data: the name of that set.
        key: its fingerprint, of the names and contents of its images; empty where the file does not say.

    Example:
        >>> made = Decisions({"a.png": "keep"}, file="mine.json", data="scans", key="sha256:00")
        >>> made["a.png"], made.remark("scans", "sha256:00")
        ('keep', '')
    """

    def __init__(
        self, decisions: Mapping[str, str] | None = None, *, file: str = "", data: str = "", key: str = ""
    ) -> None:
        super().__init__(decisions or {})
        self.file, self.data, self.key = file, data, key

    def remark(self, data: str, key: str) -> str:
        """Say in one line that they were made on other images than these; empty where that is not known.

        Args:
            data: the name of the set that they are applied to.
            key: its fingerprint.
        """
        if not self.key or self.key == key:
            return ""
        made, here = (f"{printable(name)} ({text[:15]})" for name, text in ((self.data, self.key), (data, key)))
        return (
            f"{printable(self.file)}: these decisions were made on other images, {made}, and are applied by name to "
            f"{here}: look at what they drop"
        )


def read_decisions(path: str | Path, samples: SampleSet) -> Decisions:
    """Read the decisions that the page saved, or those in a table.

    Args:
        path: `audit-decisions.json`; or a CSV file with the columns name and decision, and label for a new class, such
            as `labels.csv` with its last two columns filled in. Lines without a decision say nothing; a new class that
            is not named is the suggested one.
        samples: the set that they were made on.

    Returns:
        ``keep``, ``drop``, ``unsure`` or ``relabel:CLASS`` by name; `audit` notes where they were made on other images.

    Raises:
        DataError: no such file, another format, a name that is not in the data, or a class that is not.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> from plexus.data import open_samples
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (8, 8)).save(f"{folder}/a.png")
        ...     file = Path(folder, "decisions.json")
        ...     _ = file.write_text('{"format": 1, "kind": "audit-decisions", "decisions": {"a.png": "keep"}}')
        ...     read_decisions(file, open_samples(folder))
        {'a.png': 'keep'}
    """
    names = {sample.name for sample in samples.samples}
    csv_file = str(path).lower().endswith(".csv")
    decisions = Decisions(_from_table(Path(path), names)) if csv_file else _from_json(path)
    for name, decision in decisions.items():
        label = new_label(decision)
        if decision not in WORDS[:3] and not label:
            raise DataError(
                f"{path}: {printable(name)}: {decision!r:.60} is no decision; choose from {', '.join(WORDS)}"
            )
        if name not in names:
            raise DataError(
                f"{path}: {printable(name)}: there is no such image in {samples.where}; name the data they were made on"
            )
        if label:
            check_class(label, samples, f"{path}: {printable(name)}")
    return decisions


def check_class(label: str, samples: SampleSet, where: str) -> None:
    """Refuse a new class that the set does not have: it may be a slip of the pen."""
    if label not in samples.classes:
        classes = ", ".join(printable(name) for name in samples.classes[:12]) or "none"
        raise DataError(f"{where}: no class {printable(label)[:60]!r} in {samples.where}; its classes: {classes}")


def _from_json(path: str | Path) -> Decisions:
    raw = read_json(path, f"{_REMEDY} again", kind="decisions file", missing=_REMEDY, error=DataError)
    decisions = raw.get("decisions") if isinstance(raw, dict) else None
    if not isinstance(decisions, dict) or raw.get("kind") != "audit-decisions" or raw.get("format") != 1:
        raise DataError(f"{path}: not a decisions file; {_REMEDY}")
    if strange := next((name for name, word in decisions.items() if not isinstance(word, str)), None):
        raise DataError(f"{path}: {printable(strange)}: {decisions[strange]!r:.60} is no decision; {_REMEDY} again")
    data, key = (text if isinstance(text := raw.get(part), str) else "" for part in ("data", "key"))
    # the page of an older record knows names only
    return Decisions(decisions, file=str(path), data=data, key=key if key.startswith("sha256:") else "")


def _from_table(path: Path, names: Collection[str]) -> dict[str, str]:
    try:
        text = read_file(path).decode("utf-8-sig")
        table = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {_REMEDY}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; {_REMEDY}") from None
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: not a table of text, UTF-8 with commas ({error}); {_REMEDY}") from None
    if table and not {"name", "decision"} <= table[0].keys():
        raise DataError(f"{path}: no columns name and decision; fill in labels.csv, or {_REMEDY}")
    decisions: dict[str, str] = {}
    for number, row in enumerate(table, 2):
        word = (row["decision"] or "").strip().lower()
        name = _bare(row["name"] or "", names)
        if not word:
            continue
        if word == "relabel":
            label = _bare((row.get("label") or row.get("suggested") or "").strip(), ())
            if not label:
                raise DataError(f"{path}: line {number}: relabel to which class? fill in the column label")
            word = RELABEL + label
        elif word not in WORDS:
            raise DataError(f"{path}: line {number}: {word!r:.60} is no decision; choose from {', '.join(WORDS)}")
        if decisions.setdefault(name, word) != word:
            raise DataError(f"{path}: line {number}: a second, other decision on {printable(name)}; leave one")
    return decisions


def _bare(text: str, names: Collection[str]) -> str:
    """A text without the apostrophe that guards a spreadsheet from formulas."""
    bare = text[1:]
    return bare if text not in names and text.startswith("'") and spreadsheet_cell(bare) == text else text
