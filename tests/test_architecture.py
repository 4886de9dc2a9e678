"""The code stays as ARCHITECTURE.md describes it. Sources are read, not run, except to see that exports exist.

Each test goes over all modules and reports every offender at once.
"""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lazy_loader
import networkx
import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "logq"

# A module imports from its own package and from those that stand before it.
PACKAGES = (
    "_warnings",
    "_arguments",
    "_files",
    "_decoders",
    "_compression",
    "_text_encodings",
    "_mapped_file",
    "_model_file",
    "_launch",
    "_machine",
    "tables",
    "_progress",
    "_project",
    "hub",
    "tracing",
    "shapes",
    "processes",
    "process_groups",
    "process_start",
    "huffman",
    "candidates",
    "approximations",
    "row_losses",
    "objectives",
    "graph_breaks",
    "kernels",
    "optim",
    "samplers",
    "functional",
    "nn",
    "hierarchical",
    "distributed",
    "compat",
    "diagnostics",
    "text",
    "logs",
    "vectors",
    "retrieval",
    "evaluation",
    "estimators",
    "training",
    "word2vec",
    "language_models",
    "recommenders",
    "folders",
    "exports",
    "serving",
    "explorer",
    "doctor",
    "cli",
    "__main__",
)

# What models of `recommenders`, a file each, share; in the same order.
RECOMMENDERS = ("events", "encoding", "ranking", "neural", "layers")

# What may be missing on a user's machine, and is therefore imported where it is needed: an extra, and a part of Python
# that some distributions leave out.
OPTIONAL = {
    "bz2",
    "compression",
    "duckdb",
    "faiss",
    "fastapi",
    "hnswlib",
    "lancedb",
    "lzma",
    "matplotlib",
    "openTSNE",
    "polars",
    "prometheus_client",
    "psycopg",
    "pyarrow",
    "pydantic",
    "pydantic_core",
    "pydoc_data",
    "pymilvus",
    "pyspark",
    "qdrant_client",
    "ray",
    "scipy",
    "starlette",
    "usearch",
    "zstandard",
}

# Modules that import inside of functions on purpose, with the reason.
LATE_IMPORTS = {
    "logq._project": "commands start without the metadata of the installation",
    "logq._arguments": "the command line starts without numpy",
    "logq.approximations": "the table and its names are known without torch",
    "logq.row_losses": "the table and its names are known without torch",
    "logq.objectives": "the table and its names are known without torch",
    "logq.estimators": "estimators are loaded by name",
    "logq.explorer.explorer_page": "words are explored without torch",
    "logq.doctor.installation": "what is missing is reported",
    "logq.doctor.trials": "what is missing is reported",
    "logq.doctor.troubles": "what is missing is reported",
    "logq.exports.export_formats": "what writes a format is loaded by name",
    "logq.folders.folder_contents": "what a folder holds is told without numpy",
    "logq.folders.index_folders": "the command line names the file without torch",
    "logq.folders.recommender_folders": "a folder is looked at before torch is loaded",
    "logq.kernels.backends": "backends are loaded by name",
    "logq.tables.result_frames": "pandas and polars are loaded by name",
    "logq.samplers.registry": "samplers are loaded by name",
    "logq.hub.hub_folders": "the client of the hub is loaded by name, as an extra",
    "logq.process_start": "functions of torch.distributed.nn keep the group that is there when they are imported",
    "logq.retrieval.index_kinds": "indexes are loaded by name",
    "logq.retrieval.item_databases": "databases are loaded by name, each an extra",
    "logq.recommenders.tuning": "optuna is loaded by name, as an extra",
    "logq.serving.open_models": "words are served without torch",
    "logq.training.trackers": "trackers are loaded by name, as an extra",
    "logq.word2vec.engines": "engines are loaded by name",
    "logq.word2vec.word2vec": "one process trains without torch",
    "logq.vectors.keyed_vectors": "vectors are used without torch",
}

# What loads without torch, which takes a second and 200 MB: reading words and vectors, and the compiled core.
TORCH_FREE = (
    "_arguments",
    "_files",
    "_decoders",
    "_compression",
    "_text_encodings",
    "_launch",
    "_machine",
    "_progress",
    "_project",
    "tables",
    "hub",
    "huffman",
    "objectives",
    "kernels",
    "kernels._native",
    "samplers.registry",
    "retrieval.index_registry",
    "retrieval.item_databases",
    "text",
    "logs",
    "vectors",
    "evaluation",
    "training.config",
    "training.estimator",
    "training.checkpoint",
    "training.trackers",
    "word2vec.fused_engine",
    "language_models.ngram",
    "estimators",
)
WITH_TORCH = {
    "logq.word2vec.plain_engine",
    "logq.word2vec.triton_engine",
    "logq.word2vec.modules",
}  # inner modules of a torch-free package that need it

LONGEST_FILE = 410
LONGEST_ARCHITECTURE = 120
SAYS_NOTHING = {"common", "helper", "helpers", "misc", "util", "utils"}

# Exported without an example, each for a reason.
NO_EXAMPLE = {
    "logq.cli.main": "it ends the process",
    "logq.language_models.LanguageModel": "abstract; the example is in NGram",
    "logq.language_models.NeuralLanguageModel": "abstract; the example is in NNLM and RecurrentLM",
    "logq.retrieval.ItemIndex": "abstract; the example is in every index",
    "logq.retrieval.ItemStore": "abstract; the example is in every database",
}


def module_name(path: Path) -> str:
    """The dotted name, such as logq.text.corpus."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}
LAZY = {
    name
    for name, path in MODULES.items()
    if path.with_suffix(".pyi").name == "__init__.pyi" and path.with_suffix(".pyi").exists()
}


def package_of(module: str) -> str:
    return module.split(".")[1]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


@cache
def home(package: str, name: str) -> str:
    """The module that a name of a lazy package comes from."""
    for node in ast.parse(MODULES[package].with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            module = f"{package}.{node.module}" if node.module else f"{package}.{name}"
            return home(module, name) if module in LAZY and node.module else module
    return package


def targets(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names; for `from a import b` where b really comes from."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield (
                inner
                if inner in MODULES
                else home(node.module, alias.name)
                if node.module in LAZY
                else str(node.module)
            )


def ours(module: str) -> set[str]:
    """Every module of logq that this one imports, wherever in the file, for type checkers too."""
    found = {name for node in ast.walk(tree(module)) for name in targets(node)}
    return {name for name in found if name.split(".")[0] == "logq" and name != module}


def late(module: str) -> Iterator[tuple[int, str]]:
    """Imports inside functions, and imports by a call: line and what is imported."""
    for outer in ast.walk(tree(module)):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((n.lineno, name) for n in ast.walk(outer) if is_import(n) for name in targets(n))
        if isinstance(outer, ast.Call) and ast.unparse(outer.func) in {"__import__", "importlib.import_module"}:
            yield outer.lineno, ast.unparse(outer)


def public_names() -> dict[str, object]:
    """Whatever a package or logq itself exports, under the shortest name; classes and functions only."""
    found: dict[int, tuple[str, object]] = {}
    packages = [f"logq.{name}" for name in PACKAGES if f"logq.{name}" in MODULES and not name.startswith("_")]
    for package in sorted(["logq", *packages], key=len, reverse=True):
        loaded = importlib.import_module(package)
        for name in loaded.__all__:
            value = getattr(loaded, name)
            if inspect.isclass(value) or inspect.isroutine(value):
                found.setdefault(id(value), (f"{package}.{name}", value))
    return dict(found.values())


def ask(code: str) -> list[str]:
    """What a new process prints, as words."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_packages_import_only_from_those_before_them() -> None:
    assert len(MODULES) > 100
    assert {package_of(name) for name in MODULES if name != "logq"} <= set(PACKAGES)
    place = {name: number for number, name in enumerate(PACKAGES)}
    wrong = [
        f"{module} imports {name}"
        for module in MODULES.keys() - {"logq"}
        for name in ours(module)
        # The version stands in logq itself, and the command line tells it.
        if (name == "logq" and package_of(module) != "cli")
        or (name != "logq" and place[package_of(name)] > place[package_of(module)])
    ]
    assert not wrong


def test_what_recommenders_share_imports_only_from_what_stands_before_it() -> None:
    place = {f"logq.recommenders.{name}": number for number, name in enumerate(RECOMMENDERS)}
    models = len(place)  # files beside those packages
    places = {
        name: place.get(name.rpartition(".")[0], models)
        for name in MODULES
        if name.startswith("logq.recommenders.") and name not in place
    }
    assert set(places.values()) == {*range(models + 1)}
    assert not [
        f"{module} imports {name}"
        for module in places
        for name in ours(module)
        if places.get(name, -1) > places[module]
    ]


def test_imports_make_no_circle() -> None:
    graph = networkx.DiGraph((module, name) for module in MODULES.keys() - LAZY for name in ours(module))
    assert not [sorted(circle) for circle in networkx.strongly_connected_components(graph) if len(circle) > 1]


def test_no_name_stands_for_two_things() -> None:
    files = Counter(path.name for path in MODULES.values() if path.name not in {"__init__.py", "__main__.py"})
    classes = Counter(node.name for name in MODULES for node in tree(name).body if isinstance(node, ast.ClassDef))
    assert not [name for name, number in (files + classes).items() if number > 1]
    # A lazy name that is also a submodule would be the one or the other, depending on what was imported before.
    for package in LAZY - {"logq"}:
        names = {node.asname or node.name for node in exports_of(package)}
        assert not {name for name in names if f"{package}.{name}" in MODULES} - SUBMODULES_ON_PURPOSE, package


SUBMODULES_ON_PURPOSE = {"chainer", "cs224n", "keras", "tensorflow"}


def exports_of(package: str) -> list[ast.alias]:
    stub = ast.parse(MODULES[package].with_suffix(".pyi").read_text(encoding="utf-8"))
    return [alias for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]


def test_imports_are_absolute_and_stand_at_the_top() -> None:
    relative = [name for name in MODULES for n in ast.walk(tree(name)) if isinstance(n, ast.ImportFrom) and n.level]
    assert not relative
    # Commands import what they need when they run, so that help does without it.
    others = [name for name in MODULES if name != "logq" and package_of(name) != "cli" and name not in LATE_IMPORTS]
    assert not [
        f"{module}:{line} imports {name}"
        for module in others
        for line, name in late(module)
        if name.split(".")[0] not in OPTIONAL
    ]


def test_every_package_is_lazy() -> None:
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    backends = {name for name in packages if name.startswith("logq.kernels.")}
    shared = {f"logq.recommenders.{name}" for name in RECOMMENDERS}
    inside = {"logq.cli", *backends, *shared}  # nobody imports names from these
    assert {name for name in packages - LAZY if not name.startswith("logq.cli")} <= inside
    for package in LAZY:
        assert "lazy_loader.attach_stub(__name__, __file__)" in MODULES[package].read_text(encoding="utf-8"), package
    assert lazy_loader.attach_stub
    code = "import sys, logq, logq.cli; print(*[name for name in ('torch', 'numpy', 'sklearn') if name in sys.modules])"
    assert ask(code) == []


def test_what_needs_no_torch_loads_without_it() -> None:
    names: list[str] = []
    for name in TORCH_FREE:
        names.append(f"logq.{name}")
        if name not in {"kernels", "word2vec"}:
            names += sorted(inner for inner in MODULES if inner.startswith(f"logq.{name}."))
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(print(name))
"""
    assert ask(code) == []


def test_samplers_cost_little_more_than_torch() -> None:
    code = "import sys, torch; before = set(sys.modules); from logq.samplers import LogUniform; print(*sys.modules)"
    loaded = ask(code)
    assert "logq.samplers.log_uniform" in loaded
    assert "torch._dynamo" not in loaded


def test_training_words_executes_nothing_of_recommenders() -> None:
    code = (
        "import sys; from logq import Word2Vec; "
        "Word2Vec(min_count=1, sample=0, epochs=1, seed=1).fit([['a', 'b', 'c']] * 100, progress=False); "
        "print(*sys.modules)"
    )
    loaded = [name.split(".") for name in ask(code) if name.startswith("logq.")]
    assert ["logq", "word2vec"] in loaded
    assert not [name for name in loaded if name[1] in {"logs", "recommenders", "retrieval", "evaluation", "cli"}]
    assert "torch" not in ask(code)


def test_files_are_short_and_say_what_they_hold() -> None:
    sizes = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert not {name: size for name, size in sizes.items() if size > LONGEST_FILE}
    assert not [name for name in MODULES if not ast.get_docstring(tree(name))]
    folders = ("src", "tests", "scripts", "benchmarks")
    names = {path.stem.removeprefix("test_") for folder in folders for path in (ROOT / folder).rglob("*.py")}
    assert not names & SAYS_NOTHING


def test_exports_exist_and_have_examples() -> None:
    from logq.kernels.backends import BUILT_IN

    absent = tuple(entry.location.partition(":")[0] for entry in BUILT_IN.values() if entry.lacks())
    for module in MODULES:
        if module.endswith("__main__") or module.startswith(absent):
            continue
        loaded = importlib.import_module(module)
        names = loaded.__all__
        assert len(set(names)) == len(names), module
        assert not [name for name in names if not hasattr(loaded, name)], module
    without = {name for name, value in public_names().items() if ">>>" not in (value.__doc__ or "")}
    assert without == set(NO_EXAMPLE)


def test_documents_tell_of_every_package() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_ARCHITECTURE
    assert not [name for name in (*PACKAGES, *RECOMMENDERS) if not re.search(rf"\b{name}\b", text)]
    assert "ARCHITECTURE.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M | re.S)
    needed = re.findall(r'"([\w.-]+)', block[1]) if block else []
    assert "torch" in needed
    assert not [name for name in needed if not re.search(rf"\b{re.escape(name)}\b", text)]


def test_every_package_has_tests() -> None:
    tests = ROOT / "tests"
    names = [name.removeprefix("_") for name in PACKAGES if name != "__main__"]  # which tests of the command line run
    assert not [n for n in names if not (tests / f"test_{n}.py").exists() and not list((tests / n).rglob("test_*.py"))]


def test_registry_and_exports_agree() -> None:
    import logq
    from logq.estimators import ESTIMATORS

    for entry in ESTIMATORS:
        assert entry.class_name in logq.__all__


if __name__ == "__main__":
    pytest.main([__file__])
