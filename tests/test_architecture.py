"""The house stays as ARCHITECTURE.md describes it: rooms in order, short files, nothing exported without a word.

The sources are read, not run, except to see that what they export exists and is documented.
"""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "logq"

# A module imports from its own room and from those that stand before it.
ROOMS = (
    "arguments",
    "shapes",
    "files",
    "tensor_file",
    "model_file",
    "progress",
    "huffman",
    "candidates",
    "losses",
    "objectives",
    "kernels",
    "optim",
    "samplers",
    "functional",
    "nn",
    "hierarchical",
    "compat",
    "diagnostics",
    "data",
    "recipes",
    "models",
    "vectors",
    "retrieval",
    "evaluation",
    "ngram",
    "training",
    "loop",
    "recommenders",
    "language_models",
    "cli",
)

# Rooms whose files are alternatives to one another, with the files that the alternatives stand on.
ALTERNATIVES: dict[str, set[str]] = {
    "samplers": {"alias", "base", "counts", "distinct", "proposal"},
    "objectives": set(),
    "models": {"base", "byte_dropout", "features", "recency", "tables", "tower"},
}

# What may be missing on a user's machine, and is therefore imported where it is needed: an extra, and a part of Python
# that some distributions leave out.
OPTIONAL = {
    "compression",
    "duckdb",
    "faiss",
    "matplotlib",
    "polars",
    "psycopg",
    "pydoc_data",
    "scipy",
    "sklearn",
    "threadpoolctl",
    "usearch",
    "zstandard",
}

# What loads without torch, which takes a second and 200 MB: reading words and vectors, and the compiled core.
TORCH_FREE = (
    "logq._arguments",
    "logq._files",
    "logq._progress",
    "logq.huffman",
    "logq.kernels",
    "logq.kernels._native",
    "logq.data",
    "logq.vectors",
    "logq.evaluation",
    "logq.language_models.ngram",
    "logq.word2vec.fused_engine",
)

LONGEST = 400
SAYS_NOTHING = {"common", "helper", "helpers", "misc", "util", "utils"}

# Exported without an example, each for a reason.
NO_EXAMPLE = {
    "logq.cli.main": "it ends the process",
    "logq.objectives.Loss": "a type",
    "logq.optim.RowOptimizer": "abstract; the example is in every optimiser",
    "logq.language_models.LanguageModelOptions": "a type",
    "logq.language_models.NeuralLanguageModel": "abstract; the example is in NNLM and RecurrentLM",
    "logq.training.Loop": "the example is in what fits by it",
    "logq.training.Task": "a type",
    "logq._model_file.read_stored": "the example is in write_stored",
    "logq._model_file.unpack_strings": "the example is in pack_strings",
    "logq.language_models.ngram.LanguageModel": "abstract; the example is in NGram",
    "logq.nn.TopK": "what topk returns; the example is there",
    "logq.recommenders.NeuralOptions": "a type",
    "logq.recommenders.NeuralRecommender": "abstract; the example is in every estimator",
    "logq.recommenders.Recommender": "abstract; the example is in every estimator",
    "logq.retrieval.ItemIndex": "abstract; the example is in every index",
    "logq.retrieval.ItemStore": "abstract; the example is in both databases",
    "logq.samplers.Draw": "what a sampler returns; the example is in every law",
    "logq.samplers.Proposal": "abstract",
    "logq.samplers.Sampler": "abstract; the example is in every law",
    "logq.shapes.can_look_at": "its answer depends on the device",
}


def module_name(path: Path) -> str:
    """The dotted name, such as logq.text.corpus."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}
EXPORTING = sorted(name for name in MODULES if not name.endswith(".__main__"))
INNER = sorted(MODULES.keys() - {"logq"})  # logq itself stands at the door and sees all rooms


def room_of(module: str) -> str:
    return module.split(".")[1]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def targets(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names; in `from a import b`, a.b when that is a module of ours, else a."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in MODULES else str(node.module)


def ours(module: str) -> set[str]:
    """Every module of logq that this one imports, wherever in the file."""
    return {name for node in ast.walk(tree(module)) for name in targets(node) if name.split(".")[0] == "logq"}


def deferred(module: str) -> Iterator[tuple[int, str]]:
    """Imports inside functions, and imports by a call: line and what is imported."""
    for outer in ast.walk(tree(module)):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((n.lineno, name) for n in ast.walk(outer) if is_import(n) for name in targets(n))
        if isinstance(outer, ast.Call) and ast.unparse(outer.func) in {"__import__", "importlib.import_module"}:
            yield outer.lineno, ast.unparse(outer)


def exported(module: str) -> list[str]:
    """The names in `__all__`, which must be a plain list of strings."""
    for node in tree(module).body:
        names = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if [ast.unparse(name) for name in names] == ["__all__"]:
            return list(ast.literal_eval(node.value))  # pyright: ignore
    pytest.fail(f"{module}: no __all__")


def public_names() -> dict[str, object]:
    """Whatever a room or logq itself exports, under the first name that leads to it; classes and functions only."""
    doors = ["logq", *(f"logq.{room}" for room in ROOMS if f"logq.{room}" in MODULES)]
    found: dict[int, tuple[str, object]] = {}
    for door in sorted(doors, key=len, reverse=True):
        for name in exported(door):
            value = getattr(importlib.import_module(door), name)
            if inspect.isclass(value) or inspect.isroutine(value):
                found.setdefault(id(value), (f"{door}.{name}", value))
    return dict(found.values())


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("module", INNER)
def test_stands_in_a_known_room(module: str) -> None:
    assert room_of(module) in ROOMS


@pytest.mark.parametrize("module", INNER)
def test_imports_only_from_earlier_rooms(module: str) -> None:
    earlier = ROOMS[: ROOMS.index(room_of(module)) + 1]
    wrong = {name for name in ours(module) if name == "logq" or room_of(name) not in earlier}
    # What stands at the door may tell its version to the command line.
    assert not wrong - ({"logq"} if room_of(module) == "cli" else set())


@pytest.mark.parametrize("module", INNER)
def test_imports_are_absolute(module: str) -> None:
    assert not [node.lineno for node in ast.walk(tree(module)) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("room", ALTERNATIVES)
def test_alternatives_do_not_import_one_another(room: str) -> None:
    members = {name for name in MODULES if name.startswith(f"logq.{room}.")}
    shared = {f"logq.{room}.{name}" for name in ALTERNATIVES[room]}
    assert shared <= members
    sideways = {name: (ours(name) & (members | {f"logq.{room}"})) - shared - {name} for name in members}
    assert not {name: wrong for name, wrong in sideways.items() if wrong}


# Commands import torch when they run, so that help does without it.
@pytest.mark.parametrize("module", [name for name in INNER if room_of(name) != "cli"])
def test_imports_stand_at_the_top(module: str) -> None:
    by_call = module in ("logq.kernels", "logq.word2vec.engines")  # backends and engines are named in a table
    wrong = [(line, name) for line, name in deferred(module) if name.split(".")[0] not in OPTIONAL]
    assert not [(line, name) for line, name in wrong if not (by_call and name.startswith("importlib."))]


def test_the_door_is_lazy() -> None:
    code = "import sys, logq, logq.cli; print([name for name in ('torch', 'numpy', 'sklearn') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("module", TORCH_FREE)
def test_loads_without_torch(module: str) -> None:
    inner = sorted(name for name in MODULES if name.startswith(f"{module}.")) if module != "logq.kernels" else []
    code = f"import sys, importlib; [importlib.import_module(name) for name in {[module, *inner]}]; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(answer.stdout.split())
    assert module in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short_and_say_what_they_hold(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST
    assert ast.get_docstring(tree(module))
    assert not set(module.split(".")) & SAYS_NOTHING


def test_tests_and_scripts_are_named_for_what_they_hold() -> None:
    names = {
        path.stem.removeprefix("test_")
        for room in ("tests", "scripts", "benchmarks")
        for path in (ROOT / room).rglob("*.py")
    }
    assert not names & SAYS_NOTHING


@pytest.mark.parametrize("module", EXPORTING)
def test_exports_exist(module: str) -> None:
    names = exported(module)
    assert len(set(names)) == len(names)
    loaded = importlib.import_module(module)
    assert not [name for name in names if not hasattr(loaded, name)]


def test_exports_have_examples() -> None:
    without = {name for name, value in public_names().items() if ">>>" not in (value.__doc__ or "")}
    assert without == set(NO_EXAMPLE)


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_has_tests(room: str) -> None:
    tests = ROOT / "tests"
    assert (tests / f"test_{room}.py").exists() or list((tests / room).rglob("test_*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_architecture_tells_of_each_room(room: str) -> None:
    assert f"logq.{room}" in MODULES
    assert re.search(rf"\b{room}\b", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))


def test_readme_points_to_the_architecture() -> None:
    assert "ARCHITECTURE.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_architecture_gives_a_reason_for_each_dependency() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M | re.S)
    needed = re.findall(r'"([\w.-]+)', block[1]) if block else []
    assert "torch" in needed
    assert not [name for name in needed if not re.search(rf"\b{re.escape(name)}\b", text)]
