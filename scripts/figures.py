"""Figures of the source tree, as docs/architecture.md shows them: python scripts/figures.py [ROOT] [--write].

Everything is read from the source; only --time runs something, `plexus --help` and `import plexus.nn`. Figures of an
earlier commit: git worktree add /tmp/before COMMIT, then python scripts/figures.py /tmp/before.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import re
import resource
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import networkx as nx

HERE = Path(__file__).resolve().parents[1]
QUESTIONS = re.compile(r"(What|Which|Whether|How|Where)\b")
TABLE = HERE / "docs" / "architecture.md"
HEAD = re.compile(r"<!doctype html", re.IGNORECASE)


class Tree:
    """The parsed modules of a clone.

    Args:
        root: of the clone.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.texts = {file: file.read_text(encoding="utf-8") for file in sorted((root / "src").rglob("*.py"))}
        self.modules = {self.name(file): ast.parse(text) for file, text in self.texts.items()}
        self.files = {self.name(file): file for file in self.texts}
        self.tests = {file: ast.parse(file.read_text("utf-8")) for file in sorted((root / "tests").rglob("*.py"))}

    def name(self, file: Path) -> str:
        """The dotted name of a file below src/."""
        parts = file.relative_to(self.root / "src").with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def package(self, module: str) -> str:
        """The package that relative names of a module start from."""
        return module if self.files[module].name == "__init__.py" else module.rpartition(".")[0]


def running(node: ast.AST) -> Iterator[ast.stmt]:
    """Import statements that may run, in functions too; not those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from running(child)


def imported(statements: Iterable[ast.AST], package: str = "") -> Iterator[str]:
    """Dotted names that import statements load, a name of a `from` with them."""
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            parents = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def private(name: str) -> bool:
    """True for plexus.ROOM._module, for what is in it, and for plexus.ROOM._name."""
    return name.startswith("plexus.") and any(re.match(r"_[^_]", part) for part in name.split(".")[1:])


def private_imports(tree: Tree) -> list[str]:
    """Imports of another package's private module or name, as "importer: imported", one for each statement."""
    wrong = []
    for module, code in tree.modules.items():
        room = module.split(".")[1:2]
        for node in ast.walk(code):
            names = [n for n in imported([node], tree.package(module)) if private(n) and n.split(".")[1:2] != room]
            wrong += [f"{module}: {names[0]}"] if names else []
    return wrong


def circles(tree: Tree) -> list[list[str]]:
    """Sets of modules, and of packages, that import each other, at once or from within a function."""
    modules, rooms = nx.DiGraph(), nx.DiGraph()
    for module, code in tree.modules.items():
        for name in imported(running(code), tree.package(module)):
            target = name if name in tree.modules else name.rpartition(".")[0]
            if target in tree.modules and target != module:
                modules.add_edge(module, target)
                here, there = (n.split(".")[1] if "." in n else "" for n in (module, target))
                if here != there:
                    rooms.add_edge(here, there)
    return [
        sorted(part) for graph in (modules, rooms) for part in nx.strongly_connected_components(graph) if len(part) > 1
    ]


def called(code: ast.AST, *names: str) -> list[ast.Call]:
    """Calls of functions or methods of these names."""
    calls = [node for node in ast.walk(code) if isinstance(node, ast.Call)]
    return [c for c in calls if (getattr(c.func, "attr", None) or getattr(c.func, "id", None)) in names]


def docstrings(tree: Tree) -> list[str]:
    """Every docstring of modules, classes and functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for code in tree.modules.values() for node in ast.walk(code) if isinstance(node, kinds)]
    return [text for node in nodes if (text := ast.get_docstring(node))]


def comments(tree: Tree) -> tuple[int, int]:
    """Lines with a comment, and lines of code (docstrings and blank lines aside)."""
    remarks = code = 0
    for text in tree.texts.values():
        rows: set[int] = set()
        start = True
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                remarks += 1
            elif token.type in (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
                start = start or token.type != tokenize.NL
            elif start and token.type == tokenize.STRING:  # a statement that is a string alone
                start = False
            else:
                rows.update(range(token.start[0], token.end[0] + 1))
                start = False
        code += len(rows)
    return remarks, code


def seconds(command: list[str], root: Path) -> float:
    """Processor time of a command, the median of five runs, files warm: a busy machine hardly changes it."""
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    times = []
    for _ in range(6):
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime)
    return statistics.median(times[1:])


def figures(tree: Tree) -> dict[str, str]:
    """Each figure by its name."""
    trained = [m for m, code in tree.modules.items() for c in called(code, "Trainer", "step") if trains(c)]
    folders = [m for m, code in tree.modules.items() for c in called(code, "mkdir") if new_folder(c)]
    validators = [
        n for code in tree.modules.values() for n in ast.walk(code) if isinstance(n, ast.ClassDef) and faults(n)
    ]
    parsed = [m for m, code in tree.modules.items() if any(map(parses, called(code, "loads", "load")))]
    report = [code for module, code in tree.modules.items() if module.startswith("plexus.report")]
    gets = sum(isinstance(c.args[0], ast.Constant) for code in report for c in called(code, "get") if c.args)
    heads = [f for f in (tree.root / "src").rglob("*.j2") if HEAD.search(f.read_text(encoding="utf-8"))]
    looked = [f for f, code in tree.tests.items() if any(map(private, imported(ast.walk(code))))]
    kernels = [f for f in looked if not outside_kernels(tree.tests[f])]
    texts = docstrings(tree)
    asked = sum(QUESTIONS.match(text) is not None for text in texts)
    remarks, code = comments(tree)
    return {
        "Python lines, files under `src/`": f"{sum(map(lines, tree.texts.values())):,} in {len(tree.texts)}",
        "modules that train (a Trainer, or a loop of their own)": str(len(trained)),
        "places that make a run folder": str(len(folders)),
        "validators of options, written by hand": str(len(validators)),
        'modules that parse JSON; `.get("key")` in `report`': f"{len(parsed)}; {gets}",
        "templates that write an HTML head": str(len(heads)),
        "imports of another package's private names; circles": f"{len(private_imports(tree))}; {len(circles(tree))}",
        "files of tests that import private names (of kernels)": f"{len(looked)} of {len(tree.tests)} ({len(kernels)})",
        "docstrings that open with What, Which, Whether, How, Where": f"{100 * asked / len(texts):.1f} %",
        "comment lines per code line": f"{100 * remarks / code:.1f} %",
    }


def lines(text: str) -> int:
    return text.count("\n")


def trains(call: ast.Call) -> bool:
    """Trainer(...) or optimizer.step()."""
    return ast.unparse(call.func).endswith(("Trainer", "optimizer.step"))


def faults(node: ast.ClassDef) -> bool:
    """A class of options with a method `faults` of its own."""
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "faults"]
    return bool(methods) and "NotImplementedError" not in ast.unparse(methods[0])


def parses(call: ast.Call) -> bool:
    """json.load(...) or json.loads(...)."""
    return ast.unparse(call.func).startswith("json.")


def new_folder(call: ast.Call) -> bool:
    """A mkdir that refuses a folder that is there."""
    return "exist_ok" not in {k.arg for k in call.keywords}


def outside_kernels(code: ast.AST) -> list[str]:
    """Private imports of a test that are none of the kernels."""
    return [n for n in imported(ast.walk(code)) if private(n) and not n.startswith("plexus.nn.kernels.")]


def written(text: str, rows: dict[str, str]) -> str:
    """A page whose table has these figures in its last column; the rows are there already."""
    for name, value in rows.items():
        row = re.compile(rf"^(\| {re.escape(name)} \|.*\|)[^|]*\|$", re.MULTILINE)
        text, count = row.subn(rf"\g<1> {value} |", text)
        if count != 1:
            sys.exit(f"{TABLE}: expected one row {name!r}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("root", type=Path, nargs="?", default=HERE)
    parser.add_argument("--time", action="store_true", help="start plexus --help and import plexus.nn, too")
    parser.add_argument("--write", action="store_true", help="put them into the last column of docs/architecture.md")
    parser.add_argument("--list", action="store_true", help="name private imports and circles")
    arguments = parser.parse_args()
    tree = Tree(arguments.root.resolve())
    rows = figures(tree)
    if arguments.time:
        plexus = Path(sys.executable).with_name("plexus")
        rows["`plexus --help`, processor seconds"] = f"{seconds([str(plexus), '--help'], tree.root):.2f}"
        rows["`import plexus.nn`, processor seconds"] = (
            f"{seconds([sys.executable, '-c', 'import plexus.nn'], tree.root):.2f}"
        )
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    if arguments.write:
        TABLE.write_text(written(TABLE.read_text("utf-8"), rows), "utf-8")
    if arguments.list:
        print(*private_imports(tree), *circles(tree), sep="\n")


if __name__ == "__main__":
    main()
