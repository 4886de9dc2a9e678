"""A log that comes with Python: which functions the functions of its standard library call.

A function is a session and its callees are the items, in the order of the source: enough for item2vec to find what is
used together.
"""

import ast
import builtins
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from logq.logs.interactions import Interactions
from logq.text.demo_corpus import parse_source, paused_collection, source_files

__all__ = ["CallGraph", "call_graph", "python_calls"]

# Tests, tables of encodings, bundled copies and separate programs say little about how the library is used.
_SKIPPED = {
    "site-packages",
    "dist-packages",
    "encodings",
    "test",
    "tests",
    "idle_test",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "turtledemo",
    "__pycache__",
}
_BUILTINS = frozenset(dir(builtins))
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class CallGraph(NamedTuple):
    """Functions and what they call.

    Args:
        functions: the dotted name of each, `module.function` or `module.Class.method`.
        callees: for each function the names of what it calls, one for each call, in the order of the source.
    """

    functions: list[str]
    callees: list[list[str]]

    def events(self) -> tuple[list[str], list[str]]:
        """Return a function and what it calls for each call, in two lists."""
        calls = [(name, called) for name, names in zip(self.functions, self.callees, strict=True) for called in names]
        return [name for name, _ in calls], [called for _, called in calls]


def python_calls() -> Interactions:
    """Return a log to play with, which every Python has: the functions of its standard library and what they call.

    Functions are users, and the functions that they call are items, each once, in the order of the source. Rare ones
    are left out. The same Python gives the same log; it takes a few seconds. `logq demo items` trains on such calls.

    Raises:
        FileNotFoundError: this Python comes without the source of its library.

    Example:
        >>> log = python_calls()
        >>> log.num_users > 1000, ".append" in log.item_ids.keys
        (True, True)
    """
    users, items = call_graph().events()
    return Interactions.from_arrays(users, items, deduplicate="first", min_item=5, min_user=3)


def call_graph(library: Path | None = None) -> CallGraph:
    """Find the calls in the source of the standard library: functions are sessions, callees are items.

    Files are parsed, never imported, in the order of their paths, and those that are not Python are skipped. A callee
    has the name under which other code could call it, as far as the source tells: `os.path.join` however imported,
    `len` for a builtin, `module.name` for what the module itself defines, and `.append` for a method of an object
    of unknown type. Calls of other things, such as `handlers[name]()`, are left out, and so are
    functions without a call. The same Python gives the same result. Takes a few seconds.

    Args:
        library: a folder of source files; None takes the standard library.

    Returns:
        Functions and their callees.

    Raises:
        FileNotFoundError: there are no source files.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "tools.py").write_text("def f(x): g(x, str(len(x)))" + chr(10) + "def g(x, y): pass")
        ...     call_graph(Path(folder))
        CallGraph(functions=['tools.f'], callees=[['tools.g', 'str', 'len']])
    """
    folder = Path(sysconfig.get_paths()["stdlib"]) if library is None else Path(library)
    found = CallGraph([], [])
    with paused_collection():
        for path in source_files(folder, _SKIPPED):
            for function, callees in _calls_of_file(path, _module_name(path.relative_to(folder))):
                found.functions.append(function)
                found.callees.append(callees)
    return found


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _calls_of_file(path: Path, module: str) -> Iterator[tuple[str, list[str]]]:
    if (tree := parse_source(path)) is None:
        return
    known = {node.name: f"{module}.{node.name}" for node in tree.body if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    pending: list[tuple[ast.AST, str]] = [(tree, module)]
    bodies: list[tuple[str, list[ast.Call]]] = []
    while pending:
        scope, name = pending.pop(0)
        calls: list[ast.Call] = []
        inner: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
        for node in _within(scope):
            if isinstance(node, ast.Call):
                calls.append(node)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                known.update(_imported(node, package))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner.append(node)
        inner.sort(key=_position)
        pending.extend((node, f"{name}.{node.name}") for node in inner)
        if isinstance(scope, _FUNCTIONS):
            bodies.append((name, sorted(calls, key=_position)))
    for name, calls in bodies:
        callees = [callee for call in calls if (callee := _callee(call.func, known))]
        if callees:
            yield name, callees


def _position(node: Any) -> tuple[int, int, int, int]:
    # The calls of a chain, `a.b().c()`, begin at the same position: the first of them ends first.
    return (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope, without the insides of functions and classes in it."""
    stack: list[object] = list(vars(scope).values())
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(node, ast.AST):
            yield node
            if not isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.expr_context, ast.Constant)):
                stack.extend(vars(node).values())


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    """Yield (name in the file, dotted name) of an import."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, alias.name) if alias.asname else (first := alias.name.partition(".")[0], first)
        return
    source = node.module or ""
    if node.level:
        parts = package.split(".")
        source = ".".join([*parts[: len(parts) - node.level + 1], *([source] if source else [])])
    for alias in node.names:
        yield alias.asname or alias.name, f"{source}.{alias.name}".lstrip(".")  # `from . import` outside a package


def _callee(called: ast.expr, known: dict[str, str]) -> str:
    """Return the name of what is called, or "" where the source does not tell."""
    parts: list[str] = []
    node = called
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        if node.id in known:
            return ".".join([known[node.id], *reversed(parts)])
        if not parts:
            return node.id if node.id in _BUILTINS else ""
    return f".{parts[0]}" if parts else ""
