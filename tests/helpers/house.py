"""The house in figures, printed by `python -m tests.helpers.house`: imports, names, sizes of functions, prose.

The figures are a mirror, not a gate. Only cycles, upward imports, double names, missing test files and dead links fail
a test (tests/test_house.py, tests/test_docs.py).
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.helpers.places import ROOT

PACKAGE = ROOT / "japanese_bert"
# From the bottom up: a room imports only from rooms before it, or from itself.
ROOMS = (
    "japanese_bert",
    "common",
    "compiled",
    "tfrecord",
    "corpus",
    "tokenization",
    "corpus/wikipedia",
    "corpus/own_text",
    "pretraining_data",
    "finetuning_data",
    "models",
    "conversion",
    "training",
    "training/checks",
    "torch_training",
    "jglue",
    "evaluation",
    "inspection",
    "cluster",
)
# The first words of docstrings that describe a thing. "Return", "Yield", "Write" ... say what a function does.
NO_VERB = re.compile(
    "(a|all|an|and|any|as|at|both|by|each|every|for|from|how|if|in|is|it|its|no|not|of|one|only|other|same|some|such|"
    "that|the|their|these|this|those|to|two|true|false|what|when|where|whether|which|who|with)"
)


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def room(module: str) -> str:
    """Return the folder of a module: `japanese_bert.training.checks.start` -> `training/checks`."""
    path = modules()[module]
    return path.parent.relative_to(PACKAGE).as_posix() if path.parent != PACKAGE else "japanese_bert"


def imports() -> dict[str, set[str]]:
    """Return for each module the modules of the package that it imports, at its top or inside a function."""
    known = modules()
    graph: dict[str, set[str]] = defaultdict(set)
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
            graph[module] |= {name for name in names if name in known and name != module}
    for targets in graph.values():  # `from folder import module` imports the module, not what the folder says of itself
        targets -= {target for target in targets if known[target].name == "__init__.py" and target != "japanese_bert"}
    return graph


def cycles() -> list[list[str]]:
    """Return the import cycles, each as the modules on its way."""
    graph, found, done = imports(), [], set()

    def visit(module: str, way: list[str]) -> None:
        if module in way:
            found.append(way[way.index(module) :])
        elif module not in done:
            for target in sorted(graph[module]):
                visit(target, [*way, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def upward_imports() -> list[str]:
    """Return every import from a room above that of the importing module."""
    return [
        f"{module} -> {target}"
        for module, targets in imports().items()
        for target in sorted(targets)
        if ROOMS.index(room(target)) > ROOMS.index(room(module))
    ]


def double_names() -> dict[str, list[str]]:
    """Return the top-level functions, classes and constants that two or more modules define."""
    found = defaultdict(list)
    for module, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name].append(module)
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    found[target.id].append(module)
    return {name: where for name, where in found.items() if len(set(where)) > 1}


def missing_tests() -> set[str]:
    """Return the modules without a test file of their own, `tests/<folder>/test_<module>.py`."""
    paths = {path.relative_to(PACKAGE) for path in modules().values() if path.name != "__init__.py"}
    return {path.as_posix() for path in paths if not (ROOT / "tests" / path.parent / f"test_{path.name}").is_file()}


def sources() -> list[Path]:
    """Return the package, the stages and the tools."""
    return [*PACKAGE.rglob("*.py"), *ROOT.glob("*.py"), *(ROOT / "tools").glob("*.py")]


def functions(paths: list[Path]) -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Yield every function and method."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def function_docstrings(paths: list[Path]) -> list[str]:
    """Return the docstrings of all functions but dunders."""
    texts = (ast.get_docstring(node) for _, node in functions(paths) if not node.name.startswith("__"))
    return [text for text in texts if text]


def docstrings(paths: list[Path]) -> list[str]:
    """Return the docstrings of modules, classes and functions."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = (ast.get_docstring(node) for node in nodes if isinstance(node, kinds))
    return [text for text in texts if text]


def begins_with_verb(docstring: str) -> bool:
    """Return True for `Return ...`, False for `The ...`, and for `Returns ...`: an order, not a description."""
    word = docstring.split(maxsplit=1)[0].strip("`.,:").lower()
    is_third_person = word.endswith("s") and not word.endswith("ss")
    return word.isalpha() and not NO_VERB.fullmatch(word) and not is_third_person


def prose(text: str) -> str:
    """Return Markdown without code blocks, tables, comments and the targets of links."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\|.*$|<!--.*?-->|^#+ .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`", "CODE", re.sub(r"\]\([^)]*\)", "]", text))


def sentences(text: str) -> list[str]:
    """Return the sentences of a text. A paragraph and an item of a list end a sentence, too."""
    blocks = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.) ", text)
    return [
        sentence for block in blocks for sentence in re.split(r"(?<=[.!?])\s+", " ".join(block.split())) if sentence
    ]


def semicolons_per_100_words(text: str) -> float:
    """Return 100 times semicolons / words."""
    return 100 * text.count(";") / max(1, len(text.split()))


def _print_prose(name: str, text: str) -> None:
    words = [len(sentence.split()) for sentence in sentences(text)]
    longest = Counter(length > 35 for length in words)
    print(
        f"{name:24} {len(text.split()):7,} words  {semicolons_per_100_words(text):5.2f} semicolons per 100 words  "
        f"{longest[True]:3} of {len(words):4} sentences above 35 words, longest {max(words, default=0)}"
    )


def main() -> None:
    """Print the figures."""
    paths = sources()
    lengths = sorted((node.end_lineno or 0) - node.lineno + 1 for _, node in functions(paths))
    print(f"functions: {len(lengths)}, median {median(lengths):g}, p90 {quantiles(lengths, n=10)[-1]:g} lines")
    for path, node in functions(paths):
        if (node.end_lineno or 0) - node.lineno + 1 > 45:
            print(f"  above 45 lines: {path.relative_to(ROOT)}: {node.name}")
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in paths}
    print(f"lines: {sum(lines.values()):,}")
    for path, count in lines.items():
        if count > 300:
            print(f"  above 300 lines: {path.relative_to(ROOT)}: {count}")
    folders = Counter(room(module) for module, path in modules().items() if path.name != "__init__.py")
    print("modules by folder: " + ", ".join(f"{folder} {count}" for folder, count in folders.items()))
    print(f"cycles {len(cycles())}, upward imports {len(upward_imports())}, double names {len(double_names())}, "
          f"modules without a test file {len(missing_tests())}")  # fmt: skip
    found = function_docstrings(paths)
    verbs = sum(map(begins_with_verb, found))
    print(f"docstrings of functions that begin with a verb: {verbs} of {len(found)}, {verbs / len(found):.0%}")
    _print_prose("docstrings", "\n\n".join(docstrings(paths)))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        if path.is_file():
            _print_prose(path.relative_to(ROOT).as_posix(), prose(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
